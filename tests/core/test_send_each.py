"""Sends as a dialect asks for them that answers target by target: what is left out, and what no rule stops."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.core.order import Order
from gateway.core.principal import Principal
from gateway.domain.errors import Kind
from gateway.domain.model import Group, Scope, State, Status
from gateway.store.base import History
from gateway.store.sqlite import SqliteStore
from tests.core.grouping import MEMBER, OWNER, STRANGER, make
from tests.core.stage import Stage, refused

NOBODY = 777


def to_users(*targets: int, **members: Any) -> Order:
    return order(Scope.USER, *targets, **members)


def to_groups(*targets: int, **members: Any) -> Order:
    return order(Scope.GROUP, *targets, **members)


def order(scope: Scope, *targets: int, **members: Any) -> Order:
    told = {"scope": scope, "targets": targets, "ctype": 0, "content": "hi", "from_xid": OWNER}
    return Order(**{**told, **members})


async def each(stage: Stage, asked: Order, admin: Principal | None = None) -> dict[int, int]:
    """Send, and return which message each target got."""
    placed = await stage.core.messaging.send_each(admin or await stage.admin(), asked)
    assert [place.xid for place in placed] == list(asked.receivers)
    return {place.xid: place.msg_id for place in placed}


async def whys(stage: Stage, asked: Order, admin: Principal | None = None) -> dict[int, Kind | None]:
    """Send, and return why some targets got none; what they got has its time, and nothing has none."""
    placed = await stage.core.messaging.send_each(admin or await stage.admin(), asked)
    for place in placed:
        assert bool(place.msg_id) == bool(place.at) == (place.why is None)
    return {place.xid: place.why for place in placed if place.why}


async def block(stage: Stage, xid: int, other: int) -> None:
    one, two = await stage.user(xid), await stage.user(other)
    await stage.store.block(one.user.id, two.user.id, 1)


async def delete(stage: Stage, xid: int) -> None:
    principal = await stage.user(xid)
    await stage.core.erasing.erase(principal.app, principal.user)


async def shown(stage: Stage, xid: int, opposite: int) -> list[int]:
    page = await stage.core.conversations.page(await stage.user(xid), opposite, 0, 100)
    assert isinstance(page, History)
    return [item.msg_id for item in page.items]


@pytest.fixture
async def group(stage: Stage) -> Group:
    return await make(stage)


class TestPartial:
    """Who is not there is left out."""

    async def test_each_target_has_its_message(self, stage: Stage) -> None:
        """In the order named; in an open app whoever is named comes into being."""
        got = await each(stage, to_users(12, 13, partial=True))
        assert got[13] == got[12] + 1
        assert await shown(stage, 12, OWNER) == [got[12]]

    async def test_groups_and_the_deleted_are_no_users(self, stage: Stage, group: Group) -> None:
        """The others get theirs; not `partial` nobody does."""
        await stage.user(14)
        await delete(stage, 14)
        with refused(Kind.BAD_PARAMETER):
            await each(stage, to_users(12, group.xid, 13))
        got = await each(stage, to_users(12, group.xid, 14, 13, partial=True))
        assert got == {12: got[12], group.xid: 0, 14: 0, 13: got[12] + 1}

    async def test_where_users_are_registered(self, stage: Stage) -> None:
        """Whoever is not is left out; an unknown sender is nobody's to leave out."""
        app = await stage.app("closed", registered=True)
        users = [await stage.store.register(app.id, name, "", 1) for name in ("ann", "bob")]
        ann, bob = [user.xid for user in users if user]
        admin = await stage.admin("closed")
        assert (await each(stage, to_users(bob, NOBODY, from_xid=ann, partial=True), admin))[NOBODY] == 0
        with refused(Kind.USER_UNKNOWN):
            await each(stage, to_users(bob, NOBODY, from_xid=ann), admin)
        with refused(Kind.USER_UNKNOWN) as refusal:
            await each(stage, to_users(bob, from_xid=NOBODY, partial=True), admin)
        assert "from_user_id" in refusal.sentence

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_where_none_is_left(self, stage: Stage, group: Group, *, online_only: bool) -> None:
        """There is nothing to be sent, and nothing is: of what is judged each is told why."""
        told: dict[str, Any] = {"partial": True, "online_only": online_only}
        assert await whys(stage, to_users(group.xid, **told)) == {group.xid: Kind.BAD_PARAMETER}
        to_none = to_groups(12, NOBODY, **told)
        assert await whys(stage, to_none) == {12: Kind.GROUP_UNKNOWN, NOBODY: Kind.GROUP_UNKNOWN}
        with refused(Kind.GROUP_UNKNOWN):
            await stage.core.messaging.send(await stage.admin(), to_none)
        with refused(Kind.USER_UNKNOWN):
            await each(stage, to_users(group.xid, **told, unjudged=True))
        with refused(Kind.GROUP_UNKNOWN):
            await each(stage, to_groups(12, NOBODY, **told, unjudged=True))

    async def test_groups(self, stage: Stage, group: Group) -> None:
        """One that is not there, or no longer, is left out; one that the sender is not in is not."""
        ended = await make(stage)
        await stage.groups.destroy(await stage.user(OWNER), ended.xid)
        got = await each(stage, to_groups(NOBODY, group.xid, ended.xid, partial=True))
        assert got == {NOBODY: 0, group.xid: got[group.xid], ended.xid: 0}
        assert await shown(stage, MEMBER, group.xid) == [got[group.xid]]
        with refused(Kind.NOT_A_MEMBER):
            await each(stage, to_groups(group.xid, partial=True, from_xid=STRANGER))

    async def test_some_members_of_a_group(self, stage: Stage, group: Group) -> None:
        """Who is not in it is left out."""
        asked = to_groups(group.xid, only=(STRANGER, MEMBER), partial=True, unjudged=True)
        got = await each(stage, asked)
        assert got == {STRANGER: 0, MEMBER: got[MEMBER]}
        assert await shown(stage, MEMBER, group.xid) == [got[MEMBER]]
        nobody = to_groups(group.xid, only=(STRANGER,), partial=True)
        assert await whys(stage, nobody) == {STRANGER: Kind.NOT_A_MEMBER}
        with refused(Kind.NOT_A_MEMBER):
            await each(stage, msgspec.structs.replace(nobody, from_xid=STRANGER))
        with refused(Kind.USER_UNKNOWN):
            await each(stage, msgspec.structs.replace(nobody, unjudged=True))
        with refused(Kind.GROUP_UNKNOWN):
            await each(stage, to_groups(NOBODY, only=(MEMBER,), partial=True))


