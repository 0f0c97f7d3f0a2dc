"""Who has blocked whom, on SQLite. A block stands between two users both ways, whoever set it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind
from gateway.domain.model import State
from gateway.store.refusals import Pair, judge_parties
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.users import find_named

ANY_BLOCK = "EXISTS (SELECT 1 FROM block WHERE usr > 0)"
"""Whether anybody has blocked anybody: where nobody has, a batch asks for no more."""

_BETWEEN = """
SELECT json_group_array(json_array(a, b)) FROM (
    SELECT json_extract(value, '$[0]') AS a, json_extract(value, '$[1]') AS b FROM json_each(?)) AS j
WHERE EXISTS (SELECT 1 FROM block AS k WHERE k.usr = j.a AND k.blocked = j.b)
    OR EXISTS (SELECT 1 FROM block AS k WHERE k.usr = j.b AND k.blocked = j.a)
"""


def blocked_pairs(conn: sqlite3.Connection, pairs: Iterable[Pair]) -> set[Pair]:
    """Which of these pairs of users have a block between them, set by either."""
    return {(a, b) for a, b in table(conn, _BETWEEN, (rows(list(pairs)),))}


def unreachable(
    conn: sqlite3.Connection,
    app: int,
    sender_xid: int,
    target_xids: Sequence[int],
    *,
    create: bool,
    blocks: bool,
    frozen: bool,
) -> Refused | dict[int, Kind]:
    """Judge as a batch judges a message to users, target by target."""
    found = find_named(conn, app, [sender_xid, *target_xids])
    judged = judge_parties(found, sender_xid, target_xids, create=create, frozen=frozen)
    if isinstance(judged, Refused):
        return judged
    whys, pairs = judged
    blocked = blocked_pairs(conn, pairs.values()) if blocks else set()
    return whys | {xid: Kind.BLOCKED for xid, pair in pairs.items() if pair in blocked}


def block(conn: sqlite3.Connection, user_id: int, blocked_id: int, at: int, most: int) -> bool:
    """Block a user; False where `most` are blocked already. Who was deleted meanwhile has and gets none."""
    if one(
        conn,
        f"SELECT 1 FROM timeline WHERE id IN (?, ?) AND state = {State.DELETED:d}",
        (user_id, blocked_id),
    ):
        return True
    if one(conn, "SELECT 1 FROM block WHERE usr = ? AND blocked = ?", (user_id, blocked_id)):
        return True
    if one(conn, "SELECT count(*) FROM block WHERE usr = ?", (user_id,))[0] >= most:
        return False
    # Of who was deleted meanwhile no block stays.
    conn.execute(
        f"""INSERT INTO block (usr, blocked, at) SELECT ?1, ?2, ?3 WHERE NOT EXISTS (
            SELECT 1 FROM timeline WHERE id IN (?1, ?2) AND state = {State.DELETED:d})""",
        (user_id, blocked_id, at),
    )
    return True


def unblock(conn: sqlite3.Connection, user_id: int, blocked_id: int) -> None:
    """Take a block back, if there is one."""
    conn.execute("DELETE FROM block WHERE usr = ? AND blocked = ?", (user_id, blocked_id))


def list_blocked(conn: sqlite3.Connection, user_id: int, after_xid: int, limit: int) -> list[int]:
    """List the xids of those whom a user has blocked, by rising id."""
    return [
        xid
        for (xid,) in conn.execute(
            f"""SELECT t.xid FROM block AS k JOIN timeline AS t ON t.id = k.blocked
            WHERE k.usr = ? AND t.xid > ? AND t.state <> {State.DELETED:d} ORDER BY t.xid LIMIT ?""",
            (user_id, after_xid, limit),
        ).fetchall()
    ]
