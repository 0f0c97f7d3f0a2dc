"""Conversations as a user looks back on them: pages, the recent list, deletion (lanying.md)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.core.known import Known
from gateway.core.paging import after, page_of
from gateway.core.principal import Principal
from gateway.core.writer import Writer
from gateway.domain import rules
from gateway.domain.drafts import DeleteDraft, Refused
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.model import Group, Scope
from gateway.store.base import History, Recent, Store

_SENTENCES = {
    Kind.NOT_A_MEMBER: "not a member of group {}",
    Kind.GROUP_UNKNOWN: "there is no group {}",
    Kind.GROUP_BLOCKED: "chatroom {} keeps this user out",
}


class ReadersPage(msgspec.Struct, frozen=True):
    """How many have `read` a group's message and how many not, and a page of those who have.

    `cursor` fetches the next page, empty after the last; `version` is of the group's members.
    """

    read: int
    unread: int
    xids: list[int]
    cursor: str
    version: int


class Conversations:
    """Reads and deletes conversations for a principal."""

    def __init__(self, store: Store, writer: Writer, clock_ms: Callable[[], int], known: Known) -> None:
        self._store = store
        self._known = known
        self._writer = writer
        self._now = clock_ms

    async def page(self, principal: Principal, opposite_xid: int, start: int, limit: int) -> History:
        """Page a conversation towards older from `start` (0: newest, inclusive). An unknown one is empty."""
        principal.confine(opposite_xid, "opposite_id")
        opposite = await self._known.party(principal.app, opposite_xid)
        if opposite is None:
            return History([], 0)
        page = await self._store.history(principal.user, opposite, start, limit)
        if isinstance(page, Kind):
            raise refusal(page, opposite_xid)
        return page

    async def unread(self, principal: Principal) -> list[Recent]:
        """List recent conversations with their unread counts, newest first; a group's owner-by-header sees only it."""
        group_id = 0
        if principal.group_xid:
            group = await self._known.party(principal.app, principal.group_xid)
            if group is None:
                return []
            group_id = group.id
        return await self._store.recent(principal.user.id, group_id)

    async def undelivered(self, principal: Principal) -> int:
        """Count the messages that no device of the asker has got yet, among `undelivered_max` entries."""
        return await self._store.undelivered(principal.user.id)

    async def awaits(self, principal: Principal, msg_id: int) -> bool:
        """Whether a message that was sent to the asker, or to a group it is in, is neither delivered nor read.

        Raises `MESSAGE_UNKNOWN` where there is none, or its text is no more.
        """
        found = await self._store.awaits(principal.user.id, msg_id)
        if found is None:
            raise Problem(Kind.MESSAGE_UNKNOWN, f"there is no message {msg_id} for user {principal.user.xid}")
        return found

    async def readers(self, principal: Principal, msg_id: int, cursor: str, limit: int) -> ReadersPage:
        """Say who has read a group's message, to its sender, the group's owner and admins, or the app's administrator.

        A page of `limit`, by rising id, from where `cursor` of the page before left off. Raises `MESSAGE_UNKNOWN`,
        `NOT_A_MEMBER`, `FORBIDDEN` (also where the group does not tell reads) and `BAD_PARAMETER` for what went to
        users.
        """
        start = after(cursor)
        group = await judge_readers(self._store, principal, msg_id)
        found = await self._store.readers(principal.app.id, msg_id, start, limit + 1)
        xids, more = page_of(found.xids, limit, int)
        return ReadersPage(found.read, found.unread, xids, more, group.facts_version)

    async def put_off(self, principal: Principal, conversation_xid: int) -> None:
        """Keep a conversation off the asker's recent list until there is something newer in it.

        Nothing else changes, and no device is told. An unknown one is none. Raises `NOT_A_MEMBER` for a group.
        """
        principal.confine(conversation_xid, "conversation_id")
        opposite = await self._known.party(principal.app, conversation_xid)
        if opposite is not None and not await self._store.put_off(principal.user.id, opposite):
            raise refusal(Kind.NOT_A_MEMBER, conversation_xid)

    async def delete(self, principal: Principal, conversation_xid: int) -> None:
        """Hide everything up to the newest at commit, on all devices of the asker. Marks nothing read."""
        principal.confine(conversation_xid, "conversation_id")
        opposite = await self._known.party(principal.app, conversation_xid)
        if opposite is None:
            return
        answer = await self._writer.submit(
            DeleteDraft(
                app=principal.app.id,
                user_id=principal.user.id,
                user_xid=principal.user.xid,
                opposite_id=opposite.id,
                opposite_xid=opposite.xid,
                scope=opposite.scope,
                at=self._now(),
            )
        )
        if isinstance(answer, Refused):
            raise Problem(answer.kind, answer.sentence)


def refusal(kind: Kind, opposite_xid: int) -> Problem:
    """Say why the store tells a user nothing of a conversation."""
    return Problem(kind, _SENTENCES[kind].format(opposite_xid))


async def judge_readers(
    store: Store, principal: Principal, msg_id: int, opposite_xid: int | None = None
) -> Group:
    """Return the group of a message whose readers the principal may know; see `Conversations.readers`.

    Where a conversation is named the message has to lie in it. Who acts for a member there may know what itself may.
    """
    app, me = principal.app, principal.user.xid
    message = await store.message(app.id, msg_id)
    if message is None or opposite_xid not in (None, message.conversation_for(me)):
        raise Problem(Kind.MESSAGE_UNKNOWN, f"there is no message {msg_id}")
    principal.confine(message.target_xid, "msg_id")
    if message.scope is not Scope.GROUP:
        if principal.admin_alone or message.told_to(me):
            raise bad(
                "msg_id", f"message {msg_id} did not go to a group; its status says whether it was read"
            )
        raise Problem(Kind.MESSAGE_UNKNOWN, f"there is no message {msg_id}")
    group_xid = message.target_xid
    group = await store.group(app.id, group_xid)
    [facts] = await store.facts(app.id, [group_xid], me)
    if group is None or facts is None:
        raise Problem(Kind.GROUP_UNKNOWN, f"there is no group {group_xid}")
    if not principal.admin_alone:
        if not facts.member:
            raise rules.stranger(facts, group_xid)
        may = facts.owner or facts.admin or message.sender_xid == me or (principal.admin and opposite_xid)
        if not may:
            raise Problem(
                Kind.FORBIDDEN, "only the sender, the group's owner and admins, or an app admin may know"
            )
    if not group.read_ack:
        raise Problem(Kind.FORBIDDEN, f"group {group_xid} does not tell who has read what")
    return group
