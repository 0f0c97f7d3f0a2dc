"""What groups and chatrooms have in common: how calls name them, and how answers tell who is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.core.principal import Principal
from gateway.domain.model import ROOM, Group
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.faults import illegal, not_found
from gateway.edge.facades.agora.names import id_of


async def groups_called(at: At, texts: Sequence[str], *, rooms: bool = False) -> tuple[int, ...]:
    """The groups, or chatrooms, that texts are the ids of, in their order; 0 for a text that is none's."""
    xids = [id_of(text) for text in texts]
    types = await at.core.groups.types(at.app, xids) if any(xids) else {}
    return tuple(xid if xid in types and (types[xid] == ROOM) is rooms else 0 for xid in xids)


async def group_called(at: At, text: str, *, room: bool = False) -> int:
    """The group, or chatroom, that a text is the id of; 404 where there is none."""
    [group_xid] = await groups_called(at, [text], rooms=room)
    if not group_xid:
        raise not_found()
    return group_xid


async def group_of(at: At, *, room: bool = False) -> int:
    """The group, or chatroom, that the first open segment names; 404 where there is none."""
    return await group_called(at, at.given[0], room=room)


async def managed(at: At, *, room: bool = False) -> tuple[Principal, int]:
    """The app's administrator, who alone may ask, and the group, or chatroom, that the first open segment names."""
    return await at.administrator(), await group_of(at, room=room)


async def groups_of(at: At, principal: Principal, *, rooms: bool = False) -> list[Group]:
    """The groups, or chatrooms, that the first open segment names, separated by commas.

    Those that are not there are left out, as the vendor's are; 404 where there is none of them, 400 for too many.
    """
    named = list(dict.fromkeys(at.given[0].split(",")))
    most = at.limits.group_call_groups_max
    if len(named) > most:
        raise illegal("id", f"it must name at most {most}")
    found = await found_among(at, principal, list(filter(None, map(id_of, named))))
    wanted = [group for group in found if (group.type == ROOM) == rooms]
    if not wanted:
        raise not_found()
    return wanted


async def found_among(at: At, principal: Principal, xids: Sequence[int]) -> list[Group]:
    """Those of some groups that there are, however many."""
    found: list[Group] = []
    step = at.limits.group_call_groups_max
    for first in range(0, len(xids), step):
        found += await at.core.groups.info_batch(principal, xids[first : first + step])
    return found


def affiliations(group: Group, xids: Sequence[int], names: Mapping[int, str]) -> list[dict[str, str]]:
    """Who is in a group or chatroom, the owner last."""
    members = [{"member": names[xid]} for xid in xids if xid != group.owner_xid]
    return [*members, {"owner": names[group.owner_xid]}]


async def page_of_members(at: At, group: Group, xids: Sequence[int]) -> bytes:
    """The page of members that is asked for by number, the owner first of all."""
    number, size = at.numbered_page()
    ordered = [group.owner_xid, *(xid for xid in xids if xid != group.owner_xid)]
    page = ordered[(number - 1) * size : number * size]
    names = await at.names_of(page)
    data = [{"owner" if xid == group.owner_xid else "member": names[xid]} for xid in page]
    return at.told(data=data, count=len(data))
