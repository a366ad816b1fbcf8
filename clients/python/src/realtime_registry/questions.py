"""What is sent to the registry and what its answers mean: pure, and the same for
both clients. An answer counts only if it is the registry's own, to this question."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import Callable, Dict, Generic, List, Mapping, Optional, Sequence, Tuple, TypeVar

from .errors import Conflict, Invalid, NotFound, RegistryError, Throttled, Unavailable, Unwatchable
from .ownership import KINDS, Ownership, Resource, valid_action, valid_tenant

T = TypeVar("T")

#: The source and the id of an event.
EventName = Tuple[str, str]

#: Resources in one question about many; the registry takes no more.
MOST_RESOURCES = 500


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in any case; values of one name joined by ", "
    content: bytes = b""

    def unexpected(self) -> Unavailable:
        """What is raised for an answer that says nothing about the question."""
        detail = self.detail()
        return Unavailable(
            f"the registry answered {self.status}" + (f": {detail}" if detail else ""), self.retry_after()
        )

    def detail(self) -> str:
        """The text of a problem (RFC 9457); empty if it is none."""
        if self.headers.get("content-type", "").split(";")[0].strip() != "application/problem+json":
            return ""
        try:
            detail = json.loads(self.content)["detail"]
        except (ValueError, KeyError, TypeError):
            return ""
        return detail if isinstance(detail, str) else ""

    def retry_after(self) -> Optional[float]:
        """Seconds; None if it is not there, or is a date."""
        text = self.headers.get("retry-after", "").strip()
        return float(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


@dataclass(frozen=True)
class Question(Generic[T]):
    method: str
    path: str
    read: Callable[[Answer], T]
    headers: Dict[str, str] = field(default_factory=dict)
    content: Optional[bytes] = None
    is_claim: bool = False
    #: Whether it may be sent again after a connection broke off, which may have
    #: been idle too long.
    repeatable: bool = True


@dataclass(frozen=True)
class Quota:
    """What a throttle said: of the window that has less left, the action's own or
    that of all the tenant's actions."""

    limit: int  #: units in a window
    window: float  #: its length in seconds
    remaining: int
    reset: float  #: seconds until the window ends


def check(asked: Ownership) -> Question[None]:
    def read(answer: Answer) -> None:
        _ours(answer, asked)
        if answer.status == 404:
            raise NotFound(f"{asked.tenant} does not own {asked.kind}/{asked.id}")
        if answer.status != 204:
            raise answer.unexpected()

    path = f"/v1/{KINDS[asked.kind]}/{urllib.parse.quote(asked.id, safe='')}/access"
    return Question("GET", path, read, {"X-Tenant-Id": asked.tenant})


def claim(asked: Ownership, event: Optional[EventName] = None) -> Question[bool]:
    def read(answer: Answer) -> bool:
        _ours(answer, asked)
        if answer.status == 409:
            raise Conflict(f"{asked.kind}/{asked.id} is another tenant's, not {asked.tenant}'s")
        if answer.status not in (201, 204):
            raise answer.unexpected()
        return answer.status == 201

    path = f"/v1/{KINDS[asked.kind]}/{urllib.parse.quote(asked.id, safe='')}"
    headers = {"X-Tenant-Id": asked.tenant}
    if event is not None:
        source, id = event
        headers["Ce-Source"], headers["Ce-Id"] = _event_text("source", source), _event_text("id", id)
    return Question("PUT", path, read, headers, is_claim=True)


def _event_text(name: str, text: object) -> str:
    """As a header of CloudEvents over HTTP has it."""
    if not isinstance(text, str) or not 1 <= len(text.encode("utf-8", "replace")) <= 1024:
        raise Invalid(f"event {name}: want a text of 1 to 1,024 bytes")
    return urllib.parse.quote(text, safe="/:;,.?@&=+$!*'()#~|^`{}[]<>-_")


