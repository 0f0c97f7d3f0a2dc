"""Whom apps list as members of chatrooms, on SQLite."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from gateway.domain.model import Member, State
from gateway.store.sqlite.lane import one, rows, table

_ADD = f"""
INSERT INTO listed (grp, usr, at) SELECT g.id, t.id, ?3 FROM json_each(?2) AS j
CROSS JOIN timeline AS t ON t.id = j.value AND t.state <> {State.DELETED:d}
CROSS JOIN grp AS g ON g.id = ?1 AND g.destroyed_at IS NULL WHERE true ON CONFLICT (grp, usr) DO NOTHING
"""
_COUNT = """
SELECT count(*) FROM (SELECT usr FROM listed WHERE grp = ?1 UNION SELECT value FROM json_each(?2))
"""
_DROP = "DELETE FROM listed WHERE grp = ? AND usr IN (SELECT value FROM json_each(?)) RETURNING usr"
_LIST = """
SELECT t.xid, l.at FROM listed AS l JOIN timeline AS t ON t.id = l.usr
WHERE l.grp = ? AND t.xid > ? ORDER BY t.xid LIMIT ?
"""
# Of those who are named with a chatroom only those count here whom it does not list.
_COUNTS = """
SELECT json_group_array(json_array(grp, n)) FROM (
    SELECT value AS grp, (SELECT count(*) FROM listed WHERE grp = value) AS n FROM json_each(?1)
    UNION ALL
    SELECT g.id, count(*) FROM json_each(?2) AS j CROSS JOIN timeline AS g ON g.id = json_extract(j.value, '$[0]')
    CROSS JOIN timeline AS t ON t.app = g.app AND t.xid = json_extract(j.value, '$[1]')
    WHERE NOT EXISTS (SELECT 1 FROM listed AS l WHERE l.grp = g.id AND l.usr = t.id) GROUP BY g.id)
"""
_ROOMS = "SELECT t.xid FROM listed AS l JOIN timeline AS t ON t.id = l.grp WHERE l.usr = ? ORDER BY t.xid"


def list_in(conn: sqlite3.Connection, group_id: int, user_ids: Sequence[int], at: int, most: int) -> bool:
    """List users as members of a chatroom; False where there is no room for all of them."""
    named = rows(list(user_ids))
    if one(conn, _COUNT, (group_id, named))[0] > most:
        return False
    conn.execute(_ADD, (group_id, named, at))
    return True


def unlist(conn: sqlite3.Connection, group_id: int, user_ids: Sequence[int]) -> set[int]:
    """List users no longer; return which of them were."""
    return {user_id for (user_id,) in conn.execute(_DROP, (group_id, rows(list(user_ids)))).fetchall()}


def find_listed(conn: sqlite3.Connection, group_id: int, after_xid: int, limit: int) -> list[Member]:
    """List who is listed, by rising id."""
    return [
        Member(xid=xid, joined_at=at)
        for xid, at in conn.execute(_LIST, (group_id, after_xid, limit)).fetchall()
    ]


def count_listed(conn: sqlite3.Connection, inside: Mapping[int, Collection[int]]) -> dict[int, int]:
    """Count whom chatrooms list, and those who are named with them."""
    named = [(group_id, xid) for group_id, xids in inside.items() for xid in xids]
    counts: Counter[int] = Counter()
    for group_id, count in table(conn, _COUNTS, (rows(list(inside)), rows(named))):
        counts[group_id] += count
    return counts


def find_listing(conn: sqlite3.Connection, user_id: int) -> list[int]:
    """List the chatrooms that list a user."""
    return [xid for (xid,) in conn.execute(_ROOMS, (user_id,)).fetchall()]
