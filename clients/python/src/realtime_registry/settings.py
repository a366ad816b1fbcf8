"""Where the registry is, and how it is asked."""

from __future__ import annotations

import os
import re
import urllib.parse
from dataclasses import dataclass
from typing import ClassVar, Optional

from .errors import Invalid

#: What a bearer token may consist of (RFC 9110, section 11.2).
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True)
class Settings:
    """How a client asks. Times are in seconds."""

    url: str
    api_token: Optional[str]
    claim_token: Optional[str]
    timeout: float  # of one question, with all that it waits for
    max_concurrent: int  # questions under way at once
    max_waiting: int  # questions that wait for one of these to end


class Configured:
    """How both clients are made. What is not given comes from the environment:
    REGISTRY_URL (default http://127.0.0.1:8080), REGISTRY_API_TOKEN,
    REGISTRY_CLAIM_TOKEN (default: the API token). Raises Invalid, naming what is wrong."""

    MAX_CONCURRENT: ClassVar[int]
    MAX_WAITING: ClassVar[int]

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        api_token: Optional[str] = None,
        claim_token: Optional[str] = None,
        timeout: float = 6.0,
        max_concurrent: Optional[int] = None,
        max_waiting: Optional[int] = None,
    ) -> None:
        concurrent = self.MAX_CONCURRENT if max_concurrent is None else max_concurrent
        waiting = self.MAX_WAITING if max_waiting is None else max_waiting
        self._configure(_settings(url, api_token, claim_token, timeout, concurrent, waiting))

    def _configure(self, settings: Settings) -> None:
        self.settings = settings


def _settings(
    url: Optional[str],
    api_token: Optional[str],
    claim_token: Optional[str],
    timeout: float,
    max_concurrent: int,
    max_waiting: int,
) -> Settings:
    url = _url(os.environ.get("REGISTRY_URL") or "http://127.0.0.1:8080") if url is None else _url(url)
    api_token = api_token or os.environ.get("REGISTRY_API_TOKEN") or None
    claim_token = claim_token or os.environ.get("REGISTRY_CLAIM_TOKEN") or None
    for name, token in (("REGISTRY_API_TOKEN", api_token), ("REGISTRY_CLAIM_TOKEN", claim_token)):
        if token is not None and not TOKEN.fullmatch(token):
            raise Invalid(f"{name} has a character that no bearer token has (a line end of its file?)")
    if not timeout > 0:
        raise Invalid(f"timeout is {timeout!r}: must be more than 0 seconds")
    if max_concurrent < 1 or max_waiting < 0:
        raise Invalid(f"max_concurrent is {max_concurrent} and max_waiting {max_waiting}: must be 1 and 0, or more")
    return Settings(url, api_token, claim_token, timeout, max_concurrent, max_waiting)


def _url(text: str) -> str:
    try:
        parts = urllib.parse.urlsplit(text)
        parts.port  # raises if it is no number
    except ValueError as error:
        raise Invalid(f"REGISTRY_URL is {text!r}: {error}") from None
    plain = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    if not plain or "?" in text or "#" in text or not text.isprintable() or " " in text:
        raise Invalid(f"REGISTRY_URL is {text!r}: want http://HOST:PORT or https://HOST")
    return text.rstrip("/")
