"""The end of a user on PostgreSQL: the account goes with the commit of the job, groups and texts go page by page.

What others hold stays whole: entries keep their places, and yield `gone` where the text was the user's. The id stays
taken, so that nobody comes to stand for whom it named.
"""

from __future__ import annotations

from gateway.domain.drafts import JobDraft, Placed
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, SAFE_MAX, Action, State
from gateway.store.judging import GroupUser
from gateway.store.postgres.heads import lock_heads
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.members import end_group, tell
from gateway.store.postgres.texts import wipe
from gateway.store.postgres.work import Work
from gateway.store.rows import ERASED, NOT_SENDERS
from gateway.store.work import Page, Task

GROUPS_PAGE = 20
"""Groups left in one page: each is an entry or two, and the end of a group that nobody else is in."""

_NOBODY = """
UPDATE "user" SET name = NULL, password = '', nickname = '', avatar = '', description = '', public_info = '',
    private_info = '', metadata = '{}', valid_from_ms = $2 WHERE id = $1
"""
# Connections first, as whoever writes for one locks them: what is under way then is kept before this, or not at all.
_FORGOTTEN = (
    "DELETE FROM attached WHERE usr = $1",
    "DELETE FROM device WHERE usr = $1",
    "DELETE FROM cursor WHERE usr = $1",
    "DELETE FROM block WHERE usr = $1 OR blocked = $1",
    "DELETE FROM contact WHERE (usr, contact) IN (SELECT contact, usr FROM contact WHERE usr = $1)",
    "DELETE FROM contact WHERE usr = $1",
    "DELETE FROM listed WHERE usr = $1",
    "DELETE FROM ban WHERE usr = $1",
    "DELETE FROM grp_block WHERE usr = $1",
    "DELETE FROM request WHERE usr = $1 OR (inviter = $1 AND kind = 2)",
    # Their bytes are elsewhere: rows and bytes go with the next run of what removes old ones.
    "UPDATE file SET at = 0 WHERE uploader = $1 AND uploader > 0",
)
_STAYS = f"SELECT grp FROM stay WHERE usr = $1 AND to_seq IS NULL ORDER BY grp LIMIT {GROUPS_PAGE}"
_OWN = """
SELECT s.id, s.grp, t.xid, g.owner FROM stay AS s JOIN timeline AS t ON t.id = s.grp JOIN grp AS g ON g.id = s.grp
WHERE s.usr = $1 AND s.to_seq IS NULL AND s.grp = ANY ($2::bigint[]) ORDER BY s.grp
"""
# The longest in the group, an administrator first.
_HEIR = """
SELECT id, usr FROM stay WHERE grp = $1 AND to_seq IS NULL AND usr <> $2 ORDER BY admin DESC, joined_at, id LIMIT 1
"""
_ROOMS = f"""
SELECT id FROM grp WHERE owner = $1 AND type = {ROOM} AND destroyed_at IS NULL ORDER BY id LIMIT {GROUPS_PAGE}
"""
_OPEN_ROOMS = """
SELECT g.id, t.xid FROM grp AS g JOIN timeline AS t ON t.id = g.id
WHERE g.id = ANY ($1::bigint[]) AND g.destroyed_at IS NULL ORDER BY g.id
"""
# Whatever the user wrote, and what nobody else can see: notices to the user, and what is the user's alone. A window of
# message ids, whoever they are of: looking for one sender's would need an index that every send pays for.
_WINDOW = f"""
SELECT msg_id, body IS NOT NULL AND (sender = $1 OR (target = $1 AND flags & {NOT_SENDERS} <> 0)) FROM message
WHERE msg_id > $2 AND msg_id <= $3 ORDER BY msg_id LIMIT $4
"""
_TRANSACTIONS = """
WITH gone AS (
    DELETE FROM dedup USING timeline AS t
    WHERE t.id = $1 AND dedup.app = t.app AND dedup.sender_xid = t.xid RETURNING dedup.draft)
DELETE FROM answer USING gone WHERE answer.draft = gone.draft
"""


async def _begin(conn: Conn, draft: JobDraft) -> int:
    """Make the user nobody: no token, name, password or device is good from this commit on.

    How far the texts go is not known yet: other nodes may still send what they have judged before.
    """
    user_id = int(draft.data)
    await conn.execute("UPDATE timeline SET state = $2 WHERE id = $1", user_id, State.DELETED)
    # A token's time is in whole seconds.
    await conn.execute(_NOBODY, user_id, (draft.at // 1000 + 1) * 1000)
    for forget in _FORGOTTEN:
        await conn.execute(forget, user_id)
    return SAFE_MAX


async def _page(conn: Conn, task: Task, limits: Limits) -> Page:
    user_id = int(task.data)
    placed = await _leave(conn, user_id, task.at)
    if placed is None:
        placed = await _end_rooms(conn, user_id, task.at)
    if placed is not None:
        return Page(progress=task.progress, done=0, finished=False, placed=placed)
    window = await conn.fetch(_WINDOW, user_id, task.progress, task.ends_at, limits.erase_page_max)
    theirs = [row[0] for row in window if row[1]]
    if theirs:
        await wipe(conn, theirs, ERASED)
    finished = len(window) < limits.erase_page_max
    if finished:
        await conn.execute(_TRANSACTIONS, user_id)
    return Page(progress=window[-1][0] if window else task.progress, done=len(theirs), finished=finished)


async def _leave(conn: Conn, user_id: int, at: int) -> list[Placed] | None:
    """Leave some of the groups that the user is in; None where there are none.

    One's own goes to an heir; with nobody left it ends.
    """
    groups = [row[0] for row in await conn.fetch(_STAYS, user_id)]
    if not groups:
        return None
    await lock_heads(conn, [user_id, *groups])
    placed: list[Placed] = []
    # What was seen before the heads were locked may have changed meanwhile.
    for stay_id, group_id, group_xid, owner_id in await conn.fetch(_OWN, user_id, groups):
        action = Action.LEFT
        if owner_id == user_id:
            heir = await conn.fetchrow(_HEIR, group_id, user_id)
            if heir:
                await conn.execute("UPDATE grp SET owner = $2 WHERE id = $1", group_id, heir[1])
                await conn.execute("UPDATE stay SET admin = 0 WHERE id = $1", heir[0])
                await conn.execute("DELETE FROM ban WHERE grp = $1 AND usr = $2", group_id, heir[1])
            else:
                action = Action.DESTROYED
                await end_group(conn, group_id, at)
        xid, head = await conn.fetchrow("SELECT xid, head FROM timeline WHERE id = $1", user_id)
        leaver = GroupUser(xid, user_id, head, stay_id, 0)
        placed += await tell(conn, action, group_id, group_xid, [leaver], at)
    return placed


async def _end_rooms(conn: Conn, user_id: int, at: int) -> list[Placed] | None:
    """End some of the user's chatrooms, None where there are none: nobody is a member, so nobody inherits them."""
    rooms = [row[0] for row in await conn.fetch(_ROOMS, user_id)]
    if not rooms:
        return None
    await lock_heads(conn, rooms)
    placed: list[Placed] = []
    for room_id, room_xid in await conn.fetch(_OPEN_ROOMS, rooms):
        await end_group(conn, room_id, at)
        placed += await tell(conn, Action.DESTROYED, room_id, room_xid, [], at)
    return placed


WORK = Work(begin=_begin, page=_page)
