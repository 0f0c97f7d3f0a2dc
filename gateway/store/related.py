"""Messages that append to another one or replace it: what they may relate to, and what they add to their own row."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.drafts import MessageDraft, Refused
from gateway.domain.errors import Kind
from gateway.domain.model import FOLDED
from gateway.store.rows import GONE

_EXPIRES_AT = 5

Place = tuple[int, int, int]
"""(target, peer, sender) of a message: its conversation, and whose it is."""


class Related:
    """The messages that the drafts of one run relate to.

    `found` has, by id: target, peer, sender, ctype, flags, expires_at, and how many relate to it.
    """

    def __init__(self, found: Mapping[int, list[int]], related_max: int) -> None:
        self._related_max = related_max
        self._found = found
        self.marks: list[tuple[int, int, int]] = []

    def judge(self, draft: MessageDraft, place: Place | None) -> Refused | None:
        """Refuse what may not relate to the message named; `place` (None: nobody's yet) is the draft's own."""
        unknown = Refused(
            Kind.MESSAGE_UNKNOWN,
            f"related_mid: there is no message {draft.related} in this conversation to append to or replace",
        )
        found = self._found.get(draft.related)
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

    def number(self, draft: MessageDraft, first_msg_id: int) -> int:
        """Note what the messages of a draft have beside what all have; return when they expire (0: never).

        What is folded into a message is wiped with it: it lives no longer. `marks` are (id, related, expires_at).
        """
        expires_at = draft.expires_at
        if draft.related:
            theirs = self._found[draft.related][_EXPIRES_AT]
            expires_at = min(expires_at or theirs, theirs or expires_at)
        self.marks += [
            (msg_id, draft.related, expires_at)
            for msg_id in range(first_msg_id, first_msg_id + len(draft.targets))
        ]
        return expires_at


def _mirrored(place: Place) -> Place:
    """The place of the peer's message in the same conversation."""
    target, peer, sender = place
    return sender, target if peer == sender else peer, target
