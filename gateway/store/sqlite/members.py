"""Who is in a group on SQLite: groups begin and end, users come and go, and it is told twice (design §3)."""

from __future__ import annotations

import sqlite3

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
from gateway.store.sqlite.directed import newest_directed
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.users import make_user, next_xid
from gateway.store.telling import tell_membership

_JUDGED = """
SELECT t.facts_version, g.owner, g.type, g.members, g.members_max FROM timeline AS t JOIN grp AS g ON g.id = t.id
WHERE t.id = ? AND t.app = ? AND g.destroyed_at IS NULL
"""
_USERS = f"""
SELECT json_group_array(json_array(t.xid, t.id, t.kind, t.state = {State.DELETED:d}, t.head,
    (SELECT s.id FROM stay AS s WHERE s.usr = t.id AND s.grp = ?2 AND s.to_seq IS NULL),
    (SELECT count(*) FROM stay AS s WHERE s.usr = t.id AND s.to_seq IS NULL),
    (SELECT s.admin FROM stay AS s WHERE s.usr = t.id AND s.grp = ?2 AND s.to_seq IS NULL),
    EXISTS (SELECT 1 FROM grp_block AS b WHERE b.grp = ?2 AND b.usr = t.id)))
FROM json_each(?3) AS j CROSS JOIN timeline AS t ON t.app = ?1 AND t.xid = j.value
"""

_ENTRIES = """
INSERT INTO entry (t, seq, kind, msg_id, data)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]') FROM json_each(?)
"""

_HEADS = """
UPDATE timeline SET head = j.head
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS head FROM json_each(?)) AS j
WHERE timeline.id = j.id
"""

# Nothing from before a stay lies in it, also of what went to its user alone in an earlier one. Where the history is
# visible one may page back to the start; nothing of it is unread or owed to devices.
_OPEN = f"""
INSERT INTO stay (grp, usr, from_seq, from_msg, read, deleted, delivered, joined_at)
SELECT ?1, j.usr, ?2, CASE WHEN g.history_visible THEN 1 ELSE j.newest + 1 END, j.newest,
    CASE WHEN g.history_visible THEN 0 ELSE j.newest END, ?2 - 1, ?4
FROM (SELECT value AS usr, max(?3, {newest_directed("value", "?1")}) AS newest FROM json_each(?5)) AS j
CROSS JOIN grp AS g ON g.id = ?1
"""

_CLOSE = f"""
UPDATE stay SET to_seq = ?1, to_msg = max(?2, {newest_directed("stay.usr", "stay.grp")}), admin = 0,
    trusted = 0
WHERE id IN (SELECT value FROM json_each(?3))
"""


def find_users(
    conn: sqlite3.Connection, draft: Naming, group_id: int, refused: dict[int, Kind], *, make: bool
) -> list[GroupUser]:
    """Find the users named, each once, in the order named; refuse one by one whoever may not be or be made."""
    named = rows(named_users(draft))
    found = {row[0]: row[1:] for row in table(conn, _USERS, (draft.app, group_id, named))}
    return sort_users(draft, found, refused, make=make)


def judged_group(conn: sqlite3.Connection, draft: GroupChange | MembershipDraft) -> JudgedGroup | Answer:
    """Find the group that a draft is about, at the version it was judged by."""
    found = one(conn, _JUDGED, (draft.group_id, draft.app))
    if not found:
        return group_unknown(draft.group_xid)
    version, *group = found
    return JudgedGroup(*group) if version == draft.judged else Stale()


def create_group(conn: sqlite3.Connection, draft: CreateDraft, limits: Limits) -> Answer:
    """Make a group with its owner and whoever may be in it."""
    refused: dict[int, Kind] = {}
    named = find_users(conn, draft, 0, refused, make=True)
    room = draft.type == ROOM
    rooms = _rooms_of(conn, named[0].id) if room and named else 0
    users = may_begin(draft, named, rooms, limits, refused)
    if isinstance(users, Refused):
        return users
    make_missing(conn, draft, users)
    group_xid = next_xid(conn, draft.app)
    group_id = one(
        conn,
        f"INSERT INTO timeline (app, xid, kind) VALUES (?, ?, {Scope.GROUP:d}) RETURNING id",
        (draft.app, group_xid),
    )[0]
    conn.execute(
        """INSERT INTO grp (id, app, owner, name, description, avatar, type, members, created_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?8)""",
        (
            *(group_id, draft.app, users[0].id),
            *(draft.name, draft.description, draft.avatar, draft.type, draft.at),
        ),
    )
    change_settings(conn, group_id, draft.settings, draft.at)
    # Nobody is in a chatroom, its owner neither: its timeline begins with its first message.
    placed = [] if room else tell(conn, Action.JOINED, group_id, group_xid, users, draft.at)
    return Changed(placed, group_xid, refused)


