"""The trace that a question belongs to (W3C Trace Context). OpenTelemetry's, if
its API is installed and a span is current; else what :func:`continued` says."""

from __future__ import annotations

import contextlib
import importlib
import re
from contextvars import ContextVar
from typing import Any, Coroutine, Dict, Iterator, MutableMapping, Optional, TypeVar

_propagate: Any
try:
    _propagate = importlib.import_module("opentelemetry.propagate")
except ImportError:  # it is optional
    _propagate = None

T = TypeVar("T")

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?")
_TRACESTATE = re.compile(r"[ -~]{1,512}")

_continued: ContextVar[Optional[Dict[str, str]]] = ContextVar("realtime_registry_trace", default=None)


@contextlib.contextmanager
def continued(traceparent: str, tracestate: str = "") -> Iterator[None]:
    """Sends the questions within in this trace. What is no traceparent is ignored."""
    headers = {}
    if _TRACEPARENT.fullmatch(traceparent):
        headers["traceparent"] = traceparent
        if _TRACESTATE.fullmatch(tracestate):
            headers["tracestate"] = tracestate
    token = _continued.set(headers)
    try:
        yield
    finally:
        _continued.reset(token)


def carried(call: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """The call in the trace of here, wherever it runs: in a task of another thread."""
    headers: Dict[str, str] = {}
    inject(headers)

    async def run() -> T:
        with continued(headers.get("traceparent", ""), headers.get("tracestate", "")):
            return await call

    return run()


def inject(headers: MutableMapping[str, str]) -> None:
    """Adds what says the trace."""
    if _propagate is not None:
        _propagate.inject(headers)
    if "traceparent" not in headers:
        headers.update(_continued.get() or {})