class TestJudged:
    """Of what is judged all are left out whom the sender does not reach, and told why."""

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_whoever_is_not_reached(self, stage: Stage, group: Group, *, online_only: bool) -> None:
        """A block by either, a group, the deleted, the reserved user; the others get theirs."""
        await block(stage, 12, OWNER)
        await block(stage, OWNER, 13)
        await stage.user(14)
        await delete(stage, 14)
        system = (await stage.admin()).app.system_xid
        told: dict[str, Any] = {"partial": True, "online_only": online_only}
        asked = to_users(12, 15, 13, group.xid, 14, system, 16, **told)
        assert await whys(stage, asked) == {
            12: Kind.BLOCKED,
            13: Kind.BLOCKED,
            group.xid: Kind.BAD_PARAMETER,
            14: Kind.USER_UNKNOWN,
            system: Kind.FORBIDDEN,
        }
        got = await each(stage, asked)
        assert got[16] == got[15] + 1
        if not online_only:
            assert got[15] in await shown(stage, 15, OWNER)
            assert await shown(stage, 12, OWNER) == []
        assert await whys(stage, to_users(12, system, **told)) == {12: Kind.BLOCKED, system: Kind.FORBIDDEN}
        with refused(Kind.BLOCKED):
            await each(stage, to_users(15, 12, online_only=online_only))
        with refused(Kind.FORBIDDEN):
            await each(stage, to_users(system, online_only=online_only))

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_a_sender_who_may_not_send(self, stage: Stage, *, online_only: bool) -> None:
        """It is refused as a whole, whoever is not reached besides."""
        await block(stage, 12, OWNER)
        await stage.store.set_state((await stage.admin()).app.id, [OWNER], State.FROZEN, 1, create=False)
        with refused(Kind.FROZEN):
            await each(stage, to_users(12, 13, partial=True, online_only=online_only))

    async def test_no_block_stops_what_is_not_judged(self, stage: Stage) -> None:
        """It is sent to all who are there."""
        await block(stage, 12, OWNER)
        assert await whys(stage, to_users(12, 13, partial=True, unjudged=True)) == {}

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_a_repeat_says_why_as_at_first(self, stage: Stage, *, online_only: bool) -> None:
        """Also of whom nothing stands in the way of any more: there is no message for them."""
        await block(stage, 12, OWNER)
        await block(stage, 13, OWNER)
        asked = to_users(12, 13, 14, partial=True, transaction_id=7, online_only=online_only)
        first = await stage.core.messaging.send_each(await stage.admin(), asked)
        ids = [(await stage.user(xid)).user.id for xid in (13, OWNER)]
        await stage.store.unblock(ids[0], ids[1])
        again = await stage.core.messaging.send_each(await stage.admin(), asked)
        assert [place.why for place in again] == [Kind.BLOCKED, Kind.BLOCKED, None]
        assert again == first

    async def test_a_repeat_whose_sender_may_not_send_today(self, stage: Stage) -> None:
        """It is answered as the first one was."""
        await block(stage, 12, OWNER)
        asked = to_users(12, 13, partial=True, request_key="k", request_digest="d")
        first = await stage.core.messaging.send_each(await stage.admin(), asked)
        await stage.store.set_state((await stage.admin()).app.id, [OWNER], State.FROZEN, 1, create=False)
        again = await stage.core.messaging.send_each(await stage.admin(), asked)
        assert again == first

    async def test_a_repeat_to_what_has_gone(self, stage: Stage, group: Group) -> None:
        """The first answer stands, and what it left out then is not there now either."""
        told: dict[str, Any] = {"transaction_id": 7, "partial": True}
        first = await each(stage, to_groups(group.xid, NOBODY, **told))
        only = to_groups(group.xid, only=(STRANGER, MEMBER), partial=True, transaction_id=8)
        assert (await each(stage, only))[STRANGER] == 0
        await stage.groups.destroy(await stage.user(OWNER), group.xid)
        assert await each(stage, to_groups(group.xid, NOBODY, **told)) == first
        assert await whys(stage, to_groups(group.xid, NOBODY, **told)) == {NOBODY: Kind.GROUP_UNKNOWN}
        assert await whys(stage, only) == {STRANGER: Kind.NOT_A_MEMBER}


