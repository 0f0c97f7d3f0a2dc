"""What is not stored, to groups, judged from memory: a yes costs the store nothing, and no change is missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.order import Order
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import ROOM, Scope
from gateway.store.sqlite import SqliteStore
from tests.core.grouping import MEMBER, OWNER, STRANGER, make
from tests.core.online import Asked, say
from tests.core.stage import Stage, refused

Change = Callable[[Stage, int], Awaitable[object]]


async def shout(stage: Stage, group_xid: int, sender: int = MEMBER) -> int:
    return await say(stage, sender, group_xid, group=True)


async def kick(stage: Stage, group_xid: int) -> None:
    await stage.groups.kick(await stage.user(OWNER), group_xid, [MEMBER])


async def leave(stage: Stage, group_xid: int) -> None:
    await stage.groups.leave(await stage.user(MEMBER), group_xid)


async def ban(stage: Stage, group_xid: int) -> None:
    await stage.groups.bans.ban(await stage.user(OWNER), group_xid, [MEMBER], 5)


async def ban_all(stage: Stage, group_xid: int) -> None:
    await stage.groups.settings.ban_all(await stage.user(OWNER), group_xid, 5)


async def block(stage: Stage, group_xid: int) -> None:
    await stage.groups.bans.block(await stage.user(OWNER), group_xid, [MEMBER])


async def destroy(stage: Stage, group_xid: int) -> None:
    await stage.groups.destroy(await stage.user(OWNER), group_xid)


class TestGroups:
    """To groups."""

    async def test_the_store_is_asked_once(self, stage: Stage, asked: Asked) -> None:
        """The second message of a member is handed over without the store."""
        group, member = await make(stage), await stage.user(MEMBER)
        await say(stage, member, group.xid, group=True)
        asked.names.clear()
        await say(stage, member, group.xid, group=True)
        assert asked.names == []

    async def test_members_take_turns(self, stage: Stage, asked: Asked) -> None:
        """What is known of one is not forgotten when another is asked for."""
        group = await make(stage)
        both = [await stage.user(OWNER), await stage.user(MEMBER)]
        for member in both:
            await say(stage, member, group.xid, group=True)
        asked.names.clear()
        for member in both:
            await say(stage, member, group.xid, group=True)
        assert asked.names == []

    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            (kick, Kind.NOT_A_MEMBER),
            (leave, Kind.NOT_A_MEMBER),
            (ban, Kind.BANNED),
            (ban_all, Kind.ALL_BANNED),
            (block, Kind.NOT_A_MEMBER),
            (destroy, Kind.GROUP_UNKNOWN),
        ],
    )
    async def test_a_change_counts_at_once(self, stage: Stage, change: Change, kind: Kind) -> None:
        """Whoever may not speak any more is refused from the moment that is answered."""
        group, member = await make(stage), await stage.user(MEMBER)
        await say(stage, member, group.xid, group=True)
        await change(stage, group.xid)
        with refused(kind):
            await say(stage, member, group.xid, group=True)

    async def test_an_administrator_speaks_while_all_are_banned(self, stage: Stage) -> None:
        """And no longer than it is one."""
        group, owner, member = await make(stage), await stage.user(OWNER), await stage.user(MEMBER)
        await stage.groups.roles.assign(owner, group.xid, [MEMBER], admin=True)
        await ban_all(stage, group.xid)
        await say(stage, member, group.xid, group=True)
        await stage.groups.roles.assign(owner, group.xid, [MEMBER], admin=False)
        with refused(Kind.ALL_BANNED):
            await say(stage, member, group.xid, group=True)

    async def test_an_owner_that_was(self, stage: Stage) -> None:
        """Whoever has given a group away is a plain member in it."""
        group, owner = await make(stage), await stage.user(OWNER)
        await ban_all(stage, group.xid)
        await say(stage, owner, group.xid, group=True)
        await stage.groups.roles.transfer(owner, group.xid, MEMBER)
        with refused(Kind.ALL_BANNED):
            await say(stage, owner, group.xid, group=True)

    async def test_who_is_kept_out_of_a_chatroom(self, stage: Stage) -> None:
        """Anybody speaks there, until kept out."""
        room, stranger = await make(stage, (), kind=ROOM), await stage.user(STRANGER)
        await say(stage, stranger, room.xid, group=True)
        await stage.groups.bans.block(await stage.user(OWNER), room.xid, [STRANGER])
        with refused(Kind.GROUP_BLOCKED):
            await say(stage, stranger, room.xid, group=True)

    async def test_a_chatroom_whose_owner_is_erased(self, stage: Stage) -> None:
        """It ends with its owner, by a page of a job."""
        room, stranger, owner = (
            await make(stage, (), kind=ROOM),
            await stage.user(STRANGER),
            await stage.user(OWNER),
        )
        await say(stage, stranger, room.xid, group=True)
        job = await stage.core.erasing.erase(owner.app, owner.user)
        runner = asyncio.create_task(stage.jobs.run())
        await stage.jobs.follow(job, 100_000)
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)
        with refused(Kind.GROUP_UNKNOWN):
            await say(stage, stranger, room.xid, group=True)

    async def test_a_change_in_another_group(self, stage: Stage, asked: Asked) -> None:
        """Costs the members of this one nothing."""
        group, other, member = await make(stage), await make(stage), await stage.user(MEMBER)
        await say(stage, member, group.xid, group=True)
        await kick(stage, other.xid)
        asked.names.clear()
        await say(stage, member, group.xid, group=True)
        assert asked.names == []

    async def test_a_change_nobody_knows_the_outcome_of(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where a batch fails it may have been kept: what it was about is asked anew."""
        group, member, owner = await make(stage), await stage.user(MEMBER), await stage.user(OWNER)
        await say(stage, member, group.xid, group=True)
        append = SqliteStore.append

        async def lost(self: SqliteStore, batch: Any) -> Any:
            await append(self, batch)
            raise Problem(Kind.STORE_FAILED, "the outcome is unknown")

        with monkeypatch.context() as patched:
            patched.setattr(SqliteStore, "append", lost)
            with refused(Kind.STORE_FAILED):
                await stage.groups.kick(owner, group.xid, [MEMBER])
        with refused(Kind.NOT_A_MEMBER):
            await say(stage, member, group.xid, group=True)

    async def test_a_change_while_it_is_judged(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was read before a change was answered is not remembered after it."""
        group, member = await make(stage), await stage.user(MEMBER)
        original = SqliteStore.facts
        kicked = False

        async def overtaken(self: SqliteStore, *given: Any) -> Any:
            nonlocal kicked
            answer = await original(self, *given)
            if not kicked:
                kicked = True
                await kick(stage, group.xid)
            return answer

        monkeypatch.setattr(SqliteStore, "facts", overtaken)
        await say(stage, member, group.xid, group=True)
        with refused(Kind.NOT_A_MEMBER):
            await say(stage, member, group.xid, group=True)

    async def test_a_notice_needs_a_group_that_stands(self, stage: Stage, asked: Asked) -> None:
        """It asks for no membership, and the store once, until the group ends."""
        group, admin = await make(stage), await stage.admin()
        order = Order(scope=Scope.GROUP, targets=(group.xid,), ctype=0, content="hi", online_only=True)
        await stage.core.messaging.notify(admin, order)
        asked.names.clear()
        await stage.core.messaging.notify(admin, order)
        assert asked.names == []
        await destroy(stage, group.xid)
        with refused(Kind.GROUP_UNKNOWN):
            await stage.core.messaging.notify(admin, order)

    async def test_a_notice_makes_no_member(self, stage: Stage) -> None:
        """That a notice passed says nothing of who may speak."""
        group = await make(stage)
        order = Order(
            scope=Scope.GROUP,
            targets=(group.xid,),
            ctype=0,
            content="hi",
            online_only=True,
            from_xid=STRANGER,
        )
        await stage.user(STRANGER)
        await stage.core.messaging.notify(await stage.admin(), order)
        with refused(Kind.NOT_A_MEMBER):
            await shout(stage, group.xid, STRANGER)
