"""Who waits behind whom: no two batches in flight name a user or group in common (design §4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from gateway.domain.drafts import Answer, Draft
from gateway.domain.errors import Problem

TellAnswer = Callable[[Answer | Problem], None]
"""Hears once what has become of a draft, and neither waits nor fails."""


class Waiter:
    """A draft that waits, what it weighs, and who is told its answer."""

    __slots__ = ("ahead", "draft", "held", "lines", "rows", "size", "tell")

    def __init__(self, draft: Draft, tell: TellAnswer) -> None:
        self.draft = draft
        self.tell = tell
        # A draft works them out each time it is asked.
        self.rows = draft.rows
        self.size = draft.size
        self.lines: Sequence[_Line] = ()
        self.ahead = 0
        """In how many of its lines others stand before it."""
        self.held = False
        """Whether it is first in all of them, and a batch in flight has to land before it can go."""


class _Line:
    """The drafts that name one party and wait, in the order they came, and the batch that names it (0: none does)."""

    __slots__ = ("flight", "key", "waiting")

    def __init__(self, key: tuple[int, int]) -> None:
        self.key = key
        self.flight = 0
        self.waiting: deque[Waiter] = deque()


class Parties:
    """A line for each user and group that a draft names, waiting or in flight.

    A draft stands in the lines of all its parties and may go when it is first in every one of them: nothing is ever
    searched, so what waits for a busy group costs those nothing that have no business with it.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[int, int], _Line] = {}
        self._flight = 0

    def enter(self, waiter: Waiter) -> bool:
        """Let a draft wait in its lines; whether it is first in all of them."""
        app = waiter.draft.app
        waiter.lines = [self._line((app, xid)) for xid in waiter.draft.parties]
        for line in waiter.lines:
            if line.waiting:
                waiter.ahead += 1
            line.waiting.append(waiter)
        return not waiter.ahead

    def _line(self, key: tuple[int, int]) -> _Line:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(key)
        return line

    def begin(self) -> None:
        """Begin another batch: who boards from now on is in it."""
        self._flight += 1

    def board(self, waiter: Waiter) -> list[Waiter] | None:
        """Let one go that is first in all its lines; return those who are first now, and may go with it.

        None where it meets a batch in flight: `leave` returns it when that may be over.
        """
        flight = self._flight
        for line in waiter.lines:
            if line.flight and line.flight != flight:
                waiter.held = True
                return None
        first = []
        for line in waiter.lines:
            line.flight = flight
            line.waiting.popleft()
            if line.waiting:
                following = line.waiting[0]
                following.ahead -= 1
                if not following.ahead:
                    first.append(following)
        return first

    def leave(self, batch: Sequence[Waiter]) -> list[Waiter]:
        """A batch has landed: return those who were held by it."""
        freed = []
        for waiter in batch:
            for line in waiter.lines:
                line.flight = 0
                if not line.waiting:
                    self._lines.pop(line.key, None)
                elif line.waiting[0].held:
                    line.waiting[0].held = False
                    freed.append(line.waiting[0])
        return freed