class TestTimes:
    """When a message was sent is told with it."""

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_of_the_first_send(self, stage: Stage, *, online_only: bool) -> None:
        """A repeat tells that too, to one target or to many."""
        for key, targets in ((7, (12,)), (8, (12, 13))):
            asked = to_users(*targets, transaction_id=key, online_only=online_only)
            at = stage.clock()
            first = await stage.core.messaging.send_each(await stage.admin(), asked)
            assert {place.at for place in first} == {at}
            stage.clock.move(s=5)
            assert await stage.core.messaging.send_each(await stage.admin(), asked) == first


class TestKeys:
    """What makes a repeat where no number does."""

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_a_key_with_a_digest_of_its_own(self, stage: Stage, *, online_only: bool) -> None:
        """Whatever else is asked for, the digest says whether it is the same; it is no transaction id."""
        told: dict[str, Any] = {"request_key": "c7", "online_only": online_only}
        first = await each(stage, to_users(12, **told, request_digest="a"))
        assert await each(stage, to_users(12, **told, request_digest="a", content="ho")) == first
        with refused(Kind.TRANSACTION_CONFLICT) as refusal:
            await each(stage, to_users(12, **told, request_digest="b"))
        assert refusal.sentence == "the key of this request was used for another message"
        assert await each(stage, to_users(12, transaction_id=7, online_only=online_only)) != first

    async def test_keys_of_either_kind_side_by_side(self, stage: Stage) -> None:
        """A number is found below what begins with a letter, and that one wherever it lies."""
        made: list[dict[str, Any]] = [
            {"transaction_id": 5},
            {"request_key": "c5"},
            {"request_key": "t1"},
            {"transaction_id": 6},
        ]
        first = [await each(stage, to_users(12, **told)) for told in made]
        assert len({got[12] for got in first}) == len(made)
        assert [await each(stage, to_users(12, **told)) for told in made] == first


