"""Names what was set plainly between two archives of one registry. Standard library only.

    registry-worker export --events > then.ndjson     # when create() is everywhere
    registry-worker export --events > now.ndjson      # some days later
    python3 plainsets.py then.ndjson now.ndjson       # exit code 1 if there is any

A document that create() made is exported as a plain set too, at the time of its
creation. So what counts is a plain set that is new, of a resource that is not.
"""

import json
import sys


def read(path):
    """The resources of an archive, and its plain sets by their ids, which hold the time."""
    resources, sets = set(), {}
    with open(path, encoding="utf-8") as lines:
        for event in map(json.loads, lines):
            data = event["data"]
            named = [data["resource"]] if "resource" in data else data.get("resources", [])
            resources.update((r["kind"], r["id"]) for r in named)
            resources.update((kind, data[f"{kind}_id"]) for kind in ("thread", "canvas") if f"{kind}_id" in data)
            if event["type"] == "registry.asserted.v1":
                sets[event["id"]] = (data["resource"]["kind"], data["resource"]["id"], data["tenant_id"], event["time"])
    return resources, sets


def main(then, now):
    before, known = read(then)
    _, sets = read(now)
    again = sorted(s for event, s in sets.items() if event not in known and s[:2] in before)
    for kind, resource, tenant, time in again:
        print(f"{kind}/{resource}: set to {tenant} at {time}")
    return 1 if again else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("want two archives, the earlier one first")
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"not an archive: {error!r}")
