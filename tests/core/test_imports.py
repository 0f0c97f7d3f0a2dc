"""Imports as a dialect asks the core for them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.imports import ImportOrder
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, SAFE_MAX, Group, Scope, State, Status
from tests.core.grouping import MEMBER, OWNER, STRANGER, make
from tests.core.stage import Stage, refused

THEN = 1_600_000_000_000


def to_user(target: int, **members: Any) -> ImportOrder:
    told = {"scope": Scope.USER, "target": target, "ctype": 0, "content": "once", "from_xid": OWNER}
    return ImportOrder(**{**told, **members})


def to_group(group: Group, **members: Any) -> ImportOrder:
    return to_user(group.xid, scope=Scope.GROUP, **members)


async def bring(stage: Stage, order: ImportOrder) -> int:
    return await stage.core.messaging.import_one(await stage.admin(), order)


@pytest.fixture
async def group(stage: Stage) -> Group:
    return await make(stage)


async def test_it_is_in_the_history(stage: Stage) -> None:
    """With its own time and status; of now where none is told."""
    old = await bring(stage, to_user(12, shown_at=THEN, settled=True))
    new = await bring(stage, to_user(12))
    page = await stage.core.conversations.page(await stage.user(12), OWNER, 0, 10)
    assert [(item.msg_id, item.at, item.status) for item in page.items] == [
        (new, stage.clock(), Status.UNREAD),
        (old, THEN, Status.READ),
    ]
    [recent] = await stage.core.conversations.unread(await stage.user(12))
    assert (recent.conversation_xid, recent.unread) == (OWNER, 1)


async def test_nothing_is_announced(stage: Stage) -> None:
    """No device is sent it: it is an entry of no timeline."""
    target = await stage.user(12)
    await bring(stage, to_user(12))
    [page] = await stage.store.pages([(target.user.id, 1)], 10, 1000)
    assert (page.entries, page.head) == ([], 0)


async def test_of_nobody_named(stage: Stage) -> None:
    """It is the reserved user's, which lists nothing."""
    admin = await stage.admin()
    brought = await bring(stage, to_user(12, from_xid=0))
    page = await stage.core.conversations.page(await stage.user(12), admin.user.xid, 0, 10)
    assert [item.msg_id for item in page.items] == [brought]
    assert await stage.store.recent(admin.user.id) == []


async def test_it_is_not_judged(stage: Stage, group: Group) -> None:
    """Neither that its sender is not in the group, nor that it is frozen or blocked by now."""
    app = (await stage.admin()).app.id
    sender, target = await stage.user(STRANGER), await stage.user(12)
    await stage.store.block(target.user.id, sender.user.id, 1)
    await stage.store.set_state(app, [STRANGER], State.FROZEN, 1, create=False)
    assert await bring(stage, to_user(12, from_xid=STRANGER))
    brought = await bring(stage, to_group(group, from_xid=STRANGER))
    page = await stage.core.conversations.page(await stage.user(MEMBER), group.xid, 0, 10)
    assert [item.msg_id for item in page.items] == [brought]


async def test_a_group_that_changes_meanwhile(
    stage: Stage, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is judged again; one that ends meanwhile is unknown."""
    submit, owner = stage.writer.submit, await stage.user(OWNER)
    calls = 0

    async def overtaken(draft: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            monkeypatch.setattr(stage.writer, "submit", submit)
            await stage.groups.kick(owner, group.xid, [MEMBER])
            monkeypatch.setattr(stage.writer, "submit", overtaken)
        return await submit(draft)

    monkeypatch.setattr(stage.writer, "submit", overtaken)
    assert await bring(stage, to_group(group))
    assert calls == 2
    monkeypatch.undo()
    await stage.groups.destroy(owner, group.xid)
    with refused(Kind.GROUP_UNKNOWN):
        await bring(stage, to_group(group))


async def test_a_chatroom_has_no_history(stage: Stage) -> None:
    """Nor has what is no group at all."""
    room = await make(stage, (), kind=ROOM)
    for named in (to_group(room), to_user(777, scope=Scope.GROUP)):
        with refused(Kind.GROUP_UNKNOWN):
            await bring(stage, named)


@pytest.mark.parametrize(
    ("told", "member"),
    [
        ({"ctype": 10}, "content_type"),
        ({"ctype": 11}, "content_type"),
        ({"content": ""}, "content"),
        ({"ctype": 1}, "attachment"),
        ({"ext": "x" * (Limits().ext_bytes_max + 1)}, "ext"),
        ({"shown_at": -1}, "shown_at"),
        ({"shown_at": SAFE_MAX + 1}, "shown_at"),
    ],
)
async def test_what_cannot_be(stage: Stage, told: dict[str, Any], member: str) -> None:
    """What no message can be, no import can."""
    with refused(Kind.BAD_PARAMETER) as refusal:
        await bring(stage, to_user(12, **told))
    assert member in refusal.sentence


async def test_an_apps_own_bound(stage: Stage) -> None:
    """Of its texts together."""
    await stage.directory.set_limits("demo", {"message_bytes_max": 5})
    with refused(Kind.BAD_PARAMETER):
        await bring(stage, to_user(12, ext="xx"))


async def test_who_may(stage: Stage) -> None:
    """An administrator alone; nothing goes to the reserved user, nor is anybody unknown where all are registered."""
    for principal in (await stage.user(OWNER), await stage.admin(user_id=OWNER)):
        with refused(Kind.FORBIDDEN):
            await stage.core.messaging.import_one(principal, to_user(12, from_xid=0))
    with refused(Kind.FORBIDDEN):
        await bring(stage, to_user((await stage.admin()).app.system_xid))
    await stage.app("closed", registered=True)
    with refused(Kind.USER_UNKNOWN):
        await stage.core.messaging.import_one(await stage.admin("closed"), to_user(12, from_xid=0))


async def test_it_is_taken_back(stage: Stage) -> None:
    """Like what was sent here."""
    brought = await bring(stage, to_user(12))
    await stage.core.messaging.recall(await stage.user(OWNER), 12, brought)
    page = await stage.core.conversations.page(await stage.user(12), OWNER, 0, 10)
    assert page.items == []


async def test_who_is_named_and_nobody_yet(stage: Stage) -> None:
    """Comes into being by it; the reserved user and what nobody can be called are not meant by a name."""
    first = await bring(stage, to_user(0, from_xid=0, from_name="ann", target_name="bob"))
    app = (await stage.admin()).app
    users = await stage.store.users_named(app.id, ["ann", "bob"])
    bob = await stage.user(users["bob"].xid)
    page = await stage.core.conversations.page(bob, users["ann"].xid, 0, 10)
    assert [item.msg_id for item in page.items] == [first]
    for name in ("system", "no name!", "x" * 65):
        for members in ({"target_name": name}, {"from_name": name, "from_xid": 0, "target_name": "bob"}):
            with refused(Kind.USER_UNKNOWN):
                await bring(stage, to_user(0, **members))
