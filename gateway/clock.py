"""The clock. It is passed to whatever needs the time, so that tests can move it."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Return the wall clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def ticks_ms() -> int:
    """Return a clock that never jumps, in milliseconds since some moment: for silence, graces and timeouts."""
    return time.monotonic_ns() // 1_000_000
