"""How a row of `message`, with its body and its parties, becomes a `Message`."""

from __future__ import annotations

from typing import Any

from gateway.domain.model import Gone, Message, Scope

NOTICE, RECALLED, UNCOPIED, EXPIRED, ERASED = 1, 2, 4, 8, 16
"""`message.flags`: a system notification · its text is gone by a recall · the sender's timeline has no entry of it ·
its text is gone by its time · with its sender."""

GONE = RECALLED | EXPIRED | ERASED
"""Any of these: the message has no body, and is not shown."""

# The peer of a message to a user is its sender; where it is a group, the message went to some of its members only.
MESSAGE_JSON = """json_array(m.msg_id, tt.kind, st.xid, m.device_sn, tt.xid, m.ctype, b.content, b.attachment,
    b.config, b.ext, m.at, m.flags, m.seq, m.related, m.expires_at,
    CASE WHEN m.peer IN (0, m.sender) THEN 0 ELSE (SELECT xid FROM timeline WHERE id = m.peer) END)"""
"""A message as one JSON value, for queries that join by `MESSAGE_JOINS`."""

MESSAGE_JOINS = """
LEFT JOIN body AS b ON b.id = m.body
LEFT JOIN timeline AS st ON st.id = m.sender
LEFT JOIN timeline AS tt ON tt.id = m.target
"""


def to_message(row: list[Any]) -> Message:
    """Build the message of a `MESSAGE_JSON` value."""
    flags = row[11]
    return Message(
        msg_id=row[0],
        scope=Scope(row[1]),
        sender_xid=row[2],
        sender_sn=row[3],
        target_xid=row[4],
        ctype=row[5],
        content=row[6] or "",
        attachment=row[7] or "",
        config=row[8] or "",
        ext=row[9] or "",
        at=row[10],
        notice=bool(flags & NOTICE),
        gone=_gone(flags) if flags & GONE else None,
        seq=row[12],
        related=row[13],
        expires_at=row[14],
        group_xid=row[15],
    )


def _gone(flags: int) -> Gone:
    if flags & RECALLED:
        return Gone.RECALLED
    return Gone.ERASED if flags & ERASED else Gone.EXPIRED
