"""Many latencies in little memory."""

from __future__ import annotations

from collections.abc import Iterable

_SUB_BITS = 6
"""64 buckets per power of two: a bucket is at most 1.6 % wide."""


class Histogram:
    """Counts of microseconds; its own error is at most 1.6 %, the maximum is exact."""

    def __init__(self) -> None:
        self._counts = [0] * 4096
        self.max_us = 0
        self.count = 0

    def add(self, us: int) -> None:
        """Count one latency, in microseconds."""
        self.add_since(us * 1000, (0,))

    def add_since(self, now_ns: int, then_ns: Iterable[int]) -> None:
        """Count how long ago each of these moments was; all of them nanoseconds of one clock."""
        counts = self._counts
        slowest = self.max_us
        for then in then_ns:
            us = (now_ns - then) // 1000
            slowest = max(slowest, us)
            shift = us.bit_length() - _SUB_BITS - 1
            if shift > 0:
                counts[(shift << _SUB_BITS) + (us >> shift)] += 1
            else:
                counts[us] += 1
            self.count += 1
        self.max_us = slowest

    def quantile_ms(self, share: float) -> float:
        """Return the latency in milliseconds that this share of all stayed at or under; 0 for none."""
        left = share * self.count
        for index, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                return min(_upper_us(index), self.max_us) / 1000
        return 0.0


def _upper_us(index: int) -> int:
    """The greatest number of microseconds that a bucket holds."""
    shift = max(0, (index >> _SUB_BITS) - 1)
    return ((index - (shift << _SUB_BITS) + 1) << shift) - 1
