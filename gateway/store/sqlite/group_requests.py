"""Applications to groups and invitations into them: rows that are there for as long as nobody has answered.

Who comes to be in the group, or is blocked by it, has nothing open with it any more. What has expired goes when
something new comes to the same group or user, so that there are never more than the limits say.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.domain.drafts import Answer, Changed
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import HandleDraft, RequestDraft
from gateway.domain.limits import Limits
from gateway.domain.model import GroupRequest
from gateway.store.judging import handled, joins_by, may_ask, new_requests, request_gone
from gateway.store.rows import to_request
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.members import change_members, find_users, make_missing

# Of each user named: whether such a request is open with the group, and how many are open with all groups.
_OPEN = """
SELECT json_group_array(json_array(j.value,
    EXISTS (SELECT 1 FROM request AS r WHERE r.grp = ?1 AND r.usr = j.value AND r.kind = ?2 AND r.state = 0),
    (SELECT count(*) FROM request AS r WHERE r.usr = j.value AND r.kind = ?2)))
FROM json_each(?3) AS j
"""
_FILE = """
INSERT INTO request (grp, usr, kind, inviter, reason, state, at, expires_at)
SELECT ?1, value, ?2, ?3, ?4, 0, ?5, ?6 FROM json_each(?7)
"""
_RENEW = """
UPDATE request SET inviter = ?3, reason = ?4, at = ?5, expires_at = ?6
WHERE grp = ?1 AND kind = ?2 AND usr IN (SELECT value FROM json_each(?7)) AND state = 0
"""
_REQUEST = """
SELECT r.id, g.xid, u.xid, coalesce(i.xid, 0), r.reason, r.at, r.expires_at FROM request AS r
JOIN timeline AS g ON g.id = r.grp JOIN timeline AS u ON u.id = r.usr LEFT JOIN timeline AS i ON i.id = r.inviter
"""
# An invitation is as good as whoever gave it: one by a user who is no longer in the group is no more.
_GOOD = """(r.kind = 1 OR r.inviter = (SELECT system FROM app WHERE id = g.app)
    OR EXISTS (SELECT 1 FROM stay AS s WHERE s.usr = r.inviter AND s.grp = r.grp AND s.to_seq IS NULL))"""


def file_requests(conn: sqlite3.Connection, draft: RequestDraft, limits: Limits) -> Answer:
    """Open a request for each user; one that is open already is renewed, by whoever asks now."""
    refused: dict[int, Kind] = {}
    users = find_users(conn, draft, draft.group_id, refused, make=True)
    users = may_ask(draft, users, refused)
    known = rows([user.id for user in users if user.id])
    expired = (draft.kind, draft.at)
    conn.execute(
        "DELETE FROM request WHERE grp = ? AND kind = ? AND expires_at <= ?", (draft.group_id, *expired)
    )
    conn.execute(
        """DELETE FROM request WHERE usr IN (SELECT value FROM json_each(?)) AND kind = ? AND expires_at <= ?""",
        (known, *expired),
    )
    held = {
        usr: (there, count) for usr, there, count in table(conn, _OPEN, (draft.group_id, draft.kind, known))
    }
    count = one(
        conn, "SELECT count(*) FROM request WHERE grp = ? AND kind = ?", (draft.group_id, draft.kind)
    )[0]
    new = new_requests(users, held, count, limits, refused)
    make_missing(conn, draft, new)
    inviter = one(conn, "SELECT id FROM timeline WHERE app = ? AND xid = ?", (draft.app, draft.inviter_xid))
    told = (draft.kind, inviter[0] if inviter else 0, draft.reason, draft.at, draft.expires_at)
    conn.execute(_RENEW, (draft.group_id, *told, known))
    conn.execute(_FILE, (draft.group_id, *told, rows([user.id for user in new])))
    return Changed([], draft.group_xid, refused)


def handle_request(conn: sqlite3.Connection, draft: HandleDraft, limits: Limits) -> Answer:
    """Answer an open request. Who cannot join though approved is refused, and the request stays open."""
    found = one(
        conn,
        f"""SELECT r.id FROM timeline AS u JOIN request AS r ON r.grp = ?3 AND r.usr = u.id AND r.kind = ?4
        JOIN timeline AS g ON g.id = r.grp LEFT JOIN timeline AS i ON i.id = r.inviter
        WHERE u.app = ?1 AND u.xid = ?2 AND r.state = 0 AND r.expires_at > ?5 AND coalesce(i.xid, 0) = ?6
            AND {_GOOD}""",
        (draft.app, draft.user_xid, draft.group_id, draft.kind, draft.at, draft.inviter_xid),
    )
    if not found:
        return request_gone(draft)
    if not draft.approved:
        conn.execute("DELETE FROM request WHERE id = ?", found)
        return Changed([], draft.group_xid)
    return handled(draft, change_members(conn, joins_by(draft), limits))


def list_applications(
    conn: sqlite3.Connection, group_ids: Sequence[int], after_id: int, limit: int, now: int
) -> list[GroupRequest]:
    """List what is open with groups, oldest first."""
    return _requests(
        conn,
        f"""{_REQUEST} WHERE r.grp IN (SELECT value FROM json_each(?)) AND r.kind = 1 AND r.id > ?
        AND r.expires_at > ? ORDER BY r.id LIMIT ?""",
        (rows(group_ids), after_id, now, limit),
    )


def list_invitations(
    conn: sqlite3.Connection, user_id: int, after_id: int, limit: int, now: int
) -> list[GroupRequest]:
    """List what is open with a user, oldest first."""
    return _requests(
        conn,
        f"""{_REQUEST} WHERE r.usr = ? AND r.kind = 2 AND r.id > ? AND r.expires_at > ? AND {_GOOD}
        ORDER BY r.id LIMIT ?""",
        (user_id, after_id, now, limit),
    )


def _requests(conn: sqlite3.Connection, sql: str, params: tuple[object, ...]) -> list[GroupRequest]:
    return [to_request(row) for row in conn.execute(sql, params).fetchall()]
