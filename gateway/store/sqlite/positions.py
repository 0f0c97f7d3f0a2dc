"""Positions on SQLite: cursors, *delivered* and READ, and whose messages changed status by them (design §3)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import EntryKind, Scope, State, Status
from gateway.domain.positions import Ack, Keep, ReadDone, ReadMark, StatusChange
from gateway.domain.receipts import newest_changes
from gateway.store.base import SEEN_STEP_MS, Party
from gateway.store.receipts import (
    RECEIPT_RANGE,
    Move,
    delivered_by,
    delivered_in_group,
    furthest,
    ranges,
)
from gateway.store.rows import NOT_SENDERS, SENDERS, SETTLED
from gateway.store.sqlite.directed import directed_read, newest_directed
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.many import Many
from gateway.store.sqlite.rooms import is_room
from gateway.store.sqlite.stays import others_reach, place_of
from gateway.store.stays import at_seq

_CURSORS = Many(
    "INSERT INTO cursor (usr, sn, t, seq) SELECT d.usr, d.sn, j.column3, j.column4 FROM (VALUES",
    "(?, ?, ?, ?)",
    """) AS j CROSS JOIN device AS d ON d.usr = j.column1 AND d.sn = j.column2
    WHERE true ON CONFLICT (usr, sn, t) DO UPDATE SET seq = max(seq, excluded.seq)""",
)
# Eviction asks who was unseen longest; to the minute is near enough, and spares a write per flush.
_SEEN = Many(
    "WITH j (usr, sn, at) AS (VALUES",
    "(?, ?, ?)",
    f""") UPDATE device SET seen_at = j.at FROM j
    WHERE device.usr = j.usr AND device.sn = j.sn AND device.seen_at + {SEEN_STEP_MS} <= j.at""",
)
_OWN_BEFORE = Many(
    "SELECT json_group_array(json_array(u.id, u.delivered)) FROM (VALUES",
    "(?)",
    ") AS j CROSS JOIN user AS u ON u.id = j.column1",
)
_STAYS_BEFORE = Many(
    "SELECT json_group_array(json_array(s.grp, s.usr, s.id, s.delivered)) FROM (VALUES",
    "(?, ?)",
    ") AS j CROSS JOIN stay AS s ON s.usr = j.column1 AND s.grp = j.column2 AND s.to_seq IS NULL",
)
# Newest message per sender among the entries that came to be delivered, unless it was read before that. A notice lies
# in its receiver's history only, as what is the receiver's alone does, so its sender is not told of it.
_OWN_CHANGES = Many(
    f"""SELECT json_group_array(json_array(id, sender, grp_xid, msg_id)) FROM (
    SELECT m.target AS id, m.sender AS sender, max(m.msg_id) AS msg_id,
        CASE p.kind WHEN {Scope.GROUP:d} THEN p.xid ELSE 0 END AS grp_xid FROM (VALUES""",
    "(?, ?, ?)",
    f""") AS j
    CROSS JOIN entry AS e ON e.t = j.column1 AND e.seq > j.column2 AND e.seq <= j.column3
    CROSS JOIN message AS m ON m.msg_id = e.msg_id AND m.target = e.t AND m.sender <> e.t AND m.shown = 1
        AND m.flags & {NOT_SENDERS} = 0
    CROSS JOIN timeline AS p ON p.id = m.peer
    LEFT JOIN conversation AS c ON c.usr = e.t AND c.opp = m.peer
    WHERE e.kind = {EntryKind.MESSAGE:d} AND CASE p.kind WHEN {Scope.USER:d} THEN m.msg_id > coalesce(c.read, 0)
        ELSE NOT {directed_read("m.peer", "e.t", "m.msg_id")} END
    GROUP BY m.target, m.sender, m.peer)""",
)
# The same for groups, per range of `ranges`. Other members count only with a stay around the message.
_GROUP_CHANGES = f"""
SELECT json_group_array(json_array(grp, grp_xid, sender, msg_id, seq)) FROM (
    SELECT e.t AS grp, g.xid AS grp_xid, m.sender AS sender, max(m.msg_id) AS msg_id, e.seq AS seq
    FROM json_each(?) AS j
    CROSS JOIN entry AS e ON e.t = json_extract(j.value, '$[0]')
        AND e.seq > json_extract(j.value, '$[1]') AND e.seq <= json_extract(j.value, '$[2]')
    CROSS JOIN message AS m ON m.msg_id = e.msg_id AND m.shown = 1 AND m.sender <> json_extract(j.value, '$[3]')
    CROSS JOIN timeline AS g ON g.id = e.t
    WHERE e.kind = {EntryKind.MESSAGE:d}
        AND NOT {others_reach("delivered", "e.t", "e.seq", at_seq("e.seq"), "m.sender")}
        AND NOT {others_reach("read", "e.t", "m.msg_id", at_seq("e.seq"), "m.sender")}
    GROUP BY e.t, m.sender)
