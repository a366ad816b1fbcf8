"""The bound on questions that one client has under way in one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Deque

from .clock import now
from .errors import Unavailable


class Gate:
    """Lets ``size`` in at once, and ``waiting`` more wait in turn, each until its own
    deadline; what comes beyond that is refused at once."""

    def __init__(self, size: int, waiting: int) -> None:
        self._free = size
        self._most = waiting
        self._queue: Deque[asyncio.Future[None]] = deque()

    async def enter(self, deadline: float) -> None:
        """Raises Unavailable if the turn does not come by the deadline."""
        if self._free > 0:
            self._free -= 1
            return
        if len(self._queue) >= self._most:
            raise Unavailable(f"{self._most} questions wait for the registry already")
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append(turn)
        timer = loop.call_later(max(0.0, deadline - now()), _refuse, turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()  # the turn came together with the cancellation
            elif turn in self._queue:
                self._queue.remove(turn)
            raise
        finally:
            timer.cancel()

    def leave(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _refuse(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(Unavailable("all questions under way wait for the registry"))
