"""Reading conversations on SQLite: history pages with computed status, and the recent list with unread counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from operator import attrgetter

import msgspec

from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, SAFE_MAX, HistoryItem, Message, Scope, User
from gateway.store.base import History, Party, Readers
from gateway.store.rows import (
    HIDING,
    NOT_SENDERS,
    NOTICE,
    SENDERS,
    SETTLED,
    UNCOUNTED,
    to_history,
    to_message,
)
from gateway.store.sqlite.directed import directed_read, newest_directed
from gateway.store.sqlite.lane import one, rows, snapshot, table
from gateway.store.sqlite.messages import MESSAGE_JOINS, MESSAGE_JSON, SHOWN_AT
from gateway.store.sqlite.recents import Found, Row
from gateway.store.sqlite.stays import others_reach, place_of
from gateway.store.stays import around, at_seq

# Of what SQLite puts together items are made in one step. It has no booleans: those are numbers, hence not strict.
to_items = msgspec.json.Decoder(list[HistoryItem], strict=False).decode
_recents = msgspec.json.Decoder(list[Row])
_groups = msgspec.json.Decoder(list[int])
_msg_id = attrgetter("msg_id")
_last = attrgetter("last")

# A conversation's page is one statement, which is one snapshot, and its rows are sorted here, where it costs nothing:
# SQL promises no order to an aggregate. What is the same for all of its messages is asked once for the page: SQLite
# reads a subquery that names no column of theirs one time.

_SHOWN = f"""m.ctype, ifnull(b.content, ''), ifnull(b.attachment, ''), ifnull(b.config, ''), ifnull(b.ext, ''),
    {SHOWN_AT}, m.flags & {NOTICE}, m.expires_at"""
"""The columns of a `HistoryItem` between whom it concerns, which is known beforehand, and its status."""

# The two directions of a P2P conversation are two index searches that SQLite merges (design §9). A notice lies
# in its receiver's history only. The reserved user `system` holds no conversations of its own, yet may look back at
# what it sent.
_P2P_BELOW = "coalesce((SELECT deleted FROM conversation WHERE usr = ?1 AND opp = ?2), 0)"
P2P_ITEM = f"""json_array(m.msg_id, iif(m.sender = ?1, ?5, ?6), m.device_sn, iif(m.target = ?1, ?5, ?6),
    {_SHOWN},
    CASE WHEN m.flags & {SETTLED} THEN 2 WHEN m.flags & {SENDERS} THEN 0
        WHEN m.sender = ?1 AND m.target <> ?1 THEN
            CASE WHEN m.msg_id <= coalesce((SELECT read FROM conversation WHERE usr = ?2 AND opp = ?1), 0) THEN 2
                 WHEN m.seq BETWEEN 1 AND (SELECT delivered FROM user WHERE id = ?2) THEN 1 ELSE 0 END
        ELSE CASE WHEN m.msg_id <= coalesce((SELECT read FROM conversation WHERE usr = ?1 AND opp = ?2), 0) THEN 2
                  WHEN m.seq BETWEEN 1 AND (SELECT delivered FROM user WHERE id = ?1) THEN 1 ELSE 0 END END)"""
_P2P = f"""
SELECT json_group_array({P2P_ITEM})
FROM (
    SELECT msg_id FROM message
        WHERE target = ?1 AND peer = ?2 AND shown = 1 AND msg_id > {_P2P_BELOW} AND msg_id <= ?3
            AND flags & {SENDERS} = 0
    UNION ALL
    SELECT msg_id FROM message
        WHERE target = ?2 AND peer = ?1 AND shown = 1 AND msg_id > {_P2P_BELOW} AND msg_id <= ?3 AND ?1 <> ?2
            AND flags & {NOT_SENDERS} = 0
    ORDER BY msg_id DESC LIMIT ?4) AS p
