"""How SQLite puts together what `to_message` takes."""

from __future__ import annotations

from gateway.store.rows import IMPORTED

# The peer of a message to a user is its sender; where it is a group, the message went to some of its members only.
_COLUMNS = """m.msg_id, tt.kind, st.xid, m.device_sn, tt.xid, m.ctype, b.content, b.attachment, b.config, b.ext,
    {at}, m.flags, m.seq, m.related, m.expires_at,
    CASE WHEN m.peer IN (0, m.sender) THEN 0 ELSE (SELECT xid FROM timeline WHERE id = m.peer) END"""

SHOWN_AT = (
    f"iif(m.flags & {IMPORTED}, (SELECT i.shown_at FROM imported AS i WHERE i.msg_id = m.msg_id), m.at)"
)
"""When a message was sent, here or elsewhere."""

MESSAGE_COLUMNS = _COLUMNS.format(at="m.at")
"""The columns of a message of a timeline, where none was imported, for queries that join by `MESSAGE_JOINS`."""

MESSAGE_JSON = f"json_array({_COLUMNS.format(at=SHOWN_AT)})"
"""A message as one JSON value."""

MESSAGE_JOINS = """
LEFT JOIN body AS b ON b.id = m.body
LEFT JOIN timeline AS st ON st.id = m.sender
LEFT JOIN timeline AS tt ON tt.id = m.target
"""
