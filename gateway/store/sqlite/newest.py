"""The newest message of each conversation of two users, which the table is told late and in bulk.

`conversation` is the one table whose rows a send moves far apart, and twice each, for they stand in an index by their
newest message too: four of the seven pages that a send between any two users made a commit write. None of it is needed
to know what is newest, for messages themselves say so. So `conversation.last` may be behind: `meta.told_to` is a
message up to which it is not, and what came after that is held here, in the writer's memory, until it is told. That is
in the order of the table, some with each batch: as many pages are written once for what many batches brought.

Nothing rests on this memory: it is read anew from the messages above `told_to` wherever a store is opened, and whoever
needs a row to be exact has it told first (`settle`), or adds what is held here to what it reads (`held`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.store.rows import IN_RECEIVERS_LIST, IN_SENDERS_LIST
from gateway.store.run import Brought
from gateway.store.sqlite.lane import one, table
from gateway.store.sqlite.many import Many

Pair = tuple[int, int]
"""A conversation as one user has it: (whose it is, with whom)."""

BEHIND = f"""
SELECT usr, opp, max(last) AS last FROM (
    SELECT target AS usr, peer AS opp, msg_id AS last FROM message
    WHERE msg_id > (SELECT told_to FROM meta) AND peer = sender AND {IN_RECEIVERS_LIST}
    UNION ALL
    SELECT sender, target, msg_id FROM message
    WHERE msg_id > (SELECT told_to FROM meta) AND peer = sender AND {IN_SENDERS_LIST})
GROUP BY usr, opp
"""
"""Selects what the table may not know yet."""

_BEHIND = f"SELECT json_group_array(json_array(usr, opp, last)) FROM ({BEHIND})"

LEAST = 64
"""So many are told with a batch at the least, where any are."""

_TELL = Many(
    "INSERT INTO conversation (usr, opp, last) VALUES",
    "(?, ?, ?)",
    "ON CONFLICT (usr, opp) DO UPDATE SET last = excluded.last",
)


class Told(NamedTuple):
    """What a batch tells the table: rows of it, and whether that ends a round; `told_to` is what holds then."""

    rows: list[tuple[int, int, int]]
    ends: bool
    told_to: int


class Newest:
    """What the table is behind by, at most about `behind_max` conversations and as many messages.

    All is done on the writer's thread but `held`. What a transaction tells or brings is noted (`note`) when it has
    committed, so that one that is undone leaves no trace.
    """

    def __init__(self, behind_max: int) -> None:
        self._behind_max = behind_max
        self._held: Brought = {}
        self._count = 0
        self._told_to = 0
        self._next_msg_id = 0
        # A round goes once through all who are held when it begins, the greatest first in this list.
        self._round: list[int] = []
        self._began_at = 0

    def load(self, conn: sqlite3.Connection) -> None:
        """Read what the table is behind by.

        What was held before is so until all is read: lists are read meanwhile, and where this fails, until it does not.
        """
        told_to, next_msg_id = one(conn, "SELECT told_to, next_msg_id FROM meta")
        behind = table(conn, _BEHIND)
        held: Brought = {}
        for usr, opp, last in behind:
            held.setdefault(usr, {})[opp] = last
        self._held, self._round, self._count = held, [], len(behind)
        self._told_to, self._next_msg_id = told_to, next_msg_id

    def held(self, user_id: int) -> dict[int, int]:
        """With whom a user has conversations that the table may be behind in, and their newest messages."""
        # One call that cannot be interrupted: the writer's thread changes what is copied.
        return self._held.get(user_id, {}).copy()

    def settle(self, conn: sqlite3.Connection, pairs: Iterable[Pair], new: Brought) -> None:
        """Tell the table of these conversations; `new` is what this transaction has brought by itself."""
        known = [
            (usr, opp, last)
            for usr, opp in pairs
            if (last := new.get(usr, {}).get(opp) or self._held.get(usr, {}).get(opp, 0))
        ]
        if known:
            _write(conn, known, one(conn, "SELECT swept_to FROM meta")[0])

    def tell(self, conn: sqlite3.Connection, new: Brought, next_msg_id: int, swept_to: int) -> Told | None:
        """Tell the table as much as a batch brings, where it is too far behind."""
        count = sum(map(len, new.values()))
        if max(self._count + count, (next_msg_id - self._told_to) // 2) <= self._behind_max:
            return None
        if not self._round:
            self._round = sorted(self._held, reverse=True)
            # Not at this batch: what it brings is held only after it, and may come too late for the round.
            self._began_at = self._next_msg_id
        return self._tell(conn, count + LEAST, swept_to, new)

    def tell_all(self, conn: sqlite3.Connection) -> None:
        """Tell the table all, in a transaction of its own: it is behind by nothing."""
        next_msg_id, swept_to = one(conn, "SELECT next_msg_id, swept_to FROM meta")
        if self._told_to == next_msg_id - 1:
            return
        self._round = sorted(self._held, reverse=True)
        self._began_at = next_msg_id
        conn.execute("BEGIN IMMEDIATE")
        try:
            told = self._tell(conn, self._count, swept_to, {})
            conn.execute("COMMIT")
        except BaseException:
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            raise
        self.note(told, {}, next_msg_id)

    def _tell(self, conn: sqlite3.Connection, count: int, swept_to: int, new: Brought) -> Told:
        """Tell the table of the next conversations of the round, in its own order."""
        chosen: list[tuple[int, int, int]] = []
        for usr in reversed(self._round):
            theirs = self._held[usr]
            # Of what this batch brings the table may know already (`settle`): it must not go back.
            newer = theirs | new[usr] if usr in new else theirs
            chosen += [(usr, opp, newer[opp]) for opp in sorted(theirs)]
            if len(chosen) > count:
                break
        told = Told(chosen[:count], len(chosen) <= count, self._began_at - 1)
        _write(conn, told.rows, swept_to)
        if told.ends:
            conn.execute("UPDATE meta SET told_to = ?", (told.told_to,))
        return told

    def note(self, told: Told | None, new: Brought, next_msg_id: int) -> None:
        """Note what a transaction has told and brought, now that it has committed."""
        if told:
            for usr, opp, _ in told.rows:
                theirs = self._held[usr]
                del theirs[opp]
                if not theirs:
                    del self._held[usr]
            self._count -= len(told.rows)
            while self._round and self._round[-1] not in self._held:
                self._round.pop()
            if told.ends:
                self._round.clear()
                self._told_to = told.told_to
        self._next_msg_id = next_msg_id
        self._hold(new)

    def _hold(self, new: Brought) -> None:
        held = self._held
        for usr, brought in new.items():
            theirs = held.get(usr)
            if theirs is None:
                held[usr] = brought
                self._count += len(brought)
            else:
                self._count -= len(theirs)
                theirs.update(brought)
                self._count += len(theirs)


def _write(conn: sqlite3.Connection, told: Sequence[tuple[int, int, int]], swept_to: int) -> None:
    """Write rows of the table, but none that retention has removed: it must not come back."""
    _TELL.run(conn, [row for row in told if row[2] > swept_to])
