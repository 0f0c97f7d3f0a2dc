"""Applications to groups and invitations into them: rows that are there for as long as nobody has answered.

Who comes to be in the group, or is blocked by it, has nothing open with it any more. What has expired goes when
something new comes to the same group or user, so that there are never more than the limits say.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.drafts import Answer, Changed
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import HandleDraft, RequestDraft
from gateway.domain.limits import Limits
from gateway.domain.model import GroupRequest
from gateway.store.judging import handled, joins_by, may_ask, new_requests, request_gone
from gateway.store.postgres.heads import keep_made
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.members import change_members, find_users
from gateway.store.rows import to_request

_EXPIRED = (
    "DELETE FROM request WHERE grp = $1 AND kind = $2 AND expires_at <= $3",
    "DELETE FROM request WHERE usr = ANY ($1::bigint[]) AND kind = $2 AND expires_at <= $3",
)
_COUNT = "SELECT count(*) FROM request WHERE grp = $1 AND kind = $2"
# Of each user named: whether such a request is open with the group, and how many are open with all groups.
_OPEN = """
SELECT usr,
    EXISTS (SELECT 1 FROM request AS r WHERE r.grp = $1 AND r.usr = u.usr AND r.kind = $2 AND r.state = 0),
    (SELECT count(*) FROM request AS r WHERE r.usr = u.usr AND r.kind = $2)
FROM unnest($3::bigint[]) AS u (usr)
"""
_FILE = """
INSERT INTO request (grp, usr, kind, inviter, reason, state, at, expires_at)
SELECT $1, usr, $2, $3, $4, 0, $5, $6 FROM unnest($7::bigint[]) WITH ORDINALITY AS u (usr, n) ORDER BY n
"""
_RENEW = """
UPDATE request SET inviter = $3, reason = $4, at = $5, expires_at = $6
WHERE grp = $1 AND kind = $2 AND usr = ANY ($7::bigint[]) AND state = 0
"""
_REQUEST = """
SELECT r.id, g.xid, u.xid, coalesce(i.xid, 0), r.reason, r.at, r.expires_at FROM request AS r
JOIN timeline AS g ON g.id = r.grp JOIN timeline AS u ON u.id = r.usr LEFT JOIN timeline AS i ON i.id = r.inviter
"""
# An invitation is as good as whoever gave it: one by a user who is no longer in the group is no more. Behind an OR an
# EXISTS may be answered from all stays there are.
_GOOD = """(r.kind = 1 OR r.inviter = (SELECT system FROM app WHERE id = g.app)
    OR (SELECT 1 FROM stay AS s WHERE s.usr = r.inviter AND s.grp = r.grp AND s.to_seq IS NULL LIMIT 1) IS NOT NULL)"""
_ASKED = f"""
SELECT r.id FROM timeline AS u JOIN request AS r ON r.grp = $3 AND r.usr = u.id AND r.kind = $4
JOIN timeline AS g ON g.id = r.grp LEFT JOIN timeline AS i ON i.id = r.inviter
WHERE u.app = $1 AND u.xid = $2 AND r.state = 0 AND r.expires_at > $5 AND coalesce(i.xid, 0) = $6 AND {_GOOD}
"""
_APPLICATIONS = f"""
{_REQUEST} WHERE r.grp = ANY ($1::bigint[]) AND r.kind = 1 AND r.id > $2 AND r.expires_at > $3 ORDER BY r.id LIMIT $4
"""
_INVITATIONS = f"""
{_REQUEST} WHERE r.usr = $1 AND r.kind = 2 AND r.id > $2 AND r.expires_at > $3 AND {_GOOD} ORDER BY r.id LIMIT $4
"""


async def file_requests(conn: Conn, draft: RequestDraft, made: set[int], limits: Limits) -> Answer:
    """Open a request for each user; one that is open already is renewed, by whoever asks now."""
    refused: dict[int, Kind] = {}
    users = await find_users(conn, draft, draft.group_id, refused, make=True)
    users = may_ask(draft, users, refused)
    ids = [user.id for user in users]
    for forget, whose in zip(_EXPIRED, (draft.group_id, ids), strict=True):
        await conn.execute(forget, whose, draft.kind, draft.at)
    open_ones = await conn.fetch(_OPEN, draft.group_id, draft.kind, ids)
    held = {usr: (int(there), count) for usr, there, count in open_ones}
    count = await conn.fetchval(_COUNT, draft.group_id, draft.kind)
    new = [user.id for user in new_requests(users, held, count, limits, refused)]
    await keep_made(conn, draft.app, made, new, draft.at)
    inviter = await conn.fetchval(
        "SELECT id FROM timeline WHERE app = $1 AND xid = $2", draft.app, draft.inviter_xid
    )
    told = (draft.kind, inviter or 0, draft.reason, draft.at, draft.expires_at)
    await conn.execute(_RENEW, draft.group_id, *told, ids)
    await conn.execute(_FILE, draft.group_id, *told, new)
    return Changed([], draft.group_xid, refused)


async def handle_request(conn: Conn, draft: HandleDraft, limits: Limits) -> Answer:
    """Answer an open request. Who cannot join though approved is refused, and the request stays open."""
    named = (draft.app, draft.user_xid, draft.group_id, draft.kind, draft.at, draft.inviter_xid)
    found = await conn.fetchval(_ASKED, *named)
    if found is None:
        return request_gone(draft)
    if not draft.approved:
        await conn.execute("DELETE FROM request WHERE id = $1", found)
        return Changed([], draft.group_xid)
    return handled(draft, await change_members(conn, joins_by(draft), limits))


async def list_applications(
    conn: Conn, group_ids: Sequence[int], after_id: int, limit: int, now: int
) -> list[GroupRequest]:
    """List what is open with groups, oldest first."""
    return [to_request(row) for row in await conn.fetch(_APPLICATIONS, group_ids, after_id, now, limit)]


async def list_invitations(
    conn: Conn, user_id: int, after_id: int, limit: int, now: int
) -> list[GroupRequest]:
    """List what is open with a user, oldest first."""
    return [to_request(row) for row in await conn.fetch(_INVITATIONS, user_id, after_id, now, limit)]
