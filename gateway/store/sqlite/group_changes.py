"""Drafts that change a group beyond who is in it. One at a time, in the batch's transaction."""

from __future__ import annotations

import sqlite3

from gateway.domain.drafts import Answer, Changed
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import (
    BanDraft,
    BlockDraft,
    GroupChange,
    GroupDraft,
    HandleDraft,
    RequestDraft,
    RoleDraft,
    SettingsDraft,
    TransferDraft,
    TrustDraft,
)
from gateway.domain.limits import Limits
from gateway.domain.model import Action
from gateway.store.judging import (
    GroupUser,
    JudgedGroup,
    find_room,
    heir_unknown,
    in_the_group,
    let_off,
    may_be_banned,
    may_be_blocked,
    may_change_role,
)
from gateway.store.sqlite.group_requests import file_requests, handle_request
from gateway.store.sqlite.lane import one, rows
from gateway.store.sqlite.members import (
    change_settings,
    find_users,
    judged_group,
    make_missing,
    tell,
    withdraw_requests,
)

_BAN = """
INSERT INTO ban (grp, usr, until, at) SELECT ?1, value, ?2, ?3 FROM json_each(?4) WHERE true
ON CONFLICT (grp, usr) DO UPDATE SET until = excluded.until, at = excluded.at
"""
_BLOCK = "INSERT INTO grp_block (grp, usr, at) SELECT ?1, value, ?2 FROM json_each(?3)"


def append_group_change(conn: sqlite3.Connection, draft: GroupDraft, limits: Limits) -> Answer:
    """Append one draft about a group and answer it."""
    group = judged_group(conn, draft)
    if not isinstance(group, JudgedGroup):
        return group
    match draft:
        case BanDraft():
            return _ban(conn, draft, group, limits)
        case BlockDraft():
            return _block(conn, draft, group, limits)
        case RoleDraft() | TrustDraft():
            return _assign(conn, draft, group, limits)
        case TransferDraft():
            return _transfer(conn, draft, group)
        case SettingsDraft():
            change_settings(conn, draft.group_id, draft.settings, draft.at)
            return _raised(conn, draft, {}, 1)
        case RequestDraft():
            return file_requests(conn, draft, limits)
        case HandleDraft():
            return handle_request(conn, draft, limits)


def _raised(conn: sqlite3.Connection, draft: GroupChange, refused: dict[int, Kind], changes: int) -> Changed:
    """Let whatever was judged by the facts before be judged again, where any of them changed."""
    if changes:
        conn.execute("UPDATE timeline SET facts_version = facts_version + 1 WHERE id = ?", (draft.group_id,))
        conn.execute("UPDATE grp SET updated_at = ? WHERE id = ?", (draft.at, draft.group_id))
    return Changed([], draft.group_xid, refused)


def _with_room(
    conn: sqlite3.Connection,
    held: str,
    draft: GroupChange,
    most: int,
    users: list[GroupUser],
    refused: dict[int, Kind],
) -> list[GroupUser]:
    """Keep those who find room in a list of the group that holds at most so many."""
    ids = rows([user.id for user in users])
    known = {
        usr
        for (usr,) in conn.execute(
            f"SELECT usr FROM {held} WHERE grp = ? AND usr IN (SELECT value FROM json_each(?))",
            (draft.group_id, ids),
        )
    }
    count = one(conn, f"SELECT count(*) FROM {held} WHERE grp = ?", (draft.group_id,))[0]
    return find_room(users, known, most - count, refused)


def _ban(conn: sqlite3.Connection, draft: BanDraft, group: JudgedGroup, limits: Limits) -> Answer:
    refused: dict[int, Kind] = {}
    users = find_users(conn, draft, draft.group_id, refused, make=False)
    if not draft.until:
        # Bans outlive a stay, so that whoever has one may be let off.
        gone = conn.execute(
            "DELETE FROM ban WHERE grp = ? AND usr IN (SELECT value FROM json_each(?))",
            (draft.group_id, rows([user.id for user in users])),
        )
        return _raised(conn, draft, let_off(refused), gone.rowcount)
    conn.execute("DELETE FROM ban WHERE grp = ? AND until <= ?", (draft.group_id, draft.at))
    users = may_be_banned(draft, group, users, refused)
    users = _with_room(conn, "ban", draft, limits.group_bans_max, users, refused)
    banned = [user.id for user in users]
    conn.execute(_BAN, (draft.group_id, draft.until, draft.at, rows(banned)))
    return _raised(conn, draft, refused, len(banned))


