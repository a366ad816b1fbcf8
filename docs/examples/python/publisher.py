"""A create flow of threads: claim first, then publish. It needs the package of
clients/python; the rest is the standard library.

    REGISTRY_URL=http://127.0.0.1:8080 GOOGLE_CLOUD_PROJECT=… python3 publisher.py t_acme th_1
    … python3 publisher.py            # publishes what an earlier run left

The event lies in an outbox before anything else happens, in the transaction
that creates the thread: whatever crashes after that, the next run publishes it.
"""

import base64
import http.client
import json
import os
import sqlite3
import sys
import urllib.error
import urllib.request
from datetime import datetime, timezone

from realtime_registry import Client, Conflict, Invalid, Unavailable
from realtime_registry.ownership import ownership

PROJECT = os.environ.get("GOOGLE_CLOUD_PROJECT")
EMULATOR = os.environ.get("PUBSUB_EMULATOR_HOST")
PUBSUB = f"http://{EMULATOR}" if EMULATOR else "https://pubsub.googleapis.com"
TOPIC = "nexus-thread-created"
AWAY = (OSError, http.client.HTTPException)  # what urllib raises if there is no answer, or an error


def open_database(path):
    """The service's own database, with the outbox beside its threads."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE IF NOT EXISTS threads (id TEXT PRIMARY KEY, tenant TEXT NOT NULL)")
    db.execute("CREATE TABLE IF NOT EXISTS outbox (thread TEXT PRIMARY KEY, tenant TEXT NOT NULL, time TEXT NOT NULL)")
    return db


def create_thread(db, registry, tenant, thread):
    """Creates the thread. When it returns, the client may connect."""
    now = datetime.now(timezone.utc).isoformat()
    db.execute("BEGIN")
    if db.execute("INSERT OR IGNORE INTO threads VALUES (?, ?)", (thread, tenant)).rowcount:
        db.execute("INSERT INTO outbox VALUES (?, ?, ?)", (thread, tenant, now))
    db.execute("COMMIT")
    if db.execute("SELECT tenant FROM threads WHERE id = ?", (thread,)).fetchone() != (tenant,):
        raise Conflict(f"{thread} is another tenant's")
    try:
        registry.claim(tenant, "thread", thread)
    except (Conflict, Invalid):  # repeating does not help
        db.execute("BEGIN")
        db.execute("DELETE FROM outbox WHERE thread = ?", (thread,))
        db.execute("DELETE FROM threads WHERE id = ?", (thread,))
        db.execute("COMMIT")
        raise


def publish_outbox(db):
    """Publishes what was not confirmed yet, and returns what is no event, or is refused:
    that stays, and holds up nothing else. Twice is harmless: same source, same id."""
    refused = []
    for thread, tenant, time in db.execute("SELECT thread, tenant, time FROM outbox ORDER BY time").fetchall():
        try:
            ownership(tenant, "thread", thread)
            publish(tenant, thread, time)
        except (Invalid, urllib.error.HTTPError) as error:
            if getattr(error, "code", 400) != 400:
                raise
            refused.append(f"{thread!r} of {tenant!r}: {error}")
            continue
        db.execute("DELETE FROM outbox WHERE thread = ?", (thread,))
    return refused


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
    send(TOPIC, message, timeout)


def send(topic, message, timeout=10.0):
    """Publishes a message, and returns once Pub/Sub has it."""
    request = urllib.request.Request(
        f"{PUBSUB}/v1/projects/{PROJECT}/topics/{topic}:publish",
        data=json.dumps({"messages": [message]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    if token := os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN"):  # gcloud auth print-access-token
        request.add_header("Authorization", f"Bearer {token}")
    urllib.request.urlopen(request, timeout=timeout).close()


def main(arguments):
    if not PROJECT:
        return "GOOGLE_CLOUD_PROJECT is not set"
    try:
        registry = Client()
    except Invalid as error:
        return str(error)
    if len(arguments) not in (0, 2):
        return "want a tenant and a thread, or neither"
    database = open_database(os.environ.get("DATABASE", "threads.sqlite3"))
    if arguments:
        tenant, thread = arguments
        try:
            create_thread(database, registry, tenant, thread)
        except (Conflict, Invalid) as error:
            return f"refused: {error}"
        except Unavailable as error:
            return f"the registry at {registry.settings.url}: {error}; the event waits in the outbox, repeating is harmless"
        print(f"{thread} is {tenant}'s: answer the client", flush=True)
    try:
        refused = publish_outbox(database)  # and what earlier runs left
    except AWAY as error:
        return f"Pub/Sub at {PUBSUB}: {error}; the event waits in the outbox"
    return "\n".join(["left out, and left in the outbox:", *refused]) if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