"""
_PUT_GROUP_OFF = f"""
UPDATE stay SET off =
    max(off, (SELECT last FROM timeline WHERE id = stay.grp), {newest_directed("stay.usr", "stay.grp")})
WHERE usr = ? AND grp = ? AND to_seq IS NULL RETURNING 1
"""
_MOVE_OWN = Many(
    "WITH j (id, seq) AS (VALUES", "(?, ?)", ") UPDATE user SET delivered = j.seq FROM j WHERE user.id = j.id"
)
_MOVE_STAYS = Many(
    "WITH j (id, seq) AS (VALUES", "(?, ?)", ") UPDATE stay SET delivered = j.seq FROM j WHERE stay.id = j.id"
)


def advance(conn: sqlite3.Connection, acks: Sequence[Ack]) -> list[StatusChange]:
    """Move cursors and *delivered* up by one flush of acks; return whose messages became DELIVERED."""
    # In the order of the keys, here and below: whoever comes next is nearly always on the page that was just found,
    # while devices ack in no order at all.
    _CURSORS.run(conn, sorted([(a.user_id, a.device_sn, a.timeline_id, a.seq) for a in acks]))
    _SEEN.run(conn, [(a.user_id, a.device_sn, a.at) for a in acks if a.at])
    own, group = furthest(acks)
    return newest_changes([*_advance_own(conn, own), *_advance_groups(conn, group)])


def _advance_own(conn: sqlite3.Connection, acks: dict[int, Ack]) -> list[StatusChange]:
    if not acks:
        return []
    moved = [
        (user_id, max(delivered, acks[user_id].seq - RECEIPT_RANGE), acks[user_id].seq)
        for user_id, delivered in _OWN_BEFORE.read(conn, [(user_id,) for user_id in sorted(acks)])
        if delivered < acks[user_id].seq
    ]
    if not moved:
        return []
    changes = [
        delivered_by(acks[user_id], sender, grp_xid, msg_id)
        for user_id, sender, grp_xid, msg_id in _OWN_CHANGES.read(conn, moved)
    ]
    _MOVE_OWN.run(conn, [(user_id, seq) for user_id, _, seq in moved])
    return changes


def _advance_groups(conn: sqlite3.Connection, acks: dict[tuple[int, int], Ack]) -> list[StatusChange]:
    if not acks:
        return []
    stays: list[tuple[int, int]] = []
    moves: dict[int, list[Move]] = {}
    for grp, usr, stay_id, delivered in _STAYS_BEFORE.read(conn, sorted([(u, g) for g, u in acks])):
        ack = acks[grp, usr]
        if ack.seq > delivered:
            stays.append((stay_id, ack.seq))
            moves.setdefault(grp, []).append((delivered, ack.seq, ack))
    if not stays:
        return []
    asked = [(grp, *told) for grp, moved in moves.items() for told in ranges(moved)]
    found = table(conn, _GROUP_CHANGES, (rows(asked),))
    changes = [delivered_in_group(moves[grp], *told) for grp, *told in found]
    _MOVE_STAYS.run(conn, sorted(stays))
    return changes


def keep(conn: sqlite3.Connection, devices: Sequence[Keep], limits: Limits) -> None:
    """Write the rows of kept devices and their cursors, as given; evict what is beyond the user's limit."""
    for device in devices:
        # An ack that was under way when its user was deleted must not bring a device back.
        if one(conn, "SELECT state FROM timeline WHERE id = ?", (device.user_id,))[0] == State.DELETED:
            continue
        conn.execute(
            """INSERT INTO device (usr, sn, seen_at, platform, user_agent) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (usr, sn) DO UPDATE SET seen_at = max(seen_at, ?3),
                platform = iif(?4 = 0, platform, ?4), user_agent = iif(?5 = '', user_agent, ?5)""",
            (device.user_id, device.device_sn, device.at, device.platform, device.user_agent),
        )
        conn.execute(
            """INSERT INTO cursor (usr, sn, t, seq)
            SELECT ?1, ?2, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?3) WHERE true
            ON CONFLICT (usr, sn, t) DO UPDATE SET seq = excluded.seq""",
            (device.user_id, device.device_sn, rows(list(device.cursors.items()))),
        )
        kept = [
            sn
            for (sn,) in conn.execute(
                "SELECT sn FROM device WHERE usr = ? ORDER BY seen_at, sn", (device.user_id,)
            )
        ]
        excess = len(kept) - limits.devices_per_user_max
        for sn in [sn for sn in kept if sn not in device.spared and sn != device.device_sn][: max(excess, 0)]:
            conn.execute("DELETE FROM device WHERE usr = ? AND sn = ?", (device.user_id, sn))
            conn.execute("DELETE FROM cursor WHERE usr = ? AND sn = ?", (device.user_id, sn))


