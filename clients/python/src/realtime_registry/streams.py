"""What is open in one event loop, under as few watches as can be.

A stream that comes is asked about by a watch, together with those that come within
50 ms (the first one goes at once); the watch's state is its check. Small watches are
merged into larger ones, so of n streams O(log n) watches are open, and one for each
5,000. A merged watch answers before those that it replaces are let go of: there is no
gap. A stream of an ownership that is watched already, with a certificate that is not
stale, is let in without a question.

What is known of an ownership is good for max-staleness: from the moment of the last
certificate, or, if a watch has said its state and cannot certify, from when that
was asked. After that a stream goes on for its patience, and ends unless something is
known again by then; meanwhile other watches are tried, again and again."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from typing import TYPE_CHECKING, Any, Coroutine, Deque, Dict, List, Optional, Set, Tuple

from .clock import now
from .errors import NotFound, Unavailable
from .ownership import Ownership
from .watching import MOST_BODY, MOST_WATCHED, size

if TYPE_CHECKING:
    from .aio import AsyncClient
    from .link import Link

#: Why a stream has to end; the words are those of the Go middleware.
LOST = "ownership_lost"
UNCERTAIN = "registry_unavailable"

GATHER = 0.05  # seconds between two questions about new streams
OPENING = 4  # watches of new streams that have not said their state yet
TIDY = 0.25  # seconds after which small watches are merged


class Stream:
    """One that is open. ``ended`` is done when it has to end: LOST or UNCERTAIN."""

    __slots__ = ("_held", "patience", "ended")

    def __init__(self, held: Held, patience: float) -> None:
        self._held = held
        self.patience = patience
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        held.streams.add(self)

    def reason(self) -> Optional[str]:
        """Why it has to end, None if it may go on: also right after the process was
        stopped for a while, when that could not be known yet."""
        if not self.ended.done() and now() > self._held.good() + self.patience:
            self.end(UNCERTAIN)
        return self.ended.result() if self.ended.done() else None

    def end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)
        self.close()

    def close(self) -> None:
        """It is not open any more. Repeating is harmless."""
        self._held.streams.discard(self)
        self._held.release()


class Held:
    """An ownership, the streams that rest on it, and the watch that it is under."""

    __slots__ = ("_all", "ownership", "streams", "waiting", "next", "link", "index", "known", "lost")

    def __init__(self, streams: Streams, ownership: Ownership) -> None:
        self._all = streams
        self.ownership = ownership
        self.streams: Set[Stream] = set()
        self.waiting = 0  # streams that are not let in yet
        self.next: Optional[asyncio.Future[None]] = None  # of the question that is not sent yet
        self.link: Optional[Link] = None
        self.index = 0  # there
        self.known = float("-inf")  # good until then, by watches that it was under
        self.lost = False

    def fresh(self) -> bool:
        """Reports whether another stream may rest on it without a question."""
        return self.link is not None and now() <= self.link.fresh

    def good(self) -> float:
        return max(self.known, self.link.good) if self.link else self.known

    def under(self, link: Link, index: int) -> None:
        """From now on another watch tells of it."""
        old, old_index, self.known = self.link, self.index, self.good()
        self.link, self.index = link, index
        link.live += 1
        if old is not None:
            old.drop(old_index)

    def lose(self) -> None:
        """Its tenant does not own it."""
        self.lost = True
        for stream in list(self.streams):
            stream.end(LOST)
        self._let_go()

    def expire(self, at: float) -> float:
        """Ends what has been patient for long enough, and returns when the next one has."""
        due = float("inf")
        for stream in list(self.streams):
            if (until := self.good() + stream.patience) <= at:
                stream.end(UNCERTAIN)
            else:
                due = min(due, until)
        return due

    def wanted(self) -> bool:
        return not self.lost and bool(self.streams or self.waiting)

    def release(self) -> None:
        if not self.wanted():
            self._let_go()

    def _let_go(self) -> None:
        if self._all.held.get(self.ownership) is self:
            del self._all.held[self.ownership]
        if self.link is not None:
            self.known = self.good()
            link, self.link = self.link, None
            link.drop(self.index)


class Streams:
    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.held: Dict[Ownership, Held] = {}
        self.links: Set[Link] = set()
        self._tasks: Set[asyncio.Task[None]] = set()
        self.max_staleness = 2.0  # what the registry said last
        self.unwatchable = float("-inf")  # until when it need not be asked to watch
        self._gathering: Deque[Held] = deque()
        self._flushing: Optional[asyncio.TimerHandle] = None
        self._flushed = float("-inf")
        self._opening = 0
        self._tidying: Optional[asyncio.TimerHandle] = None
        self._merging = False

    async def open(self, asked: Ownership, patience: float) -> Stream:
        """Returns when the tenant owns the resource; else raises NotFound, or Unavailable
        within the client's timeout. Close what it returns."""
        held = self.held.get(asked)
        if held is None:
            held = self.held[asked] = Held(self, asked)
        if not held.fresh():
            await self._ask(held)
        return Stream(held, patience)

    async def _ask(self, held: Held) -> None:
        """By a question that was not sent before now."""
        if held.next is None:
            held.next = asyncio.get_running_loop().create_future()
            self._gathering.append(held)
            self._flush_soon()
        held.waiting += 1
        try:
            await asyncio.wait_for(asyncio.shield(held.next), self.client.settings.timeout)
            if held.lost:
                raise NotFound(f"{held.ownership.tenant} does not own {held.ownership.kind}/{held.ownership.id}")
        except asyncio.TimeoutError:
            raise Unavailable("no answer from the registry in time") from None
        finally:
            held.waiting -= 1
            # A stream is about to be made of what is held, if all is well.
            asyncio.get_running_loop().call_soon(held.release)

    def _flush_soon(self) -> None:
        if self._flushing is None and self._gathering and self._opening < OPENING:
            wait = max(0.0, self._flushed + GATHER - now())
            self._flushing = asyncio.get_running_loop().call_later(wait, self._flush)

    def _flush(self) -> None:
        from .link import Link

        self._flushing, self._flushed = None, now()
        batch: List[Held] = []
        answers = []
        left = MOST_BODY - 100
        while self._gathering and len(batch) < MOST_WATCHED and left >= size(self._gathering[0].ownership):
            held = self._gathering.popleft()
            if held.waiting:
                batch.append(held)
                answers.append(held.next)
                left -= size(held.ownership)
            held.next = None
        if batch:
            self._opening += 1
            Link(self, batch, self._opened, answers).start()
        self._flush_soon()

    def _opened(self, error: Optional[Exception]) -> None:
        self._opening -= 1
        self._flush_soon()

    def tidy_soon(self) -> None:
        """Something has changed about the sizes of watches."""
        if self._tidying is None and not self._merging:
            self._tidying = asyncio.get_running_loop().call_later(TIDY, self._tidy)

    def _tidy(self) -> None:
        from .link import Link

        self._tidying = None
        links = sorted((link for link in self.links if link.settled()), key=lambda link: link.live)
        chosen = [links[i] for i in merge([(link.live, len(link.slots)) for link in links])]
        together = [held for link in chosen for held in link.slots if held is not None]
        if not together or sum(size(held.ownership) for held in together) > MOST_BODY - 100:
            return
        self._merging = True

        def merged(error: Optional[Exception]) -> None:
            self._merging = False
            self.tidy_soon()

        Link(self, together, merged).start()

    async def aclose(self) -> None:
        """Ends every stream, and every watch."""
        for timer in (self._flushing, self._tidying):
            if timer is not None:
                timer.cancel()
        for held in list(self.held.values()):
            if held.next is not None and not held.next.done():
                held.next.set_exception(Unavailable("the client is closed"))
                held.next.exception()
            for stream in list(held.streams):
                stream.end(UNCERTAIN)
        for link in list(self.links):
            link.close()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """In a task that aclose waits for, and that is in no trace: it is about
        many streams."""
        loop = asyncio.get_running_loop()
        task: asyncio.Task[None] = contextvars.Context().run(lambda: loop.create_task(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def merge(sizes: List[Tuple[int, int]]) -> List[int]:
    """Chooses watches to merge, by what each is live for and was asked for, in ascending
    order: the smallest ones, up to the last that is no more than twice what there is
    before it. So what remains more than doubles from one to the next. One alone is chosen
    if most of it is not wanted any more."""
    chosen = total = 0
    for i, (live, _) in enumerate(sizes):
        if i and live <= 2 * total and total + live <= MOST_WATCHED:
            chosen = i + 1
        total += live
    if chosen:
        return list(range(chosen))
    return next(([i] for i, (live, asked) in enumerate(sizes) if asked > 100 and live < asked / 2), [])
