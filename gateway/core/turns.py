"""What waits for one thing, by app: apps take turns, so that an app that asks for much makes itself wait."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue that gives one of each app in turn; what one app has in it keeps its order.

    Who comes waits for what is before it of its own app, and for one of each other app in between. The writer's queue
    (`Waiting`) does the same by batches, and knows sizes, parties and what goes alone.
    """

    def __init__(self) -> None:
        # In the order of their turns; none is empty.
        self._apps: dict[int, deque[T]] = {}

    def __len__(self) -> int:
        """How many apps have something in it."""
        return len(self._apps)

    def put(self, app: int, one: T) -> None:
        """Let one wait."""
        self._apps.setdefault(app, deque()).append(one)

    def take(self) -> T:
        """Take the next; there must be one."""
        app = next(iter(self._apps))
        waiting = self._apps.pop(app)
        one = waiting.popleft()
        if waiting:
            self._apps[app] = waiting
        return one
