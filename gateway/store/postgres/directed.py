"""Messages of a group that went to some of its members only (design §3, Directed group messages), on PostgreSQL.

Each stands in its receiver's timeline and in its sender's, with the group as its peer; in the group's own timeline
there is nothing of it.
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.store.postgres.lane import Conn

_MEMBERS = """
SELECT s.usr, s.grp FROM unnest($1::bigint[], $2::bigint[]) AS j (usr, grp)
JOIN stay AS s ON s.usr = j.usr AND s.grp = j.grp AND s.to_seq IS NULL
"""


async def members_among(conn: Conn, pairs: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Find which of these (user, group) are memberships now."""
    if not pairs:
        return set()
    users, groups = zip(*pairs, strict=True)
    return {(usr, grp) for usr, grp in await conn.fetch(_MEMBERS, users, groups)}


def newest_directed(user: str, group: str) -> str:
    """Put together the SQL for: the newest such message of a group from or to a user, gone or not (0: none)."""
    return f"""greatest(0,
        (SELECT max(d.msg_id) FROM message AS d
            WHERE d.target = {user} AND d.peer = {group} AND d.peer <> 0 AND d.peer <> d.sender),
        (SELECT max(d.msg_id) FROM message AS d
            WHERE d.sender = {user} AND d.peer = {group} AND d.peer <> 0 AND d.peer <> d.sender))"""


def directed_read(group: str, user: str, msg_id: str) -> str:
    """Put together the SQL for: its receiver has read such a message, in the stay that it came in.

    That is the first one that had not ended before it. Where a later one starts to be shown tells nothing, for in a
    group whose history is visible that is at the first message of all.
    """
    return f"""coalesce(
        (SELECT r.read FROM stay AS r WHERE r.usr = {user} AND r.grp = {group}
            AND r.to_seq IS NOT NULL AND r.to_msg >= {msg_id} ORDER BY r.from_seq LIMIT 1),
        (SELECT r.read FROM stay AS r WHERE r.usr = {user} AND r.grp = {group} AND r.to_seq IS NULL),
        0) >= {msg_id}"""