class TestRepeats:
    """The same under the same transaction id."""

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_the_first_answer(self, stage: Stage, group: Group, *, online_only: bool) -> None:
        """Target by target, also of what was left out; other content is another message."""
        told: dict[str, Any] = {"transaction_id": 7, "partial": True, "online_only": online_only}
        first = await each(stage, to_users(12, group.xid, 13, **told))
        assert first[group.xid] == 0
        assert await each(stage, to_users(12, group.xid, 13, **told)) == first
        with refused(Kind.TRANSACTION_CONFLICT):
            await each(stage, to_users(12, 13, **told))

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_who_was_there_counts(self, stage: Stage, *, online_only: bool) -> None:
        """Whoever has been deleted since is told as at first."""
        told: dict[str, Any] = {"transaction_id": 7, "partial": True, "online_only": online_only}
        first = await each(stage, to_users(12, 13, **told))
        await delete(stage, 12)
        assert await each(stage, to_users(12, 13, **told)) == first

    async def test_while_the_first_is_under_way(self, stage: Stage, group: Group) -> None:
        """Whichever commits, both are told the same of each target, also of one that is left out meanwhile."""
        asked = to_users(12, group.xid, 0, 13, partial=True, transaction_id=7)
        admin = await stage.admin()
        one, other = await asyncio.gather(*[stage.core.messaging.send_each(admin, asked) for _ in range(2)])
        assert one == other
        assert [bool(place.msg_id) for place in one] == [True, False, False, True]
        assert len(await shown(stage, 12, OWNER)) == 1

    async def test_a_repeat_that_is_refused_today(self, stage: Stage) -> None:
        """It has its answer all the same (design §4)."""
        asked = to_users(12, transaction_id=7)
        first = await each(stage, asked)
        await stage.store.set_state((await stage.admin()).app.id, [OWNER], State.FROZEN, 1, create=False)
        assert await each(stage, asked) == first

    async def test_a_request_goes_to_nobody(self, stage: Stage) -> None:
        """What is about one message is not sent to each."""
        with refused(Kind.BAD_PARAMETER):
            await each(stage, to_users(12, ctype=10, related=1))


