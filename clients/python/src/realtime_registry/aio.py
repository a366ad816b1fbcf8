"""The client for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os
from types import TracebackType
from typing import TYPE_CHECKING, AsyncIterator, Awaitable, List, Optional, Sequence, Type, TypeVar
from weakref import WeakKeyDictionary

import httpx

from . import questions, wire
from .clock import now
from .errors import Unavailable
from .gate import Gate
from .ownership import AnyResource, Ownership, ownership, valid_resource, valid_tenant
from .questions import Question, Quota
from .settings import Configured, Settings
from .watching import MOST_WATCHED, Watched, WatchEvent

if TYPE_CHECKING:
    from .streams import Streams

T = TypeVar("T")


class AsyncClient(Configured):
    """Asks the registry, from any number of tasks, event loops and processes: each
    event loop of each process has connections of its own, so a fork or another loop
    never gets the answer to another question. Nothing is kept about
    ownerships.

    What is not given comes from the environment: REGISTRY_URL (default
    http://127.0.0.1:8080), REGISTRY_API_TOKEN, REGISTRY_CLAIM_TOKEN (default: the
    API token). Proxies of the environment are not used.

    ``timeout`` bounds each question, in seconds, with all that it waits for; the
    registry itself gives up after 5. ``max_concurrent`` (100) questions are under way
    at once in each event loop, ``max_waiting`` (10,000) more wait for one of these to
    end. One that was cancelled goes on until it has its answer, and keeps its place
    until then.

    Every method raises Invalid, Unavailable, and what it says itself."""

    MAX_CONCURRENT = 100
    MAX_WAITING = 10_000

    def _configure(self, settings: Settings) -> None:
        super()._configure(settings)
        self._process = os.getpid()
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, _Place] = WeakKeyDictionary()

    async def check(self, tenant: str, kind: str, id: str, *, within: Optional[float] = None) -> None:
        """Returns if the tenant owns the thread or canvas now; else raises NotFound.
        Within so many seconds, if not in the client's timeout."""
        await self._ask(questions.check(ownership(tenant, kind, id)), within)

    async def check_all(
        self, tenant: str, resources: Sequence[AnyResource], *, within: Optional[float] = None
    ) -> List[bool]:
        """Whether the tenant owns each, in order. Each 500 are answered as of one time."""
        valid_tenant(tenant)
        wanted = [valid_resource(*r) for r in resources]
        owned: List[bool] = []
        for i in range(0, len(wanted), questions.MOST_RESOURCES):
            question = questions.check_all(tenant, wanted[i : i + questions.MOST_RESOURCES])
            answered = await self._ask(question, within)
            owned += answered
        return owned

    async def claim(
        self,
        tenant: str,
        kind: str,
        id: str,
        *,
        event: Optional[questions.EventName] = None,
        within: Optional[float] = None,
    ) -> bool:
        """Makes the tenant the owner: True if it is new, False if the tenant owned
        it already; else raises Conflict. Repeat it after Unavailable. event is the source
        and the id of the event that the same creation publishes: operators see it."""
        return await self._ask(questions.claim(ownership(tenant, kind, id), event), within)

    async def take(self, tenant: str, action: str, n: int = 1, *, within: Optional[float] = None) -> Quota:
        """Takes n units of the tenant's quota for the action, all or none; else raises
        Throttled. After Unavailable they may have been taken."""
        return await self._ask(questions.take(tenant, action, n), within)

    def watch(self, ownerships: Sequence[Ownership]) -> Watch:
        """Watches 1 to 5,000 ownerships on a connection of its own::

            async with client.watch([Ownership("t_acme", "thread", "th_1")]) as watch:
                async for event in watch: ...

        See :mod:`realtime_registry.watching` for the events, and :class:`Watch`. To
        end streams by it, take :class:`realtime_registry.Guard`."""
        return Watch(self, [ownership(*o) for o in ownerships])

    @property
    def streams(self) -> Streams:
        """What is open in this event loop, under a few watches."""
        place = self._place()
        if place.streams is None:
            from .streams import Streams

            place.streams = Streams(self)
        return place.streams

    async def aclose(self) -> None:
        """Closes the connections of this event loop, and ends what it watches. The
        client may be used again."""
        place = self._places.pop(asyncio.get_running_loop(), None) if self._process == os.getpid() else None
        if place is not None:
            if place.streams is not None:
                await place.streams.aclose()
            await place.http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _place(self) -> _Place:
        if self._process != os.getpid():
            # After a fork the sockets are the parent's too. They are let go of, not
            # closed: that would reach into its selector, and say goodbye on its TLS.
            self._places, self._process = WeakKeyDictionary(), os.getpid()
        loop = asyncio.get_running_loop()
        place = self._places.get(loop)
        if place is None:
            place = self._places[loop] = _Place(self)
        return place

    async def _ask(self, question: Question[T], within: Optional[float]) -> T:
        place = self._place()
        deadline = now() + (self.settings.timeout if within is None else within)
        await place.gate.enter(deadline)
        # Not cancelled with its caller: a connection is only good for the next
        # question when the answer to this one has been read.
        exchange = asyncio.ensure_future(self._exchange(place, question, deadline))
        place.under_way.add(exchange)

        def ended(done: asyncio.Future[questions.Answer]) -> None:
            place.under_way.discard(exchange)
            place.gate.leave()
            if not done.cancelled():
                done.exception()  # there may be no one waiting for it any more

        exchange.add_done_callback(ended)
        return question.read(await asyncio.shield(exchange))

    async def _exchange(self, place: _Place, question: Question[T], deadline: float) -> questions.Answer:
        try:
            return await _within(max(0.0, deadline - now()), self._send(place.http, question, deadline))
        except asyncio.TimeoutError:
            raise Unavailable("no answer from the registry in time") from None

    async def _send(self, http: httpx.AsyncClient, question: Question[T], deadline: float) -> questions.Answer:
        again = question.repeatable
        while True:
            request = wire.request(http, self.settings, question, deadline - now())
            try:
                response = await http.send(request, stream=True)
                try:
                    return await _answer(response)
                finally:
                    await response.aclose()
            except httpx.HTTPError as error:
                if not (again and wire.was_cut(error)):
                    raise questions.no_answer(error) from error
                again = False