def _block(conn: sqlite3.Connection, draft: BlockDraft, group: JudgedGroup, limits: Limits) -> Answer:
    refused: dict[int, Kind] = {}
    users = find_users(conn, draft, draft.group_id, refused, make=draft.blocked)
    if not draft.blocked:
        gone = conn.execute(
            "DELETE FROM grp_block WHERE grp = ? AND usr IN (SELECT value FROM json_each(?))",
            (draft.group_id, rows([user.id for user in users])),
        )
        return _raised(conn, draft, let_off(refused), gone.rowcount)
    users = may_be_blocked(draft, group, users, refused)
    users = _with_room(conn, "grp_block", draft, limits.group_blocks_max, users, refused)
    make_missing(conn, draft, users)
    ids = rows([user.id for user in users])
    conn.execute(_BLOCK, (draft.group_id, draft.at, ids))
    withdraw_requests(conn, draft.group_id, ids)
    inside = [user for user in users if user.stay_id]
    if not inside:
        return _raised(conn, draft, refused, len(users))
    placed = tell(conn, Action.KICKED, draft.group_id, draft.group_xid, inside, draft.at)
    return Changed(placed, draft.group_xid, refused)


def _assign(
    conn: sqlite3.Connection, draft: RoleDraft | TrustDraft, group: JudgedGroup, limits: Limits
) -> Answer:
    if isinstance(draft, TrustDraft):
        return _trust(conn, draft)
    refused: dict[int, Kind] = {}
    users = find_users(conn, draft, draft.group_id, refused, make=False)
    users = may_change_role(draft, group, users, refused)
    if draft.admin:
        count = one(conn, "SELECT count(*) FROM stay WHERE grp = ? AND admin = 1", (draft.group_id,))[0]
        users = find_room(users, (), limits.group_admins_max - count, refused)
    conn.execute(
        "UPDATE stay SET admin = ? WHERE id IN (SELECT value FROM json_each(?))",
        (draft.admin, rows([user.stay_id for user in users])),
    )
    return _raised(conn, draft, refused, len(users))


def _trust(conn: sqlite3.Connection, draft: TrustDraft) -> Answer:
    refused: dict[int, Kind] = {}
    users = find_users(conn, draft, draft.group_id, refused, make=False)
    users = in_the_group(users, refused)
    conn.execute(
        "UPDATE stay SET trusted = ? WHERE id IN (SELECT value FROM json_each(?))",
        (draft.trusted, rows([user.stay_id for user in users])),
    )
    return _raised(conn, draft, refused if draft.trusted else let_off(refused), len(users))


def _transfer(conn: sqlite3.Connection, draft: TransferDraft, group: JudgedGroup) -> Answer:
    found = one(
        conn,
        """SELECT s.id, s.usr FROM timeline AS t JOIN stay AS s ON s.usr = t.id
        WHERE t.app = ? AND t.xid = ? AND s.grp = ? AND s.to_seq IS NULL""",
        (draft.app, draft.heir_xid, draft.group_id),
    )
    if not found:
        return heir_unknown(draft)
    stay_id, heir_id = found
    if heir_id == group.owner_id:
        return Changed([], draft.group_xid)
    conn.execute("UPDATE grp SET owner = ? WHERE id = ?", (heir_id, draft.group_id))
    # The owner is no administrator besides, and is never banned.
    conn.execute("UPDATE stay SET admin = 0 WHERE id = ?", (stay_id,))
    conn.execute("DELETE FROM ban WHERE grp = ? AND usr = ?", (draft.group_id, heir_id))
    return _raised(conn, draft, {}, 1)