class TestUnjudged:
    """What no rule between people stops."""

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_blocks_and_freezes(self, stage: Stage, *, online_only: bool) -> None:
        """Neither stops it, both stop what is judged; also when the gateway knows who is there."""
        app = (await stage.admin()).app.id
        sender, target = await stage.user(OWNER), await stage.user(12)
        await stage.store.block(target.user.id, sender.user.id, 1)
        await stage.store.set_state(app, [OWNER], State.FROZEN, 1, create=False)
        for _ in range(3):
            assert (await each(stage, to_users(12, unjudged=True, online_only=online_only)))[12]
            with refused(Kind.FROZEN):
                await each(stage, to_users(12, online_only=online_only))
        await stage.store.set_state(app, [OWNER], State.NORMAL, 1, create=False)
        with refused(Kind.BLOCKED):
            await each(stage, to_users(12, online_only=online_only))

    @pytest.mark.parametrize("online_only", [False, True])
    async def test_groups_that_one_is_not_in(self, stage: Stage, group: Group, *, online_only: bool) -> None:
        """Anybody's message goes to a group that stands, and to no other."""
        asked = to_groups(group.xid, unjudged=True, from_xid=STRANGER, online_only=online_only)
        for _ in range(2):
            assert (await each(stage, asked))[group.xid]
        await stage.groups.destroy(await stage.user(OWNER), group.xid)
        with refused(Kind.GROUP_UNKNOWN):
            await each(stage, asked)

    async def test_a_group_that_changes_is_judged_again(
        self, stage: Stage, group: Group, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a group that is known the store is asked nothing, whoever speaks; that it has changed is found out."""
        asked = to_groups(group.xid, unjudged=True, from_xid=STRANGER)
        await each(stage, asked)
        reads: list[int] = []
        original = SqliteStore.facts

        async def counted(*given: Any) -> Any:
            reads.append(1)
            return await original(*given)

        monkeypatch.setattr(SqliteStore, "facts", counted)
        await each(stage, msgspec.structs.replace(asked, from_xid=777))
        assert reads == []
        # Behind the back of this process, as another node does it.
        await stage.store._write(
            lambda conn: conn.execute("UPDATE timeline SET facts_version = 9 WHERE xid = ?", (group.xid,))
        )
        assert (await each(stage, asked))[group.xid]
        assert reads == [1]

    async def test_only_an_administrator_may(self, stage: Stage) -> None:
        """Not a user, nor whoever acts for one."""
        for principal in (await stage.user(OWNER), await stage.admin(user_id=OWNER)):
            with refused(Kind.FORBIDDEN):
                await stage.core.messaging.send_each(principal, to_users(12, unjudged=True, from_xid=0))


class TestWithoutCopy:
    """What its sender's devices are not sent."""

    async def test_it_is_the_senders_message(self, stage: Stage) -> None:
        """On its pages and in its list, with its status, and nothing in its timeline."""
        got = await each(stage, to_users(12, copied=False))
        owner = await stage.user(OWNER)
        page = await stage.core.conversations.page(owner, 12, 0, 10)
        assert [(item.msg_id, item.status) for item in page.items] == [(got[12], Status.UNREAD)]
        [recent] = await stage.core.conversations.unread(owner)
        assert (recent.conversation_xid, recent.unread) == (12, 0)
        [told] = await stage.store.pages([(owner.user.id, 1)], 10, 1000)
        assert told.entries == []

    async def test_system_has_no_list(self, stage: Stage) -> None:
        """It holds no conversations, copied or not."""
        admin = await stage.admin()
        await each(stage, to_users(12, copied=False, from_xid=0))
        assert await stage.store.recent(admin.user.id) == []


class TestHidden:
    """What is on no history page of some."""

    async def test_members(self, stage: Stage, group: Group) -> None:
        """The others see it; a sender may hide it from itself."""
        got = await each(stage, to_groups(group.xid, hide_from=(MEMBER,)))
        assert await shown(stage, MEMBER, group.xid) == []
        assert await shown(stage, OWNER, group.xid) == [got[group.xid]]

    @pytest.mark.parametrize(
        "told",
        [
            {"scope": Scope.USER},
            {"online_only": True},
            {"only": (MEMBER,)},
            {"hide_from": tuple(range(1, 22))},
        ],
        ids=lambda told: next(iter(told)),
    )
    async def test_what_cannot_be_hidden(self, stage: Stage, group: Group, told: dict[str, Any]) -> None:
        """Only a message to whole groups is, from at most 20 users."""
        with refused(Kind.BAD_PARAMETER) as refusal:
            asked = to_groups(group.xid, hide_from=(MEMBER,))
            await each(stage, msgspec.structs.replace(asked, **told))
        assert "hide_from" in refusal.sentence


async def test_a_road_without_a_task_leaves_it_alone(stage: Stage) -> None:
    """`begin` answers with the first and last id only: what is partial is not its."""
    told: list[object] = []
    admin = await stage.admin()
    assert not stage.core.messaging.begin(admin, to_users(12, partial=True), told.append)
    assert told == []
