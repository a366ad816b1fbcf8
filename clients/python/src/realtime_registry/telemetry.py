"""What the guard counts and logs. The metrics are OpenTelemetry's, if its API is
installed, by the names of the Go middleware."""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from typing import Any

from .clock import now
from .errors import RegistryError
from .ownership import Ownership

logger = logging.getLogger("realtime_registry")

LINES_PER_SECOND = 10


class Counts:
    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.reported: Counter[str] = Counter()
        self._ended = _counter(
            "registry.middleware.streams.ended", "{stream}", "Open streams that were ended, by reason."
        )
        self._reported = _counter(
            "registry.middleware.report_only", "{request}", "Requests that passed and would have been refused, by outcome."
        )
        self._second, self._lines, self._suppressed = 0, 0, 0

    def end(self, reason: str) -> None:
        self.ended[reason] += 1
        if self._ended is not None:
            self._ended.add(1, {"reason": reason})

    def report(self, asked: Ownership, outcome: str, error: RegistryError) -> None:
        """Logs ten lines a second at most; what was held back is counted in the next."""
        self.reported[outcome] += 1
        if self._reported is not None:
            self._reported.add(1, {"outcome": outcome})
        if int(now()) != self._second:
            self._second, self._lines = int(now()), 0
        self._lines += 1
        if self._lines > LINES_PER_SECOND:
            self._suppressed += 1
            return
        logger.warning(
            "report only: let pass what would have been refused: tenant_id=%s resource=%s/%s outcome=%s error=%r suppressed=%d",
            asked.tenant, asked.kind, asked.id, outcome, str(error), self._suppressed,
        )  # fmt: skip
        self._suppressed = 0


def _counter(name: str, unit: str, description: str) -> Any:
    try:
        metrics = importlib.import_module("opentelemetry.metrics")
    except ImportError:
        return None
    return metrics.get_meter("realtime_registry").create_counter(name, unit, description)
