"""Registers what existed before. --claim needs the package of clients/python; the rest is
the standard library.

    python3 backfill.py --time 2026-11-23T00:00:00Z < owners.csv > backfill.ndjson
    python3 backfill.py --time … --collection old_threads --kind thread > backfill.ndjson
    python3 backfill.py --claim < owners.csv
    python3 backfill.py --expect < owners.csv > expected.ndjson

A list has a line "kind,id,tenant" for each resource, without a heading. --time is
when the list was true. The first two write events, for `registry-worker publish`;
--claim claims at once, over HTTP, and names conflicts; --expect writes what
`registry-worker export` should then print of them.

A line or document that names no owner is left out, and named on standard error; the
exit code is 1 then. FIRESTORE_DATABASE is the database of the collection.
"""

import argparse
import csv
import json
import os
import re
import sys
import urllib.parse
import urllib.request

FIRESTORE = os.environ.get("FIRESTORE_EMULATOR_HOST")
DATABASE = os.environ.get("FIRESTORE_DATABASE") or "(default)"
KINDS = ("thread", "canvas")
TENANT = re.compile(r"t_[a-z0-9_-]{1,126}")
RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,255}")


def setting(name):
    return os.environ.get(name) or sys.exit(f"{name} is not set")


def from_list(lines):
    """Each line: where it is, and what it says."""
    rows = csv.reader(lines)
    for row in rows:
        if row:
            yield f"line {rows.line_num}: {','.join(row)!r}", row


def from_collection(collection, kind):
    """Documents named by the id, with a field tenant_id, page by page: where each is, and
    what it says."""
    base = f"http://{FIRESTORE}" if FIRESTORE else "https://firestore.googleapis.com"
    parent = f"{base}/v1/projects/{setting('GOOGLE_CLOUD_PROJECT')}/databases/{DATABASE}/documents"
    page = ""
    while True:
        query = urllib.parse.urlencode({"pageSize": 300, "pageToken": page, "mask.fieldPaths": "tenant_id"})
        token = "owner" if FIRESTORE else setting("GOOGLE_OAUTH_ACCESS_TOKEN")
        request = urllib.request.Request(f"{parent}/{collection}?{query}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        for document in found.get("documents", []):
            resource = document["name"].rsplit("/", 1)[1]
            tenant = document.get("fields", {}).get("tenant_id", {}).get("stringValue")
            yield f"document {collection}/{resource}, tenant_id {tenant!r}", (kind, resource, tenant)
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


def owners(rows, left_out):
    """What can be registered. The rest is said, and added to left_out."""
    for where, row in rows:
        if len(row) != 3 or row[0] not in KINDS:
            fault = "want kind,id,tenant, the kind thread or canvas"
        elif not RESOURCE.fullmatch(row[1]):
            fault = f"the id does not match {RESOURCE.pattern}"
        elif row[2] is None or not TENANT.fullmatch(row[2]):
            fault = f"the tenant does not match {TENANT.pattern}"
        else:
            yield row
            continue
        left_out.append(where)
        print(f"{where}: {fault}", file=sys.stderr)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--time", help="when the list was true, RFC 3339")
    arguments.add_argument("--collection", help="read this Firestore collection in place of a list")
    arguments.add_argument("--kind", choices=KINDS, default="thread", help="of the collection's resources")
    arguments.add_argument("--claim", action="store_true")
    arguments.add_argument("--expect", action="store_true")
    given = arguments.parse_args()
    if not (given.time or given.claim or given.expect):
        arguments.error("--time is needed to write events")

    claim = claimer() if given.claim else None
    conflicts, left_out = 0, []
    rows = from_collection(given.collection, given.kind) if given.collection else from_list(sys.stdin)
    for kind, resource, tenant in owners(rows, left_out):
        if claim:
            if not claim(tenant, kind, resource):
                conflicts += 1
                print(f"{kind}/{resource}: not {tenant}'s but another tenant's", file=sys.stderr)
        elif given.expect:
            print(json.dumps({"kind": kind, "id": resource, "tenant_id": tenant}, separators=(",", ":")))
        else:
            print(json.dumps(event(kind, resource, tenant, given.time)))
    if left_out:
        print(f"{len(left_out)} left out", file=sys.stderr)
    return 1 if conflicts or left_out else 0


def claimer():
    """Returns a function that claims: True if the tenant owns it now, False if another tenant
    does. Any other error ends the program."""
    from realtime_registry import Client, Conflict, RegistryError

    try:
        client = Client()
    except RegistryError as error:
        sys.exit(f"backfill: {error}")

    def claim(tenant, kind, resource):
        try:
            client.claim(tenant, kind, resource)
        except Conflict:
            return False
        except RegistryError as error:
            sys.exit(f"backfill: {kind}/{resource}: {error}; claiming again is harmless")
        return True

    return claim


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:  # there is no answer, or an error
        sys.exit(f"backfill: {error}")
