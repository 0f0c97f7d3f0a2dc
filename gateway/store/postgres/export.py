"""`gateway export` on PostgreSQL: the same lines as on SQLite (`store/sqlite/export.py`), in the same order of kinds.

Reads only, in one snapshot, beside running nodes or without any; page by page, so that memory is bounded whatever the
size. What opens doors is left out: keys that sign tokens, secrets of backends, and records of passwords.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from typing import Any

import msgspec

from gateway.domain.model import Scope
from gateway.store.errors import ExportError
from gateway.store.parties import as_xid
from gateway.store.postgres.check import FAILURES, find_schema, snapshot
from gateway.store.postgres.schema import MIGRATIONS
from gateway.store.rows import SENDERS
from gateway.store.told import one_line

_GROUP = int(Scope.GROUP)
_PAGE = 200
"""Rows read at a time."""

_JSON = {"device": "cursors", "entry": "data", "user": "metadata"}
"""Members that are kept as JSON, by the type of the line. Whatever is none stays the text it is."""


def _xid(column: str) -> str:
    return f"(SELECT named.xid FROM timeline AS named WHERE named.id = {column})"


# $1 is the app, $2 the timeline of the user, 0 for the whole app.
_OF = "t.app = $1 AND ($2::bigint = 0 OR t.id = $2)"

# Each row is a line, and its columns are the line's members. A user's lines are those that are about this user: what
# others wrote in groups is not.
_LINES = (
    f"""
    SELECT 'app' AS type, app_id, registered <> 0 AS registered, recall_window_ms, sends_per_s, connections_max,
        message_bytes_max, storage_bytes_max,
        coalesce((SELECT sum(bytes) FROM usage WHERE app = app.id), 0)::bigint AS stored_bytes, created_at,
        {_xid("system")} AS system_id
    FROM app WHERE id = $1 AND $2::bigint = 0
    """,
    "SELECT 'alias' AS type, dialect, name FROM alias WHERE app = $1 AND $2::bigint = 0",
    "SELECT 'credential' AS type, dialect, name, at FROM credential WHERE app = $1 AND $2::bigint = 0",
    f"""
    SELECT 'user' AS type, t.xid AS user_id, coalesce(u.name, '') AS username, t.state, u.nickname, u.avatar,
        u.description, u.public_info, u.private_info, u.metadata,
        u.password <> '' AS has_password, u.created_at, t.head, t.floor,
        u.delivered
    FROM timeline AS t JOIN "user" AS u ON u.id = t.id WHERE {_OF}
    """,
    f"""
    SELECT 'device' AS type, t.xid AS user_id, d.sn AS device_sn, d.platform, d.user_agent, d.seen_at,
        coalesce((SELECT json_object_agg(CASE c.t WHEN d.usr THEN 'user' ELSE 'g:' || {_xid("c.t")} END, c.seq)
            FROM cursor AS c WHERE c.usr = d.usr AND c.sn = d.sn), '{{}}')::text AS cursors
    FROM timeline AS t JOIN device AS d ON d.usr = t.id WHERE {_OF}
    """,
    f"""
    SELECT 'block' AS type, t.xid AS user_id, {_xid("b.blocked")} AS blocked_user_id, b.at
    FROM timeline AS t JOIN block AS b ON b.usr = t.id WHERE {_OF}
    UNION ALL
    SELECT 'block', {_xid("b.usr")}, {_xid("b.blocked")}, b.at FROM block AS b WHERE b.blocked = $2
    """,
    f"""
    SELECT 'contact' AS type, t.xid AS user_id, {_xid("c.contact")} AS contact_user_id, c.at
    FROM timeline AS t JOIN contact AS c ON c.usr = t.id WHERE {_OF}
    """,
    f"""
    SELECT 'group' AS type, t.xid AS group_id, {_xid("g.owner")} AS owner_id, g.name, g.description, g.avatar, g.ext,
        g.type AS group_type, g.members, g.apply_approval, g.invite_confirm, g.member_invitation, g.ban_all_until,
        g.history_visible, g.read_ack, g.created_at, g.updated_at, g.announcement,
        g.members_max, g.disabled, g.destroyed_at, t.head, t.floor
    FROM timeline AS t JOIN grp AS g ON g.id = t.id WHERE t.app = $1 AND ($2::bigint = 0 OR g.owner = $2)
    """,
    f"""
    SELECT 'stay' AS type, {_xid("s.grp")} AS group_id, t.xid AS user_id, s.admin <> 0 AS admin,
        s.trusted <> 0 AS trusted, s.joined_at,
        s.from_seq, s.to_seq, s.from_msg AS from_msg_id, s.to_msg AS to_msg_id, s.read AS read_msg_id,
        s.deleted AS deleted_msg_id, s.off AS off_msg_id, s.delivered
    FROM timeline AS t JOIN stay AS s ON s.usr = t.id WHERE {_OF}
    """,
    f"""
    SELECT 'listed' AS type, {_xid("l.grp")} AS group_id, t.xid AS user_id, l.at
    FROM timeline AS t JOIN listed AS l ON l.usr = t.id WHERE {_OF}
    """,
    f"""
    SELECT 'ban' AS type, {_xid("b.grp")} AS group_id, t.xid AS user_id, b.until, b.at
    FROM ban AS b JOIN timeline AS t ON t.id = b.usr WHERE {_OF}
    """,
    f"""
    SELECT 'group_block' AS type, {_xid("b.grp")} AS group_id, t.xid AS user_id, b.at
    FROM grp_block AS b JOIN timeline AS t ON t.id = b.usr WHERE {_OF}
    """,
    f"""
    SELECT CASE r.kind WHEN 1 THEN 'application' ELSE 'invitation' END AS type, {_xid("r.grp")} AS group_id,
        t.xid AS user_id, {_xid("r.inviter")} AS inviter_id, r.reason, r.state, r.at, r.expires_at
    FROM request AS r JOIN timeline AS t ON t.id = r.usr
    WHERE t.app = $1 AND ($2::bigint = 0 OR t.id = $2 OR r.inviter = $2)
    """,
    f"""
    SELECT 'conversation' AS type, t.xid AS user_id, {_xid("c.opp")} AS opposite_id, c.last AS newest_msg_id,
        c.read AS read_msg_id, c.deleted AS deleted_msg_id, c.off AS off_msg_id
    FROM timeline AS t JOIN conversation AS c ON c.usr = t.id WHERE {_OF}
    """,
    f"""
    SELECT 'message' AS type, m.msg_id, {_xid("m.sender")} AS from_user_id, m.device_sn AS from_device_sn,
        CASE t.kind WHEN {_GROUP} THEN 'group' ELSE 'user' END AS to, t.xid AS to_id,
        CASE WHEN m.peer NOT IN (0, m.sender) THEN {_xid("m.peer")} END AS group_id, m.seq, m.ctype AS content_type,
        m.related AS related_mid, m.flags, m.at AS timestamp,
        (SELECT shown_at FROM imported WHERE msg_id = m.msg_id) AS shown_at, m.expires_at,
        b.content, b.attachment, b.config, b.ext
    FROM message AS m JOIN timeline AS t ON t.id = m.target LEFT JOIN body AS b ON b.id = m.body
    WHERE t.app = $1 AND ($2::bigint = 0 OR m.sender = $2 OR m.target = $2 AND m.flags & {SENDERS} = 0)
    ORDER BY m.msg_id
    """,
    f"""
    SELECT 'hidden' AS type, t.xid AS user_id, h.msg_id FROM timeline AS t JOIN hidden AS h ON h.usr = t.id WHERE {_OF}
    """,
    f"""
    SELECT 'entry' AS type, CASE t.kind WHEN {_GROUP} THEN 'g:' ELSE 'u:' END || t.xid AS timeline, e.seq, e.kind,
        e.msg_id, e.data
    FROM timeline AS t JOIN entry AS e ON e.t = t.id WHERE {_OF}
    """,
    f"""
    SELECT 'transaction' AS type, t.xid AS user_id, d.key AS transaction_id, a.first_msg_id, a.last_msg_id
    FROM timeline AS t JOIN dedup AS d ON d.app = t.app AND d.sender_xid = t.xid
    LEFT JOIN answer AS a ON a.draft = d.draft WHERE {_OF}
    """,
    f"""
    SELECT 'file' AS type, f.uuid, {_xid("f.uploader")} AS user_id, f.name, f.type AS media_type, f.size,
        f.restricted <> 0 AS restricted, f.at
    FROM file AS f WHERE f.app = $1 AND ($2::bigint = 0 OR f.uploader = $2) ORDER BY f.at, f.uuid
    """,
    """
    SELECT 'job' AS type, kind, key AS transaction_id, progress, ends_at, done, finished, at, data
    FROM job WHERE app = $1 AND $2::bigint = 0
    """,
)


def export_lines(url: str, app_id: str, user: str = "") -> Generator[str, None, None]:
    """Every line about an app, or about its user of this id or name, for a caller that has no loop.

    The lines are of one moment: what is committed meanwhile is not among them. Raises `ExportError`.
    """
    with asyncio.Runner() as runner:
        pages = export_pages(url, app_id, user)
        try:
            while page := runner.run(_next(pages)):
                yield from page
        finally:
            runner.run(pages.aclose())


async def _next(pages: AsyncIterator[list[str]]) -> list[str]:
    return await anext(pages, [])


async def export_pages(url: str, app_id: str, user: str = "") -> AsyncGenerator[list[str], None]:
    """Yield the lines of `export_lines`, some at a time."""
    try:
        async with snapshot(url) as conn:
            version, known = await find_schema(conn), len(MIGRATIONS)
            if version != known:
                raise ExportError(
                    f"the store has schema {version}, and this gateway exports schema {known} only"
                )
            named = await _named(conn, app_id, user)
            for lines in _LINES:
                cursor = await conn.cursor(lines, *named)
                while rows := await cursor.fetch(_PAGE):
                    yield [_line(row) for row in rows]
    except FAILURES as error:
        raise ExportError(f"the store on PostgreSQL cannot be read: {one_line(error)}") from error


def _line(row: Mapping[str, Any]) -> str:
    members = dict(row.items())
    name = _JSON.get(members["type"])
    if name:
        members[name] = _decoded(members[name])
    return msgspec.json.encode(members).decode()


def _decoded(text: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


async def _named(conn: Any, app_id: str, user: str) -> tuple[int, int]:  # noqa: ANN401
    """The ids of the app and the user, 0 where none is named."""
    app = await conn.fetchval("SELECT id FROM app WHERE app_id = $1", app_id)
    if app is None:
        raise ExportError(f"there is no app {app_id}")
    if not user:
        return app, 0
    xid = as_xid(user)
    if xid is None:
        found = await conn.fetchval('SELECT id FROM "user" WHERE app = $1 AND name = $2', app, user)
    else:
        found = await conn.fetchval(
            'SELECT t.id FROM timeline AS t JOIN "user" AS u ON u.id = t.id WHERE t.app = $1 AND t.xid = $2',
            app,
            xid,
        )
    if found is None:
        raise ExportError(f"there is no user {user} in app {app_id}")
    return app, found
