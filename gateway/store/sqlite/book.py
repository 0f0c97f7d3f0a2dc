"""The users and groups that batches have named, as the writer left them: no batch reads again what it knows.

One process owns the store and one thread writes, so that this is what the tables say, exactly, for as long as every
transaction that may move a timeline, or change what a party is, by itself has all of it forgotten (`forget`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import islice

from gateway.domain.drafts import MessageDraft
from gateway.store.run import Moving, Named, named
from gateway.store.sqlite.many import Many

_PARTIES = Many(
    """SELECT json_group_array(json_array(t.app, t.xid, t.id, t.kind, t.head, t.facts_version, t.last, t.state))
    FROM (VALUES""",
    "(?, ?)",
    ") AS j CROSS JOIN timeline AS t ON t.app = j.column1 AND t.xid = j.column2",
)


class Book:
    """Remembers at most `parties_max` users and groups between batches; who has been in it longest goes first.

    For the writer's thread alone.
    """

    def __init__(self, parties_max: int) -> None:
        self._parties_max = parties_max
        self._parties: dict[Named, Moving] = {}

    def read(self, conn: sqlite3.Connection, drafts: Sequence[MessageDraft]) -> dict[Named, Moving]:
        """Return whom drafts name, and others, as far as they are there. It is the book itself that is returned."""
        parties = self._parties
        missing = named(drafts).difference(parties)
        if missing:
            for app, xid, *rest in _PARTIES.read(conn, list(missing)):
                parties[app, xid] = Moving(app, xid, *rest)
        return parties

    def forget(self) -> None:
        """Read everybody anew."""
        self._parties.clear()

    def shrink(self) -> None:
        """Forget whoever is too many; between batches."""
        parties = self._parties
        for one in list(islice(parties, max(0, len(parties) - self._parties_max))):
            del parties[one]
