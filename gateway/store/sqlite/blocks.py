"""Who has blocked whom, on SQLite. A block stands between two users both ways, whoever set it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind
from gateway.domain.model import Scope, State
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.users import find_named

Pair = tuple[int, int]

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


def between(sender_xid: int, target_xid: int) -> Refused:
    """The refusal of a target; whose the block is, is nobody else's business."""
    return Refused(Kind.BLOCKED, f"targets: there is a block between {sender_xid} and {target_xid}")


def sender_refused(state: int, xid: int) -> Refused:
    """The refusal of a sender who may not act."""
    if state == State.FROZEN:
        return Refused(Kind.FROZEN, f"from_user_id: user {xid} is frozen")
    return Refused(Kind.USER_UNKNOWN, f"from_user_id: there is no user {xid}")


def may_message(
    conn: sqlite3.Connection,
    app: int,
    sender_xid: int,
    target_xids: Sequence[int],
    *,
    create: bool,
    blocks: bool,
) -> Refused | None:
    """Judge as a batch judges a message to users, of what is not stored."""
    found = find_named(conn, app, [sender_xid, *target_xids])
    unknown = (0, Scope.USER, State.NORMAL if create else State.DELETED)
    sender_id, kind, state = found.get(sender_xid, unknown)
    if kind != Scope.USER:
        return Refused(Kind.BAD_PARAMETER, f"from_user_id: {sender_xid} is a group, not a user")
    if state != State.NORMAL:
        return sender_refused(state, sender_xid)
    ids = []
    for xid in target_xids:
        target_id, kind, state = found.get(xid, unknown)
        if kind != Scope.USER:
            return Refused(Kind.BAD_PARAMETER, f"targets: {xid} is a group, not a user")
        if state == State.DELETED:
            return Refused(Kind.USER_UNKNOWN, f"targets: there is no user {xid}")
        ids.append(target_id)
    blocked = blocked_pairs(conn, [(sender_id, target_id) for target_id in ids]) if blocks else set()
    for xid, target_id in zip(target_xids, ids, strict=True):
        if (sender_id, target_id) in blocked:
            return between(sender_xid, xid)
    return None


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
