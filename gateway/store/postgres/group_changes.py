"""Drafts that change a group beyond who is in it, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence

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
    UsersChange,
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
    named_users,
)
from gateway.store.postgres.group_requests import file_requests, handle_request
from gateway.store.postgres.heads import keep_made, lock_named
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.members import change_settings, find_users, judged_group, tell, withdraw_requests

_RAISE = """
WITH raised AS (UPDATE timeline SET facts_version = facts_version + 1 WHERE id = $1)
UPDATE grp SET updated_at = $2 WHERE id = $1
"""
_BAN = """
INSERT INTO ban (grp, usr, until, at) SELECT $1, usr, $2, $3 FROM unnest($4::bigint[]) AS u (usr)
ON CONFLICT (grp, usr) DO UPDATE SET until = excluded.until, at = excluded.at
"""
_BLOCK = "INSERT INTO grp_block (grp, usr, at) SELECT $1, usr, $2 FROM unnest($3::bigint[]) AS u (usr)"
_ASSIGN = """
UPDATE stay SET admin = $1
FROM (SELECT id FROM stay WHERE id = ANY ($2::bigint[]) ORDER BY id FOR UPDATE) AS j WHERE stay.id = j.id
"""
_TRUST = """
UPDATE stay SET trusted = $1
FROM (SELECT id FROM stay WHERE id = ANY ($2::bigint[]) ORDER BY id FOR UPDATE) AS j WHERE stay.id = j.id
"""
_HEIR = """
SELECT s.id, s.usr FROM timeline AS t JOIN stay AS s ON s.usr = t.id
WHERE t.app = $1 AND t.xid = $2 AND s.grp = $3 AND s.to_seq IS NULL
"""


async def append_group_change(conn: Conn, draft: GroupDraft, limits: Limits) -> Answer:
    """Append one draft about a group and answer it."""
    makes = isinstance(draft, RequestDraft) or (isinstance(draft, BlockDraft) and draft.blocked)
    make = makes and isinstance(draft, UsersChange) and draft.create
    made = await lock_named(conn, draft.app, (draft.group_xid, *_named(draft)), make=make)
    group = await judged_group(conn, draft)
    if not isinstance(group, JudgedGroup):
        return group
    match draft:
        case BanDraft():
            return await _ban(conn, draft, group, limits)
        case BlockDraft():
            return await _block(conn, draft, group, made, limits)
        case RoleDraft() | TrustDraft():
            return await _assign(conn, draft, group, limits)
        case TransferDraft():
            return await _transfer(conn, draft, group)
        case SettingsDraft():
            await change_settings(conn, draft.group_id, draft.settings, draft.at)
            return await _raised(conn, draft, {}, 1)
        case RequestDraft():
            return await file_requests(conn, draft, made, limits)
        case HandleDraft():
            return await handle_request(conn, draft, limits)


def _named(draft: GroupDraft) -> Sequence[int]:
    """List the users whom a draft is about: their heads are locked with the group's."""
    if isinstance(draft, UsersChange):
        return named_users(draft)
    if isinstance(draft, TransferDraft):
        return (draft.heir_xid,)
    return (draft.user_xid,) if isinstance(draft, HandleDraft) else ()


async def _raised(conn: Conn, draft: GroupChange, refused: dict[int, Kind], changes: int) -> Changed:
    """Let whatever was judged by the facts before be judged again, where any of them changed."""
    if changes:
        await conn.execute(_RAISE, draft.group_id, draft.at)
    return Changed([], draft.group_xid, refused)


async def _with_room(
    conn: Conn, held: str, draft: GroupChange, most: int, users: list[GroupUser], refused: dict[int, Kind]
) -> list[GroupUser]:
    """Keep those who find room in a list of the group that holds at most so many."""
    known = await conn.fetch(
        f"SELECT usr FROM {held} WHERE grp = $1 AND usr = ANY ($2::bigint[])",
        draft.group_id,
        [user.id for user in users],
    )
    count = await conn.fetchval(f"SELECT count(*) FROM {held} WHERE grp = $1", draft.group_id)
    return find_room(users, {usr for (usr,) in known}, most - count, refused)


