"""A transport of the robustness run, whose streams the guard ends: each says the time,
again and again, as it was before the guard let the message pass.

    python3 guard.py PORT PATIENCE

REGISTRY_URL names the registry."""

import asyncio
import socket
import sys
import time

import uvicorn

from realtime_registry import AsyncClient, Guard, tenant_of_header


async def app(scope, receive, send):
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.ensure_future(disconnected(receive))
    while not gone.done():
        body = b"data: %d\n\n" % time.time_ns()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.wait([gone], timeout=0.1)


async def disconnected(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


if __name__ == "__main__":
    guard = Guard(
        app,
        registry=AsyncClient(timeout=2.0),
        tenant=tenant_of_header("X-Tenant"),
        resource={"/threads/{id}": "thread", "/canvases/{id}": "canvas"},
        patience=float(sys.argv[2]),
    )
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
    uvicorn.Server(uvicorn.Config(guard, log_level="warning", lifespan="off")).run(sockets=[listener])