class _Place:
    """What belongs to one event loop of one process."""

    def __init__(self, client: AsyncClient) -> None:
        s = client.settings
        self.http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(**wire.transport(s)), trust_env=False, follow_redirects=False
        )
        self.gate = Gate(s.max_concurrent, s.max_waiting)
        self.under_way: set[asyncio.Future[questions.Answer]] = set()
        self.streams: Optional[Streams] = None


async def _within(seconds: float, work: Awaitable[T]) -> T:
    """asyncio.wait_for, but if its caller is cancelled just as the work fails by itself,
    nothing is said of that in the log. (Before Python 3.12 asyncio says it.)"""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.wait_for(task, seconds)


async def _answer(response: httpx.Response) -> questions.Answer:
    body = wire.Body()
    async for chunk in response.aiter_raw():
        body.add(chunk)
    return questions.Answer(response.status_code, response.headers, body.content)


class Watch:
    """A connection that tells what changes about some ownerships, in order. It ends by
    Unavailable, never by itself: also if it is silent for longer than ``timeout`` and
    than the registry's max-staleness, in half of which it would have said something."""

    def __init__(self, client: AsyncClient, ownerships: Sequence[Ownership]) -> None:
        self._client = client
        self._stack = contextlib.AsyncExitStack()
        self.told = Watched(ownerships, now())

    def age(self) -> float:
        """Seconds since the moment up to which all is told; infinite if none is
        certified."""
        return self.told.age()

    def fresh(self) -> bool:
        """Reports whether what was told can be relied on now."""
        return self.told.fresh()

    async def __aenter__(self) -> Watch:
        """Raises Unavailable if the registry does not begin to answer in time, and
        Unwatchable if it watches nothing."""
        client, question = self._client, questions.watch(self.told.ownerships)
        try:
            # A pool of its own: its connection has carried no other answer, and is
            # closed when this ends.
            http = await self._stack.enter_async_context(_Place(client).http)
            request = wire.request(http, client.settings, question, client.settings.timeout, streams=True)
            self.told.sent = now()
            try:
                response = await _within(client.settings.timeout, http.send(request, stream=True))
                self._stack.push_async_callback(response.aclose)
                if response.status_code != 200:
                    answer = await _within(client.settings.timeout, _answer(response))
                else:
                    answer = questions.Answer(200, response.headers)
            except (httpx.HTTPError, asyncio.TimeoutError) as error:
                raise questions.no_answer(error) from error
            question.read(answer)
            self._chunks = response.aiter_raw()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self._stack.aclose()

    async def __aiter__(self) -> AsyncIterator[WatchEvent]:
        while True:
            certified = self.told.certified
            longest = max(self._client.settings.timeout, certified.max_staleness if certified else 0.0)
            try:
                chunk = await _within(longest, self._chunks.__anext__())
            except StopAsyncIteration:
                raise Unavailable("the registry has ended the watch") from None
            except asyncio.TimeoutError:
                raise Unavailable(f"the watch has been silent for {longest:g} s") from None
            except httpx.HTTPError as error:
                raise questions.no_answer(error) from error
            for event in self.told.feed(chunk):
                yield event


__all__ = ["AsyncClient", "Watch", "MOST_WATCHED"]
