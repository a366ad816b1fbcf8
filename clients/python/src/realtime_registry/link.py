"""One watch among those of :mod:`realtime_registry.streams`: what it tells, and what
takes its place when it cannot be relied on."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, AsyncIterator, Callable, Dict, List, Optional, Sequence, Set, Tuple

from .clock import now
from .errors import Unavailable, Unwatchable
from .ownership import Resource
from .watching import Certified, Closing, Lost, State, WatchEvent

if TYPE_CHECKING:
    from .streams import Held, Streams

logger = logging.getLogger("realtime_registry")

#: Seconds between two checks of what cannot be watched; each is drawn from half of
#: it to one and a half, so that processes do not ask all at once.
MOST_UNWATCHED = 5.0
FIRST_RETRY = 0.1


class Link:
    """Follows some ownerships until nothing is under it any more. ``opened`` is called
    once: without an error when its state is there, and all that is owned is under it.
    Each of ``answers`` is done then too."""

    def __init__(
        self,
        streams: Streams,
        asked: List[Held],
        opened: Callable[[Optional[Exception]], None],
        answers: Sequence[Optional[asyncio.Future[None]]] = (),
    ) -> None:
        self._streams = streams
        self._loop = asyncio.get_running_loop()
        self.slots: List[Optional[Held]] = list(asked)
        self._asked = asked
        self._answers = answers  # for who waits for its state
        self._opened: Optional[Callable[[Optional[Exception]], None]] = opened
        self.live = 0  # how many are under it
        self.fresh = float("-inf")  # until when it stands for a check
        self.good = float("-inf")  # from when on those under it are patient
        self.task: Optional[asyncio.Task[None]] = None
        self._word = float("inf")  # when there should have been another word
        self._sent = 0.0
        self._over = False  # nothing more will come
        self._closing = False  # the server goes
        self._renewing: Optional[asyncio.Task[None]] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._late: Optional[asyncio.TimerHandle] = None

    def start(self) -> None:
        self._streams.links.add(self)
        self._late = self._loop.call_later(2 * self._streams.client.settings.timeout, self._too_late)
        self.task = self._streams.run(self._run())

    def settled(self) -> bool:
        """Reports whether it may be merged with others: it tells, and nothing takes its
        place already."""
        return self._opened is None and self.live > 0 and not (self._over or self._closing or self._renewing)

    def drop(self, index: int) -> None:
        """That one is not under it any more."""
        self.slots[index] = None
        self.live -= 1
        if self.live == 0 and self._opened is None:
            self.close()
        else:
            self._streams.tidy_soon()

    def close(self) -> None:
        self._over = True
        self._streams.links.discard(self)
        current = asyncio.current_task()
        for task in (self.task, self._renewing):
            if task is not None and task is not current:
                task.cancel()
        for timer in (self._timer, self._late):
            if timer is not None:
                timer.cancel()

    def _too_late(self) -> None:
        if self.task is not None:
            self.task.cancel()

    async def _run(self) -> None:
        error: Exception = Unavailable("the watch was closed")
        try:
            await self._follow()
        except Unavailable as unavailable:
            error = unavailable
        except Exception as defect:
            error = Unavailable(f"the watch has failed: {defect!r}")
            logger.exception("a watch has failed")
        finally:
            self._over = True
            if self._opened is not None:
                self._fail(error)
            if self.live > 0:
                self._tick()
            else:
                self.close()

    async def _follow(self) -> None:
        if now() > self._streams.unwatchable:
            try:
                async with self._streams.client.watch([held.ownership for held in self._asked]) as watch:
                    self._sent = watch.told.sent
                    async for event in watch:
                        self._tell(event)
                        if self._over:
                            return
            except Unwatchable:
                self._streams.unwatchable = now() + 60.0
        async for event in self._polled():
            self._tell(event)
            if self._over:
                return

    def _tell(self, event: WatchEvent) -> None:
        if isinstance(event, State):
            self._state(set(event.refused))
        elif isinstance(event, Lost):
            for index in event.lost:
                held = self.slots[index]
                if held is not None:
                    held.lose()
        elif isinstance(event, Certified):
            self._streams.max_staleness = event.max_staleness
            self.fresh = event.since + event.max_staleness
            self.good = max(self.good, self.fresh)
            self._word = self.fresh + event.max_staleness / 10
            self._arm()
        elif isinstance(event, Closing):
            self._closing = True
            self._renew(random.uniform(0, min(event.retry, self._unwatched())))

    def _state(self, refused: Set[int]) -> None:
        again = self._unwatched()
        self._word = now() + jittered(again)
        self.good = self._sent + again * 3 / 2
        opened, self._opened = self._opened, None
        if self._late is not None:
            self._late.cancel()
        for index, held in enumerate(self._asked):
            if index in refused:
                self.slots[index] = None
                held.lose()
            elif not held.wanted():
                self.slots[index] = None
            else:
                held.under(self, index)
        self._answer(None)
        if opened is not None:
            opened(None)
        if self.live == 0:
            self.close()
        else:
            self._arm()
        self._streams.tidy_soon()

    def _fail(self, error: Exception) -> None:
        opened, self._opened = self._opened, None
        self._answer(error)
        self._streams.links.discard(self)
        if opened is not None:
            opened(error)

    def _answer(self, error: Optional[Exception]) -> None:
        for answer in self._answers:
            if answer is None or answer.done():
                continue
            if error is None:
                answer.set_result(None)
            else:
                answer.set_exception(error)
                answer.exception()  # perhaps no one waits for it any more
        self._asked, self._answers = [], ()

    # When it cannot be relied on.

    def _arm(self) -> None:
        """Looks after it later; a look that comes too early arms itself again."""
        if self._timer is None:
            self._timer = self._loop.call_later(max(0.01, min(self._word, self.good + 1.0) - now()), self._tick)

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        at = now()
        if self._over or at >= self._word:
            self._renew(0.0)
        due = self._word if at < self._word else float("inf")
        if at > self.good:
            for held in self.slots:
                if held is not None:
                    due = min(due, held.expire(at))
        if self.live > 0:
            self._timer = self._loop.call_later(max(0.01, min(due, at + 1.0) - at), self._tick)

    def _renew(self, after: float) -> None:
        if self._renewing is None and self.live > 0:
            self._renewing = self._streams.run(self._replace(after))

    async def _replace(self, after: float) -> None:
        """Has another watch take over what is under it, for as long as that is needed."""
        wait = FIRST_RETRY
        await asyncio.sleep(after or jittered(wait))
        while self.live > 0 and (self._over or self._closing or now() >= self._word):
            done: asyncio.Future[Optional[Exception]] = self._loop.create_future()

            def opened(error: Optional[Exception]) -> None:
                if not done.done():
                    done.set_result(error)

            Link(self._streams, [held for held in self.slots if held is not None], opened).start()
            error = await done
            if error is None:
                break
            wait = min(2 * wait, self._unwatched())
            asked_for = error.retry_after if isinstance(error, Unavailable) else None
            await asyncio.sleep(jittered(max(wait, min(asked_for or 0.0, MOST_UNWATCHED))))
        self._renewing = None
        if self.live > 0:
            self._arm()

    def _unwatched(self) -> float:
        return min(MOST_UNWATCHED, self._streams.max_staleness * 2 / 3)

    async def _polled(self) -> AsyncIterator[WatchEvent]:
        """For a registry that watches nothing: each is checked again and again."""
        self._sent = now()
        yield State(sorted(await self._check()))
        self._word = float("inf")  # it ends by an error
        while True:
            self.good = self._sent + MOST_UNWATCHED * 3 / 2
            await asyncio.sleep(jittered(MOST_UNWATCHED))
            self._sent = now()
            yield Lost(sorted(await self._check()))

    async def _check(self) -> Set[int]:
        """The indexes of what is under it and is not owned."""
        tenants: Dict[str, List[Tuple[int, Resource]]] = {}
        for index, held in enumerate(self.slots):
            if held is not None:
                asked = held.ownership
                tenants.setdefault(asked.tenant, []).append((index, Resource(asked.kind, asked.id)))
        refused: Set[int] = set()
        for tenant, resources in tenants.items():
            owned = await self._streams.client.check_all(tenant, [resource for _, resource in resources])
            refused |= {index for (index, _), owns in zip(resources, owned) if not owns}
        return refused


def jittered(seconds: float) -> float:
    return seconds / 2 + random.random() * seconds
