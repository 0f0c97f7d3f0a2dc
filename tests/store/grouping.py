"""Changes of groups beyond who is in them, as tests ask the store for them."""

from __future__ import annotations

from typing import Any

from gateway.domain.drafts import Answer, Changed
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import GroupDraft, HandleDraft, RequestDraft, RequestKind
from tests.store.stage import NOW, Stage

TTL_MS = 1000


async def draft(stage: Stage, group: int, kind: type[GroupDraft], **told: Any) -> GroupDraft:
    """A change judged by the facts of this moment; `request` is the kind of a request, open for `TTL_MS`."""
    facts = await stage.facts(group)
    named: dict[str, Any] = {
        "app": stage.app.id,
        "group_id": facts.group_id,
        "group_xid": group,
        "judged": facts.version,
        "at": NOW,
    }
    if kind in {RequestDraft, HandleDraft}:
        request = told.pop("request")
        inviter = 0 if request is RequestKind.APPLICATION else 11
        named |= {"kind": request, "inviter_xid": inviter}
    if kind is RequestDraft:
        named |= {"reason": "", "expires_at": told.get("at", NOW) + TTL_MS}
    return kind(**{**named, **told})


async def change(stage: Stage, group: int, kind: type[GroupDraft], **told: Any) -> Answer:
    """Ask for a change; see `draft`."""
    return await stage.append(await draft(stage, group, kind, **told))


async def changed(stage: Stage, group: int, kind: type[GroupDraft], **told: Any) -> dict[int, Kind]:
    """Make a change; whom it refused."""
    answer = await change(stage, group, kind, **told)
    assert isinstance(answer, Changed), answer
    return answer.refused


async def banned(stage: Stage, group: int, now: int = NOW) -> dict[int, int]:
    """Who is banned at a time, and until when."""
    found = await stage.store.group_bans(await stage.id(group), 0, 100, now)
    return {ban.xid: ban.until for ban in found}


async def blocked(stage: Stage, group: int) -> list[int]:
    return [block.xid for block in await stage.store.group_blocks(await stage.id(group), 0, 100)]


async def admins(stage: Stage, group: int) -> list[int]:
    return [member.xid for member in await stage.store.group_admins(await stage.id(group))]


async def applying(stage: Stage, group: int, now: int = NOW) -> list[int]:
    """Whose applications are open."""
    found = await stage.store.applications([await stage.id(group)], 0, 100, now)
    return [request.user_xid for request in found]


async def invited(stage: Stage, xid: int, now: int = NOW) -> list[tuple[int, int]]:
    """Which invitations of a user are open: the groups and who invited."""
    found = await stage.store.invitations(await stage.id(xid), 0, 100, now)
    return [(request.group_xid, request.inviter_xid) for request in found]
