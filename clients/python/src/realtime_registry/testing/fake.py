"""The registry's HTTP contract (docs/design.md, section 9) over owners in memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
import urllib.parse
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from ..errors import Invalid
from ..ownership import KINDS, Ownership, ownership, valid_action, valid_resource, valid_tenant
from .server import Connection, Request, Response, Server
from .watches import Watches, echoing

_PATH = re.compile(r"/v1/(threads|canvases)/([^/]*)(/access)?")
_TAKE = re.compile(r"/v1/quota/([^/]*)/take")


class FakeRegistry:
    """Owners in memory behind a real port of this machine::

        with FakeRegistry() as fake:
            fake.own("t_acme", "thread", "th_1")
            client = AsyncClient(fake.url)

    Its methods may be called from any thread; when one returns, it holds for every
    answer that comes later, and those who watch have been written to."""

    def __init__(self, *, max_staleness: float = 2.0, token: Optional[str] = None) -> None:
        #: Seconds; 0 refuses watches with 501, as the registry does.
        self.max_staleness = max_staleness
        self.token = token
        #: Every request that came: method, path with query, headers.
        self.requests: List[Tuple[str, str, Dict[str, str]]] = []
        self._owners: Dict[Tuple[str, str], str] = {}
        self._limits: Dict[str, Tuple[int, float]] = {}
        self._windows: Dict[Tuple[str, str], Tuple[float, int]] = {}
        self._trouble: Optional[int] = None  # a status for every request; 0: none ever
        self._retry_after = 1
        self._watches = Watches(self)
        self._server = Server(self._handle)
        self.url = self._server.url

    def __enter__(self) -> FakeRegistry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.close()

    # What is so.

    def own(self, tenant: str, kind: str, id: str) -> None:
        """Makes the tenant the owner, in place of any other."""
        asked = ownership(tenant, kind, id)
        self._server.call(lambda: self._set([((asked.kind, asked.id), asked.tenant)]))

    def own_all(self, ownerships: Sequence[Ownership]) -> None:
        """Makes each tenant the owner, at once."""
        changes = [((o.kind, o.id), o.tenant) for o in map(lambda o: ownership(*o), ownerships)]
        self._server.call(lambda: self._set(changes))

    def move(self, from_tenant: str, to_tenant: str) -> None:
        """All that one tenant owns goes to the other."""

        def do() -> None:
            self._set([(r, valid_tenant(to_tenant)) for r, owner in self._owners.items() if owner == from_tenant])

        self._server.call(do)

    def owner(self, kind: str, id: str) -> Optional[str]:
        return self._owners.get((kind, id))

    def limit(self, action: str, limit: int, window: float = 60.0) -> None:
        """Bounds an action of each tenant; others have no bound that a test meets."""
        self._limits[action] = (limit, window)

    # What goes wrong.

    @contextlib.contextmanager
    def outage(self, status: int = 503, retry_after: int = 1) -> Iterator[None]:
        """Nothing can be told: every request gets this status, and what is watched
        becomes uncertain."""
        self._retry_after = retry_after
        self._server.call(lambda: self._set_trouble(status))
        try:
            yield
        finally:
            self._server.call(lambda: self._set_trouble(None))

    @contextlib.contextmanager
    def hung(self) -> Iterator[None]:
        """Connections are taken, and nothing is answered any more, nor told to those who
        watch; what hung stays so."""
        self._server.call(lambda: self._set_trouble(0))
        try:
            yield
        finally:
            self._server.call(lambda: self._set_trouble(None))

    @contextlib.contextmanager
    def uncertain(self) -> Iterator[None]:
        """The change feed is not certified: requests are answered, and watches told so."""
        self._server.call(lambda: self._watches.certify(False))
        try:
            yield
        finally:
            self._server.call(lambda: self._watches.certify(True))

    def cut(self) -> None:
        """Every connection breaks off."""
        self._server.call(self._server.cut)

    def drain(self, retry: float = 0.1) -> None:
        """Those who watch are told to ask elsewhere."""
        self._server.call(lambda: self._watches.close_all(retry))

    # What was seen.

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._server.connections

    @property
    def watched(self) -> List[int]:
        """How many resources each open watch is about."""
        return self._watches.sizes()

    def asked(self, method: str, path: str) -> int:
        """How many requests came whose path begins so."""
        return sum(m == method and p.startswith(path) for m, p, _ in self.requests)

    # The rest runs in the server's event loop.

    def _set(self, changes: Sequence[Tuple[Tuple[str, str], str]]) -> None:
        self._owners.update(changes)
        self._watches.changed({resource for resource, _ in changes})

    def _set_trouble(self, status: Optional[int]) -> None:
        self._trouble = status
        if status == 0:
            self._watches.hang()
        else:
            self._watches.certify(status is None)

    def owns(self, asked: Ownership) -> bool:
        return self._owners.get((asked.kind, asked.id)) == asked.tenant

    async def _handle(self, connection: Connection, request: Request) -> None:
        received = time.monotonic()

        def reply(answer: Response) -> None:
            connection.answer(echoing(request, answer))

        self.requests.append((request.method, request.target, request.headers))
        if self._trouble == 0:
            await connection.gone()
            return
        if self._trouble:
            headers = {"Retry-After": str(self._retry_after)}
            reply(_problem(self._trouble, "the registry did not answer in time", headers, _asked(request)))
            return
        try:
            answer = self._answer(request)
        except Invalid as error:
            answer = _problem(400, str(error))
        if answer is not None:
            reply(answer)
        elif self.max_staleness == 0:
            reply(_problem(501, "max-staleness is 0: nothing is kept, nothing can be watched"))
        else:
            await self._watches.serve(connection, request, received)

    def _answer(self, request: Request) -> Optional[Response]:
        """None is for a watch."""
        target = urllib.parse.urlsplit(request.target)
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return _problem(401, "the bearer token is missing or is not the one for this request", {}, _asked(request))
        if found := _TAKE.fullmatch(target.path):
            return self._take(request.headers.get("x-tenant-id", ""), found[1], target.query)
        if (request.method, target.path) == ("POST", "/v1/access"):
            return self._check_all(request)
        if (request.method, target.path) == ("POST", "/v1/watch"):
            return None
        asked = _asked(request)
        if asked is None:
            if _PATH.fullmatch(target.path):
                return _problem(400, "the tenant or the id breaks its pattern")
            return _problem(404, "no such endpoint: see /v1/openapi.json")
        if request.method == "PUT":
            return self._claim(asked)
        if not self.owns(asked):
            return _problem(404, "no such resource, or not this tenant's", {}, asked)
        return Response(204, {"X-Registry-Asked": str(asked)})

    def _claim(self, asked: Ownership) -> Response:
        owner = self._owners.get((asked.kind, asked.id))
        if owner not in (None, asked.tenant):
            return _problem(409, "another tenant owns this resource", {}, asked)
        self._owners[asked.kind, asked.id] = asked.tenant
        return Response(201 if owner is None else 204, {"X-Registry-Asked": str(asked)})

    def _check_all(self, request: Request) -> Response:
        body = json.loads(request.body)
        tenant, resources = valid_tenant(body["tenant_id"]), body["resources"]
        if not 1 <= len(resources) <= 500:
            raise Invalid(f"{len(resources)} resources: must be 1 to 500")
        owned = [self.owns(Ownership(tenant, *valid_resource(r["kind"], r["id"]))) for r in resources]
        return Response(200, {"Content-Type": "application/json"}, json.dumps({"owned": owned}).encode())

    def _take(self, tenant: str, action: str, query: str) -> Response:
        key = (valid_tenant(tenant), valid_action(action))
        n = int(dict(urllib.parse.parse_qsl(query)).get("n", "1"))
        limit, length = self._limits.get(action, (1_000_000, 60.0))
        if n > limit:
            raise Invalid(f"n is {n}: must be 1 to {limit}")
        now = time.monotonic()
        began, count = self._windows.get(key, (now, 0))
        if now >= began + length:
            began, count = now, 0
        admitted = count + n <= limit
        self._windows[key] = (began, count + n if admitted else count)
        left = limit - self._windows[key][1]
        reset = max(1, round(began + length - now))
        headers = {
            "RateLimit-Policy": f'"{action}";q={limit};w={round(length)}',
            "RateLimit": f'"{action}";r={left};t={reset}',
        }
        if admitted:
            return Response(204, headers)
        return _problem(429, "the tenant has used up its quota for this action", {**headers, "Retry-After": str(reset)})


def _asked(request: Request) -> Optional[Ownership]:
    found = _PATH.fullmatch(urllib.parse.urlsplit(request.target).path)
    if not found or (request.method == "PUT") == bool(found[3]):
        return None
    kind = next(kind for kind, name in KINDS.items() if name == found[1])
    try:
        return ownership(request.headers.get("x-tenant-id", ""), kind, urllib.parse.unquote(found[2]))
    except Invalid:
        return None


def _problem(
    status: int, detail: str, headers: Optional[Dict[str, str]] = None, asked: Optional[Ownership] = None
) -> Response:
    all_headers = {"Content-Type": "application/problem+json", **(headers or {})}
    if asked is not None:
        all_headers["X-Registry-Asked"] = str(asked)
    body = {"type": "about:blank", "title": "", "status": status, "detail": detail}
    return Response(status, all_headers, json.dumps(body).encode())
