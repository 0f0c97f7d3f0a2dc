"""Positions on PostgreSQL: cursors, *delivered* and READ, and whose messages changed status by them (design §3).

A flush is two statements, however many acks or marks it has. The first locks every row concerned, in order (users,
connected devices, conversations, stays), and reads it as it is once it is locked; the second moves them and finds
whose messages changed status, as things were before the move, for a statement does not see its own changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.domain.errors import Kind
from gateway.domain.model import ROOM, EntryKind, Scope, Status
from gateway.domain.positions import Ack, Advanced, Attachment, ReadDone, ReadMark, StatusChange
from gateway.domain.receipts import newest_changes
from gateway.store.base import SEEN_STEP_MS, Party
from gateway.store.postgres.directed import directed_read, newest_directed
from gateway.store.postgres.lane import Conn, Lanes
from gateway.store.postgres.presence import columns_of
from gateway.store.postgres.stays import locked_stays, others_reach, place_of
from gateway.store.receipts import (
    RECEIPT_RANGE,
    Move,
    delivered_by,
    delivered_in_group,
    furthest,
    ranges,
    sort_out,
)
from gateway.store.rows import NOT_SENDERS, SENDERS, SETTLED
from gateway.store.stays import at_seq

USER, CONNECTION, STAY, CONVERSATION, CHATROOM = 1, 2, 3, 4, 5
"""What a row of a statement that locks is about."""

# Users by id, connections by (user, device). Each list waits for the one before it.
_ACKS_LOCKED = f"""
WITH users AS MATERIALIZED (
    SELECT u.* FROM unnest($1::bigint[]) AS j (id)
    CROSS JOIN LATERAL (SELECT id, delivered FROM "user" WHERE id = j.id FOR NO KEY UPDATE) AS u),
connections AS MATERIALIZED (
    SELECT a.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS j (usr, sn, no)
    CROSS JOIN LATERAL (
        SELECT usr, sn, no FROM attached WHERE usr = j.usr AND sn = j.sn AND no = j.no FOR SHARE) AS a
    WHERE (SELECT count(*) FROM users) >= 0),
pairs AS MATERIALIZED (
    SELECT * FROM unnest($5::bigint[], $6::bigint[]) AS j (grp, usr) WHERE (SELECT count(*) FROM connections) >= 0),
stays AS MATERIALIZED ({locked_stays("pairs", "s.id, s.grp, s.usr, s.delivered")})
SELECT {USER}, id, delivered, 0, 0 FROM users
UNION ALL SELECT {CONNECTION}, usr, sn, no, 0 FROM connections
UNION ALL SELECT {STAY}, id, grp, usr, delivered FROM stays
"""
# Eviction asks who was unseen longest; to the minute is near enough, and spares a write per flush. Of what came to be
# delivered the newest message per sender is told, unless it was read before that. A notice lies in its receiver's
# history only, as what is the receiver's alone does, so its sender is not told of it. Other members of a group count
# only with a stay around the message.
_ADVANCE = f"""
WITH seen AS (
    UPDATE device AS d SET seen_at = j.at FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS j (usr, sn, at)
    WHERE d.usr = j.usr AND d.sn = j.sn AND d.seen_at + {SEEN_STEP_MS} <= j.at RETURNING 1),
cursors AS (
    INSERT INTO cursor (usr, sn, t, seq)
    SELECT j.usr, j.sn, j.t, j.seq
    FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) AS j (usr, sn, t, seq)
    WHERE (SELECT 1 FROM device WHERE usr = j.usr AND sn = j.sn) = 1 AND (SELECT count(*) FROM seen) >= 0
    ON CONFLICT (usr, sn, t) DO UPDATE SET seq = excluded.seq WHERE cursor.seq < excluded.seq),
users AS (
    UPDATE "user" AS u SET delivered = j.seq FROM unnest($8::bigint[], $10::bigint[]) AS j (id, seq) WHERE u.id = j.id),
stays AS (
    UPDATE stay AS s SET delivered = j.seq FROM unnest($11::bigint[], $12::bigint[]) AS j (id, seq) WHERE s.id = j.id)
SELECT {USER}, m.target, m.grp_xid, m.sender, max(m.msg_id), 0
FROM unnest($8::bigint[], $9::bigint[], $10::bigint[]) AS j (t, after, upto)
CROSS JOIN LATERAL (
    SELECT msg_id FROM entry WHERE t = j.t AND seq > greatest(j.after, j.upto - {RECEIPT_RANGE}) AND seq <= j.upto
        AND kind = {EntryKind.MESSAGE:d} LIMIT {RECEIPT_RANGE}) AS e
