"""What is not stored, to users, judged from memory: a yes costs the store nothing, and no change is missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.bus.base import Forget
from gateway.core.order import Order
from gateway.core.principal import Principal
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from gateway.store.sqlite import SqliteStore
from tests.core.grouping import MEMBER, make
from tests.core.online import Asked, say
from tests.core.stage import Stage, open_stage, refused

ALICE, BOB, CAROL = 11, 12, 13


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
