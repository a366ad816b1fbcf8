"""A transport for the staleness test: every stream says the time, again and again, as
late as can be, when the guard has let the message pass.

    python3 stale_transport.py PATIENCE [--omit]

With --omit the guard forgets ages: for the test that it would be noticed."""

import asyncio
import socket
import sys
import time

import uvicorn

from realtime_registry import AsyncClient, Guard, streams, tenant_of_header


async def app(scope, receive, send):
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.ensure_future(disconnected(receive))
    while not gone.done():
        await send({"type": "http.response.body", "body": b"now", "more_body": True})
        await asyncio.wait([gone], timeout=0.05)


async def disconnected(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


class Stamped:
    """Stands before the guard, and writes the time into what gets out."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def stamp(message):
            if message.get("body") == b"now":
                message["body"] = b"data: %d\n\n" % time.time_ns()
            await send(message)

        await self.app(scope, receive, stamp)


if __name__ == "__main__":
    if "--omit" in sys.argv:
        streams.Held.good = lambda held: float("inf")
    guard = Guard(
        app,
        registry=AsyncClient(timeout=1.0),
        tenant=tenant_of_header("X-Tenant"),
        resource={"/{id}": "thread"},
        patience=float(sys.argv[1]),
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print("listening", listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(Stamped(guard), log_level="critical", lifespan="off")).run(sockets=[listener])