CROSS JOIN LATERAL (
    SELECT m.target, m.sender, m.peer, m.msg_id, CASE p.kind WHEN {Scope.GROUP:d} THEN p.xid ELSE 0 END AS grp_xid
    FROM message AS m JOIN timeline AS p ON p.id = m.peer
    WHERE m.msg_id = e.msg_id AND m.target = j.t AND m.sender <> j.t AND m.shown = 1 AND m.flags & {NOT_SENDERS} = 0
        AND CASE p.kind WHEN {Scope.USER:d}
            THEN m.msg_id > coalesce((SELECT read FROM conversation WHERE usr = j.t AND opp = m.peer), 0)
            ELSE NOT {directed_read("m.peer", "j.t", "m.msg_id")} END
    LIMIT 1) AS m
GROUP BY m.target, m.grp_xid, m.sender
UNION ALL
SELECT {STAY}, g.* FROM (
    SELECT DISTINCT ON (j.t, m.sender) j.t, (SELECT xid FROM timeline WHERE id = j.t), m.sender, m.msg_id, e.seq
    FROM unnest($13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[]) AS j (t, after, upto, alone)
    CROSS JOIN LATERAL (
        SELECT seq, msg_id FROM entry WHERE t = j.t AND seq > j.after AND seq <= j.upto
            AND kind = {EntryKind.MESSAGE:d} LIMIT {RECEIPT_RANGE}) AS e
    CROSS JOIN LATERAL (
        SELECT m.sender, m.msg_id FROM message AS m
        WHERE m.msg_id = e.msg_id AND m.shown = 1 AND m.sender <> j.alone LIMIT 1) AS m
    WHERE NOT {others_reach("delivered", "j.t", "e.seq", at_seq("e.seq"), "m.sender")}
        AND NOT {others_reach("read", "j.t", "m.msg_id", at_seq("e.seq"), "m.sender")}
    ORDER BY j.t, m.sender, m.msg_id DESC) AS g
"""
_PUT_OFF = "UPDATE conversation SET off = last WHERE usr = $1 AND opp = $2 AND off < last"
_PUT_GROUP_OFF = f"""
UPDATE stay AS s SET off = greatest(s.off, (SELECT msg_id FROM newest WHERE grp = s.grp),
    {newest_directed("s.usr", "s.grp")})
WHERE s.usr = $1 AND s.grp = $2 AND s.to_seq IS NULL RETURNING 1
"""
_MARKS_LOCKED = f"""
WITH conversations AS MATERIALIZED (
    SELECT c.* FROM unnest($1::bigint[], $2::bigint[]) AS j (usr, opp) CROSS JOIN LATERAL (
        SELECT usr, opp, read, last FROM conversation WHERE usr = j.usr AND opp = j.opp FOR NO KEY UPDATE) AS c),
pairs AS MATERIALIZED (
    SELECT * FROM unnest($3::bigint[], $4::bigint[]) AS j (usr, grp)
    WHERE (SELECT count(*) FROM conversations) >= 0),
stays AS MATERIALIZED ({locked_stays("pairs", "s.id, s.usr, s.grp, s.read")})
SELECT {CONVERSATION}, usr, opp, 0, read, last, false FROM conversations
UNION ALL
SELECT {STAY}, s.usr, s.grp, s.id, s.read,
    greatest((SELECT msg_id FROM newest WHERE grp = s.grp), {newest_directed("s.usr", "s.grp")}),
    (SELECT read_ack FROM grp WHERE id = s.grp) = 1 FROM stays AS s
UNION ALL
SELECT {CHATROOM}, 0, g.id, 0, 0, 0, false FROM unnest($4::bigint[]) AS j (grp)
CROSS JOIN LATERAL (SELECT id FROM grp WHERE id = j.grp AND type = {ROOM} LIMIT 1) AS g
"""
# j.mark: the place of the mark in the flush, whose range is (after, upto].
_READ = f"""
WITH conversations AS (
    UPDATE conversation AS c SET read = j.upto
    FROM (SELECT usr, opp, max(upto) AS upto
        FROM unnest($2::bigint[], $3::bigint[], $5::bigint[]) AS j (usr, opp, upto) GROUP BY usr, opp) AS j
    WHERE c.usr = j.usr AND c.opp = j.opp),
