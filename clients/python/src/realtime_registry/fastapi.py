"""Dependencies for FastAPI, for HTTP and WebSocket alike. They need a
:class:`realtime_registry.Guard` before the application::

    app.add_middleware(Guard, registry=AsyncClient())

    @app.get("/threads/{thread_id}/events")
    async def events(thread_id: str, tenant: str = Depends(owned("thread", "thread_id", tenant_of))): ...
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable

from fastapi import Depends
from starlette.requests import HTTPConnection

from .guard import admit
from .ownership import KINDS


def owned(kind: str, parameter: str, tenant: Callable[..., Any]) -> Callable[..., Awaitable[str]]:
    """A dependency that lets owners in, and returns their tenant. ``parameter`` is the
    path parameter with the id; ``tenant`` the dependency that returns the tenant which
    was authenticated. What is refused is answered by the guard; for a WebSocket before
    it is accepted."""
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is neither thread nor canvas")

    async def dependency(connection: HTTPConnection, tenant_id: str = Depends(tenant)) -> str:
        await admit(connection.scope, tenant_id, kind, connection.path_params[parameter])
        return tenant_id

    # FastAPI reads annotations by the names of this module.
    dependency.__annotations__.update(connection=HTTPConnection, tenant_id=Any)
    return dependency
