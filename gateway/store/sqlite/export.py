"""`gateway export`: all that a store holds of an app, or of one of its users, as lines of JSON.

Reads only, in one snapshot, beside a running gateway or without one; row by row, so that memory is bounded whatever the
size. What opens doors is left out: keys that sign tokens, secrets of backends, and records of passwords.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from gateway.domain.model import Scope
from gateway.store import schema
from gateway.store.errors import ExportError
from gateway.store.parties import as_xid
from gateway.store.rows import SENDERS
from gateway.store.sqlite.check import open_for_reading
from gateway.store.sqlite.newest import BEHIND

_GROUP = int(Scope.GROUP)


def _xid(column: str) -> str:
    return f"(SELECT xid FROM timeline WHERE id = {column})"


def _yes(column: str) -> str:
    return f"json(iif({column}, 'true', 'false'))"


# Each selects one line a row. ?1 is the app, ?2 the timeline of the user, 0 for the whole app. A user's lines are those
# that are about this user: what others wrote in groups is not.
_LINES = (
    f"""
    SELECT json_object('type', 'app', 'app_id', app_id, 'registered', {_yes("registered")},
        'recall_window_ms', recall_window_ms, 'sends_per_s', sends_per_s, 'connections_max', connections_max,
        'message_bytes_max', message_bytes_max, 'storage_bytes_max', storage_bytes_max,
        'stored_bytes', stored_bytes, 'created_at', created_at, 'system_id', {_xid("system")})
    FROM app WHERE id = ?1 AND ?2 = 0
    """,
    "SELECT json_object('type', 'alias', 'dialect', dialect, 'name', name) FROM alias WHERE app = ?1 AND ?2 = 0",
    """
    SELECT json_object('type', 'credential', 'dialect', dialect, 'name', name, 'at', at) FROM credential
    WHERE app = ?1 AND ?2 = 0
    """,
    f"""
    SELECT json_object('type', 'user', 'user_id', t.xid, 'username', coalesce(u.name, ''), 'state', t.state,
        'nickname', u.nickname, 'avatar', u.avatar, 'description', u.description,
        'public_info', u.public_info, 'private_info', u.private_info,
        'metadata', json(u.metadata),
        'has_password', {_yes("u.password <> ''")}, 'created_at', u.created_at, 'head', t.head, 'floor', t.floor,
        'delivered', u.delivered)
    FROM timeline AS t CROSS JOIN user AS u ON u.id = t.id WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    """,
    f"""
    SELECT json_object('type', 'device', 'user_id', t.xid, 'device_sn', d.sn, 'platform', d.platform,
        'user_agent', d.user_agent, 'seen_at', d.seen_at,
        'cursors', (SELECT json_group_object(CASE c.t WHEN d.usr THEN 'user' ELSE 'g:' || {_xid("c.t")} END, c.seq)
            FROM cursor AS c WHERE c.usr = d.usr AND c.sn = d.sn))
    FROM timeline AS t CROSS JOIN device AS d ON d.usr = t.id WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    """,
    f"""
    SELECT json_object('type', 'block', 'user_id', t.xid, 'blocked_user_id', {_xid("b.blocked")}, 'at', b.at)
    FROM timeline AS t CROSS JOIN block AS b ON b.usr = t.id WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    UNION ALL
    SELECT json_object('type', 'block', 'user_id', {_xid("b.usr")}, 'blocked_user_id', {_xid("b.blocked")}, 'at', b.at)
    FROM block AS b WHERE b.blocked = ?2
    """,
    f"""
    SELECT json_object('type', 'contact', 'user_id', t.xid, 'contact_user_id', {_xid("c.contact")}, 'at', c.at)
    FROM timeline AS t CROSS JOIN contact AS c ON c.usr = t.id WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    """,
    f"""
    SELECT json_object('type', 'group', 'group_id', t.xid, 'owner_id', {_xid("g.owner")}, 'name', g.name,
        'description', g.description, 'avatar', g.avatar, 'ext', g.ext, 'group_type', g.type, 'members', g.members,
        'apply_approval', g.apply_approval, 'invite_confirm', g.invite_confirm,
        'member_invitation', g.member_invitation, 'ban_all_until', g.ban_all_until,
        'history_visible', g.history_visible, 'read_ack', g.read_ack, 'created_at', g.created_at,
        'updated_at', g.updated_at, 'announcement', g.announcement, 'members_max', g.members_max,
        'disabled', g.disabled, 'destroyed_at', g.destroyed_at, 'head', t.head, 'floor', t.floor)
    FROM timeline AS t CROSS JOIN grp AS g ON g.id = t.id WHERE t.app = ?1 AND (?2 = 0 OR g.owner = ?2)
    """,
    f"""
    SELECT json_object('type', 'stay', 'group_id', {_xid("s.grp")}, 'user_id', t.xid, 'admin', {_yes("s.admin")},
        'trusted', {_yes("s.trusted")},
        'joined_at', s.joined_at, 'from_seq', s.from_seq, 'to_seq', s.to_seq, 'from_msg_id', s.from_msg,
        'to_msg_id', s.to_msg, 'read_msg_id', s.read, 'deleted_msg_id', s.deleted, 'off_msg_id', s.off,
        'delivered', s.delivered)
    FROM timeline AS t CROSS JOIN stay AS s ON s.usr = t.id WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    """,
    f"""
    SELECT json_object('type', 'listed', 'group_id', {_xid("l.grp")}, 'user_id', t.xid, 'at', l.at)
    FROM timeline AS t CROSS JOIN listed AS l ON l.usr = t.id WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    """,
    f"""
    SELECT json_object('type', 'ban', 'group_id', {_xid("b.grp")}, 'user_id', t.xid, 'until', b.until, 'at', b.at)
    FROM ban AS b CROSS JOIN timeline AS t ON t.id = b.usr WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    """,
    f"""
    SELECT json_object('type', 'group_block', 'group_id', {_xid("b.grp")}, 'user_id', t.xid, 'at', b.at)
    FROM grp_block AS b CROSS JOIN timeline AS t ON t.id = b.usr WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    """,
    f"""
    SELECT json_object('type', iif(r.kind = 1, 'application', 'invitation'), 'group_id', {_xid("r.grp")},
        'user_id', t.xid, 'inviter_id', {_xid("r.inviter")}, 'reason', r.reason, 'state', r.state, 'at', r.at,
        'expires_at', r.expires_at)
    FROM request AS r CROSS JOIN timeline AS t ON t.id = r.usr
    WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2 OR r.inviter = ?2)
    """,
    f"""
    SELECT json_object('type', 'conversation', 'user_id', t.xid, 'opposite_id', {_xid("c.opp")},
        'newest_msg_id', max(c.last, coalesce(b.last, 0)), 'read_msg_id', c.read, 'deleted_msg_id', c.deleted,
        'off_msg_id', c.off)
    FROM timeline AS t CROSS JOIN conversation AS c ON c.usr = t.id
    LEFT JOIN ({BEHIND}) AS b ON b.usr = c.usr AND b.opp = c.opp WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    """,
    f"""
    SELECT json_object('type', 'conversation', 'user_id', t.xid, 'opposite_id', {_xid("b.opp")},
        'newest_msg_id', b.last, 'read_msg_id', 0, 'deleted_msg_id', 0, 'off_msg_id', 0)
    FROM ({BEHIND}) AS b CROSS JOIN timeline AS t ON t.id = b.usr
    WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
        AND NOT EXISTS (SELECT 1 FROM conversation AS c WHERE c.usr = b.usr AND c.opp = b.opp)
    """,
    f"""
    SELECT json_object('type', 'message', 'msg_id', m.msg_id, 'from_user_id', {_xid("m.sender")},
        'from_device_sn', m.device_sn, 'to', iif(t.kind = {_GROUP}, 'group', 'user'), 'to_id', t.xid,
        'group_id', iif(m.peer IN (0, m.sender), NULL, {_xid("m.peer")}), 'seq', m.seq, 'content_type', m.ctype,
        'related_mid', m.related, 'flags', m.flags, 'timestamp', m.at,
        'shown_at', (SELECT shown_at FROM imported WHERE msg_id = m.msg_id), 'expires_at', m.expires_at,
        'content', b.content, 'attachment', b.attachment, 'config', b.config, 'ext', b.ext)
    FROM message AS m CROSS JOIN timeline AS t ON t.id = m.target LEFT JOIN body AS b ON b.id = m.body
    WHERE t.app = ?1 AND (?2 = 0 OR m.sender = ?2 OR m.target = ?2 AND m.flags & {SENDERS} = 0) ORDER BY m.msg_id
    """,
    """
    SELECT json_object('type', 'hidden', 'user_id', t.xid, 'msg_id', h.msg_id)
    FROM timeline AS t CROSS JOIN hidden AS h ON h.usr = t.id WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    """,
    f"""
    SELECT json_object('type', 'entry', 'timeline', iif(t.kind = {_GROUP}, 'g:', 'u:') || t.xid, 'seq', e.seq,
        'kind', e.kind, 'msg_id', e.msg_id, 'data', iif(json_valid(e.data), json(e.data), e.data))
    FROM timeline AS t CROSS JOIN entry AS e ON e.t = t.id WHERE t.app = ?1 AND (?2 = 0 OR t.id = ?2)
    """,
    """
    SELECT json_object('type', 'transaction', 'user_id', t.xid, 'transaction_id', d.key,
        'first_msg_id', d.first_msg_id, 'last_msg_id', d.last_msg_id)
    FROM dedup AS d CROSS JOIN timeline AS t ON t.id = d.sender WHERE t.app = ?1 AND (?2 = 0 OR d.sender = ?2)
    """,
    f"""
    SELECT json_object('type', 'file', 'uuid', f.uuid, 'user_id', {_xid("f.uploader")}, 'name', f.name,
        'media_type', f.type, 'size', f.size, 'restricted', {_yes("f.restricted")}, 'at', f.at)
    FROM file AS f WHERE f.app = ?1 AND (?2 = 0 OR f.uploader = ?2) ORDER BY f.at, f.uuid
    """,
    """
    SELECT json_object('type', 'job', 'kind', kind, 'transaction_id', key, 'progress', progress, 'ends_at', ends_at,
        'done', done, 'finished', finished, 'at', at, 'data', data)
    FROM job WHERE app = ?1 AND ?2 = 0
    """,
)


def export_lines(path: Path, app_id: str, user: str = "") -> Iterator[str]:
    """Every line about an app, or about its user of this id or name.

    The lines are of one moment: what is committed meanwhile is not among them. Raises `ExportError`.
    """
    path = (path / "gateway.db" if path.is_dir() else path).resolve()
    if not path.exists():
        raise ExportError(f"there is no store at {path}")
    try:
        with closing(open_for_reading(path)) as conn:
            conn.execute("BEGIN")
            version = conn.execute("PRAGMA user_version").fetchone()[0]
            if version != len(schema.SQLITE_MIGRATIONS):
                known = len(schema.SQLITE_MIGRATIONS)
                raise ExportError(
                    f"the store has schema {version}, and this gateway exports schema {known} only"
                )
            named = _named(conn, app_id, user)
            for lines in _LINES:
                for (line,) in conn.execute(lines, named):
                    yield line
    except (sqlite3.Error, UnicodeError, OSError) as error:
        raise ExportError(f"{path} cannot be read: {error}") from error


def _named(conn: sqlite3.Connection, app_id: str, user: str) -> tuple[int, int]:
    """The ids of the app and the user, 0 where none is named."""
    app = conn.execute("SELECT id FROM app WHERE app_id = ?", (app_id,)).fetchone()
    if app is None:
        raise ExportError(f"there is no app {app_id}")
    if not user:
        return app[0], 0
    xid = as_xid(user)
    if xid is not None:
        found = conn.execute(
            "SELECT t.id FROM timeline AS t JOIN user AS u ON u.id = t.id WHERE t.app = ? AND t.xid = ?",
            (app[0], xid),
        ).fetchone()
    else:
        found = conn.execute("SELECT id FROM user WHERE app = ? AND name = ?", (app[0], user)).fetchone()
    if found is None:
        raise ExportError(f"there is no user {user} in app {app_id}")
    return app[0], found[0]
