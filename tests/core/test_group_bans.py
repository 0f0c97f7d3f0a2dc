"""Bans and blocks of groups: who may not speak, or not be there, and until when."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.group_bans import MINUTES_MAX, until
from gateway.core.group_changes import PUBLIC, Outcome
from gateway.core.order import Order
from gateway.core.principal import Principal
from gateway.domain.errors import Kind, Problem
from gateway.domain.group_drafts import GroupSettings
from gateway.domain.model import FOREVER, Facts, Scope
from tests.core.grouping import ADMIN, MEMBER, OTHER, OWNER, STRANGER, members_of, staffed
from tests.core.stage import Stage, refused


async def say(stage: Stage, xid: int, *groups: int, who: Principal | None = None) -> None:
    """Send a text to groups."""
    order = Order(scope=Scope.GROUP, targets=groups, ctype=0, content="hi", from_xid=xid if who else 0)
    await stage.core.messaging.send(who or await stage.user(xid), order)


class TestSilence:
    """Who may not speak, and until when."""

    def test_lengths(self) -> None:
        """A ban is some minutes long, or for good."""
        assert until(5, 1) == 60_005
        assert until(5, 0) == until(5, -1) == FOREVER
        assert until(2 * 10**12, MINUTES_MAX) < FOREVER
        for minutes in (-2, MINUTES_MAX + 1):
            with refused(Kind.BAD_PARAMETER) as refusal:
                until(5, minutes)
            assert refusal.sentence.startswith("duration")

    async def test_a_ban_ends_by_itself(self, stage: Stage) -> None:
        """Not a moment before; and it may be made longer or shorter."""
        group, owner = await staffed(stage), await stage.user(OWNER)
        await say(stage, MEMBER, group.xid)
        await stage.groups.bans.ban(owner, group.xid, [MEMBER], 1)
        with refused(Kind.BANNED) as refusal:
            await say(stage, MEMBER, group.xid)
        assert str(MEMBER) in refusal.sentence
        stage.clock.move(s=59)
        with refused(Kind.BANNED):
            await say(stage, MEMBER, group.xid)
        await say(stage, OTHER, group.xid)
        stage.clock.move(s=1)
        await say(stage, MEMBER, group.xid)
        await stage.groups.bans.ban(owner, group.xid, [MEMBER], -1)
        stage.clock.move(s=10**9)
        with refused(Kind.BANNED):
            await say(stage, MEMBER, group.xid)
        await stage.groups.bans.unban(owner, group.xid, [MEMBER])
        await say(stage, MEMBER, group.xid)

    async def test_all_but_owner_and_administrators(self, stage: Stage) -> None:
        """For a while, or until it is taken back; who is banned besides stays banned."""
        group, admin = await staffed(stage), await stage.user(ADMIN)
        for xid in (OWNER, ADMIN, MEMBER):
            await say(stage, xid, group.xid)
        ends = await stage.groups.settings.ban_all(admin, group.xid, 1)
        assert ends == stage.clock.now_ms + 60_000
        for xid in (OWNER, ADMIN):
            await say(stage, xid, group.xid)
        with refused(Kind.ALL_BANNED):
            await say(stage, MEMBER, group.xid)
        stage.clock.move(s=60)
        await say(stage, MEMBER, group.xid)
        assert await stage.groups.settings.ban_all(admin, group.xid, 0) == FOREVER
        with refused(Kind.ALL_BANNED):
            await say(stage, MEMBER, group.xid)
        await stage.groups.bans.ban(await stage.user(OWNER), group.xid, [ADMIN], 1)
        with refused(Kind.BANNED):
            await say(stage, ADMIN, group.xid)
        assert await stage.groups.settings.ban_all(await stage.user(OWNER), group.xid, None) == 0
        await say(stage, MEMBER, group.xid)

    async def test_one_silent_group_refuses_all(self, stage: Stage) -> None:
        """A send to several groups reaches none, and the one is named."""
        one, two = await staffed(stage), await staffed(stage)
        await stage.groups.bans.ban(await stage.user(OWNER), two.xid, [MEMBER], 1)
        with refused(Kind.BANNED) as refusal:
            await say(stage, MEMBER, one.xid, two.xid)
        assert str(two.xid) in refusal.sentence
        entries = (await stage.store.pages([(one.id, 1)], 10, 10**6))[0].entries
        assert [entry.message for entry in entries] == [None]

    async def test_an_administrators_token(self, stage: Stage) -> None:
        """That sends as a user is judged as the user; a notification is not judged."""
        group, admin = await staffed(stage), await stage.admin()
        await stage.groups.bans.ban(admin, group.xid, [MEMBER], 1)
        await stage.groups.settings.ban_all(admin, group.xid, 0)
        for xid, kind in ((MEMBER, Kind.BANNED), (OTHER, Kind.ALL_BANNED)):
            with refused(kind):
                await say(stage, xid, group.xid, who=admin)
        order = Order(scope=Scope.GROUP, targets=(group.xid,), ctype=0, content="hi", from_xid=MEMBER)
        await stage.core.messaging.notify(admin, order)

    async def test_a_repeat_gets_its_first_answer(self, stage: Stage) -> None:
        """What was sent before the ban is answered again, though it would be refused today."""
        group, member = await staffed(stage), await stage.user(MEMBER)
        order = Order(scope=Scope.GROUP, targets=(group.xid,), ctype=0, content="hi", transaction_id=7)
        first = await stage.core.messaging.send(member, order)
        await stage.groups.bans.ban(await stage.user(OWNER), group.xid, [MEMBER], 1)
        assert await stage.core.messaging.send(member, order) == first

    async def test_facts_remembered_do_not_outlive_a_ban(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who may speak is asked once per change; who may not, each time."""
        group, owner = await staffed(stage), await stage.user(OWNER)
        read = stage.store.facts
        asked: list[int] = []

        async def facts(app: int, xids: list[int], user: int) -> list[Facts | None]:
            asked.append(user)
            return await read(app, xids, user)

        await say(stage, MEMBER, group.xid)
        monkeypatch.setattr(stage.store, "facts", facts)
        await say(stage, MEMBER, group.xid)
        assert asked == []
        await stage.groups.bans.ban(owner, group.xid, [MEMBER], 1)
        asked.clear()
        for _ in range(2):
            with refused(Kind.BANNED):
                await say(stage, MEMBER, group.xid)
        assert asked == [MEMBER] * 2
        stage.clock.move(s=60)
        asked.clear()
        for _ in range(2):
            await say(stage, MEMBER, group.xid)
        assert asked == [MEMBER]

    async def test_at_the_same_time(self, stage: Stage) -> None:
        """Whichever way sends and a ban fall, no send is committed after it."""
        group, owner = await staffed(stage), await stage.user(OWNER)
        sends = [asyncio.create_task(say(stage, MEMBER, group.xid)) for _ in range(20)]
        ban = asyncio.create_task(stage.groups.bans.ban(owner, group.xid, [MEMBER], 1))
        sends += [asyncio.create_task(say(stage, MEMBER, group.xid)) for _ in range(20)]
        await ban
        head = (await stage.store.pages([(group.id, 1)], 1, 1))[0].head
        results = await asyncio.gather(*sends, return_exceptions=True)
        assert {error.kind for error in results if isinstance(error, Problem)} <= {Kind.BANNED}
        assert (await stage.store.pages([(group.id, 1)], 1, 1))[0].head == head


