"""One request, or one WebSocket, as the guard sees it: what its application sends and
receives, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Awaitable, Callable, List, MutableMapping, Optional

from . import endings
from .errors import NotFound, RegistryError, Unavailable
from .eventstream import Tail, closed
from .ownership import ownership
from .streams import LOST, UNCERTAIN, Stream

if TYPE_CHECKING:
    from .guard import Guard

logger = logging.getLogger("realtime_registry")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Seconds that an application has to return after the loss, and that a write may go on
#: that waits for a slow client.
LET_GO = 1.0


class Ended(OSError):
    """What an application gets that sends after its stream has ended."""


class Exchange:
    """Until something is admitted, messages pass as they are."""

    def __init__(self, guard: Guard, scope: endings.Scope, receive: Receive, send: Send) -> None:
        self.guard, self.scope = guard, scope
        self._receive, self._send = receive, send
        self._streams: List[Stream] = []
        self._turn = asyncio.Lock()  # held by each send of the application, and by the guard's own
        self._task = asyncio.current_task()
        self._receiving: Optional[asyncio.Future[Message]] = None
        self._over: Optional[asyncio.Future[None]] = None
        self._telling: Optional[asyncio.Task[None]] = None
        self._cutting: Optional[asyncio.TimerHandle] = None
        self._reason: Optional[str] = None
        self._cut = False  # the application was cancelled by the guard

    async def admit(self, tenant: object, kind: object, id: object) -> None:
        """Returns if the tenant owns the resource; from then on this exchange rests on
        that. Else raises what refuses it."""
        asked = ownership(tenant, kind, id)
        if self.guard.report_only:
            await self.guard.report(self.scope, asked)
            return
        await self.guard.throttle(self.scope, asked.tenant)
        stream = await self.guard.registry.streams.open(asked, self.guard.patience)
        if self._over is None:
            self._over = asyncio.get_running_loop().create_future()
        self._streams.append(stream)
        stream.ended.add_done_callback(self._lose)

    # What the application calls.

    async def receive(self) -> Message:
        if self._over is None:
            return await self._receive()
        if self._receiving is None:
            self._receiving = asyncio.ensure_future(self._receive())
        if not self._over.done():
            await asyncio.wait((self._receiving, self._over), return_when=asyncio.FIRST_COMPLETED)
        if self._over.done():
            return self.disconnected()
        receiving, self._receiving = self._receiving, None
        return receiving.result()

    async def send(self, message: Message) -> None:
        """Raises Ended once the stream has to end."""
        async with self._turn:
            for stream in self._streams:
                stream.reason()  # of a process that was stopped: no one else has looked yet
            if self.lost() is not None:
                raise Ended(self.lost())
            self.note(message)
            await self._send(message)

    # How it ends.

    def lost(self) -> Optional[str]:
        """Why it has to end; None if it may go on."""
        if self._reason is None:
            self._reason = next((s.ended.result() for s in self._streams if s.ended.done()), None)
        return self._reason

    def _lose(self, _: Optional[asyncio.Future[str]] = None) -> None:
        reason = self.lost()
        if self._telling is not None or self._over is None or reason is None:
            return
        self._over.set_result(None)
        self.guard.count_end(reason)
        loop = asyncio.get_running_loop()
        self._telling = loop.create_task(self._tell_soon(reason))
        self._cutting = loop.call_later(LET_GO, self._cut_off)

    async def _tell_soon(self, reason: str) -> None:
        """Tells the client when no send of the application is under way."""
        try:
            await asyncio.wait_for(self._tell_in_turn(reason), LET_GO)
        except asyncio.TimeoutError:
            pass
        except Exception as error:  # the client may be gone; there is no one else to tell
            logger.debug("the end of a stream was not told: %r", error)

    async def _tell_in_turn(self, reason: str) -> None:
        async with self._turn:
            await self.tell(reason)

    def _cut_off(self) -> None:
        """Cancels an application that has not returned."""
        if self._task is not None:
            self._cut = True
            self._task.cancel()

    async def run(self, scope: endings.Scope) -> None:
        """Runs the application to its end, and ends with it."""
        try:
            await self.guard.app(scope, self.receive, self.send)
        except RegistryError as error:
            if self.lost() is None:
                await self.refuse(error)
        except asyncio.CancelledError:
            if not self._cut or _cancelled_by_others(self._task):
                raise
        except Exception as error:
            if self.lost() is None:
                raise
            logger.debug("after its stream had ended the application raised %r", error)
        finally:
            await self._leave()

    async def _leave(self) -> None:
        self._task = None
        self._lose()  # if the application was quicker than the callback
        for stream in self._streams:
            stream.ended.remove_done_callback(self._lose)
            stream.close()
        if self._receiving is not None:
            self._receiving.cancel()
        if self._cutting is not None:
            self._cutting.cancel()
        if self._telling is not None:
            await asyncio.wait((self._telling,))  # a second at most

    # What differs.

    def note(self, message: Message) -> None:
        """Takes note of what the application is about to send."""
        raise NotImplementedError

    def disconnected(self) -> Message:
        """What tells an application that its client has gone."""
        raise NotImplementedError

    async def tell(self, reason: str) -> None:
        """Ends it, with the reason as far as it can be said."""
        raise NotImplementedError

    async def refuse(self, error: RegistryError) -> None:
        """Answers what was not let in."""
        raise NotImplementedError


class HTTPExchange(Exchange):
    _begun = False
    _complete = False
    _promised = False  # a length
    _tail: Optional[Tail] = None

    def note(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            headers = message.get("headers", ())
            if self.scope["method"] != "HEAD" and endings.is_event_stream(headers):
                self._tail = Tail()
            self._promised = any(name.lower() == b"content-length" for name, _ in headers)
        elif message["type"] == "http.response.body":
            self._complete = not message.get("more_body", False)
            if self._tail is not None:
                self._tail.note(message.get("body", b""))

    def disconnected(self) -> Message:
        return {"type": "http.disconnect"}

    async def tell(self, reason: str) -> None:
        if not self._begun:
            lost = NotFound("") if reason == LOST else Unavailable("")
            await self.refuse(lost)
        elif not (self._complete or self._promised):
            retry = endings.retry_of_open(self.guard.return_over)
            body = b"" if self._tail is None else self._tail.last(reason, retry)
            self._complete = True
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def refuse(self, error: RegistryError) -> None:
        if self._begun:
            raise error
        why = endings.reason(error)
        passes = why in (UNCERTAIN, endings.THROTTLED)
        if passes and not self.guard.plain_status and endings.wants_events(self.scope):
            # A browser's EventSource gives up for good on 429 and 503.
            retry = endings.retry_of_refused(error, self.guard.return_over)
            status, headers, body = endings.event_stream(closed(why, retry))
        else:
            status, headers, body = endings.problem(error)
        self._begun = self._complete = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else body})


class SocketExchange(Exchange):
    _connected = False  # the application, or the guard, has received that
    _accepted = False
    _closed = False

    async def receive(self) -> Message:
        message = await super().receive()
        self._connected = self._connected or message["type"] == "websocket.connect"
        return message

    def note(self, message: Message) -> None:
        self._accepted = self._accepted or message["type"] == "websocket.accept"
        self._closed = self._closed or message["type"] in ("websocket.close", "websocket.http.response.start")

    def disconnected(self) -> Message:
        why = self.lost() or UNCERTAIN
        return {"type": "websocket.disconnect", "code": endings.CLOSE_CODES[why], "reason": why}

    async def tell(self, reason: str) -> None:
        if self._closed:
            return
        if self._accepted:
            await self._close(reason)
        else:
            await self.refuse(NotFound("") if reason == LOST else Unavailable(""))

    async def refuse(self, error: RegistryError) -> None:
        """A handshake gets the status, where the server can say it, else its 403."""
        if not self._connected:
            self._connected = True
            await self._receive()
        if self._closed:
            raise error
        if self._accepted or "websocket.http.response" not in (self.scope.get("extensions") or {}):
            await self._close(endings.reason(error))
            return
        self._closed = True
        status, headers, body = endings.problem(error)
        await self._send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": body})

    async def _close(self, reason: str) -> None:
        self._closed = True
        await self._send({"type": "websocket.close", "code": endings.CLOSE_CODES[reason], "reason": reason})


def _cancelled_by_others(task: Optional[asyncio.Task[Any]]) -> bool:
    """Takes back the guard's own cancellation, and reports whether there is another.
    Before Python 3.11 this cannot be known."""
    uncancel = getattr(task, "uncancel", None)
    return uncancel is not None and uncancel() > 0
