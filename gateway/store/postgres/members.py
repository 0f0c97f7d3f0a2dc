"""Who is in a group on PostgreSQL: groups begin and end, users come and go, and it is told twice (design §3).

The group's head is the lock of its membership, a user's head that of the groups they are in (`heads`).
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.drafts import Answer, Changed, CreateDraft, MembershipDraft, Placed, Refused, Stale
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import GroupChange, GroupSettings
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Action, Scope, State
from gateway.store.judging import (
    GroupUser,
    JudgedGroup,
    Naming,
    group_unknown,
    may_begin,
    may_go,
    may_join,
    named_users,
    sort_users,
)
from gateway.store.postgres.directed import newest_directed
from gateway.store.postgres.heads import keep_made, lock_heads, lock_named
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.users import take_xid
from gateway.store.telling import tell_membership

_JUDGED = """
SELECT t.facts_version, g.owner, g.type, g.members, g.members_max FROM timeline AS t JOIN grp AS g ON g.id = t.id
WHERE t.id = $1 AND t.app = $2 AND g.destroyed_at IS NULL
"""
_USERS = f"""
SELECT t.xid, t.id, t.kind, t.state = {State.DELETED:d}, t.head,
    (SELECT s.id FROM stay AS s WHERE s.usr = t.id AND s.grp = $2 AND s.to_seq IS NULL),
    (SELECT count(*) FROM stay AS s WHERE s.usr = t.id AND s.to_seq IS NULL),
    (SELECT s.admin FROM stay AS s WHERE s.usr = t.id AND s.grp = $2 AND s.to_seq IS NULL),
    EXISTS (SELECT 1 FROM grp_block AS b WHERE b.grp = $2 AND b.usr = t.id)
FROM timeline AS t WHERE t.app = $1 AND t.xid = ANY ($3::bigint[])
"""
_MEMBERS = "SELECT usr FROM stay WHERE grp = $1 AND to_seq IS NULL"
_ALL = """
SELECT t.xid, t.id, t.head, s.id, 0 FROM stay AS s JOIN timeline AS t ON t.id = s.usr
WHERE s.grp = $1 AND s.to_seq IS NULL ORDER BY s.usr
"""
_PLACE_GROUP = f"""
INSERT INTO timeline (app, xid, kind) VALUES ($1, $2, {Scope.GROUP:d}) ON CONFLICT (app, xid) DO NOTHING RETURNING id
"""
_MAKE_GROUP = """
INSERT INTO grp (id, app, owner, name, description, avatar, type, members, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8)
"""
_ROOMS = f"SELECT count(*) FROM grp WHERE owner = $1 AND type = {ROOM} AND destroyed_at IS NULL"
_HEAD = """
UPDATE timeline SET head = head + 1, facts_version = facts_version + 1 WHERE id = $1
RETURNING head, coalesce((SELECT n.msg_id FROM newest AS n WHERE n.grp = $1), 0)
"""
_HEADS = "UPDATE timeline SET head = head + 1 WHERE id = ANY ($1::bigint[])"
_ENTRIES = """
INSERT INTO entry (t, seq, kind, msg_id, data)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::text[])
"""
# Nothing from before a stay lies in it, also of what went to its user alone in an earlier one. Where the history is
# visible one may page back to the start; nothing of it is unread or owed to devices.
_OPEN = f"""
INSERT INTO stay (grp, usr, from_seq, from_msg, read, deleted, delivered, joined_at)
SELECT g.id, j.usr, $2::bigint, CASE WHEN g.history_visible = 1 THEN 1 ELSE j.newest + 1 END, j.newest,
    CASE WHEN g.history_visible = 1 THEN 0 ELSE j.newest END, $2::bigint - 1, $4
FROM (
    SELECT u.usr, u.n, greatest($3::bigint, {newest_directed("u.usr", "$1")}) AS newest
    FROM unnest($5::bigint[]) WITH ORDINALITY AS u (usr, n)) AS j
JOIN grp AS g ON g.id = $1 ORDER BY j.n
"""
_CLOSE = f"""
UPDATE stay SET to_seq = $1, to_msg = greatest($2::bigint, {newest_directed("stay.usr", "stay.grp")}), admin = 0,
    trusted = 0
