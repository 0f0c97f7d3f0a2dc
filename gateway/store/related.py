"""Messages that append to another one, replace or answer it: what they may relate to, and what their own row says."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.domain.drafts import MessageDraft, Refused
from gateway.domain.errors import Kind
from gateway.domain.model import FOLDED, Side
from gateway.store.rows import GONE, NOT_SENDERS, ONE_SIDED, PASSING, SENDERS

_FLAGS, _EXPIRES_AT = 4, 5

Place = tuple[int, int, int]
"""(target, peer, sender) of a message: its conversation, and whose it is."""

Mark = tuple[int, int, int, bool]
"""What a row has beside what all have: id, related, expires_at, and whether it is shown."""


class Related:
    """The messages that the drafts of one run relate to.

    `found` has, by id: target, peer, sender, ctype, flags, expires_at, and how many are folded into it.
    """

    def __init__(self, found: Mapping[int, list[int]], related_max: int) -> None:
        self._related_max = related_max
        self._found = found
        self.marks: list[Mark] = []

    def judge(self, draft: MessageDraft, place: Place | None) -> Refused | None:
        """Refuse what may not relate to the message named; `place` (None: nobody's yet) is the draft's own."""
        found = self._found.get(draft.related)
        if draft.ctype in FOLDED:
            return self._judge_folded(draft, place, found)
        if found is None or place is None or not _may_answer(place, found):
            return _unknown(draft, "answer")
        return None

    def _judge_folded(
        self, draft: MessageDraft, place: Place | None, found: list[int] | None
    ) -> Refused | None:
        unknown = _unknown(draft, "append to or replace")
        if found is None or place is None:
            return unknown
        target, peer, sender, ctype, flags, _, count = found
        if (target, peer, sender) != place:
            if (target, peer, sender) == _mirrored(place) or (target, peer) == (place[0], 0) == place[:2]:
                return Refused(Kind.FORBIDDEN, f"related_mid: message {draft.related} is another user's")
            return unknown
        if ctype in FOLDED or flags & GONE:
            return unknown
        if count >= self._related_max:
            return Refused(
                Kind.BAD_PARAMETER, f"related_mid: at most {self._related_max} messages may relate to one"
            )
        found[-1] += 1
        return None

    def sided(self, draft: MessageDraft) -> MessageDraft:
        """A draft as it is kept: what is folded into a one-sided message is on its side."""
        flags = self._found[draft.related][_FLAGS] if draft.ctype in FOLDED else 0
        if not flags & ONE_SIDED:
            return draft
        senders = bool(flags & SENDERS)
        side = Side.SENDER if senders else Side.RECEIVER
        return msgspec.structs.replace(draft, side=side, copied=senders, listed=False)

    def number(self, draft: MessageDraft, first_msg_id: int) -> int:
        """Note what the messages of a draft have beside what all have; return when they expire (0: never).

        What is folded into a message is wiped with it: it lives no longer.
        """
        expires_at, folded = draft.expires_at, draft.ctype in FOLDED
        if folded:
            theirs = self._found[draft.related][_EXPIRES_AT]
            expires_at = min(expires_at or theirs, theirs or expires_at)
        shown = not (folded or draft.passing)
        self.marks += [
            (msg_id, draft.related, expires_at, shown)
            for msg_id in range(first_msg_id, first_msg_id + len(draft.targets))
        ]
        return expires_at


def _unknown(draft: MessageDraft, what: str) -> Refused:
    return Refused(
        Kind.MESSAGE_UNKNOWN,
        f"related_mid: there is no message {draft.related} in this conversation to {what}",
    )


def _may_answer(place: Place, found: list[int]) -> bool:
    """Whether a message may answer another one: it lies in the same conversation, and its sender sees it there."""
    target, peer, sender, ctype, flags, _, _ = found
    if (
        ctype in FOLDED
        or flags & (GONE | PASSING)
        or _conversation((target, peer, sender)) != _conversation(place)
    ):
        return False
    asker = place[2]
    if not peer:
        return True
    return not flags & SENDERS if asker == target else asker == sender and not flags & NOT_SENDERS


def _conversation(place: Place) -> tuple[int, ...]:
    """The group, or the two users, whose conversation a message lies in."""
    target, peer, sender = place
    if peer == sender:
        return min(target, sender), max(target, sender)
    return (peer or target,)


def _mirrored(place: Place) -> Place:
    """The place of the peer's message in the same conversation."""
    target, peer, sender = place
    return sender, target if peer == sender else peer, target
