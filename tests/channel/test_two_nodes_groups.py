"""Who may not speak in a group any more says nothing in it that is not stored, by whichever node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.clock import now_ms
from gateway.core.order import Order
from gateway.core.signals import Signal
from gateway.domain.drafts import StepDraft
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import Scope
from tests.channel.nodes import Node, Nodes, note_kinds
from tests.channel.stage import ALICE, APP, BOB, CAROL, LIMITS

pytestmark = pytest.mark.one_node("it has nodes of its own")


async def kick(node: Node, group: int) -> None:
    await node.groups.kick(await node.principal(ALICE), group, [BOB])


async def leave(node: Node, group: int) -> None:
    await node.groups.leave(await node.principal(BOB), group)


async def ban(node: Node, group: int) -> None:
    await node.groups.bans.ban(await node.principal(ALICE), group, [BOB], 5)


async def ban_all(node: Node, group: int) -> None:
    await node.groups.settings.ban_all(await node.principal(ALICE), group, 5)


async def destroy(node: Node, group: int) -> None:
    await node.groups.destroy(await node.principal(ALICE), group)


async def speak(node: Node, group: int) -> int:
    return await node.send(BOB, group, "now", Scope.GROUP, online_only=True)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (kick, Kind.NOT_A_MEMBER),
        (leave, Kind.NOT_A_MEMBER),
        (ban, Kind.BANNED),
        (ban_all, Kind.ALL_BANNED),
        (destroy, Kind.GROUP_UNKNOWN),
    ],
)
async def test_one_counts_at_once(
    nodes: Nodes, change: Callable[[Node, int], Awaitable[None]], kind: Kind
) -> None:
    """Also on a node where nobody follows the group."""
    here, there = nodes
    group = await here.group(ALICE, BOB, CAROL)
    await speak(there, group)
    await change(here, group)
    with pytest.raises(Problem) as refusal:
        await speak(there, group)
    assert refusal.value.kind is kind


async def test_a_signal(nodes: Nodes) -> None:
    """So is a signal refused, of a device that has not heard yet that it was put out."""
    here, there = nodes
    group = await here.group(ALICE, BOB, CAROL)
    connection, _ = await there.attach(BOB)
    signal = Signal(scope=Scope.GROUP, target=group, content="typing")
    await there.signals.send(await there.principal(BOB), connection, signal)
    await kick(here, group)
    with pytest.raises(Problem) as refusal:
        await there.signals.send(await there.principal(BOB), connection, signal)
    assert refusal.value.kind is Kind.NOT_A_MEMBER


async def test_a_notice_to_a_group_that_was(nodes: Nodes) -> None:
    """What needs no membership needs a group."""
    here, there = nodes
    group = await here.group(ALICE, BOB)
    order = Order(scope=Scope.GROUP, targets=(group,), ctype=0, content="now", online_only=True)
    await there.messaging.notify(await there.admin(), order)
    await speak(there, group)
    await destroy(here, group)
    with pytest.raises(Problem) as refusal:
        await there.messaging.notify(await there.admin(), order)
    assert refusal.value.kind is Kind.GROUP_UNKNOWN


async def test_an_owner_who_is_erased(nodes: Nodes) -> None:
    """With nobody left to inherit it a group ends, page by page, and so it does for every node."""
    here, there = nodes
    group = await here.group(ALICE)
    order = Order(scope=Scope.GROUP, targets=(group,), ctype=0, content="now", online_only=True)
    await there.send(ALICE, group, "now", Scope.GROUP, online_only=True)
    await there.messaging.notify(await there.admin(), order)
    owner = await here.principal(ALICE)
    job = await here.erasing.erase(owner.app, owner.user)
    await here.writer.submit(StepDraft(app=job.app, job_id=job.id, at=now_ms(), rows=1, size=1))
    with pytest.raises(Problem) as refusal:
        await there.messaging.notify(await there.admin(), order)
    assert refusal.value.kind is Kind.GROUP_UNKNOWN


async def test_one_whose_note_is_lost(nodes: Nodes) -> None:
    """Counts when the sweep would have come: nothing is believed for longer."""
    here, there = nodes
    group = await here.group(ALICE, BOB)
    await speak(there, group)
    there.bus.deaf = True
    await kick(here, group)
    there.ticks.move(LIMITS.sweep_ms)
    with pytest.raises(Problem) as refusal:
        await speak(there, group)
    assert refusal.value.kind is Kind.NOT_A_MEMBER


async def test_one_while_it_is_judged(nodes: Nodes) -> None:
    """What was read before a change was heard of is not remembered after it."""
    here, there = nodes
    group = await here.group(ALICE, BOB)

    async def overtaken(*asked: Any) -> Any:
        facts = await there.view.store.facts(*asked)
        await kick(here, group)
        return facts

    there.view.facts = overtaken
    await speak(there, group)
    del there.view.facts
    with pytest.raises(Problem) as refusal:
        await speak(there, group)
    assert refusal.value.kind is Kind.NOT_A_MEMBER


async def test_a_change_that_was_refused(nodes: Nodes) -> None:
    """Changes nothing, and is not told."""
    here, _ = nodes
    group = await here.group(ALICE, BOB)
    said = note_kinds(here)
    with pytest.raises(Problem):
        await here.groups.leave(await here.principal(ALICE), group)
    assert note_kinds(here) == said


async def test_who_reads_a_user_meanwhile(nodes: Nodes) -> None:
    """Reads it once, however many groups change: in a large cluster some do all the time."""
    here, there = nodes
    group = await here.group(ALICE, BOB)
    token = await there.token(CAROL)
    there.directory.known.forget_all()
    asked: list[int] = []

    async def busy(app: int, xids: list[int], at: int) -> Any:
        asked.append(len(xids))
        await ban(here, group)
        return await there.view.store.ensure_users(app, xids, at)

    there.view.ensure_users = busy
    await there.directory.principal(APP, token, None, None)
    assert asked == [1]
