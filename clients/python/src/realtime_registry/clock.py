"""The clock of ages and deadlines, in seconds. It goes on while the machine sleeps,
if the system has such a clock: what was certified before that is old after it."""

from __future__ import annotations

import time

if hasattr(time, "CLOCK_BOOTTIME"):

    def now() -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:

    def now() -> float:
        return time.monotonic()
