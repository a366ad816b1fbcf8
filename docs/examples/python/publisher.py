"""A create flow of threads: claim first, then publish. Standard library only.

    REGISTRY_URL=http://127.0.0.1:8080 GOOGLE_CLOUD_PROJECT=… python3 publisher.py t_acme th_1
    … python3 publisher.py            # publishes what an earlier run left

The event lies in an outbox before anything else happens, in the transaction
that creates the thread: whatever crashes after that, the next run publishes it.
"""

import base64
import json
import os
import sqlite3
import sys
import urllib.error
import urllib.request
from datetime import datetime, timezone

REGISTRY = os.environ.get("REGISTRY_URL", "http://127.0.0.1:8080")
PROJECT = os.environ["GOOGLE_CLOUD_PROJECT"]
EMULATOR = os.environ.get("PUBSUB_EMULATOR_HOST")
PUBSUB = f"http://{EMULATOR}" if EMULATOR else "https://pubsub.googleapis.com"
TOPIC = "nexus-thread-created"


class TakenError(Exception):
    """Another tenant owns this id."""


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
    db.execute("INSERT INTO threads VALUES (?, ?)", (thread, tenant))
    db.execute("INSERT INTO outbox VALUES (?, ?, ?)", (thread, tenant, now))
    db.execute("COMMIT")
    try:
        claim(tenant, thread)
    except TakenError:
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
    request = urllib.request.Request(f"{REGISTRY}/v1/threads/{thread}", method="PUT", headers={"X-Tenant-Id": tenant})
    if token := os.environ.get("REGISTRY_CLAIM_TOKEN") or os.environ.get("REGISTRY_API_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        urllib.request.urlopen(request, timeout=timeout).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 409:
            raise TakenError(thread) from None
        raise


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


if __name__ == "__main__":
    database = open_database(os.environ.get("DATABASE", "threads.sqlite3"))
    publish_outbox(database)  # what an earlier run left
    if len(sys.argv) == 3:
        create_thread(database, sys.argv[1], sys.argv[2])
        print(f"{sys.argv[2]} is {sys.argv[1]}'s: answer the client", flush=True)
        publish_outbox(database)
