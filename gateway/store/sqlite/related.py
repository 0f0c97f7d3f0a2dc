"""Messages that append to another one or replace it: what they may relate to, and what they add to their own row."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.domain.drafts import MessageDraft, Refused
from gateway.domain.errors import Kind
from gateway.domain.model import FOLDED
from gateway.store.rows import GONE
from gateway.store.sqlite.lane import rows, table

_RELATED = """
SELECT json_group_array(json_array(m.msg_id, m.target, m.peer, m.sender, m.ctype, m.flags, m.expires_at,
    (SELECT count(*) FROM (SELECT 1 FROM message AS f WHERE f.related = m.msg_id AND f.related > 0 LIMIT ?2))))
FROM json_each(?1) AS j CROSS JOIN message AS m ON m.msg_id = j.value
"""
_FOLDED = "SELECT json_group_array(msg_id) FROM message WHERE related = ? AND related > 0"
# Plain messages are inserted without these columns, so that no other send pays for them.
_MARK = """
UPDATE message SET related = j.related, expires_at = j.expires_at, shown = j.related = 0
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS related,
             json_extract(value, '$[2]') AS expires_at FROM json_each(?)) AS j
WHERE message.msg_id = j.id
"""

_EXPIRES_AT = 5

_Place = tuple[int, int, int]
"""(target, peer, sender) of a message: its conversation, and whose it is."""


class Related:
    """The messages that the drafts of one run relate to."""

    def __init__(self, conn: sqlite3.Connection, drafts: Sequence[MessageDraft], related_max: int) -> None:
        self._conn = conn
        self._related_max = related_max
        self._found: dict[int, list[int]] = {}
        self._marks: list[tuple[int, int, int]] = []
        named = {draft.related for draft in drafts if draft.related}
        if named:
            self._found = {row[0]: row[1:] for row in table(conn, _RELATED, (rows(list(named)), related_max))}

    def judge(self, draft: MessageDraft, place: _Place | None) -> Refused | None:
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

        What is folded into a message is wiped with it: it lives no longer.
        """
        expires_at = draft.expires_at
        if draft.related:
            theirs = self._found[draft.related][_EXPIRES_AT]
            expires_at = min(expires_at or theirs, theirs or expires_at)
        self._marks += [
            (msg_id, draft.related, expires_at)
            for msg_id in range(first_msg_id, first_msg_id + len(draft.targets))
        ]
        return expires_at

    def write(self) -> None:
        """Write it, once the messages stand."""
        if self._marks:
            self._conn.execute(_MARK, (rows(self._marks),))


def _mirrored(place: _Place) -> _Place:
    """The place of the peer's message in the same conversation."""
    target, peer, sender = place
    return sender, target if peer == sender else peer, target


def folded_into(conn: sqlite3.Connection, msg_id: int) -> list[int]:
    """Find the messages that append to this one or replace it."""
    found: list[int] = table(conn, _FOLDED, (msg_id,))
    return found
