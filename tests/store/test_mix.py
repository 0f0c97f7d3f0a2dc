"""Everything at once: whatever comes upon whatever, the store keeps its laws after each step."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.core.erasing import erase_draft
from gateway.domain.drafts import (
    Answer,
    Appended,
    Changed,
    Draft,
    Imported,
    Job,
    MessageDraft,
    RecallDraft,
    Started,
    StepDraft,
    Stepped,
)
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import (
    BanDraft,
    BlockDraft,
    GroupSettings,
    HandleDraft,
    RequestDraft,
    RequestKind,
    RoleDraft,
    SettingsDraft,
    TransferDraft,
)
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Action, Gone, Scope, Side, State, Status, User
from gateway.domain.positions import Keep
from tests.store.grouping import change
from tests.store.stage import NOW, Stage

LIMITS = Limits(
    room_history_max=4,
    erase_page_max=3,
    job_page_max=3,
    related_max=3,
    group_admins_max=2,
    group_bans_max=2,
    devices_per_user_max=2,
    readers=1,
)
PRECEDENCE = [None, Gone.EXPIRED, Gone.ERASED, Gone.RECALLED]
"""A text that is gone may come to be gone for a weightier reason, and never comes back."""


class Mix:
    """Random steps, and what was seen of each timeline so far."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.chance = random.Random(seed)
        self.at = NOW
        self.users = [1, 2, 3, 4, 5]
        self.groups: list[int] = []
        self.rooms: list[int] = []
        self.jobs: list[Job] = []
        self.sent = 1
        self.seen: dict[int, dict[int, tuple[object, ...]]] = {}
        self.reasons: dict[int, int] = {}
        self.statuses: dict[int, Status] = {}
        self.keys: dict[tuple[int, str], range] = {}
        # By message and user: the group of it.
        self.hidden: dict[tuple[int, int], int] = {}
        self.off: dict[tuple[int, int], int] = {}

    async def begin(self) -> None:
        await self.stage.users(*self.users)
        for type_, made in ((0, self.groups), (1, self.groups), (ROOM, self.rooms), (ROOM, self.rooms)):
            answer = await self.stage.append(self.stage.creation(self.one(), *self.users[:3], type=type_))
            assert isinstance(answer, Changed)
            made.append(answer.xid)
        shows = GroupSettings(history_visible=True)
        assert isinstance(await change(self.stage, self.groups[1], SettingsDraft, settings=shows), Changed)

    def one(self) -> int:
        return self.chance.choice(self.users)

    def group(self, *, room: bool = False) -> int:
        return self.chance.choice(self.groups + self.rooms * room)

    def told(self) -> dict[str, object]:
        """What any send may have beside its text."""
        told: dict[str, object] = {"at": self.at}
        if not self.chance.randrange(3):
            told |= {"key": str(self.chance.randrange(1, 50)), "digest": "d"}
        if not self.chance.randrange(4):
            told["expires_at"] = self.at + self.chance.randrange(1, 20)
        if not self.chance.randrange(5):
            told["passing"] = True
        return told

    async def step(self) -> None:
        self.at += 1
        steps: list[Callable[[], Awaitable[object]]] = [
            *[self.send, self.say, self.say, self.direct, self.fold, self.recall, self.erase, self.broadcast],
            *[self.page_of_job, self.page_of_job, self.sweep, self.expire, self.read, self.read, self.ack],
            *[
                self.put_off,
                self.delete,
                self.come_and_go,
                self.come_and_go,
                self.rule,
                self.rule,
                self.request,
                self.block,
            ],
            *[self.restart, self.send_quietly, self.hide, self.bring, self.bring],
            *[self.send_aside, self.send_aside, self.answer, self.answer],
        ]
        await self.chance.choice(steps)()

    # -- steps ------------------------------------------------------------------------------------------

    async def add(self, draft: Draft) -> Answer:
        answer = await self.stage.append(draft)
        if isinstance(answer, Appended):
            self.sent = answer.first_msg_id + 3
            if isinstance(draft, MessageDraft) and draft.key:
                # Once for as long as any of its messages is kept.
                for msg_id in self.keys.get((draft.sender_xid, draft.key), ()):
                    assert await self.stage.store.message(draft.app, msg_id) is None
                told = range(answer.first_msg_id, answer.first_msg_id + len(draft.targets))
                self.keys[draft.sender_xid, draft.key] = told
        return answer

    async def send(self) -> None:
        targets = self.chance.sample(self.users, self.chance.choice([1, 1, 3]))
        if not self.chance.randrange(4):
            kind = {"notice": True, "copied": False}
            await self.add(self.stage.text(self.stage.app.system_xid, *targets, **kind, **self.told()))
        else:
            await self.add(self.stage.text(self.one(), *targets, **self.told()))

    async def send_quietly(self) -> None:
        """As an administrator does for somebody: nothing of it in the sender's timeline, and no block asked for."""
        targets = self.chance.sample(self.users, self.chance.choice([1, 1, 3]))
        await self.add(
            self.stage.text(
                self.one(), *targets, copied=False, listed=True, unjudged=bool(self.chance.randrange(2))
            )
        )

    async def send_aside(self) -> None:
        """To one side alone."""
        side = self.chance.choice([Side.SENDER, Side.RECEIVER])
        targets = self.chance.sample(self.users, self.chance.choice([1, 1, 3]))
        told = {"side": side, "copied": side is Side.SENDER, **self.told()}
        await self.add(self.stage.text(self.one(), *targets, **told))

    async def answer(self) -> None:
        message = await self.stage.store.message(self.stage.app.id, self.any_id())
        if message is None:
            return
        told = {"related": message.msg_id, **self.told()}
        sender, group = self.one(), message.group_xid or message.target_xid
        if (
            message.group_xid
            and self.chance.randrange(2)
            and await self.stage.store.group(self.stage.app.id, group)
        ):
            await self.add(await self.stage.directed(sender, group, self.one(), **told))
        elif message.group_xid or message.scope is Scope.GROUP:
            await self.add(await self.stage.group_text(sender, group, **told))
        else:
            ends = (message.sender_xid, message.target_xid)
            sender, target = self.chance.choice([ends, ends[::-1]])
            if self.stage.app.system_xid not in ends:
                await self.add(self.stage.text(sender, target, **told))

    async def hide(self) -> None:
        hide_from = tuple(self.chance.sample(self.users, 2))
        groups = self.chance.sample(self.groups + self.rooms, 2)
        draft = await self.stage.group_text(self.one(), *groups, hide_from=hide_from, **self.told())
        answer = await self.add(draft)
        if isinstance(answer, Appended):
            ids = range(answer.first_msg_id, answer.first_msg_id + 2)
            self.hidden |= {
                (msg_id, xid): group for msg_id, group in zip(ids, groups, strict=True) for xid in hide_from
            }

    async def bring(self) -> None:
        target = self.chance.choice([*self.users, *self.groups])
        sender = self.chance.choice([*self.users, self.stage.app.system_xid])
        told = {"settled": bool(self.chance.randrange(2)), "at": self.at}
        copied = sender != self.stage.app.system_xid
        answer = await self.add(await self.stage.imported(sender, target, copied=copied, **told))
        if isinstance(answer, Imported):
            self.sent = answer.msg_id + 3

    async def say(self) -> None:
        groups = self.chance.sample(self.groups + self.rooms, self.chance.choice([1, 1, 2]))
        for sender in (self.one(), self.one()):
            await self.add(await self.stage.group_text(sender, *groups, **self.told()))

    async def direct(self) -> None:
        group = self.group(room=True)
        if await self.stage.store.group(self.stage.app.id, group):
            only = self.chance.sample(self.users, 2)
            await self.add(await self.stage.directed(self.one(), group, *only, **self.told()))

    async def fold(self) -> None:
        message = await self.stage.store.message(self.stage.app.id, self.any_id())
        if message is None or message.sender_xid == self.stage.app.system_xid:
            return
        told = {"related": message.msg_id, "ctype": self.chance.choice([11, 12]), **self.told()}
        sender, target = message.sender_xid, message.target_xid
        if message.group_xid and await self.stage.store.group(self.stage.app.id, message.group_xid):
            await self.add(await self.stage.directed(sender, message.group_xid, target, **told))
        elif message.scope == 2:
            await self.add(await self.stage.group_text(sender, target, **told))
        elif not message.notice and not message.group_xid:
            await self.add(self.stage.text(sender, target, **told))

    def any_id(self) -> int:
        return self.chance.randint(max(1, self.sent - 40), self.sent)

    async def recall(self) -> None:
        await self.add(RecallDraft(app=self.stage.app.id, msg_id=self.any_id(), at=self.at))

    async def erase(self) -> None:
        if self.chance.randrange(4):
            return
        xid = self.one()
        found = await self.stage.store.user(self.stage.app.id, xid)
        assert isinstance(found, User)
        answer = await self.stage.append(erase_draft(self.stage.app, found, self.at))
        assert isinstance(answer, Started)
        self.jobs.append(answer.job)
        if found.state is not State.DELETED:
            self.users.append(max(self.users) + 1)
            await self.stage.user(self.users[-1])

    async def broadcast(self) -> None:
        answer = await self.stage.start_broadcast()
        if isinstance(answer, Started):
            self.jobs.append(answer.job)

    async def page_of_job(self) -> None:
        if self.jobs:
            job = self.chance.choice(self.jobs)
            answer = await self.add(
                StepDraft(app=self.stage.app.id, job_id=job.id, at=self.at, rows=9, size=9)
            )
            if isinstance(answer, Stepped) and answer.job.finished:
                self.jobs = [other for other in self.jobs if other.id != job.id]

    async def sweep(self) -> None:
        await self.stage.store.mark_sweep(self.at, 0)
        await self.stage.store.sweep(self.at - 40, self.chance.randrange(1, 9))

    async def expire(self) -> None:
        await self.stage.store.expire(self.at, self.chance.randrange(1, 5))

    async def read(self) -> None:
        one, other = self.one(), self.chance.choice([*self.users, *self.groups])
        await self.stage.store.read([await self.stage.mark(one, other, self.any_id())])

    async def ack(self) -> None:
        one = self.one()
        user_id = await self.stage.id(one)
        for timeline in (one, self.group()):
            timeline_id = await self.stage.id(timeline)
            [page] = await self.stage.store.pages([(timeline_id, 1)], 1, 1)
            stays = (await self.stage.store.standings([(user_id, 1)]))[0].stays
            if timeline == one or timeline_id in {stay.group_id for stay in stays}:
                seq = self.chance.randint(max(page.head - 3, 0), page.head)
                await self.stage.store.keep([Keep(user_id, self.chance.randrange(3), self.at, {}, ())])
                await self.stage.store.advance([await self.stage.acked(one, timeline, seq)])

    async def delete(self) -> None:
        await self.stage.delete(self.one(), self.chance.choice([*self.users, *self.groups]))

    async def put_off(self) -> None:
        one, other = self.one(), self.chance.choice([*self.users, *self.groups])
        if await self.stage.put_off(one, other):
            self.off[one, other] = await self.stage.store.reserve(1)

    async def come_and_go(self) -> None:
        group, one = self.group(), self.one()
        found = await self.stage.store.group(self.stage.app.id, group)
        if found is None:
            answer = await self.stage.append(self.stage.creation(one, self.one()))
            if isinstance(answer, Changed):
                self.groups[self.groups.index(group)] = answer.xid
        elif (await self.stage.facts(group, one)).member:
            if one != found.owner_xid:
                await self.stage.change(group, self.chance.choice([Action.LEFT, Action.KICKED]), one)
            elif not self.chance.randrange(5):
                await self.stage.change(group, Action.DESTROYED)
        else:
            await self.stage.join(group, one)

    async def rule(self) -> None:
        group = self.group(room=True)
        if not await self.stage.store.group(self.stage.app.id, group):
            return
        two = tuple(self.chance.sample(self.users, 2))
        yes = bool(self.chance.randrange(2))
        match self.chance.randrange(5):
            case 0:
                await change(self.stage, group, BanDraft, user_xids=two, until=(self.at + 9) * yes)
            case 1:
                await change(self.stage, group, BlockDraft, user_xids=two, blocked=yes)
            case 2:
                await change(self.stage, group, RoleDraft, user_xids=two, admin=yes)
            case 3:
                await change(self.stage, group, TransferDraft, heir_xid=two[0])
            case _:
                settings = GroupSettings(history_visible=yes)
                await change(self.stage, group, SettingsDraft, settings=settings)

    async def request(self) -> None:
        group, one = self.group(), self.one()
        if await self.stage.store.group(self.stage.app.id, group):
            kind = self.chance.choice(list(RequestKind))
            inviter = 0 if kind is RequestKind.APPLICATION else self.one()
            told = {"request": kind, "inviter_xid": inviter, "at": self.at}
            await change(self.stage, group, RequestDraft, user_xids=(one,), **told)
            if self.chance.randrange(2):
                await change(self.stage, group, HandleDraft, user_xid=one, approved=True, **told)

    async def block(self) -> None:
        one, other = self.chance.sample(self.users, 2)
        ids = await self.stage.id(one), await self.stage.id(other)
        if self.chance.randrange(3):
            await self.stage.store.unblock(*ids)
        else:
            await self.stage.store.block(*ids, self.at)
        await self.stage.store.set_profile(ids[0], {"nickname": "n"})
        await self.stage.store.set_password(ids[0], None, "$record", self.at)

    async def restart(self) -> None:
        await self.stage.restart(LIMITS)

    # -- what must hold ---------------------------------------------------------------------------------

    async def hold(self) -> None:
        assert self.stage.check() == []
        for xid in [*self.users, *self.groups, *self.rooms]:
            entries = {entry.seq: entry for entry in await self.stage.entries(xid)}
            known = self.seen.setdefault(xid, {})
            for seq, entry in entries.items():
                about = (
                    entry.recalled,
                    entry.membership,
                    entry.deleted,
                    entry.message and entry.message.msg_id,
                )
                assert known.setdefault(seq, about) == about
                if entry.message is not None:
                    reason = PRECEDENCE.index(entry.message.gone)
                    assert reason >= self.reasons.get(entry.message.msg_id, 0)
                    self.reasons[entry.message.msg_id] = reason
            [page] = await self.stage.store.pages([(await self.stage.id(xid), 1)], 1, 1)
            assert set(range(page.floor + 1, max(known, default=0) + 1)) <= set(entries)
        await self.hold_statuses()

    async def hold_statuses(self) -> None:
        """What the sender of a message is told of it never goes back; what is unread is what is listed as unread."""
        for one in self.users:
            unread: dict[int, int] = {}
            newest: dict[int, int] = {}
            for other in [*self.users, *self.groups]:
                found = await self.stage.store.history(
                    await self.stage.user(one), await self.stage.party(other), 0, 100
                )
                if isinstance(found, Kind) or not found.items:
                    continue
                newest[other] = found.items[0].msg_id
                unread[other] = sum(
                    item.sender_xid != one and item.status is not Status.READ for item in found.items
                )
                for item in found.items:
                    assert (item.msg_id, one) not in self.hidden
                    if item.sender_xid == one:
                        assert item.status >= self.statuses.get(item.msg_id, 0)
                        self.statuses[item.msg_id] = item.status
            recent = await self.stage.recent(one)
            listed = {item.conversation_xid: item.unread for item in recent}
            listed.pop(self.stage.app.system_xid, None)
            # Of what was put off the list all that is to be seen is older; what is newer may be gone.
            missing = unread.keys() - listed.keys()
            assert all(newest[other] < self.off[one, other] for other in missing)
            # What is hidden from the pages is counted all the same.
            extra = Counter(group for (_, xid), group in self.hidden.items() if xid == one)
            assert listed.keys() <= unread.keys() | extra.keys()
            for other, count in listed.items():
                assert 0 <= count - unread.get(other, 0) <= extra[other]


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_comes_upon_whatever(tmp_path: Path, seed: int) -> None:
    """Timelines stay dense, what a seq holds stays, no text comes back, no status falls, no law is broken."""
    async with Stage("sqlite", tmp_path / "data", LIMITS) as stage:
        mix = Mix(stage, seed)
        await mix.begin()
        for _ in range(150):
            await mix.step()
            await mix.hold()