CROSS JOIN message AS m ON m.msg_id = p.msg_id
LEFT JOIN body AS b ON b.id = m.body
"""
# A stay is around a message when its own seqs enclose the message's; none delivers what was imported, which has the
# seq 0. What went to some members only is found with its receiver and with its sender, and has its status as between
# users.
GROUP_ITEM = f"""json_array(m.msg_id, (SELECT xid FROM timeline WHERE id = m.sender), m.device_sn, ?8,
    {_SHOWN}, CASE
        WHEN m.flags & {SETTLED} THEN 2
        WHEN m.peer <> 0 THEN
            CASE WHEN CASE m.target WHEN ?1 THEN m.msg_id <= ?6
                      ELSE {directed_read("?2", "m.target", "m.msg_id")} END THEN 2
                 WHEN m.seq <= (SELECT delivered FROM user WHERE id = m.target) THEN 1 ELSE 0 END
        WHEN m.sender = ?1 THEN
            CASE WHEN {others_reach("read", "?2", "m.msg_id", place_of("m"), "?1")} THEN 2
                 WHEN {others_reach("delivered", "?2", "m.seq", at_seq("m.seq"), "?1")} THEN 1 ELSE 0 END
        ELSE CASE WHEN m.msg_id <= ?6 THEN 2 WHEN m.seq BETWEEN 1 AND ?7 THEN 1 ELSE 0 END END)"""
_GROUP = f"""
SELECT json_group_array({GROUP_ITEM})
FROM (
    SELECT msg_id FROM message WHERE target = ?2 AND peer = 0 AND shown = 1 AND msg_id > ?3 AND msg_id <= ?4
        AND NOT (flags & {HIDING} AND EXISTS (SELECT 1 FROM hidden AS h WHERE h.msg_id = message.msg_id AND h.usr = ?1))
    UNION ALL
    SELECT msg_id FROM message WHERE target = ?1 AND peer = ?2 AND shown = 1 AND msg_id > ?3 AND msg_id <= ?4
    UNION ALL
    SELECT msg_id FROM message WHERE sender = ?1 AND peer = ?2 AND peer <> 0 AND peer <> sender AND target <> ?1
        AND shown = 1 AND msg_id > ?3 AND msg_id <= ?4
    ORDER BY msg_id DESC LIMIT ?5) AS p
CROSS JOIN message AS m ON m.msg_id = p.msg_id
LEFT JOIN body AS b ON b.id = m.body
"""
# Own messages lie between others' in a group, so the count looks at a bounded number of the newest. Where something is
# unread there is something to be seen; only else it is looked for, and -1 says that there is nothing.
_COUNTED = f"""
SELECT json_group_array(json_array(x.xid, coalesce(nullif(
    CASE WHEN r.grp = 0 THEN (
        SELECT count(*) FROM (SELECT 1 FROM (
            SELECT flags FROM message WHERE target = ?1 AND peer = r.opp AND ?1 <> r.opp AND shown = 1
                AND msg_id > max(r.read, r.deleted) AND flags & {SETTLED} = 0 ORDER BY msg_id DESC LIMIT ?4)
            WHERE flags & {UNCOUNTED | SENDERS} = 0 LIMIT ?3))
    ELSE min(?3, (
        SELECT CASE WHEN sum(flags & {UNCOUNTED} = 0) > ?4 THEN ?3
            ELSE coalesce(sum(sender <> ?1 AND flags & {UNCOUNTED} = 0), 0) END FROM (
            SELECT sender, flags FROM message WHERE target = r.grp AND peer = 0 AND shown = 1
                AND msg_id > max(r.read, r.deleted) AND flags & {SETTLED} = 0
                ORDER BY msg_id DESC LIMIT ?4 + 1)) + (
        SELECT count(*) FROM (SELECT 1 FROM (
            SELECT flags FROM message WHERE target = ?1 AND peer = r.grp AND shown = 1
                AND sender <> ?1 AND msg_id > max(r.read, r.deleted) ORDER BY msg_id DESC LIMIT ?4)
            WHERE flags & {UNCOUNTED} = 0 LIMIT ?3))) END, 0),
    CASE WHEN EXISTS (SELECT 1 FROM message WHERE target = ?1 AND peer = r.opp AND shown = 1 AND msg_id > r.deleted
            AND flags & {SENDERS} = 0)
        OR EXISTS (SELECT 1 FROM message WHERE target = r.opp AND shown = 1 AND msg_id > r.deleted
            AND peer = CASE WHEN r.grp = 0 THEN ?1 ELSE 0 END AND (r.grp <> 0 OR flags & {NOT_SENDERS} = 0))
        OR EXISTS (SELECT 1 FROM message WHERE sender = ?1 AND peer = r.grp AND peer <> 0 AND peer <> sender
            AND shown = 1 AND msg_id > r.deleted) THEN 0 ELSE -1 END), r.last, r.opp))"""
# The rows of a list: conversations with users, those of them that the table need not know yet, and groups.
_HELD = """
    SELECT held, max(newest, coalesce(c.last, 0)) AS last, coalesce(c.read, 0), coalesce(c.deleted, 0), 0
    FROM (SELECT CAST(key AS INTEGER) AS held, value AS newest FROM json_each(?6)) AS j
    LEFT JOIN conversation AS c ON c.usr = ?1 AND c.opp = j.held
    WHERE max(newest, coalesce(c.last, 0)) > max(coalesce(c.deleted, 0), coalesce(c.off, 0))"""
_STAY = f"""s.grp AS opp, max(t.last, {newest_directed("?1", "s.grp")}) AS last, s.read,
            max(s.deleted, s.from_msg - 1) AS deleted, s.off"""
_RECENT = f"""{_COUNTED},
    (SELECT json_group_array(grp) FROM stay WHERE usr = ?1 AND to_seq IS NULL)
