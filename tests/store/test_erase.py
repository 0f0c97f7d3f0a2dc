"""The end of a user: the account with the first commit, groups and texts page by page, and nothing of others."""

from __future__ import annotations

import pytest

from gateway.core.erasing import erase_draft
from gateway.domain.drafts import Changed, Refused, Started, StepDraft, Stepped
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Action, Gone, State, User
from gateway.domain.positions import Keep
from tests.store.stage import NOW, Stage


async def begin(stage: Stage, xid: int) -> Started:
    found = await stage.store.user(stage.app.id, xid)
    assert isinstance(found, User)
    answer = await stage.append(erase_draft(stage.app, found, NOW))
    assert isinstance(answer, Started), answer
    return answer


async def finish(stage: Stage, started: Started) -> list[Stepped]:
    """Do all pages; the store keeps its laws after each."""
    pages: list[Stepped] = []
    while not (pages and pages[-1].job.finished):
        answer = await stage.append(
            StepDraft(app=started.job.app, job_id=started.job.id, at=NOW, rows=1, size=1)
        )
        assert isinstance(answer, Stepped), answer
        pages.append(answer)
        assert stage.check() == []
        assert len(pages) < 100
    return pages


async def erase(stage: Stage, xid: int) -> list[Stepped]:
    return await finish(stage, await begin(stage, xid))


async def contents(stage: Stage, xid: int) -> list[str]:
    """The texts of a timeline, and why those that are gone are."""
    messages = [entry.message for entry in await stage.entries(xid) if entry.message is not None]
    return [message.gone.value if message.gone else message.content for message in messages]


async def test_what_was_sent_is_gone_for_everybody(stage: Stage) -> None:
    """In histories and in timelines, which stay dense; what others wrote stays."""
    group = await stage.group(2, 1, 3)
    await stage.send(1, 2, content="mine")
    await stage.send(2, 1, content="yours")
    await stage.say(1, group, content="mine to all")
    await stage.say(3, group, content="theirs")
    await stage.send(1, 1, content="to myself")
    pages = await erase(stage, 1)
    assert pages[-1].job.done == 3
    assert await contents(stage, 2) == ["erased", "yours"]
    assert await contents(stage, group) == ["erased", "theirs"]
    assert [item.content for item in (await stage.history(2, 1)).items] == ["yours"]
    assert [item.content for item in (await stage.history(3, group)).items] == ["theirs"]


async def test_a_text_that_went_to_many(stage: Stage) -> None:
    """It is stored once, and gone for all; what another sent to the same users is not touched."""
    await stage.send(1, 2, 3, 4, content="to three")
    await stage.send(5, 2, 3, content="of another")
    await erase(stage, 1)
    for xid in (2, 3):
        assert await contents(stage, xid) == ["erased", "of another"]
    assert [row[0] for row in await stage.ask("SELECT content FROM body")] == ["of another"]


async def test_notices_to_the_user_are_gone(stage: Stage) -> None:
    """Nobody else can see them; those to others are not touched."""
    await stage.send(stage.app.system_xid, 1, content="for your eyes", notice=True, copied=False)
    await stage.send(stage.app.system_xid, 2, content="for others", notice=True, copied=False)
    await erase(stage, 1)
    assert await contents(stage, 1) == ["erased"]
    assert await contents(stage, 2) == ["for others"]


async def test_what_was_recalled_stays_recalled(stage: Stage) -> None:
    """A text goes once, for the reason it went by."""
    sent = await stage.send(1, 2, content="taken back")
    await stage.recall(sent.first_msg_id)
    assert (await erase(stage, 1))[-1].job.done == 0
    [entry] = [entry for entry in await stage.entries(2) if entry.message]
    assert entry.message is not None
    assert entry.message.gone is Gone.RECALLED


async def test_the_account_goes_with_the_first_commit(stage: Stage) -> None:
    """Before any page: no name, password, device or block is left, and older tokens are no longer good."""
    made = await stage.store.register(stage.app.id, "ann", "$scrypt$record", NOW)
    assert made is not None
    await stage.users(2)
    other = await stage.id(2)
    await stage.store.keep([Keep(made.id, 7, NOW, {made.id: 0}, ())])
    await stage.store.block(made.id, other, NOW)
    await stage.store.block(other, made.id, NOW)
    started = await begin(stage, made.xid)
    assert await stage.store.user_named(stage.app.id, "ann") is None
    found = await stage.store.user(stage.app.id, made.xid)
    assert isinstance(found, User)
    assert (found.state, found.password, found.name) == (State.DELETED, "", "")
    assert found.valid_from_ms > NOW
    for table in ("device", "cursor", "block"):
        assert await stage.ask(f"SELECT count(*) FROM {table}") == [(0,)]
    # An ack that was under way brings no device back.
    await stage.store.keep([Keep(made.id, 7, NOW, {made.id: 0}, ())])
    assert await stage.ask("SELECT count(*) FROM device") == [(0,)]
    again = await stage.store.register(stage.app.id, "ann", "", NOW)
    assert again is not None
    assert again.xid != made.xid
    await finish(stage, started)


