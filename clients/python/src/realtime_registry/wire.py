"""What both clients do with httpx."""

from __future__ import annotations

from typing import Any, Dict, TypeVar, Union

import httpx

from . import trace
from .errors import Unavailable
from .questions import Question
from .settings import Settings

T = TypeVar("T")

#: What an answer may have; 500 answers are 3 KB.
MOST_BYTES = 1 << 20


def transport(s: Settings) -> Dict[str, Any]:
    """How connections are made. The client's own bound is the only one: a connection
    that a pool has lost sight of must not take another's place."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=s.max_concurrent, keepalive_expiry=60.0)
    return {"limits": limits, "verify": s.url.startswith("https:")}


def request(
    http: Union[httpx.AsyncClient, httpx.Client], s: Settings, question: Question[T], left: float, streams: bool = False
) -> httpx.Request:
    """Builds a request that may take what is left of its time, in seconds; an answer
    that streams may be silent for as long as it likes."""
    headers = dict(question.headers)
    headers["Accept-Encoding"] = "identity"
    token = s.claim_token if question.is_claim and s.claim_token else s.api_token
    if token:
        headers["Authorization"] = f"Bearer {token}"
    trace.inject(headers)
    left = max(left, 0.001)
    timeout = httpx.Timeout(left, read=None if streams else left)
    return http.build_request(
        question.method, s.url + question.path, headers=headers, content=question.content, timeout=timeout
    )


def was_cut(error: httpx.HTTPError) -> bool:
    """Reports whether the connection broke off, which an idle one may have done before
    the question was sent."""
    return isinstance(error, (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError))


class Body:
    """Gathers an answer, which no server may make endless."""

    def __init__(self) -> None:
        self.content = b""

    def add(self, chunk: bytes) -> None:
        self.content += chunk
        if len(self.content) > MOST_BYTES:
            raise Unavailable(f"an answer of more than {MOST_BYTES} bytes: is this the registry?")
