"""Who is in a group on SQLite: groups begin and end, users come and go, and it is told twice (design §3)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from gateway.domain.drafts import (
    Answer,
    Changed,
    CreateDraft,
    MembershipDraft,
    Placed,
    Refused,
    Stale,
)
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import GroupSettings, UsersChange
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Action, Entry, EntryKind, Membership, Scope, State
from gateway.store.sqlite.directed import newest_directed
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.users import make_user, next_xid

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
UPDATE stay SET to_seq = ?1, to_msg = max(?2, {newest_directed("stay.usr", "stay.grp")}), admin = 0
WHERE id IN (SELECT value FROM json_each(?3))
"""


class GroupUser(msgspec.Struct):
    """A user that a draft about a group names, as the transaction found it.

    `stay_id` is 0 outside the group, `id` is 0 where the user does not exist yet. `admin` and `blocked` say what the
    group makes of the user.
    """

    xid: int
    id: int
    head: int
    stay_id: int
    groups: int
    admin: int = 0
    blocked: int = 0


def find_users(
    conn: sqlite3.Connection,
    draft: CreateDraft | MembershipDraft | UsersChange,
    group_id: int,
    refused: dict[int, Kind],
    *,
    make: bool,
) -> list[GroupUser]:
    """Find the users named, each once, in the order named; refuse one by one whoever may not be or be made."""
    named = (draft.owner_xid, *draft.member_xids) if isinstance(draft, CreateDraft) else draft.user_xids
    xids = tuple(dict.fromkeys(named))
    found = {row[0]: row[1:] for row in table(conn, _USERS, (draft.app, group_id, rows(xids)))}
    users = []
    for xid in xids:
        if xid not in found:
            if not (make and draft.create):
                refused[xid] = Kind.USER_UNKNOWN if make else Kind.NOT_A_MEMBER
                continue
            users.append(GroupUser(xid, 0, 0, 0, 0))
            continue
        user_id, kind, deleted, head, stay_id, groups, admin, blocked = found[xid]
        if kind != Scope.USER or (make and deleted):
            refused[xid] = Kind.BAD_PARAMETER if kind != Scope.USER else Kind.USER_UNKNOWN
            continue
        users.append(GroupUser(xid, user_id, head, stay_id or 0, groups, admin or 0, blocked))
    return users


def create_group(conn: sqlite3.Connection, draft: CreateDraft, limits: Limits) -> Answer:
    """Make a group with its owner and whoever may be in it."""
    refused: dict[int, Kind] = {}
    users = find_users(conn, draft, 0, refused, make=True)
    if not users or users[0].xid != draft.owner_xid:
        return Refused(refused[draft.owner_xid], f"owner: {draft.owner_xid} cannot own a group")
    room = draft.type == ROOM
    if room and _rooms_of(conn, users[0].id) >= limits.rooms_per_user_max:
        return Refused(Kind.GROUPS_FULL, f"owner: has {limits.rooms_per_user_max} chatrooms already")
    if not room and users[0].groups >= limits.groups_per_user_max:
        return Refused(Kind.GROUPS_FULL, f"owner: is in {limits.groups_per_user_max} groups already")
    users = users[:1] if room else _fitting(users, limits.group_members_max, limits, refused)
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


def _fitting(
    users: Iterable[GroupUser], room: int, limits: Limits, refused: dict[int, Kind]
) -> list[GroupUser]:
    """Keep those who fit into the group, and into whose list of groups it fits."""
    kept: list[GroupUser] = []
    for user in users:
        if len(kept) >= room:
            refused[user.xid] = Kind.GROUP_FULL
        elif user.groups >= limits.groups_per_user_max:
            refused[user.xid] = Kind.GROUPS_FULL
        else:
            kept.append(user)
    return kept


def change_settings(conn: sqlite3.Connection, group_id: int, settings: GroupSettings, at: int) -> None:
    """Change what is to be changed of a group."""
    told = settings.told
    if told:
        # The names are the members' of a Struct, which are the columns'.
        columns = ", ".join(f"{name} = ?" for name in told)
        conn.execute(f"UPDATE grp SET {columns}, updated_at = ? WHERE id = ?", (*told.values(), at, group_id))


def make_missing(
    conn: sqlite3.Connection, draft: CreateDraft | MembershipDraft | UsersChange, users: list[GroupUser]
) -> None:
    """Let those come into being who were not refused, and only those: a refused draft leaves no trace."""
    for user in users:
        if not user.id:
            user.id = make_user(conn, draft.app, user.xid, draft.at)


def change_members(conn: sqlite3.Connection, draft: MembershipDraft, limits: Limits) -> Answer:
    """Let users join, leave or be kicked, or end the group."""
    found = one(
        conn,
        """SELECT t.facts_version, g.members FROM timeline AS t JOIN grp AS g ON g.id = t.id
        WHERE t.id = ? AND t.app = ? AND g.destroyed_at IS NULL""",
        (draft.group_id, draft.app),
    )
    if not found:
        return Refused(Kind.GROUP_UNKNOWN, f"there is no group {draft.group_xid}")
    version, members = found
    if version != draft.judged:
        return Stale()
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
        users = [u for u in find_users(conn, draft, draft.group_id, refused, make=True) if not u.stay_id]
        refused.update((user.xid, Kind.GROUP_BLOCKED) for user in users if user.blocked)
        users = [user for user in users if not user.blocked]
        users = _fitting(users, limits.group_members_max - members, limits, refused)
        make_missing(conn, draft, users)
    else:
        users = find_users(conn, draft, draft.group_id, refused, make=False)
        refused.update((user.xid, Kind.NOT_A_MEMBER) for user in users if not user.stay_id)
        refused.update((user.xid, Kind.OWNER_ONLY) for user in users if user.admin and draft.sparing)
        users = [user for user in users if user.xid not in refused]
    if not users and draft.action is not Action.DESTROYED:
        return Changed([], draft.group_xid, refused)
    placed = tell(conn, draft.action, draft.group_id, draft.group_xid, users, draft.at)
    return Changed(placed, draft.group_xid, refused)


def end_group(conn: sqlite3.Connection, group_id: int, at: int) -> None:
    """End a group; whoever is in it is told by `tell`."""
    conn.execute("UPDATE grp SET destroyed_at = ? WHERE id = ?", (at, group_id))
    for held in ("ban", "grp_block", "request"):
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
    joined = action is Action.JOINED
    from_seq = head if joined else 0
    # A group's end concerns whoever is in it: its entry need not list up to 5,000 ids.
    xids = () if action is Action.DESTROYED else tuple(user.xid for user in users)
    fact = Membership(
        action=action, group_id=group_id, group_xid=group_xid, user_xids=xids, from_seq=from_seq
    )
    placed = [
        Placed(group_id, Scope.GROUP, group_xid, Entry(seq=head, kind=EntryKind.MEMBERSHIP, membership=fact))
    ]
    written = [(group_id, head, EntryKind.MEMBERSHIP, 0, msgspec.json.encode(fact).decode())]
    for user in users:
        user.head += 1
        own = msgspec.structs.replace(fact, user_xids=(user.xid,))
        entry = Entry(seq=user.head, kind=EntryKind.MEMBERSHIP, membership=own)
        placed.append(Placed(user.id, Scope.USER, user.xid, entry))
        written.append((user.id, user.head, EntryKind.MEMBERSHIP, 0, msgspec.json.encode(own).decode()))
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
