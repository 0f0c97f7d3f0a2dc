"""Whatever is asked of a store in whatever order, it holds what the model says, and keeps the laws."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.drafts import Draft, RecallDraft
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import Action, Gone, Side, Status
from gateway.store.base import History
from gateway.store.postgres.schema import MSG_ID_BLOCK
from tests.postgres import clear_database
from tests.store.faulty import crash
from tests.store.model import Manner, Model
from tests.store.stage import LIMITS, MIB, NOW, Stage

USERS = (1, 2, 3, 4)
GROUPS = 2

users = st.sampled_from(USERS)
groups = st.integers(0, GROUPS - 1)
anyone = st.integers(0, len(USERS) + GROUPS - 1)
some = st.lists(users, min_size=1, max_size=3, unique=True).map(tuple)
back = st.integers(0, 12)
manners = st.builds(Manner, st.booleans(), st.booleans(), st.sampled_from(Side))
keys = st.sampled_from(["", "", "", "k", "l"])

drafts = st.one_of(
    st.tuples(
        st.just("text"), users, some, keys, st.sampled_from("ab"), st.sampled_from([False, False, True])
    ),
    st.tuples(st.just("text"), users, some, st.just(""), st.just(""), st.just(False)),
    st.tuples(st.just("say"), users, groups, keys),
    st.tuples(st.just("quietly"), users, some),
    st.tuples(st.just("hide"), users, groups, some),
    st.tuples(st.just("bring"), users, anyone, st.booleans()),
    st.tuples(st.just("whisper"), users, groups, some),
    st.tuples(st.just("fold"), back, st.sampled_from([False, False, True])),
    st.tuples(st.just("apart"), users, some, manners),
    st.tuples(st.just("apart"), users, some, manners),
    st.tuples(st.just("aside"), users, groups, manners),
    st.tuples(st.just("answer"), users, back, manners),
    st.tuples(st.just("answer"), users, back, manners),
    st.tuples(st.just("recall"), back),
    st.tuples(st.just("delete"), users, anyone),
    st.tuples(st.just("change"), groups, st.sampled_from([Action.JOINED, Action.KICKED, Action.LEFT]), some),
    st.tuples(st.just("end"), groups, st.integers(0, 3)),
)
acks = st.lists(st.tuples(users, st.integers(-1, GROUPS - 1), back), min_size=1, max_size=6)
steps = st.one_of(
    st.tuples(st.just("batch"), st.lists(drafts, min_size=1, max_size=8)),
    st.tuples(st.just("batch"), st.lists(drafts, min_size=1, max_size=8)),
    st.tuples(st.just("acks"), acks),
    st.tuples(st.just("read"), users, anyone, back),
    st.tuples(st.just("put_off"), users, anyone),
    st.tuples(st.just("restart")),
    st.tuples(st.just("crash")),
)


class Run:
    """A store and its model, step by step."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.alone = stage.engine == "postgres"
        self.model = Model(block=MSG_ID_BLOCK if self.alone else 1)
        self.groups: list[int] = []

    async def begin(self) -> None:
        await self.stage.users(*USERS)
        for user in USERS:
            self.model.timelines[user] = []
        for _ in range(GROUPS):
            group = await self.stage.group(*USERS[:3])
            self.model.versions[group] = 0
            self.model.change(group, Action.JOINED, USERS[:3], 0)
            self.groups.append(group)

    def opposite(self, index: int) -> int:
        return [*USERS, *self.groups][index]

    async def draft(self, asked: tuple[Any, ...], versions: dict[int, int]) -> tuple[Draft, str] | None:
        """Make the draft that is asked for; what comes of it the model says."""
        stage, model = self.stage, self.model
        match asked:
            case "text", sender, targets, key, digest, notice:
                members = {"key": key, "digest": digest, "notice": notice, "copied": not notice}
                draft: Draft = stage.text(sender, *targets, **members)
                return draft, model.text(sender, targets, key, digest, notice=notice)
            case "say", sender, index, key:
                group = self.groups[index]
                if await stage.store.group(stage.app.id, group) is None:
                    return None
                draft = await stage.group_text(sender, group, key=key, digest="g")
                return draft, model.text(sender, (group,), key, "g", notice=False, judged=versions[group])
            case "recall", ago:
                msg_id = model.back(ago)
                return RecallDraft(app=stage.app.id, msg_id=msg_id, at=NOW), model.recall(msg_id)
            case "delete", user, index:
                opposite = self.opposite(index)
                return await stage.deletion(user, opposite), model.delete(user, opposite)
            case _:
                return await self.group_draft(asked, versions)

    async def group_draft(self, asked: tuple[Any, ...], versions: dict[int, int]) -> tuple[Draft, str] | None:
        match asked:
            case "whisper", sender, index, only:
                return await self.whisper(sender, self.groups[index], only, versions, 0)
            case "fold", ago, lie:
                return await self.fold(self.model.back(ago), versions, lie=lie)
            case "change", index, action, who:
                return await self.membership(index, action, who, versions)
            case "end", index, 0:
                return await self.membership(index, Action.DESTROYED, (), versions)
            case _:
                return await self.admins_draft(asked, versions)

    async def admins_draft(
        self, asked: tuple[Any, ...], versions: dict[int, int]
    ) -> tuple[Draft, str] | None:
        match asked:
            case "quietly", sender, targets:
                draft: Draft = self.stage.text(sender, *targets, copied=False, listed=True, unjudged=True)
                return draft, self.model.text(sender, targets, "", "", notice=False, copied=False)
            case "hide", sender, index, who:
                group = self.groups[index]
                if await self.stage.store.group(self.stage.app.id, group) is None:
                    return None
                draft = await self.stage.group_text(sender, group, hide_from=who)
                told = self.model.text(
                    sender, (group,), "", "", notice=False, judged=versions[group], hidden=who
                )
                return draft, told
            case "bring", sender, index, settled:
                target, judged = self.opposite(index), -1
                if target in self.groups:
                    judged = versions[target]
                    if await self.stage.store.group(self.stage.app.id, target) is None:
                        return None
                told = self.model.bring(sender, target, settled=settled, judged=judged)
                return await self.stage.imported(sender, target, settled=settled), told
            case _:
                return await self.apart(asked, versions)

    async def apart(self, asked: tuple[Any, ...], versions: dict[int, int]) -> tuple[Draft, str] | None:
        """Say what is not like most, or answer something."""
        match asked:
            case "apart", sender, targets, manner:
                told = {**vars(manner), "copied": manner.side is not Side.RECEIVER}
                draft: Draft = self.stage.text(sender, *targets, **told)
                return draft, self.model.text(sender, targets, "", "", notice=False, manner=manner)
            case "aside", sender, index, manner:
                return await self.to_group(sender, self.groups[index], versions, manner, 0)
            case "answer", sender, ago, manner:
                return await self.answer(sender, self.model.back(ago), versions, manner)
            case _:
                return None

    async def to_group(
        self, sender: int, group: int, versions: dict[int, int], manner: Manner, answers: int
    ) -> tuple[Draft, str] | None:
        manner = replace(manner, side=Side.BOTH)
        if await self.stage.store.group(self.stage.app.id, group) is None:
            return None
        draft = await self.stage.group_text(sender, group, **vars(manner), related=answers)
        told: dict[str, Any] = {"judged": versions[group], "manner": manner, "answers": answers}
        return draft, self.model.text(sender, (group,), "", "", notice=False, **told)

    async def answer(
        self, sender: int, msg_id: int, versions: dict[int, int], manner: Manner
    ) -> tuple[Draft, str] | None:
        """Answer a message, where it lies or in a conversation of the sender's own."""
        base = self.model.messages.get(msg_id)
        if base is None or await self.stage.store.message(self.stage.app.id, msg_id) is None:
            return None
        if base.in_group or base.group:
            group = base.group or base.target
            if manner.side is Side.BOTH:
                return await self.to_group(sender, group, versions, manner, msg_id)
            return await self.whisper(sender, group, (base.sender,), versions, 0, msg_id)
        target = base.sender if sender == base.target else base.target
        told = {**vars(manner), "copied": manner.side is not Side.RECEIVER}
        draft = self.stage.text(sender, target, **told, related=msg_id)
        return draft, self.model.text(sender, (target,), "", "", notice=False, manner=manner, answers=msg_id)

    async def whisper(
        self,
        sender: int,
        group: int,
        only: tuple[int, ...],
        versions: dict[int, int],
        related: int,
        answers: int = 0,
    ) -> tuple[Draft, str] | None:
        if await self.stage.store.group(self.stage.app.id, group) is None:
            return None
        ctype = 11 if related else 0
        draft = await self.stage.directed(sender, group, *only, ctype=ctype, related=related or answers)
        told: dict[str, Any] = {
            "judged": versions[group],
            "group": group,
            "related": related,
            "answers": answers,
        }
        return draft, self.model.text(sender, only, "", "", notice=False, **told)

    async def fold(self, msg_id: int, versions: dict[int, int], *, lie: bool) -> tuple[Draft, str] | None:
        """Append to a message as its sender, or as another one."""
        base = self.model.messages.get(msg_id)
        if base is None or await self.stage.store.message(self.stage.app.id, msg_id) is None:
            return None
        sender = base.sender % len(USERS) + 1 if lie else base.sender
        if base.group:
            return await self.whisper(sender, base.group, (base.target,), versions, msg_id)
        judged = -1
        if base.in_group:
            if await self.stage.store.group(self.stage.app.id, base.target) is None:
                return None
            judged = versions[base.target]
            draft = await self.stage.group_text(sender, base.target, ctype=12, related=msg_id)
        else:
            draft = self.stage.text(sender, base.target, ctype=12, related=msg_id)
        told = self.model.text(sender, (base.target,), "", "", notice=False, judged=judged, related=msg_id)
        return draft, told

    async def membership(
        self, index: int, action: Action, who: tuple[int, ...], versions: dict[int, int]
    ) -> tuple[Draft, str] | None:
        group = self.groups[index]
        if await self.stage.store.group(self.stage.app.id, group) is None:
            return None
        if action in {Action.KICKED, Action.LEFT}:
            # The core lets no owner go, and a group without its owner in it breaks a law.
            who = tuple(user for user in who if user != USERS[0])
        draft = await self.stage.membership(group, action, *who)
        return draft, self.model.change(group, action, who, versions[group])

    async def batch(self, asked: list[tuple[Any, ...]]) -> None:
        """Where the ids of a batch leap, they are foreseen for one draft at a time."""
        for together in [[one] for one in asked] if self.alone else [asked]:
            await self._batch(together)

    async def _batch(self, asked: list[tuple[Any, ...]]) -> None:
        versions = dict(self.model.versions)
        made = [found for one in asked if (found := await self.draft(one, versions)) is not None]
        answers = await self.stage.store.append([draft for draft, _ in made])
        assert [type(answer).__name__ for answer in answers] == [expected for _, expected in made]

    async def acks(self, asked: list[tuple[int, int, int]]) -> None:
        before = self.model.statuses()
        sent = []
        for user, index, ago in asked:
            timeline = user if index < 0 else self.groups[index]
            seq = max(self.model.head(timeline) - ago, 0)
            sent.append(await self.stage.acked(user, timeline, seq))
            self.model.ack(user, timeline, seq)
        changes = (await self.stage.store.advance(sent)).changes
        await self.compare_changes(changes, before, Status.DELIVERED)

    async def read(self, user: int, index: int, ago: int) -> None:
        before = self.model.statuses()
        opposite = self.opposite(index)
        msg_id = self.model.back(ago) - (ago > len(self.model.messages))
        [done] = await self.stage.store.read([await self.stage.mark(user, opposite, msg_id)])
        position = self.model.mark(user, opposite, msg_id)
        if isinstance(done, Kind):
            assert position is None
        else:
            assert done.msg_id == position
            await self.compare_changes(done.changes, before, Status.READ)

    async def put_off(self, user: int, index: int) -> None:
        opposite = self.opposite(index)
        assert await self.stage.put_off(user, opposite) == self.model.put_off(user, opposite)

    async def compare_changes(self, changes: list[Any], before: dict[int, Status], status: Status) -> None:
        xids = {await self.stage.id(user): user for user in USERS}
        told = [(xids[change.sender_id], change.conversation_xid, change.msg_id) for change in changes]
        assert len(told) == len(set(told))
        assert set(told) == self.model.changes(before, status)
        for change in changes:
            assert change.status is status
            assert change.by_xid != xids[change.sender_id]

    async def compare(self) -> None:
        """Every timeline, history and list is as the model has it."""
        store, model = self.stage.store, self.model
        for xid, expected in model.timelines.items():
            [page] = await store.pages([(await self.stage.id(xid), 1)], 10_000, MIB)
            assert [entry.seq for entry in page.entries] == list(range(1, page.head + 1))
            told = []
            for entry in page.entries:
                what = 0
                if entry.message is not None:
                    what = entry.message.msg_id
                    assert (entry.message.gone is Gone.RECALLED) == model.messages[what].recalled
                    assert bool(entry.message.content) == (entry.message.gone is None)
                    assert entry.message.side is model.messages[what].side
                    assert entry.message.passing == model.messages[what].manner.passing
                elif entry.recalled is not None:
                    what = entry.recalled.msg_id
                elif entry.deleted is not None:
                    what = entry.deleted.msg_id
                told.append((entry.kind.name, what))
            assert told == expected
        for user in USERS:
            asker = await self.stage.user(user)
            for opposite in model.timelines:
                found = await store.history(asker, await self.stage.party(opposite), 0, 1000)
                shown = None
                if isinstance(found, History):
                    shown = [(item.msg_id, item.status) for item in found.items]
                assert shown == model.history(user, opposite)
            assert await store.undelivered(asker.id) == len(model.undelivered(user))
            for msg_id in model.messages:
                assert await store.awaits(asker.id, msg_id) == model.awaits(user, msg_id)
            recent = await self.stage.recent(user)
            assert [(one.conversation_xid, one.unread) for one in recent] == model.recent(user)