stays AS (
    UPDATE stay AS s SET read = j.upto
    FROM (SELECT id, max(upto) AS upto FROM unnest($12::bigint[], $11::bigint[]) AS j (id, upto) GROUP BY id) AS j
    WHERE s.id = j.id)
SELECT j.mark, j.opp, m.msg_id
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS j (mark, usr, opp, after, upto)
CROSS JOIN LATERAL (
    SELECT msg_id FROM (
        SELECT msg_id, flags FROM message
        WHERE target = j.usr AND peer = j.opp AND shown = 1 AND msg_id > j.after AND msg_id <= j.upto
        ORDER BY msg_id DESC LIMIT {RECEIPT_RANGE}) AS m
    WHERE flags & {NOT_SENDERS | SENDERS | SETTLED} = 0 ORDER BY msg_id DESC LIMIT 1) AS m
WHERE j.usr <> j.opp
UNION ALL
SELECT j.mark, m.sender, m.msg_id
FROM unnest($6::bigint[], $7::bigint[], $8::bigint[], $9::bool[], $10::bigint[], $11::bigint[])
    AS j (mark, usr, grp, told, after, upto)
CROSS JOIN LATERAL (
    SELECT sender, max(msg_id) AS msg_id FROM (
        SELECT sender, msg_id FROM (
            SELECT sender, msg_id, flags, seq FROM message
            WHERE target = j.grp AND peer = 0 AND shown = 1 AND msg_id > j.after AND msg_id <= j.upto
            ORDER BY msg_id DESC LIMIT {RECEIPT_RANGE}) AS m
        WHERE sender <> j.usr AND flags & {SETTLED} = 0
            AND NOT {others_reach("read", "j.grp", "m.msg_id", place_of("m"), "m.sender")}
        UNION ALL
        SELECT * FROM (
            SELECT sender, msg_id FROM message
            WHERE target = j.usr AND peer = j.grp AND shown = 1 AND sender <> j.usr
                AND msg_id > j.after AND msg_id <= j.upto
            ORDER BY msg_id DESC LIMIT {RECEIPT_RANGE}) AS m) AS m
    GROUP BY sender) AS m
