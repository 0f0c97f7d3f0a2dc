"""Taking messages back: who may, and until when (lanying.md, recall)."""

from __future__ import annotations

import enum
from collections.abc import Callable

from gateway.core.principal import Principal
from gateway.core.writer import Writer
from gateway.domain import rules
from gateway.domain.drafts import Changed, RecallDraft, Refused, Stale
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import Gone, Message, Scope
from gateway.store.base import Store

JUDGE_TRIES = 5
"""How often a draft may be judged again because a group changed meanwhile, before the caller is told to come back."""


class TakenBack(enum.Enum):
    """What has come of an administrator's wish to take a message back; a text that went by itself counts as none."""

    DONE = "done"
    ALREADY = "already"
    TOO_LATE = "too_late"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"


class Recalls:
    """Takes messages back for a principal."""

    def __init__(self, store: Store, writer: Writer, clock_ms: Callable[[], int]) -> None:
        self._store = store
        self._writer = writer
        self._now = clock_ms

    async def recall(self, principal: Principal, conversation_xid: int, msg_id: int) -> None:
        """Take a message back (lanying.md, recall). Again: nothing more happens. The text is gone when this returns."""
        principal.confine(conversation_xid, "conversation_id")
        for _ in range(JUDGE_TRIES):
            answer = await self._writer.submit(await self._judge(principal, conversation_xid, msg_id))
            if isinstance(answer, Refused):
                raise Problem(answer.kind, answer.sentence)
            if not isinstance(answer, Stale):
                return
        raise restless()

    async def take_back(
        self, principal: Principal, conversation_xid: int, msg_id: int, *, window_ms: int, force: bool = False
    ) -> TakenBack:
        """Take a message back for the app, in a window of the caller's (`force`: whenever), and tell what came of it.

        A message between users lies in the conversation of either. As long as its row is left it is found, however long
        it was to be kept; of a chatroom those that its recent history holds. When this returns the text is gone, or
        nothing is done. Raises `FORBIDDEN` for whoever is not an administrator alone.
        """
        if not principal.admin_alone:
            raise Problem(Kind.FORBIDDEN, "only an app's administrator may take back whatever was sent")
        app = principal.app
        message = await self._store.message(app.id, msg_id)
        if message is None:
            return TakenBack.UNKNOWN
        ends = _ends(message)
        if conversation_xid not in ends:
            return TakenBack.ELSEWHERE
        if message.gone is not None:
            return TakenBack.ALREADY if message.gone is Gone.RECALLED else TakenBack.UNKNOWN
        if len(ends) == 1 and await self._store.group(app.id, conversation_xid) is None:
            return TakenBack.UNKNOWN
        now = self._now()
        if not force and now - message.at > window_ms:
            return TakenBack.TOO_LATE
        parties = frozenset((message.sender_xid, message.target_xid, conversation_xid))
        answer = await self._writer.submit(RecallDraft(app=app.id, msg_id=msg_id, at=now, parties=parties))
        if isinstance(answer, Refused):
            # Removed between the look and the commit.
            if answer.kind is Kind.MESSAGE_UNKNOWN:
                return TakenBack.UNKNOWN
            raise Problem(answer.kind, answer.sentence)
        assert isinstance(answer, Changed), "no facts were judged that could be stale"
        return TakenBack.DONE if answer.placed else TakenBack.ALREADY

    async def _judge(self, principal: Principal, conversation_xid: int, msg_id: int) -> RecallDraft:
        """Judge a recall, in a group by its facts: it holds for as long as their version."""
        app, me = principal.app, principal.user.xid
        message = await self._store.message(app.id, msg_id)
        if message is None:
            raise unknown(msg_id, conversation_xid)
        unbounded, judged = principal.admin_alone, -1
        if message.scope is Scope.GROUP or message.group_xid:
            if conversation_xid != message.conversation_for(me):
                raise unknown(msg_id, conversation_xid)
            [facts] = await self._store.facts(app.id, [conversation_xid], me)
            if facts is None:
                raise Problem(Kind.GROUP_UNKNOWN, f"there is no group {conversation_xid}")
            if not principal.admin_alone:
                if not facts.member:
                    raise rules.stranger(facts, conversation_xid)
                unbounded, judged = facts.owner or facts.admin, facts.version
        else:
            ends = _ends(message)
            party = me in ends and not principal.admin_alone
            # A stranger who names a party is told below that it may not, not that there is no message.
            if conversation_xid not in ((message.conversation_for(me),) if party else ends):
                raise unknown(msg_id, conversation_xid)
        now = self._now()
        rules.check_recall(message, me, now, app.recall_window_ms, unbounded=unbounded)
        parties = frozenset((message.sender_xid, message.target_xid, conversation_xid))
        return RecallDraft(app=app.id, msg_id=msg_id, at=now, judged=judged, parties=parties)


def _ends(message: Message) -> tuple[int, ...]:
    """What a message's conversation is called: between users it has the name of either."""
    if message.scope is Scope.GROUP or message.group_xid:
        return (message.conversation_for(0),)
    return (message.sender_xid, message.target_xid)


def unknown(msg_id: int, conversation_xid: int) -> Problem:
    """Say that there is no such message."""
    return Problem(Kind.MESSAGE_UNKNOWN, f"there is no message {msg_id} in conversation {conversation_xid}")


def restless() -> Problem:
    """Say that a draft was stale however often it was judged."""
    return Problem(Kind.OVERLOADED, "the group changes too fast; try again", retry_after_ms=200)
