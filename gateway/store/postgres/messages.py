"""How PostgreSQL puts together what `to_message` takes."""

from __future__ import annotations

from gateway.store.rows import IMPORTED

SHOWN_AT = f"""CASE WHEN m.flags & {IMPORTED} <> 0
                THEN (SELECT i.shown_at FROM imported AS i WHERE i.msg_id = m.msg_id) ELSE m.at END"""
"""When a message was sent, here or elsewhere."""


def message_where(condition: str) -> str:
    """Put together the SQL of a subquery with the columns of one message, to be read LATERAL to a list of ids.

    Its LIMIT keeps the planner from joining whole tables: what a page needs is looked up by its key, one by one. The
    peer of a message to a user is its sender; where it is a group, the message went to some of its members only.
    """
    return f"""(
        SELECT m.msg_id, tt.kind AS scope, st.xid AS sender_xid, m.device_sn, tt.xid AS target_xid, m.ctype,
            b.content, b.attachment, b.config, b.ext, {SHOWN_AT} AS at, m.flags, m.seq, m.related, m.expires_at,
            CASE WHEN m.peer IN (0, m.sender) THEN 0 ELSE (SELECT xid FROM timeline WHERE id = m.peer) END AS group_xid,
            m.target, m.peer, m.sender, coalesce(b.size, 0) AS size
        FROM message AS m
        LEFT JOIN body AS b ON b.id = m.body
        LEFT JOIN timeline AS st ON st.id = m.sender
        LEFT JOIN timeline AS tt ON tt.id = m.target
        WHERE {condition} LIMIT 1)"""


MESSAGE = """m.msg_id, m.scope, m.sender_xid, m.device_sn, m.target_xid, m.ctype, m.content, m.attachment, m.config,
    m.ext, m.at, m.flags, m.seq, m.related, m.expires_at, m.group_xid"""
"""The columns of a message, of a subquery that is called m."""
