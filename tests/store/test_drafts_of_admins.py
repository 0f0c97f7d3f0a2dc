"""What an app's administrator may ask of a message beside what a user may: the same on every engine."""

from __future__ import annotations

import pytest

from gateway.domain.drafts import Appended, Refused
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, State
from tests.store.stage import NOW, Stage


async def freeze(stage: Stage, xid: int) -> None:
    await stage.store.set_state(stage.app.id, [xid], State.FROZEN, NOW, create=True)


async def block(stage: Stage, xid: int, other: int) -> None:
    await stage.users(xid, other)
    await stage.store.block(await stage.id(xid), await stage.id(other), NOW)


async def lists(stage: Stage, xid: int) -> list[tuple[int, int]]:
    """The recent list of a user: conversations and what is unread in each."""
    return [(one.conversation_xid, one.unread) for one in await stage.recent(xid)]


class TestUnjudged:
    """A message that no rule between people stops."""

    async def test_no_block_stops_it(self, stage: Stage) -> None:
        """Nor does one stop its neighbour in the batch any less."""
        await block(stage, 12, 11)
        let, stopped = await stage.store.append([stage.text(11, 12, unjudged=True), stage.text(11, 12)])
        assert isinstance(let, Appended)
        assert isinstance(stopped, Refused)
        assert stopped.kind is Kind.BLOCKED

    async def test_a_frozen_sender_may_be_named(self, stage: Stage) -> None:
        """To users and to groups; a deleted one may not."""
        group = await stage.group(11, 12)
        await freeze(stage, 11)
        await stage.send(11, 12, unjudged=True)
        await stage.say(11, group, unjudged=True)
        refused = await stage.append(stage.text(11, 12))
        assert isinstance(refused, Refused)
        assert refused.kind is Kind.FROZEN

    @pytest.mark.parametrize("named", ["sender", "target"])
    async def test_nobody_speaks_for_or_to_the_deleted(self, stage: Stage, named: str) -> None:
        """What is not judged still goes from somebody to somebody."""
        await stage.users(11, 12)
        gone = 11 if named == "sender" else 12
        await stage.alter(f"UPDATE timeline SET state = 2 WHERE id = {await stage.id(gone)}")
        refused = await stage.append(stage.text(11, 12, unjudged=True))
        assert isinstance(refused, Refused)
        assert refused.kind is Kind.USER_UNKNOWN
        assert str(gone) in refused.sentence

    async def test_what_is_not_stored_passes_too(self, stage: Stage) -> None:
        """`frozen` lets a frozen sender pass, and nobody who is deleted."""
        await freeze(stage, 11)
        app, ask = stage.app.id, stage.store.may_message
        refused = await ask(app, 11, [12], create=True, blocks=False)
        assert refused is not None
        assert refused.kind is Kind.FROZEN
        assert await ask(app, 11, [12], create=True, blocks=False, frozen=True) is None
        refused = await ask(app, 11, [13], create=False, blocks=False, frozen=True)
        assert refused is not None
        assert refused.kind is Kind.USER_UNKNOWN


class TestWithoutCopy:
    """A message that is its sender's, and not in the sender's timeline."""

    async def test_history_is_both_sides(self, stage: Stage) -> None:
        """The sender has it in its list and on its pages, with its status; its timeline has nothing of it."""
        sent = await stage.send(11, 12, copied=False, listed=True)
        assert sent.copies == []
        assert await stage.entries(11) == []
        assert await lists(stage, 11) == [(12, 0)]
        assert await lists(stage, 12) == [(11, 1)]
        assert await stage.statuses(11, 12) == {sent.first_msg_id: "UNREAD"}
        await stage.read(12, 11)
        assert await stage.statuses(11, 12) == {sent.first_msg_id: "READ"}
        assert await stage.shown(12, 11) == await stage.shown(11, 12) == [sent.first_msg_id]

    async def test_it_is_hidden_and_taken_back_like_any_other(self, stage: Stage) -> None:
        """By both for themselves; the recall is told to whose timeline has it."""
        sent = await stage.send(11, 12, copied=False, listed=True)
        await stage.delete(11, 12)
        assert await stage.shown(11, 12) == []
        assert await lists(stage, 11) == []
        newer = await stage.send(11, 12, copied=False, listed=True)
        changed = await stage.recall(newer.first_msg_id)
        assert [place.owner_xid for place in changed.placed] == [12]
        assert await stage.shown(12, 11) == [sent.first_msg_id]

    async def test_a_block_stops_it(self, stage: Stage) -> None:
        """It is a user's message, unless it is not judged either."""
        await block(stage, 12, 11)
        refused = await stage.append(stage.text(11, 12, copied=False, listed=True))
        assert isinstance(refused, Refused)
        assert refused.kind is Kind.BLOCKED
        await stage.send(11, 12, copied=False, listed=True, unjudged=True)

    async def test_a_sender_comes_into_being(self, stage: Stage) -> None:
        """As with any message in an open app, and to oneself too."""
        await stage.send(21, 22, copied=False, listed=True)
        itself = await stage.send(23, 23, copied=False, listed=True)
        assert await lists(stage, 21) == [(22, 0)]
        assert await stage.shown(23, 23) == [itself.first_msg_id]

    async def test_what_system_sends_is_in_no_list_of_its(self, stage: Stage) -> None:
        """It holds no conversations of its own."""
        system = stage.app.system_xid
        await stage.send(system, 11, copied=False)
        assert await lists(stage, system) == []


