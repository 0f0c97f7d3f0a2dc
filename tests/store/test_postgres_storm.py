"""Everything at once, on two nodes: no call fails for what others do, and what is left keeps every law."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest

from gateway.domain.drafts import Appended, Changed, Draft, JobDraft, JobKind, RecallDraft, Refused, StepDraft
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import (
    BanDraft,
    BlockDraft,
    RequestDraft,
    RequestKind,
    RoleDraft,
    TransferDraft,
)
from gateway.domain.model import GIVEN_XID_FIRST, ROOM, Action, State
from gateway.domain.positions import Ack, Attach, Attachment, Keep, ReadMark
from gateway.store.base import Store
from tests.patience import WAIT_S
from tests.store.grouping import draft as group_draft
from tests.store.stage import LIMITS, NOW, Stage, open_store

OLD = NOW - 1000
USERS = range(1, 13)
OWNERS = USERS[:2]
TURNS = 12
HALF = 0.5
FAULTS = {Kind.STORE_FAILED, Kind.INTERNAL, Kind.OVERLOADED}
BOUNDS = msgspec.structs.replace(
    LIMITS, room_history_max=10, devices_per_user_max=2, job_page_max=5, erase_page_max=20
)


@pytest.fixture
def engine() -> str:
    return "postgres"


@pytest.fixture
async def other(stage: Stage) -> AsyncIterator[Store]:
    """The same store, as another node has it."""
    opened = await open_store("postgres", stage.folder, BOUNDS)
    yield opened
    await opened.close()


class Storm:
    """What one node does, one thing after the other; several of them share a stage and its groups."""

    def __init__(self, stage: Stage, store: Store, node: int, groups: list[int], seed: int) -> None:
        self.stage = stage
        self.store = store
        self.node = node
        self.groups = groups
        self.chance = random.Random(seed)
        self.sent: list[int] = []
        self.at = OLD
        self.deeds: list[Callable[[], Awaitable[None]]] = [
            self.talk, self.talk, self.talk, self.whisper, self.fold, self.recall, self.hide, self.broadcast,
            self.live, self.live, self.change, self.change, self.begin, self.end, self.judge, self.remove,
            self.bring, self.name,
        ]  # fmt: skip

    async def before(self) -> None:
        """What has been there for days; whatever comes while pages of it go is young."""
        await self.talk()
        await self.bring()
        self.at = NOW

    async def run(self) -> None:
        for _ in range(TURNS):
            await self.chance.choice(self.deeds)()

    def users(self, count: int) -> list[int]:
        return self.chance.sample(USERS, count)

    async def append(self, *drafts: Draft) -> None:
        for answer in await self.store.append(drafts):
            assert not isinstance(answer, Refused) or answer.kind not in FAULTS, answer
            if isinstance(answer, Appended):
                self.sent.append(answer.first_msg_id)

    # -- what is said -----------------------------------------------------------------------------------

    async def talk(self) -> None:
        batch: list[Draft] = []
        for _ in range(self.chance.randrange(1, 9)):
            one, two, three = self.users(3)
            key = self.chance.choice(["", f"key {self.chance.randrange(30)}"])
            told = {"key": key, "digest": "d", "at": self.at}
            batch += self.chance.choice(
                [
                    [self.stage.text(one, two, three, **told)],
                    [self.stage.text(one, one, at=self.at, expires_at=NOW - 1)],
                    [self.stage.text(GIVEN_XID_FIRST, two, three, copied=False, at=self.at)],
                    [self.stage.text(one, two, copied=False, notice=True, at=self.at)],
                    [self.stage.text(one, two, copied=False, listed=True, unjudged=True, **told)],
                    [await self.stage.group_text(one, self.chance.choice(self.groups), **told)],
                ]
            )
        await self.append(*batch)

    async def whisper(self) -> None:
        one, two, three = self.users(3)
        await self.append(await self.stage.directed(one, self.groups[0], two, three))

    async def bring(self) -> None:
        one, two, three = self.users(3)
        settled = self.chance.random() < HALF
        group = self.groups[0]
        await self.append(
            await self.stage.imported(one, two, settled=settled, at=self.at),
            await self.stage.imported(one, group, settled=settled, at=self.at),
            await self.stage.group_text(one, group, hide_from=(two, three), at=self.at),
        )

    async def name(self) -> None:
        names = [f"user {number}" for number in self.chance.sample(range(30), 9)]
        made = await self.store.ensure_named(self.stage.app.id, names, NOW)
        assert sorted(made) == sorted(names)

    async def fold(self) -> None:
        one, two = self.users(2)
        [answer] = await self.store.append([self.stage.text(one, two)])
        if isinstance(answer, Appended):
            await self.append(self.stage.text(one, two, ctype=11, related=answer.first_msg_id))

    async def recall(self) -> None:
        for msg_id in self.sent[-3:]:
            await self.append(RecallDraft(app=self.stage.app.id, msg_id=msg_id, at=NOW))

    async def hide(self) -> None:
        one, two = self.users(2)
        await self.append(await self.stage.deletion(one, self.chance.choice([two, *self.groups[:2]])))

    async def broadcast(self) -> None:
        app = self.stage.app.id
        text = '{"ctype":0,"content":"all"}'
        await self.append(JobDraft(app=app, kind=JobKind.BROADCAST, at=NOW, data=text))
        await self.step()

    async def step(self) -> None:
        for job in await self.store.jobs():
            await self.append(StepDraft(app=job.app, job_id=job.id, at=NOW, rows=100, size=100))

    # -- who listens ------------------------------------------------------------------------------------

    async def live(self) -> None:
        xids = self.users(4)
        ids = [await self.stage.id(xid) for xid in xids]
        sn = self.chance.randrange(1, 4)
        numbers = await self.store.attach([Attach(user_id, sn, self.node) for user_id in ids])
        held = [
            (xid, Attachment(user_id, sn, number))
            for xid, user_id, number in zip(xids, ids, numbers, strict=True)
            if number
        ]
        acks = []
        for xid, one in held:
            groups = [stay.group_id for stay in (await self.store.standings([(one.user_id, sn)]))[0].stays]
            heads = await self.store.bearings([(one.user_id, sn, line) for line in (one.user_id, *groups)])
            acks += [Ack(one.user_id, xid, sn, at.timeline_id, at.head, NOW, one.attach_no) for at in heads]
        kept = [Keep(one.user_id, sn, NOW, {one.user_id: 0}, (), 0, "", one.attach_no) for _, one in held]
        await self.store.keep(kept)
        await self.store.advance(acks)
        await self.store.read([await self.mark(xid) for xid in xids])
        await self.store.detach([one for _, one in held[1:]])
        if held:
            xid, one = held[0]
            if self.chance.random() < HALF:
                await self.store.remove_device(one.user_id, sn)
            else:
                await self.store.dismiss(one.user_id, sn)

    async def mark(self, xid: int) -> ReadMark:
        opposite = await self.stage.party(self.chance.choice([*USERS, *self.groups]))
        user_id = await self.stage.id(xid)
        return ReadMark(user_id, xid, opposite.id, opposite.xid, opposite.scope, 0)

    # -- who is in groups -------------------------------------------------------------------------------

    async def change(self) -> None:
        group = self.chance.choice(self.groups)
        party = await self.store.group(self.stage.app.id, group)
        if party is None:
            return
        users = tuple(self.chance.sample(USERS[2:], 3))
        yes = self.chance.random() < HALF
        stage = self.stage
        kinds: list[Callable[[], Awaitable[Draft]]] = [
            lambda: stage.membership(group, Action.KICKED, *users),
            lambda: group_draft(stage, group, BlockDraft, user_xids=users, blocked=yes),
            lambda: group_draft(stage, group, BanDraft, user_xids=users, until=NOW + 10 if yes else 0),
        ]
        if party.type != ROOM:
            request = RequestKind.APPLICATION
            kinds += [
                lambda: stage.membership(group, Action.JOINED, *users),
                lambda: stage.membership(group, Action.LEFT, *users),
                lambda: group_draft(stage, group, RoleDraft, user_xids=users, admin=yes),
                lambda: group_draft(stage, group, RequestDraft, user_xids=users, request=request),
                lambda: group_draft(stage, group, TransferDraft, heir_xid=self.chance.choice(OWNERS)),
            ]
        kind = self.chance.choice(kinds)
        await self.append(await kind())

    async def begin(self) -> None:
        owner, *members = self.users(4)
        kind = self.chance.choice([0, ROOM])
        await self.append(self.stage.creation(owner, *members, type=kind))

    async def end(self) -> None:
        owned = await self.store.groups_of_type(self.stage.app.id, 0, max(self.groups), 1)
        for group in owned:
            try:
                ending = await self.stage.membership(group, Action.DESTROYED)
            except AssertionError:
                # It has ended meanwhile.
                continue
            await self.append(ending)

    # -- who may do what, and what goes -----------------------------------------------------------------

    async def judge(self) -> None:
        one, two, new = *self.users(2), self.chance.randrange(100, 110)
        app, first, second = self.stage.app.id, await self.stage.user(one), await self.stage.user(two)
        await self.store.block(first.id, second.id, NOW)
        await self.store.set_state(app, [one, two], State.FROZEN, NOW, create=False)
        await self.store.set_state(app, [two, one, new], State.NORMAL, NOW, create=True)
        await self.store.unblock(first.id, second.id)
        await self.store.set_profile(second.id, {"nickname": "n"})
        await self.store.set_password(second.id, None, "record", NOW)
        await self.store.register(app, f"name {self.chance.random()}", "", NOW)
        gone = await self.stage.user(self.chance.randrange(200, 205))
        await self.store.append([self.stage.text(gone.xid, one), self.stage.text(two, gone.xid)])
        await self.append(JobDraft(app=app, kind=JobKind.ERASE, at=NOW, data=str(gone.id), key=str(gone.id)))
        await self.step()

    async def remove(self) -> None:
        await self.store.beat(self.node)
        await self.store.sweep(NOW, self.chance.randrange(1, 20))
        await self.store.expire(NOW, 5)
        await self.store.mark_sweep(NOW, OLD)
        await self.store.probe()
        await self.store.reserve(10)


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(2))
async def test_everything_at_once(stage: Stage, other: Store, seed: int) -> None:
    """Whoever waits for whom: it comes to an end, nobody is told of a failure, and the store is whole."""
    await stage.restart(BOUNDS)
    await stage.users(*USERS)
    room = await stage.append(stage.creation(1, type=ROOM))
    assert isinstance(room, Changed)
    groups = [await stage.group(1, *USERS[1:7]), await stage.group(2, 1, *USERS[5:]), room.xid]
    stores = [stage.store, other]
    await asyncio.gather(*(store.beat(node) for node, store in enumerate(stores, 1)))
    storms = [Storm(stage, stores[n % 2], 1 + n % 2, groups, 100 * seed + n) for n in range(10)]
    for storm in storms:
        await storm.before()
    async with asyncio.timeout(2 * WAIT_S):
        await asyncio.gather(*(storm.run() for storm in storms))
    assert stage.check() == []
