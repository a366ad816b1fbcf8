"""A transport in FastAPI that asks the registry before each connect and each
resume, and again while a stream is open.

    python3 -m uvicorn fastapi_app:app --port 8090
    curl -N -H 'X-Authenticated-Tenant: t_acme' http://127.0.0.1:8090/threads/th_1/events
"""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from fastapi import Depends, FastAPI, HTTPException, WebSocket, WebSocketException
from fastapi.responses import StreamingResponse
from starlette.requests import HTTPConnection

from access import NotFound, Unavailable, verify_access

AGAIN = 2.0  # seconds between two checks of an open stream
PATIENCE = 10.0  # seconds that it goes on while the registry does not answer
WITHIN = 7.0  # seconds that one check may take; access.py gives up after 6

# Checks have threads of their own, and a check that finds none is refused at once:
# a registry that hangs takes nothing from the other endpoints of the app.
THREADS = 20
pool = ThreadPoolExecutor(THREADS, "registry")
free = threading.BoundedSemaphore(THREADS)

app = FastAPI()


async def verify(tenant, kind, resource):
    """verify_access, without blocking the event loop."""
    if not free.acquire(blocking=False):
        raise Unavailable(f"{THREADS} checks wait for the registry")
    check = pool.submit(verify_access, tenant, kind, resource)
    check.add_done_callback(lambda _: free.release())
    try:
        await asyncio.wait_for(asyncio.wrap_future(check), WITHIN)
    except asyncio.TimeoutError:
        raise Unavailable(f"no answer within {WITHIN} s") from None


def authenticated_tenant(request: HTTPConnection) -> str:
    """Set by what authenticates, which strips it from what clients send."""
    values = request.headers.getlist("X-Authenticated-Tenant")
    return values[0] if len(values) == 1 else ""  # none, or several: malformed


async def thread_access(thread_id: str, tenant: str = Depends(authenticated_tenant)) -> str:
    try:
        await verify(tenant, "thread", thread_id)
    except NotFound:
        raise HTTPException(404, "no such resource, or not this tenant's")
    except ValueError:
        raise HTTPException(400, "the thread id or the tenant id is malformed")
    except Unavailable:
        raise HTTPException(503, "try again", headers={"Retry-After": "2"})
    return tenant


async def socket_access(thread_id: str, tenant: str = Depends(authenticated_tenant)) -> str:
    """Before accept(): the client's handshake is answered 403."""
    try:
        await verify(tenant, "thread", thread_id)
    except NotFound:
        raise WebSocketException(4404, "ownership_lost")
    except ValueError:
        raise WebSocketException(1008, "malformed")
    except Unavailable:
        raise WebSocketException(1013, "registry_unavailable")
    return tenant


class Watch:
    """Whether an open stream may go on: asks again every AGAIN seconds."""

    def __init__(self, tenant, thread):
        self.tenant, self.thread = tenant, thread
        self.asked = self.sure = time.monotonic()

    async def ended(self):
        """The reason for which the stream has to end, or None."""
        now = time.monotonic()
        if now - self.asked < AGAIN:
            return None
        self.asked = now
        try:
            await verify(self.tenant, "thread", self.thread)
        except NotFound:
            return "ownership_lost"
        except Unavailable:
            return "registry_unavailable" if now - self.sure > PATIENCE else None
        self.sure = now
        return None


async def message(thread, number):
    """A real transport has its messages in a log."""
    await asyncio.sleep(0.5)
    return f"{thread}: message {number}"


@app.get("/threads/{thread_id}/events")
async def events(thread_id: str, tenant: str = Depends(thread_access)):
    async def stream():
        watch, number = Watch(tenant, thread_id), 0
        while True:
            number += 1
            text = await message(thread_id, number)
            if reason := await watch.ended():
                yield f"event: registry.closed\ndata: {reason}\n\n"
                return
            yield f"id: {number}\ndata: {text}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.websocket("/threads/{thread_id}/socket")
async def socket(websocket: WebSocket, thread_id: str, tenant: str = Depends(socket_access)):
    await websocket.accept()
    watch, number = Watch(tenant, thread_id), 0
    while True:
        number += 1
        text = await message(thread_id, number)
        if reason := await watch.ended():
            await websocket.close(4404 if reason == "ownership_lost" else 1013, reason)
            return
        await websocket.send_text(text)


@app.get("/elsewhere")
def elsewhere():
    """Another endpoint, in the thread pool that all plain `def` share."""
    return "here"
