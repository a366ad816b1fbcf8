"""A transport in FastAPI: each connect and resume is verified, and what is open ends
when its tenant loses the thread. It needs the package of clients/python.

    python3 -m uvicorn fastapi_app:app --port 8090
    curl -N -H 'X-Authenticated-Tenant: t_acme' http://127.0.0.1:8090/threads/th_1/events
"""

import asyncio

from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from starlette.requests import HTTPConnection

from realtime_registry import AsyncClient, Guard, tenant_of_header
from realtime_registry.fastapi import owned

app = FastAPI()
app.add_middleware(Guard, registry=AsyncClient())


def authenticated_tenant(connection: HTTPConnection) -> str:
    """Set by what authenticates, which strips it from what clients send."""
    return tenant_of_header("X-Authenticated-Tenant")(connection.scope)


owned_thread = owned("thread", "thread_id", authenticated_tenant)


async def message(thread, number):
    """A real transport has its messages in a log."""
    await asyncio.sleep(0.5)
    return f"{thread}: message {number}"


@app.get("/threads/{thread_id}/events")
async def events(thread_id: str, tenant: str = Depends(owned_thread)):
    async def stream():
        number = 0
        while True:
            number += 1
            yield f"id: {number}\ndata: {await message(thread_id, number)}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.websocket("/threads/{thread_id}/socket")
async def socket(websocket: WebSocket, thread_id: str, tenant: str = Depends(owned_thread)):
    await websocket.accept()
    number = 0
    while True:
        number += 1
        await websocket.send_text(await message(thread_id, number))


@app.get("/elsewhere")
def elsewhere():
    """Another endpoint, in the thread pool that all plain `def` share."""
    return "here"
