"""Transports to guard, and a real uvicorn to run them."""

import asyncio
import contextlib
import threading

import uvicorn
from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from starlette.requests import HTTPConnection

from realtime_registry import AsyncClient, Guard, admit, tenant_of_header
from realtime_registry.fastapi import owned

PATHS = {"/threads/{id}/events": "thread", "/threads/{id}/socket": "thread", "/canvases/{id}/events": "canvas"}


class Plain:
    """A streaming application without a framework. ``cleaned`` counts the handlers that
    came to their end."""

    def __init__(self):
        self.cleaned = self.ended = 0
        self.scopes = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        self.scopes.append(scope)
        try:
            await (self.stream if scope["type"] == "http" else self.socket)(scope, receive, send)
        except OSError:
            self.ended += 1
            raise
        finally:
            self.cleaned += 1

    async def stream(self, scope, receive, send):
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.ensure_future(self.gone(receive))
        n = 0
        while not gone.done():
            n += 1
            await send({"type": "http.response.body", "body": f"id: {n}\ndata: {n}\n\n".encode(), "more_body": True})
            await asyncio.wait([gone], timeout=0.02)

    async def gone(self, receive):
        while (await receive())["type"] != "http.disconnect":
            pass

    async def socket(self, scope, receive, send):
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": message["text"]})
        self.code = message["code"]


def fastapi(registry, **options):
    app = FastAPI()
    app.add_middleware(Guard, registry=registry, **options)

    def tenant_of(connection: HTTPConnection) -> str:
        return tenant_of_header("X-Authenticated-Tenant")(connection.scope)

    thread = owned("thread", "thread_id", tenant_of)
    app.state.cleaned = 0

    @app.get("/threads/{thread_id}/events")
    async def events(thread_id: str, tenant: str = Depends(thread)):
        async def stream():
            try:
                n = 0
                while True:
                    n += 1
                    yield f"id: {n}\ndata: {tenant}\n\n"
                    await asyncio.sleep(0.02)
            finally:
                app.state.cleaned += 1

        return StreamingResponse(stream(), media_type="text/event-stream")

    @app.websocket("/threads/{thread_id}/socket")
    async def socket(websocket: WebSocket, thread_id: str, tenant: str = Depends(thread)):
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        finally:
            app.state.cleaned += 1

    @app.get("/elsewhere")
    async def elsewhere():
        return "here"

    @app.get("/by-hand/{thread_id}")
    async def by_hand(thread_id: str, connection: HTTPConnection = None):
        await admit(connection.scope, "t_acme", "thread", thread_id)
        return "in"

    return app


def guarded(app, registry, **options):
    return Guard(app, registry=registry, tenant=tenant_of_header("X-Authenticated-Tenant"), resource=PATHS, **options)


@contextlib.contextmanager
def served(make, url, **options):
    """Runs the application that ``make`` makes of a client, in a uvicorn with an event
    loop of its own; its address."""
    registry = AsyncClient(url, **options)
    config = uvicorn.Config(make(registry), port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        threading.Event().wait(0.01)
    try:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.force_exit = server.should_exit = True
        thread.join(10)
