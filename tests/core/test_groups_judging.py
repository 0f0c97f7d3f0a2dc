"""Groups: facts that change between judging a call and committing it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gateway.core.group_changes import PRIVATE, PUBLIC
from gateway.core.groups import Groups
from gateway.domain.drafts import Answer, Changed, Draft, MembershipDraft, Stale
from gateway.domain.errors import Kind
from gateway.domain.model import Facts
from tests.core.grouping import MEMBER, OWNER, make, members_of
from tests.core.stage import Stage, refused


async def test_changes_at_once_all_happen(stage: Stage) -> None:
    """Many calls about one group at the same time each do what they were asked for."""
    group, owner = await make(stage), await stage.user(OWNER)
    await asyncio.gather(*(stage.groups.invite(owner, group.xid, [xid]) for xid in range(1, 31)))
    assert await members_of(stage, group) == [*range(1, 31), OWNER, MEMBER]


async def test_changes_of_two_nodes_all_happen(stage: Stage) -> None:
    """Two nodes that don't take turns are judged again, and both get there."""
    group, owner = await make(stage), await stage.user(OWNER)
    nodes = [Groups(stage.store, stage.writer.submit, stage.limits, stage.clock) for _ in range(3)]
    await asyncio.gather(*(node.invite(owner, group.xid, [n]) for n, node in enumerate(nodes, 1)))
    assert await members_of(stage, group) == [1, 2, 3, OWNER, MEMBER]


async def test_by_new_facts(stage: Stage) -> None:
    """A call is judged by the facts it commits under: who was put out meanwhile may not invite."""
    group, owner = await make(stage, kind=PUBLIC), await stage.user(OWNER)
    member = await stage.user(MEMBER)
    drafts: list[Draft] = []

    async def overtaken(draft: Draft) -> Answer:
        drafts.append(draft)
        await stage.groups.kick(owner, group.xid, [MEMBER])
        return await stage.writer.submit(draft)

    groups = Groups(stage.store, overtaken, stage.limits, stage.clock)
    with refused(Kind.NOT_A_MEMBER):
        await groups.invite(member, group.xid, [7])
    assert len(drafts) == 1


async def test_read_in_two_pieces(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change between the two reads that a call is judged by makes it be judged again."""
    group, owner = await make(stage), await stage.user(OWNER)
    read = stage.store.facts
    judged: list[int] = []

    async def overtaken(app: int, group_xids: Sequence[int], user_xid: int) -> list[Facts | None]:
        monkeypatch.undo()
        await stage.groups.kick(owner, group.xid, [MEMBER])
        return await read(app, group_xids, user_xid)

    async def submit(draft: Draft) -> Answer:
        assert isinstance(draft, MembershipDraft)
        judged.append(draft.judged)
        return await stage.writer.submit(draft)

    monkeypatch.setattr(stage.store, "facts", overtaken)
    await Groups(stage.store, submit, stage.limits, stage.clock).invite(owner, group.xid, [7])
    assert judged == [group.facts_version, group.facts_version + 1]
    assert await members_of(stage, group) == [7, OWNER]


async def test_a_group_that_ends_at_once(stage: Stage) -> None:
    """A group that somebody destroys before its maker hears of it is not there."""
    owner, admin = await stage.user(OWNER), await stage.admin()

    async def ended(draft: Draft) -> Answer:
        answer = await stage.writer.submit(draft)
        assert isinstance(answer, Changed)
        await stage.groups.destroy(admin, answer.xid)
        return answer

    groups = Groups(stage.store, ended, stage.limits, stage.clock)
    with refused(Kind.GROUP_UNKNOWN):
        await groups.create(owner, name="", description="", avatar="", kind=PRIVATE, members=[])


async def test_not_for_ever(stage: Stage) -> None:
    """A group that never holds still is given up on, with a time to come back."""
    group, owner = await make(stage), await stage.user(OWNER)
    tries: list[Draft] = []

    async def stale(draft: Draft) -> Answer:
        assert isinstance(draft, MembershipDraft)
        tries.append(draft)
        return Stale()

    groups = Groups(stage.store, stale, stage.limits, stage.clock)
    with refused(Kind.OVERLOADED) as refusal:
        await groups.invite(owner, group.xid, [7])
    assert refusal.retry_after_ms
    assert len(tries) < 20
