"""What was answered, what arrived, and whether that keeps the promises (design §2): pure, to be tested itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

TOLD_MAX = 10
"""So many breaches of one promise are told one by one."""


class Sent(NamedTuple):
    """A send: its text is `tag`, which no other has; `msg_id` 0 until it is answered."""

    tag: str
    app: str
    sender: int
    target: int
    msg_id: int


class Row(NamedTuple):
    """A message as the store has it; `text` is None where it was recalled."""

    app: str
    msg_id: int
    sender: int
    target: int
    text: str | None


class Line(NamedTuple):
    """A timeline as the store has it: its head, and which message each seq holds (0: an entry of another kind)."""

    head: int
    entries: Mapping[int, int]


class Span(NamedTuple):
    """A stay of a user in a group, inclusive; `to_seq` 0: it is open."""

    from_seq: int
    to_seq: int


class Truth(NamedTuple):
    """What the store holds at the end. Timelines and stays are by app and xid."""

    messages: Sequence[Row]
    lines: Mapping[tuple[str, int], Line]
    stays: Mapping[tuple[str, int, int], Sequence[Span]]


class Arrived:
    """What one device has got of its timelines, over all its connections.

    `user` and `g:<id>` are as in the frames. The client itself has judged the order on each connection: what it found
    wrong is in `breaches`.
    """

    def __init__(self, app: str, uid: int, name: str) -> None:
        self.app = app
        self.uid = uid
        self.name = name
        self.seqs: dict[str, dict[int, int]] = defaultdict(dict)
        self.breaches: list[str] = []
        self.foreign: list[str] = []

    def take(self, timeline: str, seq: int, msg_id: int) -> None:
        """Note an entry; one that comes again must be the same."""
        if self.seqs[timeline].setdefault(seq, msg_id) != msg_id:
            was = self.seqs[timeline][seq]
            self.breaches.append(f"seq {seq} of {timeline} was message {was} and is message {msg_id}")


def judge(sent: Iterable[Sent], devices: Iterable[Arrived], truth: Truth) -> list[str]:
    """Return one sentence per breach; none: the promises were kept."""
    told: list[str] = []
    told += _cut("stored once", _stored_once(sent, truth))
    for device in devices:
        told += _cut(device.name, _owed(device, truth))
    return told


def _cut(about: str, found: Sequence[str]) -> list[str]:
    told = [f"{about}: {breach}" for breach in found[:TOLD_MAX]]
    if len(found) > TOLD_MAX:
        told.append(f"{about}: and {len(found) - TOLD_MAX} more")
    return told


def _stored_once(sent: Iterable[Sent], truth: Truth) -> list[str]:
    """Answered ⇒ stored once, as it was sent; not answered ⇒ at most once."""
    breaches = []
    rows = {row.msg_id: row for row in truth.messages}
    copies = Counter((row.app, row.text) for row in truth.messages)
    for one in sent:
        count = copies[one.app, one.tag]
        if count > 1:
            breaches.append(f"{one.tag} is stored {count} times")
        if not one.msg_id:
            continue
        row = rows.get(one.msg_id)
        if row is None:
            breaches.append(f"{one.tag} was answered with message {one.msg_id}, which is not stored")
        elif (row.app, row.sender, row.target, row.text or one.tag) != (
            one.app,
            one.sender,
            one.target,
            one.tag,
        ):
            breaches.append(f"{one.tag} was answered with message {one.msg_id}, which is {row}")
    return breaches


def _owed(device: Arrived, truth: Truth) -> list[str]:
    """Every owed entry came, was what the store holds, and nothing came from outside the user's stays."""
    breaches = [*device.breaches, *device.foreign]
    own = truth.lines.get((device.app, device.uid), Line(0, {}))
    breaches += _compare(device.seqs.get("user", {}), own, "user", [Span(1, 0)])
    groups = {name for name in device.seqs if name.startswith("g:")}
    groups |= {f"g:{group}" for app, group, uid in truth.stays if (app, uid) == (device.app, device.uid)}
    for name in sorted(groups):
        group = int(name[2:])
        line = truth.lines.get((device.app, group), Line(0, {}))
        spans = truth.stays.get((device.app, group, device.uid), ())
        breaches += _compare(device.seqs.get(name, {}), line, name, spans)
    return breaches


def _compare(seqs: Mapping[int, int], line: Line, name: str, spans: Sequence[Span]) -> list[str]:
    breaches = []
    for seq, msg_id in seqs.items():
        if not any(span.from_seq <= seq <= (span.to_seq or seq) for span in spans):
            breaches.append(f"got seq {seq} of {name}, which lies in none of its stays {list(spans)}")
        elif line.entries.get(seq) != msg_id:
            breaches.append(
                f"got seq {seq} of {name} with message {msg_id}, the store has {line.entries.get(seq)}"
            )
    # What is unsent of a stay that has ended is not owed (design §3, Stay).
    for span in spans:
        if not span.to_seq:
            missing = [seq for seq in range(span.from_seq, line.head + 1) if seq not in seqs]
            if missing:
                breaches.append(
                    f"did not get {len(missing)} of the seqs {span.from_seq} to {line.head} of {name}, "
                    f"the first is {missing[0]}"
                )
    return breaches


class Statuses:
    """Statuses as they were read, one after the other: they only rise."""

    def __init__(self) -> None:
        self.breaches: list[str] = []
        self.reads = 0
        self._last: dict[tuple[int, int], int] = {}

    def saw(self, asker: int, msg_id: int, status: int) -> None:
        """Note what a page of history said, after the one before was read whole."""
        self.reads += 1
        before = self._last.get((asker, msg_id), 0)
        if status < before:
            self.breaches.append(f"message {msg_id} was {before} to {asker} and is {status}")
        self._last[asker, msg_id] = max(status, before)
