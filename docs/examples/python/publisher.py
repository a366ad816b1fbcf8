"""A create flow of threads: claim first, then publish. Standard library only.

    REGISTRY_URL=http://127.0.0.1:8080 GOOGLE_CLOUD_PROJECT=… python3 publisher.py t_acme th_1
    … python3 publisher.py            # publishes what an earlier run left

The event lies in an outbox before anything else happens, in the transaction
that creates the thread: whatever crashes after that, the next run publishes it.
"""

import base64
import http.client
import json
import os
import re
import sqlite3
import sys
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone

REGISTRY = os.environ.get("REGISTRY_URL", "http://127.0.0.1:8080")
PROJECT = os.environ.get("GOOGLE_CLOUD_PROJECT")
EMULATOR = os.environ.get("PUBSUB_EMULATOR_HOST")
PUBSUB = f"http://{EMULATOR}" if EMULATOR else "https://pubsub.googleapis.com"
TOPIC = "nexus-thread-created"
TENANT = re.compile(r"t_[a-z0-9_-]{1,126}")
THREAD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,255}")
AWAY = (OSError, http.client.HTTPException)  # what urllib raises where nobody answers, or answers an error


class RefusedError(Exception):
    """Another tenant owns this id, or an id breaks its pattern: repeating does not help."""


def open_database(path):
    """The service's own database, with the outbox beside its threads."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE IF NOT EXISTS threads (id TEXT PRIMARY KEY, tenant TEXT NOT NULL)")
    db.execute("CREATE TABLE IF NOT EXISTS outbox (thread TEXT PRIMARY KEY, tenant TEXT NOT NULL, time TEXT NOT NULL)")
    return db


def create_thread(db, tenant, thread):
    """Creates the thread. When it returns, the client may connect."""
    now = datetime.now(timezone.utc).isoformat()
    db.execute("BEGIN")
    if db.execute("INSERT OR IGNORE INTO threads VALUES (?, ?)", (thread, tenant)).rowcount:
        db.execute("INSERT INTO outbox VALUES (?, ?, ?)", (thread, tenant, now))
    db.execute("COMMIT")
    if db.execute("SELECT tenant FROM threads WHERE id = ?", (thread,)).fetchone() != (tenant,):
        raise RefusedError(f"{thread} is another tenant's")
    try:
        claim(tenant, thread)
    except RefusedError:
        db.execute("BEGIN")
        db.execute("DELETE FROM outbox WHERE thread = ?", (thread,))
        db.execute("DELETE FROM threads WHERE id = ?", (thread,))
        db.execute("COMMIT")
        raise


def publish_outbox(db):
    """Publishes what was not confirmed yet. Twice is harmless: same source, same id."""
    for thread, tenant, time in db.execute("SELECT thread, tenant, time FROM outbox ORDER BY time").fetchall():
        publish(tenant, thread, time)
        db.execute("DELETE FROM outbox WHERE thread = ?", (thread,))


def claim(tenant, thread, timeout=5.0):
    """Makes the tenant the owner: 201 now, 204 already. Repeat it after any other error."""
    if not TENANT.fullmatch(tenant) or not THREAD.fullmatch(thread):
        raise RefusedError(f"thread {thread!r} or tenant {tenant!r} breaks its pattern")
    url = f"{REGISTRY}/v1/threads/{urllib.parse.quote(thread, safe='')}"
    request = urllib.request.Request(url, method="PUT", headers={"X-Tenant-Id": tenant})
    if token := os.environ.get("REGISTRY_CLAIM_TOKEN") or os.environ.get("REGISTRY_API_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        answer = error
    answer.close()
    if answer.headers.get("X-Registry-Asked") != f"{tenant} thread/{thread}":
        raise OSError(f"the answer {answer.status} is none of the registry's to this claim")
    if answer.status == 409:
        raise RefusedError(f"{thread} is another tenant's")
    if answer.status not in (201, 204):
        raise OSError(f"the answer is {answer.status}")


def publish(tenant, thread, time, timeout=10.0):
    """Publishes the event, and returns once Pub/Sub has it."""
    message = {
        "attributes": {
            "ce-specversion": "1.0",
            "ce-id": f"thread-created-{thread}",  # the same at every try
            "ce-source": "//nexus/threads",
            "ce-type": "nexus.thread.created.v1",
            "ce-time": time,
            "content-type": "application/json",
        },
        "data": base64.b64encode(json.dumps({"tenant_id": tenant, "thread_id": thread}).encode()).decode(),
    }
    request = urllib.request.Request(
        f"{PUBSUB}/v1/projects/{PROJECT}/topics/{TOPIC}:publish",
        data=json.dumps({"messages": [message]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    if token := os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN"):  # gcloud auth print-access-token
        request.add_header("Authorization", f"Bearer {token}")
    urllib.request.urlopen(request, timeout=timeout).close()


def main(arguments):
    if not PROJECT:
        return "GOOGLE_CLOUD_PROJECT is not set"
    if not REGISTRY.startswith(("http://", "https://")):
        return f"REGISTRY_URL is {REGISTRY!r}: want http://HOST:PORT or https://HOST"
    if len(arguments) not in (0, 2):
        return "want a tenant and a thread, or neither"
    database = open_database(os.environ.get("DATABASE", "threads.sqlite3"))
    if arguments:
        tenant, thread = arguments
        try:
            create_thread(database, tenant, thread)
        except RefusedError as error:
            return f"refused: {error}"
        except AWAY as error:
            return f"the registry at {REGISTRY}: {error}; the event waits in the outbox, repeating is harmless"
        print(f"{thread} is {tenant}'s: answer the client", flush=True)
    try:
        publish_outbox(database)  # and what earlier runs left
    except AWAY as error:
        return f"Pub/Sub at {PUBSUB}: {error}; the event waits in the outbox"
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
