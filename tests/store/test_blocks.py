"""Blocks: kept per user, judged both ways and inside the batch."""

from __future__ import annotations

import pytest

from gateway.domain.drafts import Appended, Refused, Repeated
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import Scope, State
from tests.store.stage import NOW, Stage


async def block(stage: Stage, xid: int, other: int) -> bool:
    await stage.users(xid, other)
    return await stage.store.block(await stage.id(xid), await stage.id(other), NOW)


async def listed(stage: Stage, xid: int, after: int = 0, limit: int = 100) -> list[int]:
    return await stage.store.blocked(await stage.id(xid), after, limit)


def stopped(answer: object, *xids: int) -> bool:
    """Whether a draft was refused for a block, naming these two."""
    assert isinstance(answer, Refused), answer
    assert answer.kind is Kind.BLOCKED
    return all(str(xid) in answer.sentence for xid in xids)


class TestJudging:
    """What a block stops."""

    async def test_both_ways(self, stage: Stage) -> None:
        """Whoever set it, neither reaches the other; others reach both."""
        await block(stage, 11, 12)
        assert stopped(await stage.append(stage.text(11, 12)), 11, 12)
        assert stopped(await stage.append(stage.text(12, 11)), 12, 11)
        await stage.send(13, 11, 12)
        await stage.send(11, 11, 13)

    async def test_one_refused_target_refuses_all(self, stage: Stage) -> None:
        """It is named, nobody gets anything, and the neighbours in the batch are not touched."""
        await block(stage, 13, 11)
        refused, done = await stage.store.append([stage.text(11, 12, 13, 14), stage.text(12, 13)])
        assert stopped(refused, 13)
        assert isinstance(done, Appended)
        assert await stage.shown(12, 11) == []
        assert await stage.store.party(stage.app.id, 14) is None

    async def test_unblocking(self, stage: Stage) -> None:
        """Each takes back its own; the block stands as long as one of them does."""
        await block(stage, 11, 12)
        await block(stage, 12, 11)
        ids = [await stage.id(xid) for xid in (11, 12)]
        await stage.store.unblock(*ids)
        assert stopped(await stage.append(stage.text(11, 12)))
        await stage.store.unblock(ids[1], ids[0])
        await stage.send(11, 12)

    async def test_a_repeat_gets_its_first_answer(self, stage: Stage) -> None:
        """Dedup comes first; the key for something else is a conflict as ever."""
        sent = await stage.send(11, 12, key="7", digest="d")
        await block(stage, 11, 12)
        again, other = await stage.store.append(
            [stage.text(11, 12, key="7", digest="d"), stage.text(11, 12, key="7", digest="e")]
        )
        assert again == Repeated(sent.first_msg_id, sent.first_msg_id)
        assert isinstance(other, Refused)
        assert other.kind is Kind.TRANSACTION_CONFLICT

    async def test_what_it_does_not_stop(self, stage: Stage) -> None:
        """Notices, messages of `system`, and what both say in a group; beside a refused message too."""
        await block(stage, 11, 12)
        group = await stage.group(11, 12)
        answers = await stage.store.append(
            [
                stage.text(11, 12),
                stage.text(11, 12, notice=True, copied=False),
                stage.text(stage.app.system_xid, 12, copied=False),
                await stage.group_text(11, group),
            ]
        )
        assert [type(answer) for answer in answers] == [Refused, Appended, Appended, Appended]

    async def test_of_another_app(self, stage: Stage) -> None:
        """A block there between the same ids stops nothing here."""
        await stage.users(11, 12)
        other = await stage.store.create_app("other", "k", b"x" * 64, registered=False, at=NOW)
        assert other is not None
        ids = []
        for xid in (11, 12):
            [user] = await stage.store.ensure_users(other.id, [xid], NOW)
            assert not isinstance(user, Kind)
            ids.append(user.id)
        await stage.store.block(ids[0], ids[1], NOW)
        await stage.send(11, 12)
        assert stopped((await stage.store.append([stage.text(11, 12, app=other.id)]))[0])

    @pytest.mark.parametrize("what", ["message", "question"])
    async def test_a_question_is_judged_as_a_message(self, stage: Stage, what: str) -> None:
        """`may_message` says, of what is not stored, just what a batch says of what is."""
        await block(stage, 11, 12)
        group = await stage.group(13)
        gone = await stage.id(13)
        await stage.alter(f"UPDATE timeline SET state = 2 WHERE id = {gone}")
        await stage.store.set_state(stage.app.id, [14], State.FROZEN, NOW, create=True)
        for sender, targets, create, kind in (
            (11, (15, 12), True, Kind.BLOCKED),
            (12, (11,), True, Kind.BLOCKED),
            (12, (13,), True, Kind.USER_UNKNOWN),
            (13, (12,), True, Kind.USER_UNKNOWN),
            (12, (group,), True, Kind.BAD_PARAMETER),
            (group, (12,), True, Kind.BAD_PARAMETER),
            (14, (12,), True, Kind.FROZEN),
            (12, (99,), False, Kind.USER_UNKNOWN),
            (99, (12,), False, Kind.USER_UNKNOWN),
            (12, (14,), False, None),
            (12, (99, 12), True, None),
        ):
            if what == "message":
                answer: object = await stage.append(stage.text(sender, *targets, create=create))
            else:
                app = stage.app.id
                answer = await stage.store.may_message(app, sender, targets, create=create)
            if isinstance(answer, Refused):
                assert answer.kind is kind, (sender, targets, answer)
                named = sender if kind is Kind.FROZEN or sender in {99, group} else targets[-1]
                assert str(13 if 13 in (sender, *targets) else named) in answer.sentence
            else:
                assert kind is None, (sender, targets)
        assert (await stage.party(group)).scope is Scope.GROUP

    @pytest.mark.parametrize("what", ["message", "question"])
    async def test_of_several_the_first_is_told(self, stage: Stage, what: str) -> None:
        """Whatever each of them is refused for."""
        await block(stage, 11, 12)
        group = await stage.group(13)
        app = stage.app.id
        for targets, kind in (
            ((15, 12, 99, group), Kind.BLOCKED),
            ((99, 12, group), Kind.USER_UNKNOWN),
            ((group, 99, 12), Kind.BAD_PARAMETER),
        ):
            await stage.users(15)
            if what == "message":
                answer: object = await stage.append(stage.text(11, *targets, create=False))
            else:
                answer = await stage.store.may_message(app, 11, targets, create=False)
            assert isinstance(answer, Refused)
            assert answer.kind is kind, (targets, answer)


class TestList:
    """Block lists."""

    async def test_it_is_by_rising_id(self, stage: Stage) -> None:
        """In pages, each once, and only one's own."""
        await stage.users(19, 15, 12)
        for other in (15, 19, 12, 15):
            assert await block(stage, 11, other)
        await block(stage, 12, 11)
        assert await listed(stage, 11) == [12, 15, 19]
        assert await listed(stage, 11, after=12, limit=1) == [15]
        assert await listed(stage, 12) == [11]

    async def test_it_is_bounded(self, stage: Stage) -> None:
        """Whoever is on it already can be blocked again, one more cannot, until one is taken off."""
        await stage.restart(Limits(blocks_max=2))
        assert [await block(stage, 11, other) for other in (12, 13, 14, 12)] == [True, True, False, True]
        await stage.store.unblock(await stage.id(11), await stage.id(13))
        assert await block(stage, 11, 14)
        assert await listed(stage, 11) == [12, 14]
