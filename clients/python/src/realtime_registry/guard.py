"""The guard: pure ASGI middleware for event streams and WebSockets."""

from __future__ import annotations

import inspect
from typing import Any, Awaitable, Callable, List, Mapping, Optional, Tuple, TypeVar, Union, cast

from . import endings, telemetry, trace
from .aio import AsyncClient
from .errors import Invalid, NotFound, RegistryError, Throttled
from .exchange import Exchange, HTTPExchange, Receive, Send, SocketExchange
from .ownership import Ownership
from .paths import by_path

T = TypeVar("T")
Scope = endings.Scope
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Tenant = Callable[[Scope], Union[str, Awaitable[str]]]
Wanted = Optional[Tuple[str, str]]
Resource = Callable[[Scope], Union[Wanted, Awaitable[Wanted]]]

#: What a connect and a resume take of the tenant's quota.
ACTIONS = ("stream_connect", "stream_resume")

#: Where the exchange of a request is in its scope.
KEY = "realtime_registry"


class Guard:
    """Lets owners in, and ends their streams when they are owners no more::

        app = Guard(app, registry=AsyncClient(), tenant=tenant_of,
                    resource={"/threads/{id}/events": "thread"})

    ``tenant`` returns the tenant that a scope was authenticated for, ``resource`` the
    kind and id that it wants to stream, or None if it wants none; either may be async.
    A mapping of paths to kinds is a resource too (:func:`realtime_registry.paths.by_path`).
    Without them nothing is guarded but what calls :func:`admit`, or depends on
    :func:`realtime_registry.fastapi.owned`.

    ``throttle``: whether a connect takes a unit of the tenant's quota for
    ``stream_connect`` first, and a request with Last-Event-ID one for
    ``stream_resume``; or the names of two other actions.
    ``patience``: seconds that an open stream goes on while nothing can be told of it.
    ``return_over``: seconds over which the clients of streams that end together come
    back.
    ``plain_status``: 503 and 429 for those too that accept text/event-stream. A
    browser's EventSource gives up on them for good.
    ``report_only``: everything passes, and what would have been refused is logged and
    counted. It protects nothing."""

    def __init__(
        self,
        app: App,
        *,
        registry: AsyncClient,
        tenant: Optional[Tenant] = None,
        resource: Union[Resource, Mapping[str, str], None] = None,
        throttle: Union[bool, Tuple[str, str]] = False,
        patience: float = 10.0,
        return_over: float = 10.0,
        plain_status: bool = False,
        report_only: bool = False,
    ) -> None:
        if (tenant is None) != (resource is None):
            raise Invalid("tenant and resource: give both, or none")
        if patience < 0 or return_over < 0:
            raise Invalid(f"patience is {patience} and return_over {return_over}: must not be negative")
        self.app = app
        self.registry = registry
        self.patience, self.return_over = patience, return_over
        self.plain_status, self.report_only = plain_status, report_only
        self._tenant = tenant
        self._resource: Optional[Resource] = by_path(resource) if isinstance(resource, Mapping) else resource
        self._actions = ACTIONS if throttle is True else throttle or None
        self._counts = telemetry.Counts()
        if report_only:
            telemetry.logger.warning("report only: every request passes, nothing is protected")

    @property
    def ended(self) -> Mapping[str, int]:
        """How many open streams were ended, by reason."""
        return self._counts.ended

    @property
    def reported(self) -> Mapping[str, int]:
        """With report_only: how many passed and would not have, by outcome."""
        return self._counts.reported

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange: Exchange
        if scope["type"] == "http":
            exchange = HTTPExchange(self, scope, receive, send)
        else:
            exchange = SocketExchange(self, scope, receive, send)
        try:
            await self._admit(exchange)
        except RegistryError as error:
            await exchange.refuse(error)
            return
        await exchange.run({**scope, KEY: exchange})

    async def _admit(self, exchange: Exchange) -> None:
        if self._resource is None or self._tenant is None:
            return
        wanted = await _done(self._resource(exchange.scope))
        if wanted is None:
            return
        tenant = await _done(self._tenant(exchange.scope))
        kind, id = wanted
        await exchange.admit(tenant, kind, id)

    async def throttle(self, scope: Scope, tenant: str) -> None:
        """Raises Throttled, or Unavailable, unless there is room."""
        if self._actions is None:
            return
        connect, resume = self._actions
        resumes = any(endings.header(scope, b"last-event-id"))
        with _trace_of(scope):
            await self.registry.take(tenant, resume if resumes else connect)

    async def report(self, scope: Scope, asked: Ownership) -> None:
        """Says what would have been refused."""
        try:
            await self.throttle(scope, asked.tenant)
            with _trace_of(scope):
                await self.registry.check(asked.tenant, asked.kind, asked.id)
        except RegistryError as error:
            outcome = {NotFound: "refused", Throttled: "throttled", Invalid: "invalid"}.get(type(error), "unavailable")
            self._counts.report(asked, outcome, error)

    def count_end(self, reason: str) -> None:
        self._counts.end(reason)


async def admit(scope: Scope, tenant: str, kind: str, id: str) -> None:
    """Lets an application's request or WebSocket rest on an ownership, from within the
    application: returns if the tenant owns the resource, and ends the stream when that
    changes. Else raises NotFound, Invalid, Throttled or Unavailable; left alone, the
    guard answers that. Call it before the answer begins."""
    exchange = scope.get(KEY)
    if not isinstance(exchange, Exchange):
        raise RuntimeError("no realtime_registry.Guard stands before this application: nothing would end its streams")
    await exchange.admit(tenant, kind, id)


def tenant_of_header(name: str) -> Callable[[Scope], str]:
    """For ``tenant``: the value of a header that what authenticates sets, and strips from
    what clients send. If it is not there once, the tenant is empty, and refused."""
    wanted = name.lower().encode("latin-1")

    def tenant(scope: Scope) -> str:
        values = endings.header(scope, wanted)
        return values[0] if len(values) == 1 else ""

    return tenant


async def _done(value: Union[T, Awaitable[T]]) -> T:
    if inspect.isawaitable(value):
        return cast(T, await value)
    return cast(T, value)


def _trace_of(scope: Scope) -> Any:
    values: List[str] = endings.header(scope, b"traceparent")
    state = ",".join(endings.header(scope, b"tracestate"))
    return trace.continued(values[0] if len(values) == 1 else "", state)


