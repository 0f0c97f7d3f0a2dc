"""What the store holds, read past the gateway: the checker must not ask whom it checks."""

from __future__ import annotations

from collections import defaultdict

import asyncpg

from scripts.faultlib.history import Line, Row, Span, Truth

_MESSAGES = """
SELECT a.app_id, m.msg_id, s.xid, t.xid, b.content FROM message AS m
JOIN timeline AS t ON t.id = m.target JOIN timeline AS s ON s.id = m.sender JOIN app AS a ON a.id = t.app
LEFT JOIN body AS b ON b.id = m.body
"""
_LINES = "SELECT a.app_id, t.xid, t.head FROM timeline AS t JOIN app AS a ON a.id = t.app"
_ENTRIES = """
SELECT a.app_id, t.xid, e.seq, e.msg_id FROM entry AS e
JOIN timeline AS t ON t.id = e.t JOIN app AS a ON a.id = t.app
"""
_STAYS = """
SELECT a.app_id, g.xid, u.xid, s.from_seq, coalesce(s.to_seq, 0) FROM stay AS s
JOIN timeline AS g ON g.id = s.grp JOIN timeline AS u ON u.id = s.usr JOIN app AS a ON a.id = g.app
"""
_READS = """
SELECT a.app_id, u.xid, o.xid, c.read FROM conversation AS c
JOIN timeline AS u ON u.id = c.usr JOIN timeline AS o ON o.id = c.opp JOIN app AS a ON a.id = u.app
"""


async def read_truth(url: str) -> Truth:
    """Read all of it, in one snapshot."""
    conn = await asyncpg.connect(url)
    try:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            messages = [Row(*row) for row in await conn.fetch(_MESSAGES)]
            entries: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
            for app, xid, seq, msg_id in await conn.fetch(_ENTRIES):
                entries[app, xid][seq] = msg_id
            lines = {
                (app, xid): Line(head, entries.get((app, xid), {}))
                for app, xid, head in await conn.fetch(_LINES)
            }
            stays: dict[tuple[str, int, int], list[Span]] = defaultdict(list)
            for app, group, uid, from_seq, to_seq in await conn.fetch(_STAYS):
                stays[app, group, uid].append(Span(from_seq, to_seq))
            return Truth(messages, lines, dict(stays))
    finally:
        await conn.close()


async def read_heads(url: str) -> dict[tuple[str, int], tuple[int, dict[int, int]]]:
    """The head of each user's timeline, and of the groups the user is in: by app and xid."""
    conn = await asyncpg.connect(url)
    try:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            heads = {(app, xid): head for app, xid, head in await conn.fetch(_LINES)}
            followed: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
            for app, group, uid, _, to_seq in await conn.fetch(_STAYS):
                if not to_seq:
                    followed[app, uid][group] = heads[app, group]
            return {key: (head, followed.get(key, {})) for key, head in heads.items()}
    finally:
        await conn.close()


async def read_positions(url: str) -> dict[tuple[str, int, int], int]:
    """The READ position of each user in each conversation with another."""
    conn = await asyncpg.connect(url)
    try:
        return {(app, uid, opposite): read for app, uid, opposite, read in await conn.fetch(_READS)}
    finally:
        await conn.close()