class TestHidden:
    """A message of a group that is on no history page of some."""

    async def test_only_their_pages_leave_it_out(self, stage: Stage) -> None:
        """They are sent it and count it like everybody."""
        group = await stage.group(11, 12, 13)
        plain = (await stage.say(11, group)).first_msg_id
        hidden = (await stage.say(11, group, hide_from=(12, 11, 99))).first_msg_id
        assert await stage.shown(11, group) == await stage.shown(12, group) == [plain]
        assert await stage.shown(13, group) == [hidden, plain]
        assert [entry.message.msg_id for entry in await stage.entries(group) if entry.message] == [
            plain,
            hidden,
        ]
        assert await lists(stage, 12) == [(group, 2)]
        assert await stage.store.party(stage.app.id, 99) is None

    async def test_a_page_is_full_without_it(self, stage: Stage) -> None:
        """What is left out makes room for what lies behind it."""
        group = await stage.group(11, 12)
        first = (await stage.say(11, group)).first_msg_id
        for _ in range(3):
            await stage.say(11, group, hide_from=(12,))
        last = (await stage.say(11, group)).first_msg_id
        page = await stage.history(12, group, limit=1)
        assert ([item.msg_id for item in page.items], page.next_msg_id) == ([last], first)

    async def test_to_several_groups(self, stage: Stage) -> None:
        """It is hidden in each of them."""
        groups = await stage.group(11, 12), await stage.group(11, 12)
        await stage.say(11, *groups, hide_from=(12,))
        for group in groups:
            assert await stage.shown(12, group) == []
            assert len(await stage.shown(11, group)) == 1

    @pytest.mark.parametrize("how", ["recall", "sweep", "trim"])
    async def test_nothing_of_it_outlives_the_message(self, stage: Stage, how: str) -> None:
        """Whatever takes its text away."""
        await stage.users(11, 12)
        if how == "trim":
            await stage.restart(Limits(room_history_max=1))
            made = await stage.append(stage.creation(11, type=ROOM))
            group = made.xid  # type: ignore[union-attr]
        else:
            group = await stage.group(11, 12)
        hidden = (await stage.say(11, group, hide_from=(11, 12), at=NOW - 9)).first_msg_id
        assert len(await stage.ask("SELECT * FROM hidden")) == 2
        if how == "recall":
            await stage.recall(hidden)
        elif how == "sweep":
            await stage.store.sweep(NOW, 10)
        else:
            await stage.say(11, group)
            await stage.say(11, group)
        assert await stage.ask("SELECT * FROM hidden") == []


async def test_targets_of_a_send(stage: Stage) -> None:
    """Whom its messages went to: users or groups, recalled or not, and of this app only."""
    sent = await stage.send(11, 12, 13, 14)
    first, last = sent.first_msg_id, sent.first_msg_id + 2
    await stage.recall(first)
    found = await stage.store.targets(stage.app.id, first, last)
    assert found == {12: (first, NOW), 13: (first + 1, NOW), 14: (last, NOW)}
    assert await stage.store.targets(stage.app.id, last, last) == {14: (last, NOW)}
    assert await stage.store.targets(stage.app.id + 1, first, last) == {}


async def test_users_are_found_and_not_made(stage: Stage) -> None:
    """By their ids, with their states; of a group it is told that it is none."""
    group = await stage.group(11)
    await freeze(stage, 12)
    found = await stage.store.find_users(stage.app.id, [11, 12, group, 13])
    assert found[group] is Kind.BAD_PARAMETER
    assert [found[xid].state for xid in (11, 12)] == [State.NORMAL, State.FROZEN]  # type: ignore[union-attr]
    assert 13 not in found
    assert await stage.store.party(stage.app.id, 13) is None
