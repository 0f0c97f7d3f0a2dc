"""Messages that were sent elsewhere: in the history, in no timeline, the same on every engine."""

from __future__ import annotations

import pytest

from gateway.domain.drafts import Appended, Draft, Imported, Refused, Stale
from gateway.domain.errors import Kind
from gateway.domain.model import Action, Gone, Scope
from tests.store.stage import NOW, THEN, Stage


async def counts(stage: Stage, xid: int) -> list[tuple[int, int, int]]:
    """The recent list: conversations, what is unread in each, its newest message."""
    return [(one.conversation_xid, one.unread, one.last) for one in await stage.recent(xid)]


async def grouped(stage: Stage) -> int:
    """A group of 11, 12 and 13."""
    return await stage.group(11, 12, 13)


class TestHistory:
    """Where an import is found."""

    async def test_between_users(self, stage: Stage) -> None:
        """On both sides' pages and lists, with its own time; in neither timeline."""
        sent = (await stage.send(11, 12)).first_msg_id
        brought = await stage.bring(11, 12, content="once")
        assert await stage.shown(11, 12) == await stage.shown(12, 11) == [brought, sent]
        item = (await stage.history(12, 11)).items[0]
        assert (item.content, item.at, item.sender_xid) == ("once", THEN, 11)
        assert await counts(stage, 12) == [(11, 2, brought)]
        assert await counts(stage, 11) == [(12, 0, brought)]
        assert len(await stage.entries(11)) == len(await stage.entries(12)) == 1
        assert await stage.ask(f"SELECT at FROM message WHERE msg_id = {brought}") == [(NOW,)]

    async def test_in_a_group(self, stage: Stage) -> None:
        """On every member's pages; whoever sent it need not be one."""
        group = await grouped(stage)
        sent = (await stage.say(11, group)).first_msg_id
        heads = len(await stage.entries(group))
        brought = [await stage.bring(sender, group) for sender in (12, 99)]
        assert await stage.shown(13, group) == [*brought[::-1], sent]
        assert [item.at for item in (await stage.history(13, group)).items] == [THEN, THEN, NOW]
        assert await counts(stage, 13) == [(group, 3, brought[1])]
        assert await counts(stage, 12) == [(group, 2, brought[1])]
        assert len(await stage.entries(group)) == heads

    async def test_users_come_into_being(self, stage: Stage) -> None:
        """Sender and target, as by a send, where they may; to oneself too."""
        first = await stage.bring(21, 22)
        second = await stage.bring(23, 23)
        assert await stage.shown(22, 21) == [first]
        assert await stage.shown(23, 23) == [second]
        refused = await stage.append(await stage.imported(24, 25, create=False))
        assert isinstance(refused, Refused)
        assert refused.kind is Kind.USER_UNKNOWN

    async def test_users_come_into_being_by_name(self, stage: Stage) -> None:
        """Whoever is called so already is meant; one who is new may say something to itself."""
        bob = await stage.store.register(stage.app.id, "bob", "", NOW)
        assert bob is not None
        first = await stage.bring(0, 0, sender_name="ann", target_name="bob")
        second = await stage.bring(0, 0, sender_name="cid", target_name="cid")
        third = await stage.bring(0, 12, sender_name="ann")
        users = await stage.store.users_named(stage.app.id, ["ann", "bob", "cid"])
        xids = {name: user.xid for name, user in users.items()}
        assert xids["bob"] == bob.xid
        assert await stage.shown(xids["bob"], xids["ann"]) == [first]
        assert await stage.shown(xids["cid"], xids["cid"]) == [second]
        assert await stage.shown(12, xids["ann"]) == [third]

    async def test_nobody_comes_into_being_by_name_where_they_may_not(self, stage: Stage) -> None:
        """Who is there is meant by a name all the same, and who is not is nobody, as by an id."""
        bob = await stage.store.register(stage.app.id, "bob", "", NOW)
        assert bob is not None
        for names in ({"sender_name": "ann"}, {"target_name": "ann"}):
            refused = await stage.append(
                await stage.imported(0, 0, **{"target_name": "bob", **names}, create=False)
            )
            assert isinstance(refused, Refused)
            assert refused.kind is Kind.USER_UNKNOWN
        assert await stage.store.users_named(stage.app.id, ["ann"]) == {}
        brought = await stage.bring(0, 0, sender_name="bob", target_name="bob", create=False)
        assert await stage.shown(bob.xid, bob.xid) == [brought]

    async def test_nobody_comes_into_being_by_one_that_is_refused(self, stage: Stage) -> None:
        """Its neighbours miss nothing by it, not even who has the id by then that was not given."""
        group = await grouped(stage)
        given = group + 2
        await stage.store.set_limits(stage.app.app_id, {"storage_bytes_max": 5_000})
        large = await stage.imported(0, 0, sender_name="ann", target_name="bob", content="x" * 5_000)
        stale = await stage.imported(0, group, sender_name="ann", judged=(99,))
        drafts: list[Draft] = [stage.text(11, 12), large, stale, stage.text(11, given)]
        answers = await stage.store.append(drafts)
        assert [type(answer) for answer in answers] == [Appended, Refused, Stale, Appended]
        assert await stage.store.users_named(stage.app.id, ["ann", "bob"]) == {}
        assert len(await stage.entries(given)) == 1
        await stage.bring(0, 0, sender_name="ann", target_name="bob")
        users = await stage.store.users_named(stage.app.id, ["ann", "bob"])
        assert given not in [user.xid for user in users.values()]

    async def test_of_the_reserved_user(self, stage: Stage) -> None:
        """It has no list; the receiver has."""
        brought = await stage.bring(stage.app.system_xid, 11, copied=False)
        assert await counts(stage, 11) == [(stage.app.system_xid, 1, brought)]
        assert await counts(stage, stage.app.system_xid) == []

    async def test_by_its_id(self, stage: Stage) -> None:
        """It is told as it was sent."""
        brought = await stage.bring(11, 12)
        message = await stage.store.message(stage.app.id, brought)
        assert message is not None
        assert (message.at, message.seq, message.scope, message.gone) == (THEN, 0, Scope.USER, None)

    async def test_a_batch_of_everything(self, stage: Stage) -> None:
        """Beside sends, in the order asked; one that is refused disturbs no other."""
        group = await grouped(stage)
        answers = await stage.store.append(
            [
                await stage.imported(11, 12),
                stage.text(11, 12),
                await stage.imported(11, 98, create=False),
                await stage.imported(11, group),
                stage.text(12, 11),
            ]
        )
        assert [type(answer).__name__ for answer in answers] == [
            "Imported", "Appended", "Refused", "Imported", "Appended"
        ]  # fmt: skip
        ids = await stage.shown(12, 11)
        assert len(ids) == 3
        assert ids == sorted(ids, reverse=True)


