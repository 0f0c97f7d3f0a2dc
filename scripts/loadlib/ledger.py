"""Who was owed what, and who got it: pure, so that its own arithmetic can be tested.

A message that was answered is owed to every follower of its timelines, once. A timeline's seqs are dense, so
a follower that got 101 … 900 in order needs no list of 800 ids to prove it: the ledger keeps one number per
follower, the ids once per timeline, and sets only for what went wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Timeline:
    """One timeline: which message each seq holds."""

    __slots__ = ("ids", "owed", "seqs", "twice", "watchers")

    def __init__(self) -> None:
        self.ids: dict[int, int] = {}
        self.seqs: dict[int, int] = {}
        self.twice: set[int] = set()
        self.owed: set[int] = set()
        self.watchers: list[Follower] = []

    def learn(self, seq: int, msg_id: int) -> None:
        """Note that a seq holds a message; contradictions are kept as seqs that came twice."""
        if self.ids.setdefault(seq, msg_id) != msg_id or self.seqs.setdefault(msg_id, seq) != seq:
            self.twice.add(seq)


class Follower:
    """One device on one timeline. It starts after `start` and must get each later seq once, in order."""

    __slots__ = ("duplicates", "last", "late", "missing", "start", "timeline")

    def __init__(self, timeline: Timeline, start: int) -> None:
        self.timeline = timeline
        self.start = start
        self.last = start
        self.missing: set[int] = set()
        self.duplicates = 0
        self.late = 0

    def take(self, first: int, count: int) -> None:
        """Note that `count` entries have come, from seq `first` on, one after the other."""
        if first == self.last + 1:
            self.last += count
            return
        for seq in range(first, first + count):
            if seq > self.last:
                self.missing.update(range(self.last + 1, seq))
                self.last = seq
            elif seq in self.missing:
                self.missing.remove(seq)
                self.late += 1
            else:
                self.duplicates += 1

    def has(self, seq: int) -> bool:
        """Whether the entry has come."""
        return self.start < seq <= self.last and seq not in self.missing


class Totals(NamedTuple):
    """The verdict.

    `holes` are seqs that were skipped and held no answered message; `mixed_up` are messages that came with
    the text of another; `stored_twice` are sends that became two messages.
    """

    answered: int
    owed: int
    delivered: int
    lost: int
    duplicated: int
    out_of_order: int
    holes: int
    mixed_up: int
    stored_twice: int

    @property
    def clean(self) -> bool:
        """Everything that was owed came, once, in order, and was what had been sent."""
        return not any(self[3:])


class Ledger:
    """Answers on one side, arrivals on the other.

    `received` and `last_ns`, the number of arrivals and the time of the last one, are kept by who receives.
    """

    def __init__(self) -> None:
        self.received = 0
        self.last_ns = 0
        self.owed = 0
        self.answered = 0
        self._timelines: dict[str, Timeline] = {}
        self._tag_of: dict[int, int] = {}
        self._id_of: dict[int, int] = {}
        self._mixed_up = 0
        self._stored_twice = 0

    def timeline(self, name: str) -> Timeline:
        """Return the timeline of that name, which must be unique among all apps' users and groups here."""
        return self._timelines.setdefault(name, Timeline())

    def follow(self, name: str, start: int) -> Follower:
        """Add a follower that has everything up to seq `start`."""
        follower = Follower(self.timeline(name), start)
        follower.timeline.watchers.append(follower)
        return follower

    def owe(self, msg_id: int, tag: int, names: Iterable[str]) -> None:
        """Note an answered send: `tag` is what its text says it is, `names` the timelines it must be in."""
        self.answered += 1
        self._match(msg_id, tag)
        for name in names:
            timeline = self.timeline(name)
            timeline.owed.add(msg_id)
            self.owed += len(timeline.watchers)

    def saw(self, msg_id: int, tag: int) -> None:
        """Note what the text of a message that came says it is."""
        self._match(msg_id, tag)

    def _match(self, msg_id: int, tag: int) -> None:
        if self._tag_of.setdefault(msg_id, tag) != tag:
            self._mixed_up += 1
        elif self._id_of.setdefault(tag, msg_id) != msg_id:
            self._stored_twice += 1

    def complete(self) -> bool:
        """Whether every answered message has reached every follower."""
        return self.received >= self.owed and all(
            _has_all(watcher, span)
            for timeline in self._timelines.values()
            if (span := _span(timeline)) is not None
            for watcher in timeline.watchers
        )

    def totals(self) -> Totals:
        """Return the verdict as of now."""
        lost = duplicated = out_of_order = holes = 0
        for timeline in self._timelines.values():
            span = _span(timeline)
            owed_seqs = {timeline.seqs[msg_id] for msg_id in timeline.owed if msg_id in timeline.seqs}
            never_seen = len(timeline.owed) - len(owed_seqs)
            for watcher in timeline.watchers:
                if span is not None and not _has_all(watcher, span):
                    lost += never_seen + sum(not watcher.has(seq) for seq in owed_seqs)
                holes += len(watcher.missing - owed_seqs)
                duplicated += watcher.duplicates + sum(watcher.has(seq) for seq in timeline.twice)
                out_of_order += watcher.late
        return Totals(
            answered=self.answered,
            owed=self.owed,
            delivered=self.owed - lost,
            lost=lost,
            duplicated=duplicated,
            out_of_order=out_of_order,
            holes=holes,
            mixed_up=self._mixed_up,
            stored_twice=self._stored_twice,
        )


def _span(timeline: Timeline) -> tuple[int, float] | None:
    """First and last seq that is owed, the last being infinity while an owed message has come to nobody."""
    if not timeline.owed:
        return None
    seqs = [timeline.seqs.get(msg_id, 0) for msg_id in timeline.owed]
    first = min(seqs)
    return first, max(seqs) if first else float("inf")


def _has_all(watcher: Follower, span: tuple[int, float]) -> bool:
    return watcher.start < span[0] and watcher.last >= span[1] and not watcher.missing