WHERE j.told
ORDER BY 1
"""

_Pair = tuple[int, int]


class Positions(Lanes):
    """The part of the `Store` port on PostgreSQL that moves positions."""

    async def advance(self, acks: Sequence[Ack]) -> Advanced:
        """Move cursors and *delivered* up."""
        if not acks:
            return Advanced([])
        return await self._write(lambda conn: _advance(conn, acks))

    async def read(self, marks: Sequence[ReadMark]) -> list[ReadDone | Kind]:
        """Move READ positions up."""
        if not marks:
            return []
        return await self._write(lambda conn: _read(conn, marks))

    async def put_off(self, user_id: int, opposite: Party) -> bool:
        """Keep a conversation off the recent list."""
        put_off = _PUT_GROUP_OFF if opposite.scope is Scope.GROUP else _PUT_OFF
        moved = await self._write(lambda conn: conn.fetchval(put_off, user_id, opposite.id))
        return opposite.scope is Scope.USER or moved is not None


async def _advance(conn: Conn, acks: Sequence[Ack]) -> Advanced:
    own, group = furthest(acks)
    connections = {Attachment(ack.user_id, ack.device_sn, ack.attach_no) for ack in acks if ack.attach_no}
    asked = sorted(connections, key=lambda one: (one.user_id, one.device_sn, one.attach_no))
    pairs = sorted(group)
    told = (sorted(own), *columns_of(asked), [grp for grp, _ in pairs], [usr for _, usr in pairs])
    found: dict[int, list[Any]] = {USER: [], CONNECTION: [], STAY: []}
    for kind, *row in await conn.fetch(_ACKS_LOCKED, *told):
        found[kind].append(row)
    current = {Attachment(*row[:3]) for row in found[CONNECTION]}
    held, replaced = sort_out(acks, current.__contains__)
    return Advanced(await _move(conn, held, found[USER], found[STAY]) if held else [], replaced)


async def _move(
    conn: Conn, acks: Sequence[Ack], users: Sequence[Any], stays: Sequence[Any]
) -> list[StatusChange]:
    """Move all that these acks move, of users (id, *delivered*) and stays (id, group, user, *delivered*)."""
    own, group = furthest(acks)
    own_moves = [
        (usr, before, own[usr].seq) for usr, before, *_ in users if usr in own and before < own[usr].seq
    ]
    stay_moves: list[_Pair] = []
    moves: dict[int, list[Move]] = {}
    for stay_id, grp, usr, before in stays:
        ack = group.get((grp, usr))
        if ack is not None and before < ack.seq:
            stay_moves.append((stay_id, ack.seq))
            moves.setdefault(grp, []).append((before, ack.seq, ack))
    told = await conn.fetch(
        _ADVANCE,
        *_columns(sorted(_latest(((a.user_id, a.device_sn), a.at) for a in acks if a.at)), 3),
        *_columns(sorted(_latest(((a.user_id, a.device_sn, a.timeline_id), a.seq) for a in acks)), 4),
        *_columns(own_moves, 3),
        *_columns(stay_moves, 2),
        *_columns([(grp, *cut) for grp, moved in moves.items() for cut in ranges(moved)], 4),
    )
    return newest_changes(
        delivered_by(own[timeline], sender, grp_xid, msg_id)
        if kind == USER
        else delivered_in_group(moves[timeline], grp_xid, sender, msg_id, seq)
        for kind, timeline, grp_xid, sender, msg_id, seq in told
    )


async def _read(conn: Conn, marks: Sequence[ReadMark]) -> list[ReadDone | Kind]:
    users = sorted({(m.user_id, m.opposite_id) for m in marks if m.scope is Scope.USER})
    groups = sorted({(m.user_id, m.opposite_id) for m in marks if m.scope is Scope.GROUP})
    # What a mark finds: (stay or 0, position, newest, whether senders are told). Marks move it one after the other.
    places: dict[_Pair, tuple[int, int, int, bool]] = {}
    rooms = set()
    for kind, usr, opp, *place in await conn.fetch(_MARKS_LOCKED, *_columns(users, 2), *_columns(groups, 2)):
        if kind == CHATROOM:
            rooms.add(opp)
        else:
            places[usr, opp] = (place[0], place[1], place[2], place[3])
    done: list[ReadDone | Kind] = []
    user_moves: list[tuple[int, ...]] = []
    group_moves: list[tuple[int, ...]] = []
    for number, mark in enumerate(marks):
        pair = (mark.user_id, mark.opposite_id)
        if pair not in places:
            # Nobody has a position in a chatroom.
            known = mark.scope is Scope.USER or mark.opposite_id in rooms
            done.append(ReadDone(0, moved=False, changes=[]) if known else Kind.NOT_A_MEMBER)
            continue
        stay, before, last, told = places[pair]
        position = max(before, min(mark.msg_id or last, last))
        done.append(ReadDone(position, moved=position > before, changes=[]))
        if position > before:
            places[pair] = (stay, position, last, told)
            if mark.scope is Scope.USER:
                user_moves.append((number, *pair, before, position))
            else:
                group_moves.append((number, *pair, told, before, position, stay))
    if user_moves or group_moves:
        found = await conn.fetch(_READ, *_columns(user_moves, 5), *_columns(group_moves, 7))
        _tell_read(marks, done, found)
    return done


def _tell_read(marks: Sequence[ReadMark], done: Sequence[ReadDone | Kind], found: Sequence[Any]) -> None:
    """Note whose messages each mark changed; what an earlier mark of the flush has told a sender is implied."""
    newest: dict[_Pair, int] = {}
    for number, sender, msg_id in found:
        mark, one = marks[number], done[number]
        in_group = mark.scope is Scope.GROUP
        place = (mark.opposite_id if in_group else mark.user_id, sender)
        if isinstance(one, ReadDone) and newest.get(place, 0) < msg_id:
            newest[place] = msg_id
            conversation = mark.opposite_xid if in_group else mark.user_xid
            one.changes.append(
                StatusChange(sender, conversation, msg_id, Status.READ, mark.user_xid, mark.device_sn)
            )


def _latest(told: Any) -> list[tuple[int, ...]]:  # noqa: ANN401 - pairs of a key of any length and a number
    """Keep the greatest number of each key; return rows of both."""
    greatest: dict[tuple[int, ...], int] = {}
    for key, number in told:
        greatest[key] = max(number, greatest.get(key, number))
    return [(*key, number) for key, number in greatest.items()]


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[list[Any]]:
    """Turn rows into the columns that `unnest` takes, also where there are none."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]
