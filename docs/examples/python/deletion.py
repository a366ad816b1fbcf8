"""A delete flow of threads, for the database of publisher.py.

    GOOGLE_CLOUD_PROJECT=… python3 deletion.py th_1
    … python3 deletion.py            # publishes what an earlier run left

The event lies in an outbox from the transaction on that deletes the thread: whatever
crashes after that, the next run publishes it. The registry need not be asked.
"""

import base64
import json
import os
import sys
from datetime import datetime, timezone

from publisher import AWAY, PROJECT, PUBSUB, open_database, send


def delete_thread(db, thread):
    """Deletes the thread, whichever tenant has it by now. The event of its creation need
    not be published any more."""
    now = datetime.now(timezone.utc).isoformat()
    db.execute("BEGIN")
    if db.execute("DELETE FROM threads WHERE id = ?", (thread,)).rowcount:
        db.execute("DELETE FROM outbox WHERE thread = ?", (thread,))
        db.execute("INSERT OR IGNORE INTO deletions VALUES (?, ?)", (thread, now))
    db.execute("COMMIT")


def publish_deletions(db):
    """Publishes what was not confirmed yet. Twice is harmless."""
    for thread, time in db.execute("SELECT thread, time FROM deletions ORDER BY time").fetchall():
        message = {
            "attributes": {
                "ce-specversion": "1.0",
                "ce-id": f"thread-deleted-{thread}",
                "ce-source": "//nexus/threads",
                "ce-type": "nexus.thread.deleted.v1",
                "ce-time": time,
                "content-type": "application/json",
            },
            "data": base64.b64encode(json.dumps({"thread_id": thread}).encode()).decode(),
        }
        send("nexus-thread-deleted", message)
        db.execute("DELETE FROM deletions WHERE thread = ?", (thread,))


def main(arguments):
    if not PROJECT:
        return "GOOGLE_CLOUD_PROJECT is not set"
    database = open_database(os.environ.get("DATABASE", "threads.sqlite3"))
    database.execute("CREATE TABLE IF NOT EXISTS deletions (thread TEXT PRIMARY KEY, time TEXT NOT NULL)")
    for thread in arguments:
        delete_thread(database, thread)
    try:
        publish_deletions(database)
    except AWAY as error:
        return f"Pub/Sub at {PUBSUB}: {error}; the event waits in the outbox"
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
