"""A bounded memory of answers: what was asked least recently goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """At most `entries_max` values by key. It forgets; it never answers what was not put in.

    With `age_max` a value is believed for so long after it was put in, by `clock`, in the same unit.
    """

    def __init__(
        self, entries_max: int, *, age_max: int | None = None, clock: Callable[[], int] = lambda: 0
    ) -> None:
        self._entries_max = entries_max
        self._age_max = age_max
        self._clock = clock
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._put_at: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value of a key, which counts as a use of it; None where it is not known (any more)."""
        value = self._entries.get(key)
        if value is None:
            return None
        if self._age_max is not None and self._clock() - self._put_at[key] >= self._age_max:
            self.forget(key)
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember a value, and forget the least recently used ones that no longer fit."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if self._age_max is not None:
            self._put_at[key] = self._clock()
        while len(self._entries) > self._entries_max:
            self.forget(next(iter(self._entries)))

    def forget(self, key: K) -> None:
        """Drop a key, known or not."""
        self._entries.pop(key, None)
        self._put_at.pop(key, None)

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._put_at.clear()
