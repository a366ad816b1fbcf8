"""The watches of a fake registry (``POST /v1/watch``)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from typing import TYPE_CHECKING, Dict, List, Set, Tuple

from ..errors import Invalid
from ..ownership import Ownership, ownership
from .server import Connection, Request, Response

if TYPE_CHECKING:
    from .fake import FakeRegistry


def echoing(request: Request, answer: Response) -> Response:
    """The answer with the hash of a body that lists resources, as the registry has it."""
    if request.method == "POST" and request.target in ("/v1/watch", "/v1/access"):
        answer.headers["X-Registry-Asked"] = "sha256:" + hashlib.sha256(request.body).hexdigest()
    return answer


class Watches:
    def __init__(self, fake: FakeRegistry) -> None:
        self._fake = fake
        self._open: Set[_Watch] = set()
        self._certified = True

    def sizes(self) -> List[int]:
        return sorted(len(w.watched) for w in list(self._open))

    def changed(self, resources: Set[Tuple[str, str]]) -> None:
        for watch in self._open:
            watch.changed(resources)

    def certify(self, certified: bool) -> None:
        self._certified = certified
        for watch in self._open:
            watch.certify(certified)

    def hang(self) -> None:
        for watch in self._open:
            watch.hung = True

    def close_all(self, retry: float) -> None:
        for watch in self._open:
            watch.tell("closing", {}, retry)

    async def serve(self, connection: Connection, request: Request, received: float) -> None:
        try:
            named = json.loads(request.body)["resources"]
            asked = [ownership(r["tenant_id"], r["kind"], r["id"]) for r in named]
            if not 1 <= len(set(asked)) == len(asked) <= 5000:
                raise Invalid(f"{len(asked)} resources: must be 1 to 5,000, each once")
        except (ValueError, KeyError, TypeError) as error:
            refused = Response(400, {"Content-Type": "text/plain"}, str(error).encode())
            connection.answer(echoing(request, refused))
            return
        watch = _Watch(self._fake, connection, asked, received)
        self._open.add(watch)  # before anything is written: who has read it finds it here
        try:
            head = Response(200, {"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            connection.answer(echoing(request, head), True)
            watch.begin()
            watch.certify(self._certified)
            await watch.run(self._fake.max_staleness / 2)
        finally:
            self._open.discard(watch)


class _Watch:
    def __init__(self, fake: FakeRegistry, connection: Connection, asked: List[Ownership], received: float) -> None:
        self._fake, self._connection, self._asked = fake, connection, asked
        self._received = received
        self._certified = True
        self.hung = False
        self._indexes: Dict[Tuple[str, str], List[int]] = {}
        self._refused = [i for i, o in enumerate(asked) if not fake.owns(o)]
        self.watched = set(range(len(asked))) - set(self._refused)
        for i in self.watched:
            self._indexes.setdefault((asked[i].kind, asked[i].id), []).append(i)

    def begin(self) -> None:
        self.tell("state", {"refused": self._refused})

    def tell(self, name: str, data: Dict[str, object], retry: float = 0.0) -> None:
        if self.hung:
            return
        text = f"event: {name}\ndata: {json.dumps(data)}\n\n"
        if retry:
            text = f"retry: {int(retry * 1000)}\n{text}"
        data_ = text.encode()
        self._connection.writer.write(f"{len(data_):x}\r\n".encode() + data_ + b"\r\n")

    def changed(self, resources: Set[Tuple[str, str]]) -> None:
        named = resources if len(resources) < len(self._indexes) else self._indexes.keys() & resources
        lost = sorted(
            i for r in named for i in self._indexes.get(r, ()) if i in self.watched and not self._fake.owns(self._asked[i])
        )
        if lost:
            self.watched.difference_update(lost)
            self.tell("lost", {"resources": lost})

    def certify(self, certified: bool) -> None:
        self._certified = certified
        if certified:
            at = (time.monotonic() - self._received) * 1000
            bound = round(self._fake.max_staleness * 1000)
            self.tell("certified", {"at_ms": int(at), "age_ms": 1, "max_staleness_ms": bound})
        else:
            self.tell("uncertain", {"reason": "the feed of changes is not certified"})

    async def run(self, every: float) -> None:
        """Until the client goes."""
        gone = asyncio.ensure_future(self._connection.reader.read(1))
        while not gone.done():
            await asyncio.wait([gone], timeout=every)
            if self._certified:
                self.certify(True)
            await self._connection.writer.drain()