class TestStatus:
    """How far an import has got."""

    @pytest.mark.parametrize("to_group", [False, True])
    async def test_unread_until_it_is_read(self, stage: Stage, *, to_group: bool) -> None:
        """It is never delivered; the reader's position passes it, and its sender is told."""
        target = await grouped(stage) if to_group else 12
        other = target if to_group else 11
        sent = await (stage.say if to_group else stage.send)(11, target)
        brought = await stage.bring(11, target)
        await stage.ack(12, target, sent.received[0][1])
        delivered = {sent.first_msg_id: "DELIVERED", brought: "UNREAD"}
        assert await stage.statuses(11, target) == await stage.statuses(12, other) == delivered
        done = await stage.read(12, other)
        assert [change.msg_id for change in done.changes] == [brought]
        assert set((await stage.statuses(11, target)).values()) == {"READ"}
        assert set((await stage.statuses(12, other)).values()) == {"READ"}

    @pytest.mark.parametrize("to_group", [False, True])
    async def test_settled(self, stage: Stage, *, to_group: bool) -> None:
        """It is READ for everybody, unread for nobody, and what was sent before it is not; nobody is told of it."""
        target = await grouped(stage) if to_group else 12
        other = target if to_group else 11
        sent = (await (stage.say if to_group else stage.send)(11, target)).first_msg_id
        brought = await stage.bring(11, target, settled=True)
        expected = {sent: "UNREAD", brought: "READ"}
        assert await stage.statuses(11, target) == await stage.statuses(12, other) == expected
        assert [unread for _, unread, _ in await counts(stage, 12)] == [1]
        done = await stage.read(12, other)
        assert (done.msg_id, [change.msg_id for change in done.changes]) == (brought, [sent])
        again = await stage.bring(11, target, settled=True)
        done = await stage.read(12, other)
        assert (done.msg_id, done.changes) == (again, [])

    async def test_readers(self, stage: Stage) -> None:
        """Members who were there when it came count; all of them, where it is settled."""
        group = await grouped(stage)
        brought, settled = await stage.bring(11, group), await stage.bring(11, group, settled=True)
        await stage.join(group, 14)
        await stage.read(14, group)

        async def readers(msg_id: int) -> tuple[int, int, list[int]]:
            found = await stage.store.readers(stage.app.id, msg_id, 0, 10)
            return found.read, found.unread, found.xids

        assert await readers(brought) == (0, 2, [])
        assert (await stage.statuses(11, group))[brought] == "UNREAD"
        assert await readers(settled) == (2, 0, [12, 13])
        await stage.read(12, group, brought)
        assert await readers(brought) == (1, 1, [12])
        assert (await stage.statuses(11, group))[brought] == "READ"

    async def test_who_left_before_it_came(self, stage: Stage) -> None:
        """Is none of its readers, wherever the position stands; who comes back reads it."""
        group = await grouped(stage)
        await stage.kick(group, 12, 13)
        brought = await stage.bring(11, group)
        found = await stage.store.readers(stage.app.id, brought, 0, 10)
        assert (found.read, found.unread) == (0, 0)
        await stage.join(group, 12)
        assert await stage.shown(12, group) == []


