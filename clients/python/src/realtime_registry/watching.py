"""One watch: what ``POST /v1/watch`` tells, and how old it is. Pure; the clients
bring the bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import List, Mapping, Optional, Sequence, Union

from .clock import now
from .errors import Invalid, Unavailable
from .eventstream import Event, Reader
from .ownership import Ownership

#: What one watch may be about, and how large its request may be.
MOST_WATCHED = 5000
MOST_BODY = 1 << 20


@dataclass(frozen=True)
class State:
    """The first event: a check of each. What is not refused is watched."""

    refused: Sequence[int]  #: indexes of those whose tenant does not own the resource


@dataclass(frozen=True)
class Lost:
    """Tenants lost resources, which are watched no longer."""

    lost: Sequence[int]  #: indexes


@dataclass(frozen=True)
class Certified:
    """Every change that was committed before ``since`` has been told here."""

    since: float  #: by :func:`realtime_registry.clock.now`
    max_staleness: float  #: seconds; what is older is not to be relied on


@dataclass(frozen=True)
class Uncertain:
    """No promise until the next Certified."""

    reason: str


@dataclass(frozen=True)
class Closing:
    """The server drains: ask again, elsewhere, after about so many seconds."""

    retry: float


WatchEvent = Union[State, Lost, Certified, Uncertain, Closing]


def size(asked: Ownership) -> int:
    """The bytes of one item in the request of a watch."""
    return len('{"tenant_id":"","kind":"","id":""},') + len(asked.tenant) + len(asked.kind) + len(asked.id)


class Watched:
    """What is known by one watch, of which the request was sent at ``sent``."""

    def __init__(self, ownerships: Sequence[Ownership], sent: float) -> None:
        if not 1 <= len(ownerships) <= MOST_WATCHED:
            raise Invalid(f"{len(ownerships)} resources to watch: must be 1 to {MOST_WATCHED}")
        if len(set(ownerships)) != len(ownerships):
            raise Invalid("a resource is there more than once: a watch takes each once")
        if sum(map(size, ownerships)) > MOST_BODY - 100:
            raise Invalid(f"the resources take more than the {MOST_BODY} bytes that a watch may ask for")
        self.ownerships = tuple(ownerships)
        self.sent = sent
        #: The last certificate, if nothing has become uncertain since.
        self.certified: Optional[Certified] = None
        self._since = -1.0
        self._events = Reader()
        self._begun = False

    def age(self) -> float:
        """Seconds since the moment up to which all is told; infinite before the first
        certificate, and once it is uncertain."""
        return now() - self.certified.since if self.certified else float("inf")

    def fresh(self) -> bool:
        """Reports whether what was told can be relied on now."""
        return self.certified is not None and self.age() <= self.certified.max_staleness

    def feed(self, chunk: bytes) -> List[WatchEvent]:
        """Returns what the bytes complete. Raises Unavailable for what the registry
        would not say: the watch is at its end then."""
        found = []
        for event in self._events.feed(chunk):
            try:
                told = self._read(event)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise Unavailable(f"event {event.name!r} of a watch cannot be read: {error!r}") from None
            if told is not None:
                found.append(told)
        return found

    def _read(self, event: Event) -> Optional[WatchEvent]:
        if event.name == "closing":
            return Closing(event.retry or 0.0)
        if event.name not in ("state", "certified", "lost", "uncertain"):
            return None
        data = json.loads(event.data) if event.data else {}
        if self._begun == (event.name == "state") and event.name != "uncertain":
            raise ValueError("the state comes first, and once")
        if event.name == "state":
            self._begun = True
            return State(self._indexes(data["refused"]))
        if event.name == "lost":
            return Lost(self._indexes(data["resources"]))
        if event.name == "uncertain":
            self.certified = None
            return Uncertain(str(data.get("reason", "")))
        at, age, bound = (_milliseconds(data, name) for name in ("at_ms", "age_ms", "max_staleness_ms"))
        if bound == 0:
            raise ValueError("max_staleness_ms is 0")
        since = min(self.sent + at - age, now())  # whatever clock the server goes by
        self._since = max(self._since, since)
        self.certified = Certified(self._since, bound)
        return self.certified

    def _indexes(self, given: object) -> Sequence[int]:
        if not isinstance(given, list) or not all(type(i) is int and 0 <= i < len(self.ownerships) for i in given):
            raise ValueError("no list of indexes of what was asked")
        return tuple(given)


def _milliseconds(data: Mapping[str, object], name: str) -> float:
    """In seconds."""
    value = data[name]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e15:
        raise ValueError(f"{name} is no number of milliseconds")
    return value / 1000
