"""How fast something may be asked for: a token bucket, which is told the time."""

from __future__ import annotations

_WHOLE = 1000
"""Parts of one token: at n tokens a second, a millisecond brings exactly n of them."""


class Bucket:
    """Lets `burst` go at once and `per_s` a second in the long run. It begins full.

    Both are at least 1. Numbers are whole, so that nothing is lost to rounding however long it lives.
    """

    __slots__ = ("_at", "_full", "_level", "_per_s")

    def __init__(self, per_s: int, burst: int) -> None:
        self._per_s = per_s
        self._full = self._level = burst * _WHOLE
        # Full already, so that whatever the clock shows first brings nothing more.
        self._at = 0

    def is_full(self, now_ms: int) -> bool:
        """Say whether a whole burst may go now."""
        return self._level + (now_ms - self._at) * self._per_s >= self._full

    def take(self, n: int, now_ms: int, patience_ms: int = 0) -> int:
        """Take n tokens and return 0, or take nothing and return in how many ms to ask again.

        Who has patience takes them also where they are not there yet, but will be in time: the answer is then in
        how many ms, at most `patience_ms`, and whoever asks next stands behind. An answer above it took nothing.

        More than a whole burst is taken from a full bucket, which then owes the rest. A clock that goes back
        brings nothing, and takes nothing away.
        """
        passed_ms = now_ms - self._at
        self._at = now_ms
        if passed_ms > 0:
            self._level = min(self._full, self._level + passed_ms * self._per_s)
        asked = n * _WHOLE
        missing = min(asked, self._full) - self._level
        later_ms = max(0, -(-missing // self._per_s))
        if later_ms <= patience_ms:
            self._level -= asked
        return later_ms


FLOOD_BURSTS = 10
"""How many bursts of refusals it takes until somebody is called flooding."""


class Ration:
    """What one device may ask for: past the rate it is refused, and past all patience it is made to wait.

    It is `flooding` once it was refused ten bursts' worth, until it has kept so quiet that its bucket is full
    again. Whoever reads its requests then does best to read none until `take` gives one.
    """

    __slots__ = ("_bucket", "_patience", "_refused")

    def __init__(self, per_s: int, burst: int) -> None:
        self._bucket = Bucket(per_s, burst)
        self._patience = FLOOD_BURSTS * burst
        self._refused = 0

    def take(self, now_ms: int, *, again: bool = False) -> int:
        """Take one request and return 0, or refuse it and return in how many ms to ask `again`.

        Who only asks again has not kept quiet.
        """
        if not again and self._bucket.is_full(now_ms):
            self._refused = 0
        wait_ms = self._bucket.take(1, now_ms)
        if wait_ms:
            self._refused += 1
        return wait_ms

    @property
    def flooding(self) -> bool:
        """Whether it takes no notice of being refused."""
        return self._refused >= self._patience