def _ours(answer: Answer, asked: object) -> None:
    """Raises unless the answer repeats the question: else it is another server's, or
    the answer to another request."""
    echo = answer.headers.get("x-registry-asked")
    if echo == str(asked):
        return
    error = answer.unexpected()
    if echo is None and answer.status in (401, 500, 502, 503, 504):
        raise error
    shown = "nothing" if echo is None else repr(echo)
    raise Unavailable(f"{error}, to {shown} and not to {str(asked)!r}: is this the registry?", error.retry_after)


def _hash(body: bytes) -> str:
    """What the registry echoes of a question with a body."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def check_all(tenant: str, resources: Sequence[Resource]) -> Question[List[bool]]:
    body = encode({"tenant_id": tenant, "resources": [{"kind": r.kind, "id": r.id} for r in resources]})

    def read(answer: Answer) -> List[bool]:
        _ours(answer, _hash(body))
        if answer.status != 200:
            raise answer.unexpected()
        try:
            owned = json.loads(answer.content)["owned"]
        except (ValueError, KeyError, TypeError):
            owned = None
        if not isinstance(owned, list) or len(owned) != len(resources) or not all(type(o) is bool for o in owned):
            raise Unavailable(f"the answer is not about {len(resources)} resources: is this the registry?")
        return owned

    return Question("POST", "/v1/access", read, {"Content-Type": "application/json"}, body)


def take(tenant: str, action: str, n: int) -> Question[Quota]:
    if type(n) is not int or n < 1:
        raise Invalid(f"n is {n!r}: must be a whole number, 1 or more")

    def read(answer: Answer) -> Quota:
        if answer.status == 400 and answer.detail():
            raise Invalid(answer.detail())
        if answer.status not in (204, 429):
            raise answer.unexpected()
        quota = _quota(answer.headers, action)
        if answer.status == 429:
            after = answer.retry_after()
            raise Throttled(
                f"{tenant} has used up its quota for {action}", quota.reset if after is None else after
            )
        return quota

    return Question(
        "POST", f"/v1/quota/{valid_action(action)}/take?n={n}", read,
        {"X-Tenant-Id": valid_tenant(tenant)}, b"", repeatable=False,
    )  # fmt: skip


_ITEM = re.compile(r'\s*"([a-z0-9-]+(?:_[a-z0-9]+)*)"((?:\s*;\s*[a-z]+=[0-9]+)*)\s*')


def _quota(headers: Mapping[str, str], action: str) -> Quota:
    """Reads the two fields of draft-ietf-httpapi-ratelimit-headers, which every
    decision of a throttle carries, and no other server's answer."""
    found: Dict[str, int] = {}
    for name in ("ratelimit-policy", "ratelimit"):
        item = _ITEM.fullmatch(headers.get(name, ""))
        if item and item[1] in (action, "all-actions"):
            found.update({k: int(v) for k, v in re.findall(r"([a-z]+)=([0-9]+)", item[2])})
    try:
        return Quota(found["q"], float(found["w"]), found["r"], float(found["t"]))
    except KeyError:
        raise Unavailable(f"the answer does not say the quota for {action}: is this the registry?") from None


def watch(ownerships: Sequence[Ownership]) -> Question[None]:
    """The answer is a stream of events; read is for its head."""
    body = encode({"resources": [{"tenant_id": o.tenant, "kind": o.kind, "id": o.id} for o in ownerships]})

    def read(answer: Answer) -> None:
        _ours(answer, _hash(body))
        if answer.status == 501:
            raise Unwatchable("the registry keeps nothing (max-staleness 0), so it watches nothing")
        if answer.status != 200:
            raise answer.unexpected()
        if answer.headers.get("content-type", "").split(";")[0].strip() != "text/event-stream":
            raise Unavailable("the answer to a watch is no event stream: is this the registry?")

    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    return Question("POST", "/v1/watch", read, headers, body, repeatable=False)


def encode(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def no_answer(error: Exception) -> RegistryError:
    """What is raised if nothing came that could be read."""
    return Unavailable(f"no answer from the registry: {str(error) or type(error).__name__}")
