"""Plain numbers that are counted where things happen; whoever wants them reads them (`metrics`)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from gateway.domain.drafts import Answer, Appended, Draft, Stepped


class Distribution:
    """How often a measured value was at most each of some bounds, and what all of them come to."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        # One more than there are bounds: what is above all of them.
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def note(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


COMMIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
DELAY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Tally:
    """What the writer has committed: messages by app, how many drafts a batch had, and how long it took."""

    __slots__ = ("batches", "commits", "failed", "messages")

    def __init__(self) -> None:
        self.messages: dict[int, int] = {}
        self.batches = Distribution(BATCH)
        self.commits = Distribution(COMMIT_S)
        self.failed = 0

    def note(self, drafts: Sequence[Draft], answers: Sequence[Answer], took_s: float) -> None:
        """Count a batch that was committed."""
        self.batches.note(len(drafts))
        self.commits.note(took_s)
        messages = self.messages
        for draft, answer in zip(drafts, answers, strict=True):
            # The plain case first, and without `match`: this runs for every message.
            if type(answer) is Appended:
                count = len(answer.received)
            elif isinstance(answer, Stepped):
                count = sum(len(appended.received) for _, appended in answer.sent)
            else:
                continue
            messages[draft.app] = messages.get(draft.app, 0) + count
