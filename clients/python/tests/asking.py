"""Asks a transport as its clients do."""

import asyncio
import time

import httpx

from realtime_registry import Ownership

MINE = Ownership("t_acme", "thread", "th_1")
EVENTS = {"Accept": "text/event-stream"}
LAST = r"retry: (\d+)\nevent: registry.closed\ndata: (\w+)\n\n$"


def headers(tenant="t_acme", **more):
    return {"X-Authenticated-Tenant": tenant, **more}


async def get(address, path="/threads/th_1/events", tenant="t_acme", **more):
    async with httpx.AsyncClient(timeout=10) as http:
        return await http.get(f"http://{address}{path}", headers=headers(tenant, **more))


async def read(address, begun=None, path="/threads/th_1/events", **more):
    """All of a stream, of which ``begun`` is set when it has begun."""
    text = ""
    async with httpx.AsyncClient(timeout=20) as http:
        async with http.stream("GET", f"http://{address}{path}", headers=headers(**more)) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for chunk in answer.aiter_text():
                text += chunk
                if begun and not begun.done():
                    begun.set_result(None)
    return text


def begin(address, **more):
    begun = asyncio.get_running_loop().create_future()
    return begun, asyncio.ensure_future(read(address, begun, **more))


async def drop(task):
    task.cancel()
    await asyncio.wait([task])


async def until(condition, within=5.0):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def scope_of(path, **more):
    return {"type": "http", "path": path, "headers": [], "method": "GET", **more}