async def _let_off(
    conn: Conn, held: str, draft: BanDraft | BlockDraft, users: list[GroupUser], refused: dict[int, Kind]
) -> Changed:
    """Take users off a list of the group."""
    gone = await conn.fetch(
        f"DELETE FROM {held} WHERE grp = $1 AND usr = ANY ($2::bigint[]) RETURNING 1",
        draft.group_id,
        [user.id for user in users],
    )
    return await _raised(conn, draft, let_off(refused), len(gone))


async def _ban(conn: Conn, draft: BanDraft, group: JudgedGroup, limits: Limits) -> Answer:
    refused: dict[int, Kind] = {}
    users = await find_users(conn, draft, draft.group_id, refused, make=False)
    if not draft.until:
        # Bans outlive a stay, so that whoever has one may be let off.
        return await _let_off(conn, "ban", draft, users, refused)
    await conn.execute("DELETE FROM ban WHERE grp = $1 AND until <= $2", draft.group_id, draft.at)
    users = may_be_banned(draft, group, users, refused)
    users = await _with_room(conn, "ban", draft, limits.group_bans_max, users, refused)
    await conn.execute(_BAN, draft.group_id, draft.until, draft.at, [user.id for user in users])
    return await _raised(conn, draft, refused, len(users))


async def _block(conn: Conn, draft: BlockDraft, group: JudgedGroup, made: set[int], limits: Limits) -> Answer:
    refused: dict[int, Kind] = {}
    users = await find_users(conn, draft, draft.group_id, refused, make=draft.blocked)
    if not draft.blocked:
        return await _let_off(conn, "grp_block", draft, users, refused)
    users = may_be_blocked(draft, group, users, refused)
    users = await _with_room(conn, "grp_block", draft, limits.group_blocks_max, users, refused)
    ids = [user.id for user in users]
    await keep_made(conn, draft.app, made, ids, draft.at)
    await conn.execute(_BLOCK, draft.group_id, draft.at, ids)
    await withdraw_requests(conn, draft.group_id, ids)
    inside = [user for user in users if user.stay_id]
    if not inside:
        return await _raised(conn, draft, refused, len(users))
    placed = await tell(conn, Action.KICKED, draft.group_id, draft.group_xid, inside, draft.at)
    return Changed(placed, draft.group_xid, refused)


async def _assign(conn: Conn, draft: RoleDraft | TrustDraft, group: JudgedGroup, limits: Limits) -> Answer:
    if isinstance(draft, TrustDraft):
        return await _trust(conn, draft)
    refused: dict[int, Kind] = {}
    users = await find_users(conn, draft, draft.group_id, refused, make=False)
    users = may_change_role(draft, group, users, refused)
    if draft.admin:
        count = await conn.fetchval("SELECT count(*) FROM stay WHERE grp = $1 AND admin = 1", draft.group_id)
        users = find_room(users, (), limits.group_admins_max - count, refused)
    await conn.execute(_ASSIGN, int(draft.admin), [user.stay_id for user in users])
    return await _raised(conn, draft, refused, len(users))


async def _trust(conn: Conn, draft: TrustDraft) -> Answer:
    refused: dict[int, Kind] = {}
    users = await find_users(conn, draft, draft.group_id, refused, make=False)
    users = in_the_group(users, refused)
    await conn.execute(_TRUST, int(draft.trusted), [user.stay_id for user in users])
    return await _raised(conn, draft, refused if draft.trusted else let_off(refused), len(users))


async def _transfer(conn: Conn, draft: TransferDraft, group: JudgedGroup) -> Answer:
    found = await conn.fetchrow(_HEIR, draft.app, draft.heir_xid, draft.group_id)
    if not found:
        return heir_unknown(draft)
    stay_id, heir_id = found
    if heir_id == group.owner_id:
        return Changed([], draft.group_xid)
    await conn.execute("UPDATE grp SET owner = $2 WHERE id = $1", draft.group_id, heir_id)
    # The owner is no administrator besides, and is never banned.
    await conn.execute("UPDATE stay SET admin = 0 WHERE id = $1", stay_id)
    await conn.execute("DELETE FROM ban WHERE grp = $1 AND usr = $2", draft.group_id, heir_id)
    return await _raised(conn, draft, {}, 1)
