"""How a row of `message`, with its body and its parties, becomes a `Message`."""

from __future__ import annotations

from typing import Any

from gateway.domain.model import Message, Scope

NOTICE, RECALLED, UNCOPIED = 1, 2, 4
"""`message.flags`: a system notification · its text is gone by a recall · the sender's timeline has no entry of it."""

MESSAGE_JSON = """json_array(m.msg_id, tt.kind, st.xid, m.device_sn, tt.xid, m.ctype, b.content, b.attachment,
    b.config, b.ext, m.at, m.flags, m.seq)"""
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
        recalled=bool(flags & RECALLED),
        seq=row[12],
    )
