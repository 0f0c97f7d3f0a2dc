"""What dialects may ask of a send beside its text: one side of it, an answer, and that no ban stops it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.notes import Notes
from gateway.core.order import Order
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.model import Request, Scope, Side
from gateway.store.base import History
from tests.core.grouping import MEMBER, OWNER, STRANGER, make
from tests.core.stage import Stage, refused

ALICE, BOB = 11, 12


def order(*targets: int, **told: Any) -> Order:
    return Order(**{"scope": Scope.USER, "targets": targets, "ctype": 0, "content": "hi", **told})


async def send(stage: Stage, asked: Order, sender: int = ALICE) -> int:
    """Send as an app's backend does for a user."""
    [placed] = await stage.core.messaging.send_each(await stage.admin(user_id=sender), asked)
    return placed.msg_id


async def shown(stage: Stage, xid: int, opposite: int) -> list[int]:
    page = await stage.core.conversations.page(await stage.user(xid), opposite, 0, 100)
    assert isinstance(page, History)
    return [item.msg_id for item in page.items]


class TestSides:
    """In whose timeline and history a message between users is."""

    @pytest.mark.parametrize("copied", [True, False])
    async def test_whose_it_is(self, stage: Stage, *, copied: bool) -> None:
        """One side's, entry and history; whether it is `copied` is for both sides to ask."""
        both, mine, theirs = [await send(stage, order(BOB, side=side, copied=copied)) for side in Side]
        assert await shown(stage, ALICE, BOB) == [mine, both]
        assert await shown(stage, BOB, ALICE) == [theirs, both]
        for xid, count in ((ALICE, 1 + copied), (BOB, 2)):
            user_id = (await stage.user(xid)).user.id
            [page] = await stage.store.pages([(user_id, 1)], 10, 10_000)
            assert page.head == count

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_only_between_users(self, stage: Stage, *, online_only: bool) -> None:
        """A group has no sides, nor has a notice, nor what the reserved user says."""
        group = await make(stage, (ALICE,))
        told: dict[str, Any] = {"side": Side.SENDER, "online_only": online_only}
        with refused(Kind.BAD_PARAMETER):
            await send(stage, order(group.xid, scope=Scope.GROUP, **told))
        with refused(Kind.BAD_PARAMETER):
            await stage.core.messaging.notify(await stage.admin(), order(BOB, **told))
        with refused(Kind.BAD_PARAMETER):
            await stage.core.messaging.send(await stage.admin(), order(BOB, **told))

    @pytest.mark.parametrize(("side", "other"), [(Side.SENDER, BOB), (Side.RECEIVER, ALICE)])
    async def test_the_other_side_learns_nothing(self, stage: Stage, side: Side, other: int) -> None:
        """Whom it is not told can mark it read by no call, and asks in vain who has."""
        msg_id = await send(stage, order(BOB, side=side))
        principal, opposite = await stage.user(other), ALICE + BOB - other
        asked = order(opposite, ctype=Request.READ_ACK, content="", related=msg_id)
        for call in (
            stage.core.receipts.read(principal, 0, msg_id),
            stage.core.messaging.send(principal, asked),
            stage.core.conversations.readers(principal, msg_id, "", 10),
        ):
            with refused(Kind.MESSAGE_UNKNOWN):
                await call

    async def test_a_block_stops_what_is_its_receivers(self, stage: Stage) -> None:
        """Though its sender has no copy."""
        await stage.user(ALICE)
        await stage.core.roster.block(await stage.user(BOB), ALICE)
        for online_only in (False, True):
            with refused(Kind.BLOCKED):
                await send(stage, order(BOB, side=Side.RECEIVER, online_only=online_only))

    @pytest.mark.parametrize(
        ("side", "reached"),
        [(Side.BOTH, {ALICE, BOB}), (Side.SENDER, {ALICE}), (Side.RECEIVER, {ALICE, BOB} - {ALICE})],
    )
    async def test_what_is_not_stored(
        self, stage: Stage, side: Side, reached: set[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is handed to this side's devices; what one says to oneself is one's own."""
        told: list[int] = []
        monkeypatch.setattr(Notes, "may_reach", lambda _self, _id: True)
        monkeypatch.setattr(Notes, "tell_each", lambda _self, telling: told.extend(one[0] for one in telling))
        ids = {(await stage.user(xid)).user.id: xid for xid in (ALICE, BOB)}
        await send(stage, order(BOB, side=side, online_only=True))
        assert {ids[one] for one in told} == reached
        assert len(told) == len(reached)
        told.clear()
        await send(stage, order(ALICE, side=side, online_only=True))
        assert [ids[one] for one in told] == [ALICE]


class TestAnswers:
    """What answers another message."""

    async def test_to_one_target_and_stored(self, stage: Stage) -> None:
        """It is shown like any other; to many, to nobody's history or as a notice there is none."""
        first = await send(stage, order(BOB))
        back = await send(stage, order(ALICE, related=first), BOB)
        assert await shown(stage, ALICE, BOB) == [back, first]
        for told in ({"targets": (BOB, 13)}, {"online_only": True}):
            with refused(Kind.BAD_PARAMETER):
                await send(stage, order(**{"targets": (BOB,), **told, "related": first}))
        with refused(Kind.BAD_PARAMETER):
            await stage.core.messaging.notify(await stage.admin(), order(BOB, related=first))

    async def test_to_what_is_not_there(self, stage: Stage) -> None:
        """Nor to what lies elsewhere, or has only passed."""
        elsewhere, passed = await send(stage, order(13)), await send(stage, order(BOB, passing=True))
        for related in (elsewhere, passed, 4711):
            with refused(Kind.MESSAGE_UNKNOWN):
                await send(stage, order(BOB, related=related))


class TestBans:
    """What goes over a ban goes over that ban only."""

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_each_for_itself(self, stage: Stage, *, online_only: bool) -> None:
        """The member's own, or that of all; neither that nobody may speak nor membership."""
        group, owner = await make(stage), await stage.user(OWNER)
        told: dict[str, Any] = {"scope": Scope.GROUP, "online_only": online_only}

        async def say(**over: bool) -> None:
            await send(stage, order(group.xid, **told, **over), MEMBER)

        await say()
        await stage.groups.bans.ban(owner, group.xid, [MEMBER], 1)
        for over in ({}, {"over_ban_all": True}):
            with refused(Kind.BANNED):
                await say(**over)
        await say(over_ban=True)
        await stage.groups.settings.ban_all(owner, group.xid, 1)
        with refused(Kind.ALL_BANNED):
            await say(over_ban=True)
        await say(over_ban=True, over_ban_all=True)
        await stage.groups.bans.unban(owner, group.xid, [MEMBER])
        await say(over_ban_all=True)
        with refused(Kind.NOT_A_MEMBER):
            await send(stage, order(group.xid, **told, over_ban=True, over_ban_all=True), STRANGER)
        await stage.groups.settings.allow(await stage.admin(), group.xid, GroupSettings(disabled=True))
        with refused(Kind.GROUP_DISABLED):
            await say(over_ban=True, over_ban_all=True)

    @pytest.mark.parametrize("over", ["over_ban", "over_ban_all"])
    async def test_for_backends_only(self, stage: Stage, over: str) -> None:
        """No user goes over a ban."""
        group = await make(stage)
        with refused(Kind.FORBIDDEN):
            asked = order(group.xid, scope=Scope.GROUP, **{over: True})
            await stage.core.messaging.send(await stage.user(MEMBER), asked)
