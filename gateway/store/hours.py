"""Between which ids the messages of an hour lie, the same on every engine.

The table `hour` says so of each hour (of 3,600,000 ms since 1970) that a message was sent in: all of them lie from
`first` to `last`, among others perhaps, for `last` is further than it need be. So it is written once for many messages,
and a batch pays for a look at one row. Who reads an hour walks from one to the other in the order of the ids, and
leaves out what was sent in another. An index by time would hold an entry of each message, in another order than pages.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.store.base import Record, Records
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