async def test_groups_are_left_and_inherited(stage: Stage) -> None:
    """An administrator first, then the longest in it; a group that nobody else is in ends."""
    plain = await stage.group(2, 1)
    own = await stage.group(1, 2, 3, 4)
    alone = await stage.group(1)
    await stage.alter(
        f"UPDATE stay SET admin = 1 WHERE grp = {await stage.id(own)} AND usr = {await stage.id(4)}"
    )
    await erase(stage, 1)
    group = await stage.store.group(stage.app.id, own)
    assert group is not None
    assert (group.owner_xid, group.members) == (4, 3)
    assert await stage.store.group(stage.app.id, alone) is None
    assert await stage.store.joined(await stage.id(1)) == []
    for xid, action in ((plain, Action.LEFT), (own, Action.LEFT), (alone, Action.DESTROYED)):
        last = (await stage.entries(xid))[-1].membership
        assert last is not None
        assert last.action is action
    told = [entry.membership for entry in await stage.entries(1) if entry.membership]
    assert {fact.action for fact in told[-3:]} == {Action.LEFT, Action.DESTROYED}


async def test_chatrooms_end(stage: Stage) -> None:
    """Nobody is in one who could inherit it; those of others go on."""
    rooms = []
    for owner in (1, 1, 2):
        made = await stage.append(stage.creation(owner, type=ROOM))
        assert isinstance(made, Changed)
        rooms.append(made.xid)
    await stage.say(1, rooms[2])
    await erase(stage, 1)
    assert [await stage.store.group(stage.app.id, room) is None for room in rooms] == [True, True, False]
    [ended] = await stage.entries(rooms[0])
    assert ended.membership is not None
    assert ended.membership.action is Action.DESTROYED


async def test_the_longest_member_inherits(stage: Stage) -> None:
    """Where there is no administrator."""
    own = await stage.group(1, 3)
    await stage.join(own, 2)
    await erase(stage, 1)
    group = await stage.store.group(stage.app.id, own)
    assert group is not None
    assert group.owner_xid == 3


async def test_what_was_under_way_brings_nothing_back(stage: Stage) -> None:
    """Whoever was let in before the account was gone comes too late with a password, a profile and a block."""
    await stage.users(1, 2)
    user_id, other = await stage.id(1), await stage.id(2)
    await erase(stage, 1)
    assert await stage.store.set_password(user_id, None, "$record", NOW) is None
    await stage.store.set_profile(user_id, {"nickname": "ann"})
    assert (await stage.store.profile(user_id)).nickname == ""
    for pair in ((user_id, other), (other, user_id)):
        await stage.store.block(*pair, NOW)
    assert await stage.ask("SELECT * FROM block") == []


async def test_page_by_page(stage: Stage) -> None:
    """Many messages take many pages, each a commit of its own; a restart in the middle goes on where it was."""
    for number in range(25):
        await stage.send(1 + number % 2, 3, content=f"text {number}")
    await stage.restart(Limits(erase_page_max=4))
    started = await begin(stage, 1)
    for _ in range(3):
        await stage.append(StepDraft(app=started.job.app, job_id=started.job.id, at=NOW, rows=1, size=1))
    await stage.restart(Limits(erase_page_max=4))
    assert [job.id for job in await stage.store.jobs()] == [started.job.id]
    assert (await finish(stage, started))[-1].job.done == 13
    assert await stage.store.jobs() == []
    kept = [text for text in await contents(stage, 3) if text != "erased"]
    assert kept == [f"text {number}" for number in range(1, 25, 2)]


async def test_it_is_one_job_however_often(stage: Stage) -> None:
    """Asked again, also when it is finished, nothing new begins."""
    await stage.send(1, 2)
    first = await begin(stage, 1)
    assert (await begin(stage, 1)).job.id == first.job.id
    await finish(stage, first)
    assert (await begin(stage, 1)).job.finished


async def test_transactions_are_forgotten(stage: Stage) -> None:
    """Their keys may tell something too; nobody can ask again."""
    await stage.send(1, 2, key="order-5", digest="d")
    await stage.send(2, 1, key="6", digest="d")
    await erase(stage, 1)
    assert await stage.ask("SELECT key FROM dedup") == [("6",)]


async def test_transactions_of_many_pages_are_forgotten(stage: Stage) -> None:
    """Those of many messages and of groups, wherever a page ends, and nobody else's."""
    group = await stage.group(2, 1)
    for number in range(6):
        await stage.send(1, 2, 3, key=f"one-{number}", digest="d")
        await stage.send(2, 1, key=f"two-{number}", digest="d")
        await stage.append(await stage.group_text(1, group, key=f"all-{number}", digest="d"))
    await stage.restart(Limits(erase_page_max=5))
    assert len(await erase(stage, 1)) > 5
    assert sorted(await stage.ask("SELECT key FROM dedup")) == [(f"two-{number}",) for number in range(6)]


async def test_nobody_sends_to_the_erased(stage: Stage) -> None:
    """Nor in their name, nor are they let into a group."""
    await stage.users(1, 2)
    group = await stage.group(2)
    await erase(stage, 1)
    for draft in (stage.text(2, 1), stage.text(1, 2)):
        answer = await stage.append(draft)
        assert isinstance(answer, Refused)
        assert answer.kind is Kind.USER_UNKNOWN
    assert (await stage.join(group, 1)).refused == {1: Kind.USER_UNKNOWN}


async def test_system_cannot_be_erased(stage: Stage) -> None:
    """The reserved user is every notice's sender."""
    found = await stage.store.user(stage.app.id, stage.app.system_xid)
    assert isinstance(found, User)
    with pytest.raises(Problem):
        erase_draft(stage.app, found, NOW)