class TestBlocked:
    """Who may not be in a group."""

    async def test_by_no_way(self, stage: Stage) -> None:
        """Neither invited, nor applying, nor from another's invitation."""
        group, owner = await staffed(stage, PUBLIC), await stage.user(OWNER)
        await stage.groups.bans.block(owner, group.xid, [MEMBER, STRANGER])
        assert await members_of(stage, group) == [OWNER, ADMIN, OTHER]
        assert await stage.groups.invite(owner, group.xid, [MEMBER]) == [Outcome(MEMBER, Kind.GROUP_BLOCKED)]
        with refused(Kind.GROUP_BLOCKED):
            await stage.groups.requests.apply(await stage.user(STRANGER), group.xid, "")
        await stage.groups.settings.allow(owner, group.xid, GroupSettings(invite_confirm=True))
        assert await stage.groups.invite(owner, group.xid, [MEMBER]) == [Outcome(MEMBER, Kind.GROUP_BLOCKED)]
        page = await stage.groups.bans.blocked_list(owner, group.xid, "", 1)
        assert ([blocked.xid for blocked in page.blocks], page.cursor) == ([MEMBER], str(MEMBER))
        page = await stage.groups.bans.blocked_list(owner, group.xid, page.cursor, 1)
        assert ([blocked.xid for blocked in page.blocks], page.cursor) == ([STRANGER], "")
        await stage.groups.bans.unblock(owner, group.xid, [STRANGER])
        await stage.groups.requests.apply(await stage.user(STRANGER), group.xid, "")
        assert STRANGER in await members_of(stage, group)
