"""The end of a user: the account goes with the commit of the job, groups and texts go page by page.

What others hold stays whole: entries keep their places, and yield `gone` where the text was the user's. The id stays
taken, so that nobody comes to stand for whom it named.
"""

from __future__ import annotations

import sqlite3

from gateway.domain.drafts import JobDraft, Placed
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Action, State
from gateway.store.judging import GroupUser
from gateway.store.rows import ERASED, NOT_SENDERS
from gateway.store.sqlite.lane import one
from gateway.store.sqlite.members import end_group, tell
from gateway.store.sqlite.texts import wipe
from gateway.store.sqlite.work import Work
from gateway.store.work import Page, Task

GROUPS_PAGE = 20
"""Groups left in one page: each is an entry or two, and the end of a group that nobody else is in."""

_FORGOTTEN = (
    "DELETE FROM cursor WHERE usr = ?1",
    "DELETE FROM device WHERE usr = ?1",
    "DELETE FROM block WHERE usr = ?1",
    "DELETE FROM block WHERE (blocked, usr) IN (SELECT blocked, usr FROM block INDEXED BY block_by WHERE blocked = ?1)",
    "DELETE FROM contact WHERE (usr, contact) IN (SELECT contact, usr FROM contact WHERE usr = ?1)",
    "DELETE FROM contact WHERE usr = ?1",
    "DELETE FROM listed WHERE usr = ?1",
    "DELETE FROM ban WHERE usr = ?1",
    "DELETE FROM grp_block WHERE usr = ?1",
    "DELETE FROM request WHERE usr = ?1",
    "DELETE FROM request WHERE inviter = ?1 AND kind = 2",
    # Their bytes are elsewhere: rows and bytes go with the next run of what removes old ones.
    "UPDATE file SET at = 0 WHERE uploader = ?1 AND uploader > 0",
)
# The longest in the group, an administrator first.
_HEIR = """
SELECT id, usr FROM stay WHERE grp = ? AND to_seq IS NULL AND usr <> ? ORDER BY admin DESC, joined_at, id LIMIT 1
"""
# Whatever the user wrote, and what nobody else can see: notices to the user, and what is the user's alone. A window of
# message ids, whoever they are of: looking for one sender's would need an index that every send pays for.
_WINDOW = f"""
SELECT msg_id, body IS NOT NULL AND (sender = ?1 OR (target = ?1 AND flags & {NOT_SENDERS})) FROM message
WHERE msg_id > ?2 AND msg_id <= ?3 ORDER BY msg_id LIMIT ?4
"""
# What the user's transactions were answered by, in the same window.
_FORGET = """
DELETE FROM dedup WHERE (key, sender) IN (
    SELECT key, sender FROM dedup INDEXED BY dedup_last
    WHERE last_msg_id > ?2 AND last_msg_id <= ?3 AND sender = ?1)
"""


def _begin(conn: sqlite3.Connection, draft: JobDraft) -> int:
    """Make the user nobody: no token, name, password or device is good from this commit on."""
    user_id = int(draft.data)
    conn.execute("UPDATE timeline SET state = ? WHERE id = ?", (State.DELETED, user_id))
    conn.execute(
        """UPDATE user SET name = NULL, password = '', nickname = '', avatar = '', description = '', public_info = '',
        private_info = '', metadata = '{}', valid_from_ms = ? WHERE id = ?""",
        # A token's time is in whole seconds.
        ((draft.at // 1000 + 1) * 1000, user_id),
    )
    for forget in _FORGOTTEN:
        conn.execute(forget, (user_id,))
    newest: int = one(conn, "SELECT next_msg_id - 1 FROM meta")[0]
    return newest


def _page(conn: sqlite3.Connection, task: Task, limits: Limits) -> Page:
    user_id = int(task.data)
    placed = _leave(conn, user_id, task.at) or _end_rooms(conn, user_id, task.at)
    if placed:
        return Page(progress=task.progress, done=0, finished=False, placed=placed)
    window = conn.execute(_WINDOW, (user_id, task.progress, task.ends_at, limits.erase_page_max)).fetchall()
    theirs = [msg_id for msg_id, meant in window if meant]
    if theirs:
        wipe(conn, theirs, ERASED)
    finished = len(window) < limits.erase_page_max
    progress = window[-1][0] if window else task.progress
    conn.execute(_FORGET, (user_id, task.progress, task.ends_at if finished else progress))
    return Page(progress=progress, done=len(theirs), finished=finished)


def _leave(conn: sqlite3.Connection, user_id: int, at: int) -> list[Placed]:
    """Leave some of the groups that the user is in. One's own goes to an heir; with nobody left it ends."""
    placed: list[Placed] = []
    found = conn.execute(
        """SELECT s.id, s.grp, t.xid, g.owner FROM stay AS s JOIN timeline AS t ON t.id = s.grp
        JOIN grp AS g ON g.id = s.grp WHERE s.usr = ? AND s.to_seq IS NULL LIMIT ?""",
        (user_id, GROUPS_PAGE),
    ).fetchall()
    for stay_id, group_id, group_xid, owner_id in found:
        action = Action.LEFT
        if owner_id == user_id:
            heir = one(conn, _HEIR, (group_id, user_id))
            if heir:
                conn.execute("UPDATE grp SET owner = ? WHERE id = ?", (heir[1], group_id))
                conn.execute("UPDATE stay SET admin = 0 WHERE id = ?", (heir[0],))
                conn.execute("DELETE FROM ban WHERE grp = ? AND usr = ?", (group_id, heir[1]))
            else:
                action = Action.DESTROYED
                end_group(conn, group_id, at)
        xid, head = one(conn, "SELECT xid, head FROM timeline WHERE id = ?", (user_id,))
        leaver = GroupUser(xid, user_id, head, stay_id, 0)
        placed += tell(conn, action, group_id, group_xid, [leaver], at)
    return placed


def _end_rooms(conn: sqlite3.Connection, user_id: int, at: int) -> list[Placed]:
    """End some of the user's chatrooms: nobody is a member, so nobody inherits them."""
    placed: list[Placed] = []
    found = conn.execute(
        f"""SELECT g.id, t.xid FROM grp AS g JOIN timeline AS t ON t.id = g.id
        WHERE g.owner = ? AND g.type = {ROOM} AND g.destroyed_at IS NULL LIMIT ?""",
        (user_id, GROUPS_PAGE),
    ).fetchall()
    for room_id, room_xid in found:
        end_group(conn, room_id, at)
        placed += tell(conn, Action.DESTROYED, room_id, room_xid, [], at)
    return placed


WORK = Work(begin=_begin, page=_page)
