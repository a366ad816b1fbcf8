"""How a refusal and the end of a stream are said, in the words, codes and times of the
Go middleware (docs/design.md, section 6)."""

from __future__ import annotations

import json
import random
from typing import Any, Iterable, List, MutableMapping, Optional, Tuple

from .errors import Invalid, NotFound, RegistryError, Throttled, Unavailable
from .streams import LOST, UNCERTAIN

THROTTLED = "throttled"

#: The codes of a WebSocket's close frame, whose text is the reason: one for
#: applications that is ours, and RFC 6455's "policy violation" and "try again later".
CLOSE_CODES = {LOST: 4404, UNCERTAIN: 1013, THROTTLED: 1013, "invalid": 1008}

#: Seconds that a 503 asks for at most, if the registry has not said a time.
MOST_RETRY_AFTER = 3

Headers = Iterable[Tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]


def reason(error: RegistryError) -> str:
    if isinstance(error, NotFound):
        return LOST
    if isinstance(error, Throttled):
        return THROTTLED
    return "invalid" if isinstance(error, Invalid) else UNCERTAIN


def retry_of_open(over: float) -> int:
    """Milliseconds after which one of many comes back whose streams end together."""
    return round(1000 * (1 + random.random() * over))


def retry_of_refused(error: RegistryError, over: float) -> int:
    """The same for one who was not let in, never below the Retry-After of others."""
    if isinstance(error, Throttled):
        return round(1000 * error.retry_after)
    said = error.retry_after if isinstance(error, Unavailable) else None
    return round(1000 * (max(said or 0.0, MOST_RETRY_AFTER) + random.random() * over))


def problem(error: RegistryError) -> Tuple[int, List[Tuple[bytes, bytes]], bytes]:
    """Status, headers and body (RFC 9457). That of a 404 is constant."""
    retry_after: Optional[float] = None
    if isinstance(error, NotFound):
        status, title, detail = 404, "Not Found", "no such resource, or not this tenant's"
    elif isinstance(error, Invalid):
        status, title, detail = 400, "Bad Request", str(error)
    elif isinstance(error, Throttled):
        status, title, detail = 429, "Too Many Requests", "the tenant has used up its quota for this action"
        retry_after = error.retry_after
    else:
        status, title = 503, "Service Unavailable"
        detail = "the registry did not answer in time: nothing is known about the resource; try again"
        said = error.retry_after if isinstance(error, Unavailable) else None
        retry_after = random.randint(1, MOST_RETRY_AFTER) if said is None else said
    fields = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body = json.dumps(fields, separators=(",", ":")).encode()
    headers = _headers(b"application/problem+json", body)
    if retry_after is not None:
        headers.append((b"retry-after", str(-int(-retry_after // 1)).encode()))
    return status, headers, body


def event_stream(body: bytes) -> Tuple[int, List[Tuple[bytes, bytes]], bytes]:
    """A stream of this one event."""
    return 200, [*_headers(b"text/event-stream", body), (b"x-accel-buffering", b"no")], body


def _headers(media: bytes, body: bytes) -> List[Tuple[bytes, bytes]]:
    return [
        (b"content-type", media),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]


def wants_events(scope: Scope) -> bool:
    """Reports whether the request is an EventSource's, or one like it: a GET that names
    text/event-stream in Accept. A wildcard does not: it is what clients send that look
    at the status."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    for accepted in ",".join(header(scope, b"accept")).split(","):
        media, *parameters = (part.strip().lower() for part in accepted.split(";"))
        if media == "text/event-stream" and not any(_is_zero(p) for p in parameters):
            return True
    return False


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    try:
        return name.strip() == "q" and float(value) == 0
    except ValueError:
        return False


def header(scope: Scope, name: bytes) -> List[str]:
    """Every value of a header; its name in small letters, as ASGI has it."""
    return [value.decode("latin-1") for n, value in scope["headers"] if n == name]


def is_event_stream(headers: Headers) -> bool:
    """Reports whether an event can be added to an answer with these headers: it is
    text/event-stream as it is, neither encoded nor of a length that was promised."""
    fields = {name.lower(): value.lower() for name, value in headers}
    media = fields.get(b"content-type", b"").split(b";")[0].strip()
    plain = fields.get(b"content-encoding", b"identity").strip() in (b"", b"identity")
    return media == b"text/event-stream" and plain and b"content-length" not in fields
