"""Event streams (HTML, section 9.2): reading the registry's, and what the guard has
to know of an application's to add a last event to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

from .errors import Unavailable

#: What one event of the registry's may have; 5,000 indexes are 30 KB.
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Event:
    name: str
    data: str
    retry: Optional[float] = None  # seconds


class Reader:
    """Takes bytes as they come and returns the events that they complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: List[str] = []
        self._size = 0
        self._retry: Optional[float] = None

    def feed(self, more: bytes) -> List[Event]:
        """Raises Unavailable if what comes is no event stream of the registry's."""
        *lines, self._rest = (self._rest + more).split(b"\n")
        self._size += len(more)
        found = []
        for line in lines:
            text = line.rstrip(b"\r").decode("utf-8", "replace")
            if text:
                self._field(text)
                continue
            if self._data or self._retry is not None:
                found.append(Event(self._name or "message", "\n".join(self._data), self._retry))
            self._name, self._data, self._retry, self._size = "", [], None, 0
        if self._size > MOST_BYTES:
            raise Unavailable(f"an event of more than {MOST_BYTES} bytes: is this the registry?")
        return found

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) < 10:
            self._retry = int(value) / 1000


class Tail:
    """How a stream of an application ends so far. The events of others cannot be
    assumed to end their lines with a line feed."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._at_start = True  # of a line
        self._comment = False  # the line under way is one
        self._pending = False  # an event has begun: fields came since the last empty line
        self._cr = False  # the last byte was a carriage return, to which a line feed may belong

    def note(self, chunk: bytes) -> None:
        if not chunk:
            return
        if chunk.endswith(b"\n\n"):  # nearly all: whole events
            self._reset()
            return
        for line in chunk.splitlines(keepends=True):
            if line == b"\n" and self._cr:
                self._cr = False
                continue
            self._cr = False
            ends = line.endswith((b"\n", b"\r"))
            text = line.rstrip(b"\r\n")
            if text and self._at_start:
                self._comment = text.startswith(b":")
                self._pending = self._pending or not self._comment
                self._at_start = False
            if ends:
                if self._at_start:
                    self._pending = False
                self._at_start, self._cr = True, line.endswith(b"\r")

    def last(self, reason: str, retry_ms: int) -> bytes:
        """The end of the stream: the last event, which says why and when to come back.
        If an event is under way there is no other, only the time: a line end would
        complete it, with its id, and a client that resumes would never get the rest.
        What is unfinished when a stream ends is dropped by clients, except the field
        "retry", which counts as soon as its line ends."""
        prefix = b"" if self._at_start else b"\n"
        return prefix + (field(retry_ms) if self._pending else closed(reason, retry_ms))


def field(retry_ms: int) -> bytes:
    return f"retry: {retry_ms}\n".encode()


def closed(reason: str, retry_ms: int) -> bytes:
    """The last event of a stream that the guard ends, in the bytes of the Go middleware."""
    return field(retry_ms) + f"event: registry.closed\ndata: {reason}\n\n".encode()
