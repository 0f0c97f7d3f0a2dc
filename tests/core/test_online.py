"""What is not stored, judged from memory: a yes costs the store nothing, and no change is missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.bus.base import Forget
from gateway.core.ephemeral import IDS_BLOCK
from gateway.core.order import Order
from gateway.core.principal import Principal
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Scope
from gateway.store.sqlite import SqliteStore
from tests.core.grouping import MEMBER, OWNER, STRANGER, make
from tests.core.stage import Stage, open_stage, refused

ALICE, BOB, CAROL = 11, 12, 13
QUESTIONS = ("facts", "may_message", "parties", "party", "user", "ensure_users", "message", "reserve")


async def say(stage: Stage, sender: int | Principal, target: int, *, group: bool = False) -> int:
    """Send what is handed over and not stored."""
    principal = await stage.user(sender) if isinstance(sender, int) else sender
    scope = Scope.GROUP if group else Scope.USER
    order = Order(scope=scope, targets=(target,), ctype=0, content="hi", online_only=True)
    return (await stage.core.messaging.send(principal, order))[0]


async def shout(stage: Stage, group_xid: int, sender: int = MEMBER) -> int:
    return await say(stage, sender, group_xid, group=True)


class Asked:
    """Counts what the store is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        for name in QUESTIONS:
            monkeypatch.setattr(SqliteStore, name, self._counting(name, getattr(SqliteStore, name)))

    def _counting(self, name: str, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*given: Any, **named: Any) -> Any:
            self.names.append(name)
            return await original(*given, **named)

        return counted


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


async def acquaint(stage: Stage) -> tuple[Principal, Principal]:
    """Two users, who may write to each other as far as is known."""
    alice, bob = await stage.user(ALICE), await stage.user(BOB)
    await say(stage, alice, BOB)
    await say(stage, bob, ALICE)
    return alice, bob