FROM (
    SELECT opp, last, read, deleted, 0 AS grp FROM conversation
    WHERE usr = ?1 AND last > deleted AND last > off AND ?5 = 0
        AND opp NOT IN (SELECT CAST(key AS INTEGER) FROM json_each(?6))
    UNION ALL {_HELD}
    UNION ALL
    SELECT opp, last, read, deleted, opp FROM (
        SELECT {_STAY}
        FROM stay AS s CROSS JOIN timeline AS t ON t.id = s.grp
        WHERE s.usr = ?1 AND s.to_seq IS NULL AND (?5 = 0 OR s.grp = ?5))
    WHERE last > deleted AND last > off
    ORDER BY last DESC LIMIT ?2) AS r
CROSS JOIN timeline AS x ON x.id = r.opp
"""
# The same of some conversations (?5).
_OUTDATED = f"""{_COUNTED},
    (SELECT json_group_array(s.grp) FROM json_each(?5) AS w
        CROSS JOIN stay AS s ON s.usr = ?1 AND s.grp = w.value AND s.to_seq IS NULL)
FROM (
    SELECT c.opp, c.last, c.read, c.deleted, 0 AS grp FROM json_each(?5) AS w
    CROSS JOIN conversation AS c ON c.usr = ?1 AND c.opp = w.value
    WHERE c.last > c.deleted AND c.last > c.off
        AND c.opp NOT IN (SELECT CAST(key AS INTEGER) FROM json_each(?6))
    UNION ALL {_HELD}
    UNION ALL
    SELECT opp, last, read, deleted, opp FROM (
        SELECT {_STAY}
        FROM json_each(?5) AS w CROSS JOIN stay AS s ON s.usr = ?1 AND s.grp = w.value AND s.to_seq IS NULL
        CROSS JOIN timeline AS t ON t.id = s.grp)
    WHERE last > deleted AND last > off
    ORDER BY last DESC LIMIT ?2) AS r
CROSS JOIN timeline AS x ON x.id = r.opp
"""
_TARGETS = """
SELECT json_group_array(json_array(m.msg_id, m.at, t.xid)) FROM message AS m CROSS JOIN timeline AS t ON t.id = m.target
WHERE m.msg_id BETWEEN ? AND ? AND t.app = ?
"""

_AROUND = f"s.grp = m.target AND s.usr <> m.sender AND {around('s', place_of('m'))}"
# Whatever the position, where everybody has read it.
_READ_FROM = f"iif(m.flags & {SETTLED}, 0, m.msg_id)"
_READERS = f"""
SELECT (SELECT count(*) FROM stay AS s WHERE s.read >= {_READ_FROM} AND {_AROUND}),
    (SELECT count(*) FROM stay AS s WHERE s.read < {_READ_FROM} AND {_AROUND}),
    (SELECT json_group_array(xid) FROM (
        SELECT u.xid AS xid FROM stay AS s CROSS JOIN timeline AS u ON u.id = s.usr
        WHERE s.read >= {_READ_FROM} AND {_AROUND} AND u.xid > ?3 ORDER BY u.xid LIMIT ?4)),
    (SELECT json_group_array(xid) FROM (
        SELECT u.xid AS xid FROM stay AS s CROSS JOIN timeline AS u ON u.id = s.usr
        WHERE s.read < {_READ_FROM} AND {_AROUND} ORDER BY u.xid LIMIT ?5))
