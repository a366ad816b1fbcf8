"""The client for threads: the one for asyncio, whose event loop runs in a thread of its
own, so both do the same."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from types import TracebackType
from typing import Any, Coroutine, Iterator, List, Optional, Sequence, Type, TypeVar

from . import aio, trace
from .aio import AsyncClient
from .errors import Unavailable
from .ownership import AnyResource, Ownership
from .questions import EventName, Quota
from .settings import Configured, Settings
from .watching import WatchEvent

T = TypeVar("T")


class Client(Configured):
    """As :class:`AsyncClient`, for code that may block, from any number of threads and
    processes. Each call holds the thread that makes it, for ``timeout`` seconds at
    most; so ``max_concurrent`` (20) should be less than the threads that there are, and
    ``max_waiting`` is 0: a question beyond that is Unavailable at once.

    Each process that asks has one more thread (uWSGI: ``enable-threads``)."""

    MAX_CONCURRENT = 20
    MAX_WAITING = 0

    def _configure(self, settings: Settings) -> None:
        super()._configure(settings)
        self._client = AsyncClient.__new__(AsyncClient)
        self._client._configure(settings)
        self._runners: dict[int, _Runner] = {}

    def check(self, tenant: str, kind: str, id: str, *, within: Optional[float] = None) -> None:
        """See :meth:`AsyncClient.check`."""
        self._run(self._client.check(tenant, kind, id, within=within), within)

    def check_all(
        self, tenant: str, resources: Sequence[AnyResource], *, within: Optional[float] = None
    ) -> List[bool]:
        """See :meth:`AsyncClient.check_all`."""
        return self._run(self._client.check_all(tenant, resources, within=within), within, 1 + len(resources) // 500)

    def claim(
        self,
        tenant: str,
        kind: str,
        id: str,
        *,
        event: Optional[EventName] = None,
        within: Optional[float] = None,
    ) -> bool:
        """See :meth:`AsyncClient.claim`."""
        return self._run(self._client.claim(tenant, kind, id, event=event, within=within), within)

    def take(self, tenant: str, action: str, n: int = 1, *, within: Optional[float] = None) -> Quota:
        """See :meth:`AsyncClient.take`."""
        return self._run(self._client.take(tenant, action, n, within=within), within)

    def watch(self, ownerships: Sequence[Ownership]) -> Watch:
        """See :meth:`AsyncClient.watch`; without ``async``. The loop over its events
        blocks: watch from a thread of its own."""
        return Watch(self, self._client.watch(ownerships))

    def close(self) -> None:
        """Closes the connections of this process. The client may be used again."""
        runner = self._runners.pop(os.getpid(), None)
        if runner is not None:
            self._result(runner, self._client.aclose(), 2.0)
            runner.stop()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, call: Coroutine[Any, Any, T], within: Optional[float] = None, times: int = 1) -> T:
        # A second more: what the client says of a deadline is better than what is
        # said here, which is for a thread that does not run.
        seconds = (self.settings.timeout if within is None else within) * times + 1.0
        return self._result(self._runner(), call, seconds)

    def _result(self, runner: _Runner, call: Coroutine[Any, Any, T], seconds: Optional[float]) -> T:
        # Made here, so that it is in the trace of its caller.
        future = asyncio.run_coroutine_threadsafe(trace.carried(call), runner.loop())
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError:
            raise Unavailable("no answer from the registry in time") from None
        finally:
            future.cancel()  # if this thread was interrupted

    def _runner(self) -> _Runner:
        runner = self._runners.get(os.getpid())
        if runner is None:  # the parent's, after a fork, is a thread that is not there
            runner = self._runners.setdefault(os.getpid(), _Runner())
            weakref.finalize(self, runner.stop).atexit = False
        return runner


class _Runner:
    """An event loop in a thread, from its first use on."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._starting = threading.Lock()
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_forever, args=(self._loop,), name="realtime_registry", daemon=True).start()
            return self._loop

    def stop(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and self._process == os.getpid():
            loop.call_soon_threadsafe(loop.stop)


def _forever(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.close()


class Watch:
    """As :class:`realtime_registry.aio.Watch`, without ``async``."""

    def __init__(self, client: Client, watch: aio.Watch) -> None:
        self._client, self._watch = client, watch
        self._runner = client._runner()
        self.told = watch.told

    def age(self) -> float:
        """Seconds since the moment up to which all is told; infinite if none is
        certified."""
        return self.told.age()

    def fresh(self) -> bool:
        """Reports whether what was told can be relied on now."""
        return self.told.fresh()

    def __enter__(self) -> Watch:
        self._client._run(self._watch.__aenter__(), times=2)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._client._run(self._watch.__aexit__(kind, error, trace))

    def __iter__(self) -> Iterator[WatchEvent]:
        events = self._watch.__aiter__()
        while True:
            yield self._client._result(self._runner, _next(events), None)


async def _next(events: Any) -> WatchEvent:
    event: WatchEvent = await events.__anext__()
    return event