FROM (SELECT id FROM stay WHERE id = ANY ($3::bigint[]) ORDER BY id FOR UPDATE) AS j WHERE stay.id = j.id
"""
_COUNTED = "UPDATE grp SET members = members + $2, updated_at = $3 WHERE id = $1"
_WITHDRAW = "DELETE FROM request WHERE grp = $1 AND usr = ANY ($2::bigint[]) AND state = 0"


async def find_users(
    conn: Conn, draft: Naming, group_id: int, refused: dict[int, Kind], *, make: bool
) -> list[GroupUser]:
    """Find the users named, each once, in the order named; refuse one by one whoever may not be or be made.

    Their heads are locked, and who could be made is there (`lock_named`).
    """
    named = await conn.fetch(_USERS, draft.app, group_id, named_users(draft))
    return sort_users(draft, {row[0]: row[1:] for row in named}, refused, make=make)


async def judged_group(conn: Conn, draft: GroupChange | MembershipDraft) -> JudgedGroup | Answer:
    """Find the group that a draft is about, at the version it was judged by. Its head is locked."""
    found = await conn.fetchrow(_JUDGED, draft.group_id, draft.app)
    if not found:
        return group_unknown(draft.group_xid)
    version, *group = found
    return JudgedGroup(*group) if version == draft.judged else Stale()


async def create_group(conn: Conn, draft: CreateDraft, limits: Limits) -> Answer:
    """Make a group with its owner and whoever may be in it."""
    # The app's row is locked by this, which goes before the heads.
    group_xid = await take_xid(conn, draft.app)
    made = await lock_named(conn, draft.app, named_users(draft), make=draft.create)
    refused: dict[int, Kind] = {}
    named = await find_users(conn, draft, 0, refused, make=True)
    room = draft.type == ROOM
    rooms = await conn.fetchval(_ROOMS, named[0].id) if room and named else 0
    users = may_begin(draft, named, rooms, limits, refused)
    if isinstance(users, Refused):
        return users
    await keep_made(conn, draft.app, made, {user.id for user in users}, draft.at)
    # Somebody may have come to be by that very id, named by another draft at this moment, or by this one.
    while (group_id := await conn.fetchval(_PLACE_GROUP, draft.app, group_xid)) is None:
        group_xid = await take_xid(conn, draft.app)
    told = (draft.name, draft.description, draft.avatar, draft.type, draft.at)
    await conn.execute(_MAKE_GROUP, group_id, draft.app, users[0].id, *told)
    await change_settings(conn, group_id, draft.settings, draft.at)
    # Nobody is in a chatroom, its owner neither: its timeline begins with its first message.
    placed = [] if room else await tell(conn, Action.JOINED, group_id, group_xid, users, draft.at)
    return Changed(placed, group_xid, refused)


async def change_settings(conn: Conn, group_id: int, settings: GroupSettings, at: int) -> None:
    """Change what is to be changed of a group."""
    changes = settings.changes
    if changes:
        # The names are the members' of a Struct, which are the columns'.
        columns = ", ".join(f"{name} = ${n}" for n, name in enumerate(changes, 3))
        values = (int(value) if isinstance(value, bool) else value for value in changes.values())
        await conn.execute(f"UPDATE grp SET {columns}, updated_at = $2 WHERE id = $1", group_id, at, *values)


async def change_members(conn: Conn, draft: MembershipDraft, limits: Limits) -> Answer:
    """Let users join, leave or be kicked, or end the group."""
    if draft.action is Action.DESTROYED:
        return await _end(conn, draft)
    joins = draft.action is Action.JOINED
    named = (draft.group_xid, *named_users(draft))
    made = await lock_named(conn, draft.app, named, make=joins and draft.create)
    group = await judged_group(conn, draft)
    if not isinstance(group, JudgedGroup):
        return group
    refused: dict[int, Kind] = {}
    users = await find_users(conn, draft, draft.group_id, refused, make=joins)
    users = may_join(users, group, limits, refused) if joins else may_go(draft, users, refused)
    await keep_made(conn, draft.app, made, {user.id for user in users}, draft.at)
    if not users:
        return Changed([], draft.group_xid, refused)
    placed = await tell(conn, draft.action, draft.group_id, draft.group_xid, users, draft.at)
    return Changed(placed, draft.group_xid, refused)


async def _end(conn: Conn, draft: MembershipDraft) -> Answer:
    """End a group for whoever is in it.

    Its members are read before they and the group are locked, all at once and in the one order of heads, so that no
    two who lock wait for each other. Where somebody has come or gone between, the version has moved on.
    """
    members = [usr for (usr,) in await conn.fetch(_MEMBERS, draft.group_id)]
    await lock_heads(conn, [draft.group_id, *members])
    group = await judged_group(conn, draft)
    if not isinstance(group, JudgedGroup):
        return group
    users = [GroupUser(*row) for row in await conn.fetch(_ALL, draft.group_id)]
    await end_group(conn, draft.group_id, draft.at)
    placed = await tell(conn, draft.action, draft.group_id, draft.group_xid, users, draft.at)
    return Changed(placed, draft.group_xid)


async def end_group(conn: Conn, group_id: int, at: int) -> None:
    """End a group, whose head is locked; whoever is in it is told by `tell`."""
    await conn.execute("UPDATE grp SET destroyed_at = $2 WHERE id = $1", group_id, at)
    for held in ("ban", "grp_block", "request", "listed"):
        await conn.execute(f"DELETE FROM {held} WHERE grp = $1", group_id)


async def withdraw_requests(conn: Conn, group_id: int, user_ids: Sequence[int]) -> None:
    """Let nothing be open between a group and users: they have come, or may not."""
    await conn.execute(_WITHDRAW, group_id, user_ids)


async def tell(
    conn: Conn, action: Action, group_id: int, group_xid: int, users: Sequence[GroupUser], at: int
) -> list[Placed]:
    """Open or close the stays and tell it twice: in the group's timeline and in each affected user's.

    All their heads are locked, and `users` were read after that.
    """
    head, newest = await conn.fetchrow(_HEAD, group_id)
    placed, written = tell_membership(action, group_id, group_xid, head, users)
    ids = [user.id for user in users]
    await conn.execute(_HEADS, ids)
    joined = action is Action.JOINED
    await conn.execute(_COUNTED, group_id, len(users) if joined else -len(users), at)
    if joined:
        await conn.execute(_OPEN, group_id, head, newest, at, ids)
        await withdraw_requests(conn, group_id, ids)
    else:
        await conn.execute(_CLOSE, head, newest, [user.stay_id for user in users])
    await conn.execute(_ENTRIES, *map(list, zip(*written, strict=True)))
    return placed
