"""Registers what existed before. Standard library only.

    python3 backfill.py --time 2026-11-23T00:00:00Z < owners.csv > backfill.ndjson
    python3 backfill.py --time … --collection old_threads --kind thread > backfill.ndjson
    python3 backfill.py --claim < owners.csv
    python3 backfill.py --expect < owners.csv > expected.ndjson

A list has a line "kind,id,tenant" for each resource, without a heading. --time is
when the list was true. The first two write events, for `registry-worker publish`;
--claim claims at once, over HTTP, and names conflicts; --expect writes what
`registry-worker export` should then print of them.
"""

import argparse
import csv
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

REGISTRY = os.environ.get("REGISTRY_URL", "http://127.0.0.1:8080")
FIRESTORE = os.environ.get("FIRESTORE_EMULATOR_HOST")
PATHS = {"thread": "threads", "canvas": "canvases"}
TENANT = re.compile(r"t_[a-z0-9_-]{1,126}")
RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,255}")


def setting(name):
    return os.environ.get(name) or sys.exit(f"{name} is not set")


def from_list(lines):
    rows = csv.reader(lines)
    for row in rows:
        if row and (len(row) != 3 or row[0] not in PATHS):
            sys.exit(f"line {rows.line_num}: {','.join(row)!r}: want kind,id,tenant, the kind thread or canvas")
        if row:
            yield row


def from_collection(collection, kind):
    """Documents named by the id, with a field tenant_id, page by page."""
    base = f"http://{FIRESTORE}" if FIRESTORE else "https://firestore.googleapis.com"
    parent = f"{base}/v1/projects/{setting('GOOGLE_CLOUD_PROJECT')}/databases/(default)/documents"
    page = ""
    while True:
        query = urllib.parse.urlencode({"pageSize": 300, "pageToken": page, "mask.fieldPaths": "tenant_id"})
        token = "owner" if FIRESTORE else setting("GOOGLE_OAUTH_ACCESS_TOKEN")
        request = urllib.request.Request(f"{parent}/{collection}?{query}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        for document in found.get("documents", []):
            resource = urllib.parse.unquote(document["name"].rsplit("/", 1)[1])
            yield kind, resource, document["fields"]["tenant_id"]["stringValue"]
        page = found.get("nextPageToken", "")
        if not page:
            return


def event(kind, resource, tenant, time):
    """The same list gives the same events, so publishing it twice is harmless."""
    return {
        "specversion": "1.0",
        "id": f"backfill-{kind}-{resource}",
        "source": "//nexus/backfill",
        "type": f"nexus.{kind}.created.v1",
        "time": time,
        "data": {"tenant_id": tenant, f"{kind}_id": resource},
    }


def claim(kind, resource, tenant):
    """True if the tenant owns it now, False if somebody else does."""
    if not TENANT.fullmatch(tenant) or not RESOURCE.fullmatch(resource):
        sys.exit(f"{kind}/{resource} or tenant {tenant} breaks its pattern")
    url = f"{REGISTRY}/v1/{PATHS[kind]}/{urllib.parse.quote(resource, safe='')}"
    request = urllib.request.Request(url, method="PUT", headers={"X-Tenant-Id": tenant})
    if token := os.environ.get("REGISTRY_CLAIM_TOKEN") or os.environ.get("REGISTRY_API_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    answer.close()
    if answer.headers.get("X-Registry-Asked") != f"{tenant} {kind}/{resource}":
        raise OSError(f"the answer {answer.status} is none of the registry's to this claim: is REGISTRY_URL right?")
    if answer.status not in (201, 204, 409):
        raise OSError(f"the answer is {answer.status}")
    return answer.status != 409


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--time", help="when the list was true, RFC 3339")
    arguments.add_argument("--collection", help="read this Firestore collection in place of a list")
    arguments.add_argument("--kind", choices=PATHS, default="thread", help="of the collection's resources")
    arguments.add_argument("--claim", action="store_true")
    arguments.add_argument("--expect", action="store_true")
    given = arguments.parse_args()
    if not (given.time or given.claim or given.expect):
        arguments.error("--time is needed to write events")

    if given.claim and not REGISTRY.startswith(("http://", "https://")):
        arguments.error(f"REGISTRY_URL is {REGISTRY!r}: want http://HOST:PORT or https://HOST")
    conflicts = 0
    for kind, resource, tenant in from_collection(given.collection, given.kind) if given.collection else from_list(sys.stdin):
        if given.claim:
            if not claim(kind, resource, tenant):
                conflicts += 1
                print(f"{kind}/{resource}: not {tenant}'s, somebody else's", file=sys.stderr)
        elif given.expect:
            print(json.dumps({"kind": kind, "id": resource, "tenant_id": tenant}, separators=(",", ":")))
        else:
            print(json.dumps(event(kind, resource, tenant, given.time)))
    return 1 if conflicts else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:  # nobody answers, or answers an error
        sys.exit(f"backfill: {error}")
