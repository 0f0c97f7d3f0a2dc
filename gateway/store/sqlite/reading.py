"""Reading conversations on SQLite: what asks for them, and what is remembered of the answers."""

from __future__ import annotations

from gateway.domain.errors import Kind
from gateway.domain.model import Message, Scope, User
from gateway.store.base import History, Party, Readers, Recent, Records, Remembered
from gateway.store.sqlite import conversations, directory, hours, undelivered
from gateway.store.sqlite.changing import Changing
from gateway.store.sqlite.histories import Histories
from gateway.store.sqlite.lane import Lanes
from gateway.store.sqlite.newest import Newest
from gateway.store.sqlite.recents import Recents


class Reading(Lanes):
    """What `SqliteStore` reads of conversations; how work gets to a connection is its own."""

    _newest: Newest
    _changing: Changing
    _histories: Histories
    _recents: Recents

    async def history(self, asker: User, opposite: Party, start: int, limit: int) -> History | Kind:
        """Page a conversation."""
        if opposite.scope is Scope.GROUP:
            # What others in it have got and read is of its pages, and changes all the time.
            return await self._read(lambda conn: conversations.history(conn, asker, opposite, start, limit))
        asked = (asker.id, opposite.id, start, limit)
        known = self._histories.known(asked)
        if known is not None:
            return known
        with self._changing.reading() as since:
            page, chars = await self._read(
                lambda conn: conversations.between(conn, asker, opposite, start, limit)
            )
            self._histories.settle(asked, since, page, chars)
        return page

    async def recent(self, user_id: int, group_id: int = 0) -> list[Recent]:
        """List recent conversations."""
        if group_id:
            limits = self._limits
            found = await self._read(lambda conn: conversations.recent(conn, user_id, group_id, {}, limits))
            return found.listed
        listed, whole = self._recents.known(user_id), False
        while listed is None:
            listed = await self._look_recent(user_id, whole=whole)
            whole = True
        return listed

    async def _look_recent(self, user_id: int, *, whole: bool = False) -> list[Recent] | None:
        """Read what is not known of a list; None, unless it was the `whole`: all of it has to be read."""
        recents, limits = self._recents, self._limits
        with recents.looking(user_id, whole=whole) as look:
            # What the table is not told yet is taken before the snapshot: one that is told meanwhile is in both.
            held, only = self._newest.held(user_id), look.only
            if only is None:
                found = await self._read(lambda conn: conversations.recent(conn, user_id, 0, held, limits))
            else:
                found = await self._read(
                    lambda conn: conversations.outdated(conn, user_id, only, held, limits)
                )
            return recents.settle(look, found)

    async def hour(
        self, app: int, from_ms: int, to_ms: int, after_msg_id: int, limit: int, bytes_max: int
    ) -> Records:
        """Page through the messages of an app that were sent in a span of time."""
        span = (from_ms, to_ms)
        return await self._read(lambda conn: hours.page(conn, app, span, after_msg_id, limit, bytes_max))

    async def message(self, app: int, msg_id: int) -> Message | None:
        """Find a message."""
        return await self._read(lambda conn: conversations.message(conn, app, msg_id))

    async def targets(self, app: int, first_msg_id: int, last_msg_id: int) -> dict[int, tuple[int, int]]:
        """Name the targets of messages."""
        return await self._read(lambda conn: conversations.targets(conn, app, first_msg_id, last_msg_id))

    async def readers(
        self, app: int, msg_id: int, after_xid: int, limit: int, *, unread_max: int = 0
    ) -> Readers:
        """Say who has read a group's message."""
        asked = (app, msg_id, after_xid, limit, unread_max)
        return await self._read(lambda conn: conversations.readers(conn, *asked))

    async def undelivered(self, user_id: int) -> int:
        """Count what no device of a user has got yet."""
        most = self._limits.undelivered_max
        return await self._read(lambda conn: undelivered.undelivered(conn, user_id, most))

    async def awaits(self, user_id: int, msg_id: int) -> bool | None:
        """Say whether a message for a user is UNREAD."""
        return await self._read(lambda conn: undelivered.awaits(conn, user_id, msg_id))

    async def transaction(self, app: int, sender_xid: int, key: str) -> Remembered | None:
        """Look up a transaction key."""
        return await self._read(lambda conn: directory.find_transaction(conn, app, sender_xid, key))
