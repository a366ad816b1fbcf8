"""A transport with many quiet streams, for the measurement: under the guard, or asking
again for each every 2 s, or as often as it can, as a transport without a watch does.

    python3 many_transport.py guard|poll"""

import asyncio
import random
import resource
import socket
import sys

import uvicorn

from realtime_registry import AsyncClient, Guard, NotFound, Unavailable, tenant_of_header
from realtime_registry.clock import now
from realtime_registry.eventstream import closed

tenant_of = tenant_of_header("X-Tenant")
registry = AsyncClient(timeout=60.0, max_concurrent=100, max_waiting=20_000)
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


def body(data, more=True):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def app(scope, receive, send):
    await send(START)
    await send(body(b": open\n\n"))
    while (await receive())["type"] != "http.disconnect":
        pass


async def polled(scope, receive, send):
    """Its first question is the first of its turns: 10,000 connects that ask would not
    be let in within anybody's timeout."""
    tenant, id = tenant_of(scope), scope["path"].rsplit("/", 1)[1]
    await send(START)
    await send(body(b": open\n\n"))
    await asyncio.sleep(random.uniform(0.0, 2.0))
    while True:
        began = now()
        try:
            await registry.check(tenant, "thread", id)
        except NotFound:
            await send(body(closed("ownership_lost", 1000), more=False))
            return
        except Unavailable:
            pass
        await asyncio.sleep(max(0.0, began + 2.0 - now()))


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    guarded = Guard(app, registry=registry, tenant=tenant_of, resource={"/{id}": "thread"})
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print("listening", listener.getsockname()[1], flush=True)
    config = uvicorn.Config(guarded if sys.argv[1] == "guard" else polled, log_level="critical", lifespan="off", backlog=4096)
    uvicorn.Server(config).run(sockets=[listener])