async def run(engine: str, asked: list[tuple[Any, ...]], limits: Limits = LIMITS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Stage(engine, Path(folder) / "data", limits) as stage:
            story = Run(stage)
            await story.begin()
            for name, *rest in asked:
                if name == "restart":
                    await stage.restart()
                elif name == "crash":
                    await crash(stage)
                else:
                    await getattr(story, name)(*rest)
            await story.compare()
        assert stage.check() == []
        await clear_database(Path(folder) / "data")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(asked=st.lists(steps, min_size=1, max_size=14))
def test_a_store_holds_what_the_model_says(asked: list[tuple[Any, ...]]) -> None:
    """Timelines, statuses, receipts, histories and counts, after any mix of batches, acks and reads."""
    asyncio.run(run("sqlite", asked))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(asked=st.lists(steps, min_size=1, max_size=14), behind=st.integers(0, 6), least=st.integers(1, 3))
def test_whatever_it_is_told_late(asked: list[tuple[Any, ...]], behind: int, least: int) -> None:
    """The same, where the table of conversations is told after any number of batches and in any pieces."""
    with patch("gateway.store.sqlite.newest.LEAST", least):
        limits = msgspec.structs.replace(LIMITS, conversations_behind_max=behind)
        asyncio.run(run("sqlite", asked, limits))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(asked=st.lists(steps.filter(lambda step: step[0] != "crash"), min_size=1, max_size=14))
def test_on_many_nodes(asked: list[tuple[Any, ...]]) -> None:
    """The same on PostgreSQL."""
    asyncio.run(run("postgres", asked))
