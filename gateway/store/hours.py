"""Between which ids the messages of an hour lie, the same on every engine.

The table `hour` says so of each hour (of 3,600,000 ms since 1970) that a message was sent in: all of them lie from
`first` to `last`, among others perhaps, for `last` is further than it need be. So it is written once for many messages,
and a batch pays for a look at one row. Who reads an hour walks from one to the other in the order of the ids, and
leaves out what was sent in another. An index by time would hold an entry of each message, in another order than pages.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.model import SAFE_MAX
from gateway.store.base import Record, Records, Span
from gateway.store.rows import to_message

HOUR_MS = 3_600_000

COLUMNS = 16
"""How many columns `to_message` takes; the names of sender and target follow them."""


def to_records(looked: int, upto: int, limit: int, found: int, rows: Sequence[Sequence[object]]) -> Records:
    """Build a page of its rows, by rising id, of `found` that lie among so many that were `looked` at, the last `upto`.

    Where not all that was found is in the page it goes on after the last that is.
    """
    records = [Record(to_message(row[:COLUMNS]), str(row[COLUMNS]), str(row[COLUMNS + 1])) for row in rows]
    if len(records) < found:
        return Records(records, records[-1].message.msg_id)
    return Records(records, upto if looked == limit else 0)


def to_spans(hours: int, hours_max: int, *spans: tuple[int | None, int | None]) -> list[Span]:
    """Put together where messages lie of so many `hours` (above `hours_max` they were not all read).

    `spans` are that of what was sent here and that of what was imported, which may be of any time; None: there is none.
    """
    if hours > hours_max:
        return [(1, SAFE_MAX)]
    known = sorted((first, last) for first, last in spans if first is not None and last is not None)
    if len(known) == len(spans) and known[1][0] <= known[0][1]:
        return [(known[0][0], max(last for _, last in known))]
    return known