def read(conn: sqlite3.Connection, mark: ReadMark) -> ReadDone | Kind:
    """Move one READ position: `read = max(read, min(id given, the conversation's newest))` (design §3)."""
    if mark.scope is Scope.GROUP:
        return _read_group(conn, mark)
    found = one(
        conn,
        "SELECT read, last FROM conversation WHERE usr = ? AND opp = ?",
        (mark.user_id, mark.opposite_id),
    )
    if not found:
        return ReadDone(0, moved=False, changes=[])
    before, last = found
    position = min(mark.msg_id or last, last)
    if position <= before:
        return ReadDone(before, moved=False, changes=[])
    conn.execute(
        "UPDATE conversation SET read = ? WHERE usr = ? AND opp = ?",
        (position, mark.user_id, mark.opposite_id),
    )
    newest = one(
        conn,
        f"""SELECT max(msg_id) FROM (
            SELECT msg_id, flags FROM message
            WHERE target = ? AND peer = ? AND shown = 1 AND msg_id > ? AND msg_id <= ?
            ORDER BY msg_id DESC LIMIT {RECEIPT_RANGE}) WHERE flags & {NOT_SENDERS | SENDERS | SETTLED} = 0""",
        (mark.user_id, mark.opposite_id, before, position),
    )[0]
    changes = []
    if newest and mark.user_id != mark.opposite_id:
        changes.append(
            StatusChange(mark.opposite_id, mark.user_xid, newest, Status.READ, mark.user_xid, mark.device_sn)
        )
    return ReadDone(position, moved=True, changes=changes)


def put_off(conn: sqlite3.Connection, user_id: int, opposite: Party) -> bool:
    """Keep a conversation off the recent list until something newer; False for a group that the user is not in."""
    if opposite.scope is Scope.GROUP:
        return bool(one(conn, _PUT_GROUP_OFF, (user_id, opposite.id)))
    conn.execute(
        "UPDATE conversation SET off = last WHERE usr = ? AND opp = ? AND off < last", (user_id, opposite.id)
    )
    return True


def _read_group(conn: sqlite3.Connection, mark: ReadMark) -> ReadDone | Kind:
    found = one(
        conn,
        f"""SELECT s.id, s.read, max(t.last, {newest_directed("s.usr", "s.grp")}), g.read_ack
        FROM stay AS s JOIN timeline AS t ON t.id = s.grp JOIN grp AS g ON g.id = s.grp
        WHERE s.usr = ? AND s.grp = ? AND s.to_seq IS NULL""",
        (mark.user_id, mark.opposite_id),
    )
    if not found:
        # Nobody has a position in a chatroom.
        return ReadDone(0, moved=False, changes=[]) if is_room(conn, mark.opposite_id) else Kind.NOT_A_MEMBER
    stay_id, before, last, told = found
    position = min(mark.msg_id or last, last)
    if position <= before:
        return ReadDone(before, moved=False, changes=[])
    changes = [
        StatusChange(sender, mark.opposite_xid, msg_id, Status.READ, mark.user_xid, mark.device_sn)
        for sender, msg_id in conn.execute(
            f"""SELECT sender, max(msg_id) FROM (
                SELECT sender, msg_id FROM (
                    SELECT m.sender, m.msg_id, m.flags, m.seq FROM message AS m
                    WHERE m.target = ?1 AND m.peer = 0 AND m.shown = 1 AND m.msg_id > ?2 AND m.msg_id <= ?3
                    ORDER BY m.msg_id DESC LIMIT ?5) AS m
                WHERE m.sender <> ?4 AND m.flags & {SETTLED} = 0
                    AND NOT {others_reach("read", "?1", "m.msg_id", place_of("m"), "m.sender")}
                UNION ALL
                SELECT sender, msg_id FROM (
                    SELECT sender, msg_id FROM message
                    WHERE target = ?4 AND peer = ?1 AND shown = 1 AND sender <> ?4 AND msg_id > ?2 AND msg_id <= ?3
                    ORDER BY msg_id DESC LIMIT ?5))
            WHERE ?6
            GROUP BY sender""",
            (mark.opposite_id, before, position, mark.user_id, RECEIPT_RANGE, told),
        ).fetchall()
    ]
    conn.execute("UPDATE stay SET read = ? WHERE id = ?", (position, stay_id))
    return ReadDone(position, moved=True, changes=changes)
