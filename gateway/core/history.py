"""Conversations as a user looks back on them: pages, the recent list, deletion (lanying.md)."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.principal import Principal
from gateway.core.writer import Writer
from gateway.domain.drafts import DeleteDraft, Refused
from gateway.domain.errors import Kind, Problem
from gateway.store.base import History, Recent, Store

_SENTENCES = {
    Kind.NOT_A_MEMBER: "not a member of group {}",
    Kind.GROUP_UNKNOWN: "there is no group {}",
    Kind.GROUP_BLOCKED: "chatroom {} keeps this user out",
}


class Conversations:
    """Reads and deletes conversations for a principal."""

    def __init__(self, store: Store, writer: Writer, clock_ms: Callable[[], int]) -> None:
        self._store = store
        self._writer = writer
        self._now = clock_ms

    async def page(self, principal: Principal, opposite_xid: int, start: int, limit: int) -> History:
        """Page a conversation towards older from `start` (0: newest, inclusive). An unknown one is empty."""
        principal.confine(opposite_xid, "opposite_id")
        opposite = await self._store.party(principal.app.id, opposite_xid)
        if opposite is None:
            return History([], 0)
        page = await self._store.history(principal.user, opposite, start, limit)
        if isinstance(page, Kind):
            raise Problem(page, _SENTENCES[page].format(opposite_xid))
        return page

    async def unread(self, principal: Principal) -> list[Recent]:
        """List recent conversations with their unread counts, newest first; a group's owner-by-header sees only it."""
        group_id = 0
        if principal.group_xid:
            group = await self._store.party(principal.app.id, principal.group_xid)
            if group is None:
                return []
            group_id = group.id
        return await self._store.recent(principal.user.id, group_id)

    async def delete(self, principal: Principal, conversation_xid: int) -> None:
        """Hide everything up to the newest at commit, on all devices of the asker. Marks nothing read."""
        principal.confine(conversation_xid, "conversation_id")
        opposite = await self._store.party(principal.app.id, conversation_xid)
        if opposite is None:
            return
        answer = await self._writer.submit(
            DeleteDraft(
                app=principal.app.id,
                user_id=principal.user.id,
                opposite_id=opposite.id,
                opposite_xid=opposite.xid,
                scope=opposite.scope,
                at=self._now(),
            )
        )
        if isinstance(answer, Refused):
            raise Problem(answer.kind, answer.sentence)
