"""Groups as tests make them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.group_changes import PRIVATE
from gateway.domain.model import Group
from tests.core.stage import Stage

OWNER, MEMBER, STRANGER = 118, 119, 120
ADMIN, OTHER = 130, 131


async def make(
    stage: Stage, members: Sequence[int] = (MEMBER,), *, kind: int = PRIVATE, owner: int = OWNER
) -> Group:
    group, _ = await stage.groups.create(
        await stage.user(owner), name="g", description="d", avatar="a", kind=kind, members=members
    )
    return group


async def members_of(stage: Stage, group: Group) -> list[int]:
    return [member.xid for member in await stage.store.members(group.id, 0, 10_000)]


async def staffed(stage: Stage, kind: int = PRIVATE) -> Group:
    """A group with an administrator and two members."""
    group = await make(stage, [ADMIN, MEMBER, OTHER], kind=kind)
    await stage.groups.roles.assign(await stage.user(OWNER), group.xid, [ADMIN], admin=True)
    return group