class TestUsers:
    """Between users."""

    async def test_the_store_is_asked_once(self, stage: Stage, asked: Asked) -> None:
        """The second message of a pair, and every later one, is handed over without the store."""
        alice, _ = await acquaint(stage)
        asked.names.clear()
        first = await say(stage, alice, BOB)
        assert await say(stage, alice, BOB) == first + 1
        assert asked.names == []

    async def test_each_pair_for_itself(self, stage: Stage, asked: Asked) -> None:
        """That two may write to the same one says nothing of each other."""
        alice, _ = await acquaint(stage)
        await say(stage, await stage.user(CAROL), BOB)
        asked.names.clear()
        await say(stage, alice, CAROL)
        assert "may_message" in asked.names

    async def test_who_is_not_there_is_not_remembered(self, stage: Stage, asked: Asked) -> None:
        """Nobody comes to be by it, and whoever does so later is found."""
        alice = await stage.user(ALICE)
        for _ in range(2):
            asked.names.clear()
            await say(stage, alice, 99)
            assert "may_message" in asked.names
        assert await stage.store.user(alice.app.id, 99) is Kind.USER_UNKNOWN

    async def test_a_frozen_sender(self, stage: Stage) -> None:
        """Whoever is frozen is refused from the moment that is answered, and not a moment longer."""
        alice, _ = await acquaint(stage)
        admin = await stage.admin()
        await stage.core.users.freeze(admin, [ALICE])
        with refused(Kind.FROZEN):
            await say(stage, alice, BOB)
        await stage.core.users.unfreeze(admin, [ALICE])
        await say(stage, alice, BOB)

    async def test_a_frozen_target_that_writes(self, stage: Stage) -> None:
        """That one may be written to does not say that it may write."""
        alice, bob = await stage.user(ALICE), await stage.user(BOB)
        await stage.core.users.freeze(await stage.admin(), [BOB])
        await say(stage, alice, BOB)
        with refused(Kind.FROZEN):
            await say(stage, bob, ALICE)

    async def test_a_frozen_sender_that_is_named(self, stage: Stage) -> None:
        """Nor may an administrator let it say something."""
        alice = await stage.user(ALICE)
        await stage.user(BOB)
        await stage.core.users.freeze(await stage.admin(), [BOB])
        await say(stage, alice, BOB)
        order = Order(
            scope=Scope.USER, targets=(ALICE,), ctype=0, content="hi", online_only=True, from_xid=BOB
        )
        with refused(Kind.FROZEN):
            await stage.core.messaging.notify(await stage.admin(), order)

    async def test_a_deleted_target(self, stage: Stage) -> None:
        """Who is no more is unknown at once, to whoever wrote before."""
        alice, bob = await acquaint(stage)
        await stage.core.erasing.erase(bob.app, bob.user)
        with refused(Kind.USER_UNKNOWN):
            await say(stage, alice, BOB)

    async def test_a_deleted_sender(self, stage: Stage) -> None:
        """A connection of one who is no more sends nothing."""
        alice, _ = await acquaint(stage)
        await stage.core.erasing.erase(alice.app, alice.user)
        with refused(Kind.USER_UNKNOWN):
            await say(stage, alice, BOB)

    @pytest.mark.parametrize("blocker", [ALICE, BOB])
    async def test_a_block(self, stage: Stage, blocker: int) -> None:
        """A block stands both ways, whoever sets it, from the moment it is set until it is taken back."""
        alice, bob = await acquaint(stage)
        by, other = (alice, BOB) if blocker == ALICE else (bob, ALICE)
        await stage.core.roster.block(by, other)
        for sender, target in ((alice, BOB), (bob, ALICE)):
            with refused(Kind.BLOCKED):
                await say(stage, sender, target)
        await stage.core.roster.unblock(by, other)
        for sender, target in ((alice, BOB), (bob, ALICE)):
            await say(stage, sender, target)

    async def test_a_block_among_friends(self, stage: Stage) -> None:
        """That both are known to others again says nothing of the two."""
        alice, bob = await acquaint(stage)
        carol = await stage.user(CAROL)
        await stage.core.roster.block(bob, ALICE)
        for sender, target in ((bob, CAROL), (carol, BOB), (alice, CAROL), (carol, ALICE)):
            await say(stage, sender, target)
        for sender, target in ((alice, BOB), (bob, ALICE)):
            with refused(Kind.BLOCKED):
                await say(stage, sender, target)

    async def test_a_block_stops_no_notice(self, stage: Stage, asked: Asked) -> None:
        """What `system` says passes blocks, and is known to: that it passed is no yes for anybody's message."""
        alice, bob = await stage.user(ALICE), await stage.user(BOB)
        await stage.core.roster.block(bob, ALICE)
        admin = await stage.admin()
        order = Order(
            scope=Scope.USER, targets=(BOB,), ctype=0, content="hi", online_only=True, from_xid=ALICE
        )
        await stage.core.messaging.notify(admin, order)
        asked.names.clear()
        await stage.core.messaging.notify(admin, order)
        assert asked.names == []
        with refused(Kind.BLOCKED):
            await say(stage, alice, BOB)

    async def test_a_block_while_it_is_judged(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was read before a block was answered is not remembered after it."""
        alice, bob = await stage.user(ALICE), await stage.user(BOB)
        original = SqliteStore.may_message

        async def overtaken(*given: Any, **named: Any) -> Any:
            answer = await original(*given, **named)
            await stage.core.roster.block(bob, ALICE)
            return answer

        with monkeypatch.context() as patched:
            patched.setattr(SqliteStore, "may_message", overtaken)
            await say(stage, alice, BOB)
        with refused(Kind.BLOCKED):
            await say(stage, alice, BOB)

    async def test_another_nodes_note(self, stage: Stage, asked: Asked) -> None:
        """What another node has changed is asked anew."""
        alice, _ = await acquaint(stage)
        for xid in (ALICE, BOB):
            asked.names.clear()
            stage.directory.known.forget(Forget(app_id="demo", app=alice.app.id, xid=xid))
            await say(stage, alice, BOB)
            assert "may_message" in asked.names

    async def test_another_epoch(self, stage: Stage, asked: Asked) -> None:
        """Nothing is known of another store."""
        alice, _ = await acquaint(stage)
        stage.directory.known.forget_all()
        asked.names.clear()
        await say(stage, alice, BOB)
        assert "may_message" in asked.names

    async def test_in_a_shared_store_it_ages(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Asked
    ) -> None:
        """Where others write too, nobody is believed for longer than `sweep_ms`."""
        monkeypatch.setattr(SqliteStore, "shared", property(lambda _: True))
        async with open_stage(tmp_path) as stage:
            await stage.app()
            alice, _ = await acquaint(stage)
            group = await make(stage)
            member = await stage.user(MEMBER)
            await say(stage, member, group.xid, group=True)
            asked.names.clear()
            stage.clock.now_ms += stage.limits.sweep_ms - 1
            await say(stage, alice, BOB)
            await say(stage, member, group.xid, group=True)
            assert asked.names == []
            stage.clock.now_ms += 1
            await say(stage, alice, BOB)
            assert asked.names == ["may_message", "parties"]
            asked.names.clear()
            await say(stage, member, group.xid, group=True)
            assert asked.names == ["facts", "may_message", "parties"]

    async def test_it_is_bounded(self, tmp_path: Path) -> None:
        """No more users and pairs are remembered than the limit says."""
        async with open_stage(tmp_path, Limits(cached_facts_max=3)) as stage:
            await stage.app()
            for xid in range(1, 8):
                await stage.user(xid)
                await say(stage, await stage.user(ALICE), xid)
            reach = stage.core.messaging._judging._reach
            assert (len(reach._users), len(reach._pairs)) == (3, 3)


Change = Callable[[Stage, int], Awaitable[object]]


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


class TestIds:
    """Ids come from blocks that are there before they are needed."""

    async def test_no_message_waits_for_a_block(self, stage: Stage, asked: Asked) -> None:
        """The next block is asked for in good time: over several blocks only the first message has waited."""
        ephemeral = stage.core.messaging._ephemeral
        seen = [await ephemeral.take_ids(1)]
        for _ in range(3 * IDS_BLOCK):
            seen.append(ephemeral.next_ids(1))
            await asyncio.gather(*ephemeral._tasks._running)
        assert all(seen), "a message waits for the store"
        assert seen == sorted(set(seen))
        assert asked.names.count("reserve") == 4

    async def test_many_at_once_are_consecutive(self, stage: Stage) -> None:
        """A message to many takes its ids in one piece, from the next block where this one is too short."""
        ephemeral = stage.core.messaging._ephemeral
        firsts = [await ephemeral.take_ids(700) for _ in range(10)]
        taken = [msg_id for first in firsts for msg_id in range(first, first + 700)]
        assert len(set(taken)) == len(taken)

    async def test_a_failing_store_is_named_by_who_needs_it(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While ids are there nobody hears of it; who takes the last is told, and later ones get ids again."""
        ephemeral = stage.core.messaging._ephemeral
        await ephemeral.take_ids(1)

        async def failing(_self: SqliteStore, _count: int) -> int:
            raise Problem(Kind.STORE_FAILED, "the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(SqliteStore, "reserve", failing)
            for _ in range(IDS_BLOCK - 1):
                assert ephemeral.next_ids(1)
                await asyncio.sleep(0)
            with refused(Kind.STORE_FAILED):
                await ephemeral.take_ids(1)
        assert await ephemeral.take_ids(1)
