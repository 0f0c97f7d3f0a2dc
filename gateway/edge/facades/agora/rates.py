"""The vendor's own rates, for who wants to be held to them as there (agora.md, Limits; vendors.md §3.4 to 3.6)."""

from __future__ import annotations

import enum

from gateway.domain.errors import Kind, Problem
from gateway.domain.rates import Bucket


class Rate(enum.Enum):
    """What is counted."""

    USER_MESSAGES = "user_messages"
    GROUP_MESSAGES = "group_messages"
    ROOM_MESSAGES = "room_messages"
    CHANNELS = "channels"
    HISTORY_FILES = "history_files"


_RATES = {
    Rate.USER_MESSAGES: (100, 6_000, 1),
    Rate.GROUP_MESSAGES: (20, 20, 1),
    Rate.ROOM_MESSAGES: (100, 100, 1),
    Rate.CHANNELS: (100, 100, 1),
    Rate.HISTORY_FILES: (1, 60, 6),
}
"""Tokens a second, how many at once, and how many one takes."""


class Rates:
    """Counts what each app asks of this node. One more app takes five buckets, and there are as many as apps."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, Rate], Bucket] = {}

    def spend(self, app: int, rate: Rate, count: int, now_ms: int) -> None:
        """Take so many of an app; raises `RATE_LIMITED` and takes nothing where they are not there yet."""
        per_s, burst, each = _RATES[rate]
        bucket = self._buckets.get((app, rate))
        if bucket is None:
            bucket = self._buckets[app, rate] = Bucket(per_s, burst)
        wait_ms = bucket.take(count * each, now_ms)
        if wait_ms:
            raise Problem(Kind.RATE_LIMITED, "this app asks too often", retry_after_ms=wait_ms)
