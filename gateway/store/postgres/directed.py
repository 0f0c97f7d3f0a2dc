"""Messages of a group that went to some of its members only (design §3, Directed group messages).

Each stands in its receiver's timeline and in its sender's, with the group as its peer; in the group's own timeline
there is nothing of it.
"""

from __future__ import annotations


def newest_directed(user: str, group: str) -> str:
    """Put together the SQL for: the newest such message of a group from or to a user, gone or not (0: none)."""
    return f"""greatest(
        coalesce((SELECT max(d.msg_id) FROM message AS d
            WHERE d.target = {user} AND d.peer = {group} AND d.peer <> 0 AND d.peer <> d.sender), 0),
        coalesce((SELECT max(d.msg_id) FROM message AS d
            WHERE d.sender = {user} AND d.peer = {group} AND d.peer <> 0 AND d.peer <> d.sender), 0))"""