class TestEnd:
    """What takes an import away."""

    @pytest.mark.parametrize("to_group", [False, True])
    async def test_recall(self, stage: Stage, *, to_group: bool) -> None:
        """It is told to whom a recall is told of what was sent."""
        target = await grouped(stage) if to_group else 12
        brought = await stage.bring(11, target)
        changed = await stage.recall(brought)
        assert [place.owner_xid for place in changed.placed] == ([target] if to_group else [12, 11])
        assert await stage.shown(11, target) == []
        message = await stage.store.message(stage.app.id, brought)
        assert message is not None
        assert (message.gone, message.content) == (Gone.RECALLED, "")

    async def test_deletion(self, stage: Stage) -> None:
        """A conversation is hidden up to it."""
        group = await grouped(stage)
        await stage.bring(11, 12)
        await stage.bring(11, group)
        for opposite in (11, group):
            await stage.delete(12, opposite)
            assert await stage.shown(12, opposite) == []
        assert await counts(stage, 12) == []

    async def test_retention_counts_from_the_import(self, stage: Stage) -> None:
        """Not from when it was sent; nothing of it is left, and what was sent around it keeps its place."""
        group = await grouped(stage)
        await stage.send(11, 12, at=NOW - 3)
        await stage.bring(11, 12, at=NOW - 2)
        await stage.bring(11, group, at=NOW - 1)
        assert (await stage.store.sweep(NOW - 2, 10)).removed == 1
        assert len(await stage.shown(12, 11)) == 1
        assert (await stage.store.sweep(NOW, 10)).removed == 2
        assert await stage.shown(12, 11) == await stage.shown(12, group) == []
        assert await stage.ask("SELECT * FROM imported") == []
        assert await counts(stage, 12) == []
        await stage.send(11, 12)

    async def test_its_space_counts(self, stage: Stage) -> None:
        """An app that stores as much as it may imports nothing more."""
        before = await stage.store.stored_bytes(stage.app.id)
        await stage.bring(11, 12, content="x" * 100)
        stored = await stage.store.stored_bytes(stage.app.id)
        assert stored > before + 100
        await stage.store.set_limits("demo", {"storage_bytes_max": stored})
        refused = await stage.append(await stage.imported(11, 12))
        assert isinstance(refused, Refused)
        assert refused.kind is Kind.STORAGE_FULL


async def test_a_group_that_has_changed_is_judged_again(stage: Stage) -> None:
    """By its version, like any message; one that ended gets nothing."""
    group = await grouped(stage)
    draft = await stage.imported(11, group)
    await stage.join(group, 14)
    assert isinstance(await stage.append(draft), Stale)
    assert isinstance(await stage.append(await stage.imported(11, group)), Imported)
    draft = await stage.imported(11, group)
    await stage.change(group, Action.DESTROYED)
    assert isinstance(await stage.append(draft), Stale)


async def test_it_outlives_a_restart(stage: Stage) -> None:
    """Also what the recent list is told late."""
    brought = await stage.bring(11, 12)
    await stage.restart()
    assert await counts(stage, 12) == [(11, 1, brought)]
    assert await stage.shown(11, 12) == [brought]
