"""Looking for messages in a conversation, as a user may see them: pages both ways, threads, and who has read one.

Texts are as they stand now: what appends to a message and what replaces it is folded into it here, as clients do it by
themselves with what they get.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.conversations import judge_readers, refusal
from gateway.core.folding import fold
from gateway.core.known import Known
from gateway.core.principal import Principal
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import FOREVER, SAFE_MAX, HistoryItem, User
from gateway.store.base import Party, Readers, Sought, Span, Store

SOME_MAX = 100
"""Messages that are asked for by their ids at a time."""

REPLIES_COUNTED_MAX = 999


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for: messages that show a time from `from_ms` to `to_ms` (inclusive), of some content types.

    The order is that of the ids; `after` is the message after which, in this direction, the page begins (0: at the
    end). No `ctypes`: of all.
    """

    from_ms: int = 0
    to_ms: int = FOREVER
    ctypes: frozenset[int] = frozenset()
    descending: bool = True
    after: int = 0
    limit: int


class Looked(msgspec.Struct, frozen=True):
    """A page. `after`: there are more after this message, which begin the next page; 0: there are none."""

    items: list[HistoryItem]
    after: int


class Thread(msgspec.Struct, frozen=True):
    """A message, how many replies to it the asker may see (counted up to a bound), and a page of them."""

    root: HistoryItem
    total: int
    page: Looked


class Looking:
    """Looks for messages for a principal. A conversation with nobody is an empty one; others refuse as pages do."""

    def __init__(self, store: Store, limits: Limits, known: Known) -> None:
        self._store = store
        self._limits = limits
        self._known = known

    async def page(self, principal: Principal, opposite_xid: int, look: Look) -> Looked:
        """Page through what is looked for. `after` is exact when the page was found.

        What is taken back while a page is put together is missing from it. Raises `NOT_A_MEMBER`, `GROUP_UNKNOWN` and
        `GROUP_BLOCKED`.
        """
        opposite = await self._opposite(principal, opposite_xid)
        if opposite is None:
            return Looked([], 0)
        return await self._page(principal.user, opposite, look, 0)

    async def some(
        self, principal: Principal, opposite_xid: int, msg_ids: Sequence[int]
    ) -> dict[int, HistoryItem]:
        """Read those of at most `SOME_MAX` messages that lie in this conversation and that the asker may see."""
        assert len(msg_ids) <= SOME_MAX, "more than an answer holds"
        opposite = await self._opposite(principal, opposite_xid)
        if opposite is None:
            return {}
        return await self._some(principal.user, opposite, msg_ids)

    async def thread(
        self,
        principal: Principal,
        opposite_xid: int,
        root_id: int,
        look: Look,
        *,
        total_max: int = REPLIES_COUNTED_MAX,
    ) -> Thread:
        """Page through the replies to a message; raises `MESSAGE_UNKNOWN` for one that the asker may not see.

        `total` counts all of them, whatever is looked for, up to `total_max`.
        """
        user, opposite = principal.user, await self._opposite(principal, opposite_xid)
        roots = await self._some(user, opposite, [root_id]) if opposite else {}
        if opposite is None or root_id not in roots:
            raise Problem(Kind.MESSAGE_UNKNOWN, f"there is no message {root_id} in this conversation")
        replies = await self._seek(user, opposite, Look(limit=total_max), total_max, root_id)
        page = await self._page(user, opposite, look, root_id)
        return Thread(roots[root_id], len(replies), page)

    async def readers(self, principal: Principal, opposite_xid: int, msg_id: int, limit: int) -> Readers:
        """Say who has read a group's message and who has not: exact counts, and at most `limit` of either.

        Refuses as `Conversations.readers` does, with `MESSAGE_UNKNOWN` for a message of another conversation, too; but
        an admin that acts for a member may know what an admin may.
        """
        principal.confine(opposite_xid, "opposite_id")
        await judge_readers(self._store, principal, msg_id, opposite_xid)
        return await self._store.readers(principal.app.id, msg_id, 0, limit, unread_max=limit)

    # -- how it is found --------------------------------------------------------------------------------

    async def _opposite(self, principal: Principal, opposite_xid: int) -> Party | None:
        principal.confine(opposite_xid, "opposite_id")
        return await self._known.party(principal.app, opposite_xid)

    async def _page(self, user: User, opposite: Party, look: Look, root: int) -> Looked:
        # One further than asked for tells whether there is more.
        found = await self._seek(user, opposite, look, look.limit + 1, root)
        listed = found[: look.limit]
        items = await self._some(user, opposite, listed) if listed else {}
        after = listed[-1] if len(found) > look.limit else 0
        return Looked([items[msg_id] for msg_id in listed if msg_id in items], after)

    async def _seek(self, user: User, opposite: Party, look: Look, wanted: int, root: int) -> list[int]:
        """Find so many messages, or all there are, in the order looked for."""
        found: list[int] = []
        for span in await self._spans(look):
            if len(found) < wanted:
                found += await self._seek_in(span, user, opposite, look, wanted - len(found), root)
        return found

    async def _spans(self, look: Look) -> list[Span]:
        """Between which ids what is looked for may lie, in the order looked for: at least one span, if an empty one."""
        spans: list[Span] = [(1, SAFE_MAX)]
        if look.from_ms > 0 or look.to_ms < FOREVER:
            spans = await self._store.spans(max(look.from_ms, 0), min(look.to_ms, FOREVER))
        if look.after and look.descending:
            spans = [(first, min(last, look.after - 1)) for first, last in spans]
        elif look.after:
            spans = [(max(first, look.after + 1), last) for first, last in spans]
        left = [(first, last) for first, last in spans if first <= last]
        # Whether the asker may look there is asked even where there is nothing.
        return (left[::-1] if look.descending else left) or [(1, 0)]

    async def _seek_in(
        self, span: Span, user: User, opposite: Party, look: Look, wanted: int, root: int
    ) -> list[int]:
        """Find so many messages of a span, piece by piece: whoever else asks the store comes in between."""
        first, last = span
        found: list[int] = []
        # Mostly what comes next is what is looked for; where it is not, it may be rare.
        scan = min(wanted, self._limits.look_scan_max)
        while True:
            sought = Sought(
                first=first,
                last=last,
                descending=look.descending,
                from_ms=look.from_ms,
                to_ms=look.to_ms,
                ctypes=look.ctypes,
                root=root,
                scan=scan,
                limit=wanted - len(found),
            )
            sighted = await self._store.seek(user, opposite, sought)
            if isinstance(sighted, Kind):
                raise refusal(sighted, opposite.xid)
            found += sighted.msg_ids
            if len(found) == wanted or not sighted.upto:
                return found
            first, last = (first, sighted.upto - 1) if look.descending else (sighted.upto + 1, last)
            scan = self._limits.look_scan_max

    async def _some(self, user: User, opposite: Party, msg_ids: Sequence[int]) -> dict[int, HistoryItem]:
        """Read messages, with what was folded into them."""
        items = await self._store.some(user, opposite, msg_ids)
        if isinstance(items, Kind):
            raise refusal(items, opposite.xid)
        left = list(items)
        while left:
            told = await self._store.folded(user, left, self._limits.look_bytes_max)
            for msg_id, folds in told.folds.items():
                items[msg_id] = fold(items[msg_id], folds, self._limits.content_bytes_max)
            left = left[told.count :]
        return items