def _rooms_of(conn: sqlite3.Connection, user_id: int) -> int:
    found: int = one(
        conn,
        f"SELECT count(*) FROM grp WHERE owner = ? AND type = {ROOM} AND destroyed_at IS NULL",
        (user_id,),
    )[0]
    return found


def change_settings(conn: sqlite3.Connection, group_id: int, settings: GroupSettings, at: int) -> None:
    """Change what is to be changed of a group."""
    changes = settings.changes
    if changes:
        # The names are the members' of a Struct, which are the columns'.
        columns = ", ".join(f"{name} = ?" for name in changes)
        conn.execute(
            f"UPDATE grp SET {columns}, updated_at = ? WHERE id = ?", (*changes.values(), at, group_id)
        )


def make_missing(conn: sqlite3.Connection, draft: Naming, users: list[GroupUser]) -> None:
    """Let those come into being who were not refused, and only those: a refused draft leaves no trace."""
    for user in users:
        if not user.id:
            user.id = make_user(conn, draft.app, user.xid, draft.at)


def change_members(conn: sqlite3.Connection, draft: MembershipDraft, limits: Limits) -> Answer:
    """Let users join, leave or be kicked, or end the group."""
    group = judged_group(conn, draft)
    if not isinstance(group, JudgedGroup):
        return group
    refused: dict[int, Kind] = {}
    if draft.action is Action.DESTROYED:
        users = [
            GroupUser(*row)
            for row in table(
                conn,
                """SELECT json_group_array(json_array(t.xid, t.id, t.head, s.id, 0))
                FROM stay AS s JOIN timeline AS t ON t.id = s.usr WHERE s.grp = ? AND s.to_seq IS NULL""",
                (draft.group_id,),
            )
        ]
        end_group(conn, draft.group_id, draft.at)
    elif draft.action is Action.JOINED:
        users = find_users(conn, draft, draft.group_id, refused, make=True)
        users = may_join(users, group, limits, refused)
        make_missing(conn, draft, users)
    else:
        users = find_users(conn, draft, draft.group_id, refused, make=False)
        users = may_go(draft, users, refused)
    if not users and draft.action is not Action.DESTROYED:
        return Changed([], draft.group_xid, refused)
    placed = tell(conn, draft.action, draft.group_id, draft.group_xid, users, draft.at)
    return Changed(placed, draft.group_xid, refused)


def end_group(conn: sqlite3.Connection, group_id: int, at: int) -> None:
    """End a group; whoever is in it is told by `tell`."""
    conn.execute("UPDATE grp SET destroyed_at = ? WHERE id = ?", (at, group_id))
    for held in ("ban", "grp_block", "request", "listed"):
        conn.execute(f"DELETE FROM {held} WHERE grp = ?", (group_id,))


def withdraw_requests(conn: sqlite3.Connection, group_id: int, user_ids: str) -> None:
    """Let nothing be open between a group and users (a JSON list of ids): they have come, or may not."""
    conn.execute(
        "DELETE FROM request WHERE grp = ? AND usr IN (SELECT value FROM json_each(?)) AND state = 0",
        (group_id, user_ids),
    )


def tell(
    conn: sqlite3.Connection, action: Action, group_id: int, group_xid: int, users: list[GroupUser], at: int
) -> list[Placed]:
    """Open or close the stays and tell it twice: in the group's timeline and in each affected user's."""
    head, last = one(
        conn,
        "UPDATE timeline SET head = head + 1, facts_version = facts_version + 1 WHERE id = ? RETURNING head, last",
        (group_id,),
    )
    placed, written = tell_membership(action, group_id, group_xid, head, users)
    joined = action is Action.JOINED
    if joined:
        ids = rows([user.id for user in users])
        conn.execute(_OPEN, (group_id, head, last, at, ids))
        withdraw_requests(conn, group_id, ids)
    else:
        conn.execute(_CLOSE, (head, last, rows([user.stay_id for user in users])))
    conn.execute(_ENTRIES, (rows(written),))
    conn.execute(_HEADS, (rows([(user.id, user.head) for user in users]),))
    conn.execute(
        "UPDATE grp SET members = members + ?, updated_at = ? WHERE id = ?",
        (len(users) if joined else -len(users), at, group_id),
    )
    return placed