FROM message AS m CROSS JOIN timeline AS t ON t.id = m.target AND t.app = ?1 WHERE m.msg_id = ?2 AND m.peer = 0
"""


def history(conn: sqlite3.Connection, asker: User, opposite: Party, start: int, limit: int) -> History | Kind:
    """Read one page of what the asker may see, newest first, one message further than asked to learn what is next."""
    if opposite.scope is not Scope.GROUP:
        return between(conn, asker, opposite, start, limit)[0]
    with snapshot(conn):
        stands = standing(conn, asker, opposite)
        if isinstance(stands, Kind):
            return stands
        below, read, delivered = stands
        asked = (asker.id, opposite.id, below, start or SAFE_MAX, limit + 1, read, delivered, opposite.xid)
        return _to_page(one(conn, _GROUP, asked)[0], limit)


def between(
    conn: sqlite3.Connection, asker: User, opposite: Party, start: int, limit: int
) -> tuple[History, int]:
    """Read one page of a conversation of two users, as `history` does, and how many characters it is of."""
    asked = (asker.id, opposite.id, start or SAFE_MAX, limit + 1, asker.xid, opposite.xid)
    found = one(conn, _P2P, asked)[0]
    return _to_page(found, limit), len(found)


def standing(conn: sqlite3.Connection, asker: User, opposite: Party) -> tuple[int, int, int] | Kind:
    """Read up to which message a conversation is hidden from the asker, or why all of it is.

    In a group what the asker has read and got of it, too (0 between users).
    """
    if opposite.scope is not Scope.GROUP:
        return one(conn, f"SELECT {_P2P_BELOW}", (asker.id, opposite.id))[0], 0, 0
    found: tuple[int, int, int] | None = one(
        conn,
        """SELECT max(deleted, from_msg - 1), read, delivered FROM stay
        WHERE usr = ? AND grp = ? AND to_seq IS NULL""",
        (asker.id, opposite.id),
    )
    if found:
        return found
    # Anybody may look at what a chatroom keeps who is not kept out. Nobody's position is in it.
    room = one(
        conn,
        f"""SELECT destroyed_at, EXISTS (SELECT 1 FROM grp_block WHERE grp = ?1 AND usr = ?2) FROM grp
        WHERE id = ?1 AND type = {ROOM}""",
        (opposite.id, asker.id),
    )
    if not room:
        return Kind.NOT_A_MEMBER
    destroyed_at, blocked = room
    if destroyed_at is not None:
        return Kind.GROUP_UNKNOWN
    return Kind.GROUP_BLOCKED if blocked else (0, 0, 0)


def _to_page(found: str, limit: int) -> History:
    items = to_items(found)
    items.sort(key=_msg_id, reverse=True)
    return to_history(items, limit)


def recent(
    conn: sqlite3.Connection, user_id: int, group_id: int, held: Mapping[int, int], limits: Limits
) -> Found:
    """Read the recent list in one statement, whatever the number of messages (lanying.md, unread).

    `held` are the newest messages of conversations with other users that the table need not know yet (`Newest`).
    """
    return _found(conn, _RECENT, user_id, group_id, held, limits)


def outdated(
    conn: sqlite3.Connection, user_id: int, only: Collection[int], held: Mapping[int, int], limits: Limits
) -> Found:
    """Read some conversations of the recent list, as `recent` reads all of them; `held` may be of others, too."""
    theirs = {one: held[one] for one in only if one in held}
    return _found(conn, _OUTDATED, user_id, rows(list(only)), theirs, limits)


def _found(
    conn: sqlite3.Connection,
    sql: str,
    user_id: int,
    which: int | str,
    held: Mapping[int, int],
    limits: Limits,
) -> Found:
    asked = (user_id, limits.recent_max, limits.unread_max, limits.unread_scan_max, which, rows(held))
    found, groups = one(conn, sql, asked)
    counted = _recents.decode(found)
    counted.sort(key=_last, reverse=True)
    return Found(counted, _groups.decode(groups))


def message(conn: sqlite3.Connection, app: int, msg_id: int) -> Message | None:
    """Find one message of the app."""
    found = one(
        conn,
        f"SELECT {MESSAGE_JSON} FROM message AS m {MESSAGE_JOINS} WHERE m.msg_id = ? AND tt.app = ?",
        (msg_id, app),
    )
    return to_message(msgspec.json.decode(found[0])) if found else None


def targets(
    conn: sqlite3.Connection, app: int, first_msg_id: int, last_msg_id: int
) -> dict[int, tuple[int, int]]:
    """Name whom messages that lie side by side went to: their ids and times by xid."""
    return {xid: (msg_id, at) for msg_id, at, xid in table(conn, _TARGETS, (first_msg_id, last_msg_id, app))}


def readers(
    conn: sqlite3.Connection, app: int, msg_id: int, after_xid: int, limit: int, unread_max: int
) -> Readers:
    """Count who has read a group's message and who has not, and list a page of those who have, and the first others."""
    found = one(conn, _READERS, (app, msg_id, after_xid, limit, unread_max))
    if not found:
        return Readers(0, 0, [])
    # Sorted here, where it costs nothing: SQL promises no order to an aggregate.
    return Readers(*found[:2], *(sorted(msgspec.json.decode(xids)) for xids in found[2:]))
