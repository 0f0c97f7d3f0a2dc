"""Messages of a group that went to some of its members only (design §3, Directed group messages).

Each stands in its receiver's timeline and in its sender's, with the group as its peer; in the group's own timeline
there is nothing of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from gateway.store.sqlite.lane import rows, table

_MEMBERS = """
SELECT json_group_array(json_array(s.usr, s.grp)) FROM json_each(?) AS j
CROSS JOIN stay AS s ON s.usr = json_extract(j.value, '$[0]') AND s.grp = json_extract(j.value, '$[1]')
    AND s.to_seq IS NULL
"""


def members_among(conn: sqlite3.Connection, pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Find which of these (user, group) are memberships now."""
    return {(usr, grp) for usr, grp in table(conn, _MEMBERS, (rows(list(pairs)),))}


def newest_directed(user: str, group: str) -> str:
    """Put together the SQL for: the newest such message of a group from or to a user, gone or not (0: none)."""
    return f"""max(
        coalesce((SELECT max(d.msg_id) FROM message AS d
            WHERE d.target = {user} AND d.peer = {group} AND d.peer <> 0 AND d.peer <> d.sender), 0),
        coalesce((SELECT max(d.msg_id) FROM message AS d
            WHERE d.sender = {user} AND d.peer = {group} AND d.peer <> 0 AND d.peer <> d.sender), 0))"""


def directed_read(group: str, user: str, msg_id: str) -> str:
    """Put together the SQL for: its receiver has read such a message, in the stay that it came in.

    That is the first one that had not ended before it. Where a later one starts to be shown tells nothing, for in a
    group whose history is visible that is at the first message of all.
    """
    # By name: the index by who has read furthest looks as good, and holds all who have.
    return f"""coalesce(
        (SELECT r.read FROM stay AS r INDEXED BY stay_closed WHERE r.usr = {user} AND r.grp = {group}
            AND r.to_seq IS NOT NULL AND r.to_msg >= {msg_id} ORDER BY r.from_seq LIMIT 1),
        (SELECT r.read FROM stay AS r WHERE r.usr = {user} AND r.grp = {group} AND r.to_seq IS NULL),
        0) >= {msg_id}"""
