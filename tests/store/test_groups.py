"""Who is in a group: creation, joining, leaving, being kicked, and the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.drafts import Appended, Changed, Refused, Stale
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import GIVEN_XID_FIRST, Action, Membership, Scope
from tests.store.stage import NOW, Stage


async def members(stage: Stage, group: int) -> list[int]:
    return [member.xid for member in await stage.store.members(await stage.id(group), 0, 10_000)]


async def told(stage: Stage, xid: int) -> list[Membership]:
    return [entry.membership for entry in await stage.entries(xid) if entry.membership is not None]


async def test_a_new_group_gets_an_id_of_the_server(stage: Stage) -> None:
    """Ids count up from the first of the server's range; `system` took that."""
    assert await stage.group(1, 2) == GIVEN_XID_FIRST + 1
    assert await stage.group(1) == GIVEN_XID_FIRST + 2


async def test_a_group_keeps_what_it_was_given(stage: Stage) -> None:
    """Name, description, avatar and type are read as they were told."""
    draft = stage.creation(1, 2, 3, name="n", description="d", avatar="a", type=1, at=NOW + 7)
    answer = await stage.append(draft)
    assert isinstance(answer, Changed)
    found = await stage.store.group(stage.app.id, answer.xid)
    assert found is not None
    assert (found.name, found.description, found.avatar, found.type) == ("n", "d", "a", 1)
    assert (found.xid, found.owner_xid, found.members) == (answer.xid, 1, 3)
    assert (found.created_at, found.updated_at) == (NOW + 7, NOW + 7)


async def test_creation_is_told_in_the_group_and_to_each_member(stage: Stage) -> None:
    """One entry names all of them, and each has an entry of the own that names only it."""
    group = await stage.group(1, 2, 3)
    group_id = await stage.id(group)
    [entry] = await told(stage, group)
    assert entry == Membership(
        action=Action.JOINED, group_id=group_id, group_xid=group, user_xids=(1, 2, 3), from_seq=1
    )
    for xid in (1, 2, 3):
        [entry] = await told(stage, xid)
        assert entry == Membership(
            action=Action.JOINED, group_id=group_id, group_xid=group, user_xids=(xid,), from_seq=1
        )


@pytest.mark.parametrize("action", [Action.JOINED, Action.LEFT, Action.KICKED, Action.DESTROYED])
async def test_what_a_change_answers_is_what_is_read(stage: Stage, action: Action) -> None:
    """Every entry of the answer stands in its timeline just so, the group's first."""
    group = await stage.group(1, 2, 3)
    users = (4, 5) if action is Action.JOINED else (2, 3)
    changed = await stage.change(group, action, *(() if action is Action.DESTROYED else users))
    assert changed.placed[0].owner_xid == group
    expected = {group, *users} | ({1} if action is Action.DESTROYED else set())
    assert {placed.owner_xid for placed in changed.placed} == expected
    for placed in changed.placed:
        assert placed.timeline_id == await stage.id(placed.owner_xid)
        assert placed.scope is (Scope.GROUP if placed.owner_xid == group else Scope.USER)
        assert (await stage.entries(placed.owner_xid))[-1] == placed.entry
        assert placed.entry.membership is not None
        assert placed.entry.membership.action is action


async def test_joining_adds_members(stage: Stage) -> None:
    """They are listed by rising id, in pages, with when they joined."""
    group = await stage.group(5)
    await stage.join(group, 9, 2)
    assert await members(stage, group) == [2, 5, 9]
    found = await stage.store.members(await stage.id(group), 2, 1)
    assert [(member.xid, member.joined_at) for member in found] == [(5, NOW)]


async def test_who_is_in_already_stays_as_it_is(stage: Stage) -> None:
    """Nobody joins twice; if nothing changes nothing is told."""
    group = await stage.group(1, 2)
    changed = await stage.join(group, 2, 3)
    assert changed.refused == {}
    assert [placed.owner_xid for placed in changed.placed] == [group, 3]
    assert (await stage.join(group, 2)).placed == []
    assert len(await stage.entries(group)) == 2


async def test_a_user_named_twice_joins_once(stage: Stage) -> None:
    """Also one who does not exist yet."""
    group = await stage.group(1)
    changed = await stage.join(group, 7, 7)
    assert [placed.owner_xid for placed in changed.placed] == [group, 7]


async def test_members_leave_and_are_kicked(stage: Stage) -> None:
    """Their stay ends, and they are told which it was."""
    group = await stage.group(1, 2, 3)
    await stage.kick(group, 2)
    await stage.change(group, Action.LEFT, 3)
    assert await members(stage, group) == [1]
    assert [entry.action for entry in await told(stage, 2)] == [Action.JOINED, Action.KICKED]
    assert [entry.action for entry in await told(stage, 3)] == [Action.JOINED, Action.LEFT]
    assert (await stage.facts(group, 2)).member is False


async def test_who_is_no_member_cannot_be_kicked(stage: Stage) -> None:
    """Each is refused by itself, and unknown users are not made for it."""
    group = await stage.group(1, 2)
    await stage.user(3)
    changed = await stage.kick(group, 2, 3, 4, group)
    assert changed.refused == {3: Kind.NOT_A_MEMBER, 4: Kind.NOT_A_MEMBER, group: Kind.BAD_PARAMETER}
    assert await members(stage, group) == [1]
    assert await stage.store.party(stage.app.id, 4) is None


async def test_one_may_come_back(stage: Stage) -> None:
    """A second stay begins where it is opened."""
    group = await stage.group(1, 2)
    await stage.kick(group, 2)
    await stage.say(1, group)
    await stage.join(group, 2)
    [standing] = await stage.store.standings([(await stage.id(2), 1)])
    assert [(stay.from_seq, stay.delivered) for stay in standing.stays] == [(4, 3)]


async def test_a_group_is_not_a_member(stage: Stage) -> None:
    """An id of the wrong kind is refused for itself."""
    group, other = await stage.group(1), await stage.group(1)
    changed = await stage.join(group, other, 2)
    assert changed.refused == {other: Kind.BAD_PARAMETER}
    assert await members(stage, group) == [1, 2]


async def test_a_registered_app_lets_nobody_unknown_join(stage: Stage) -> None:
    """Unknown users are refused one by one, at creation and later."""
    await stage.users(1, 2)
    answer = await stage.append(stage.creation(1, 2, 3, create=False))
    assert isinstance(answer, Changed)
    assert answer.refused == {3: Kind.USER_UNKNOWN}
    changed = await stage.append(await stage.membership(answer.xid, Action.JOINED, 4, create=False))
    assert isinstance(changed, Changed)
    assert changed.refused == {4: Kind.USER_UNKNOWN}
    assert await members(stage, answer.xid) == [1, 2]


async def test_each_change_raises_the_version(stage: Stage) -> None:
    """Drafts judged before it are stale after it."""
    group = await stage.group(1, 2)
    versions = [(await stage.facts(group)).version]
    await stage.join(group, 3)
    versions.append((await stage.facts(group)).version)
    await stage.kick(group, 3)
    versions.append((await stage.facts(group)).version)
    assert versions == sorted(set(versions))


async def test_a_change_judged_by_older_facts_is_stale(stage: Stage) -> None:
    """It adds nothing, and makes nobody."""
    group = await stage.group(1, 2)
    draft = await stage.membership(group, Action.JOINED, 9)
    await stage.kick(group, 2)
    assert await stage.append(draft) == Stale()
    assert await stage.store.party(stage.app.id, 9) is None


async def test_a_destroyed_group_is_told_to_all_and_then_gone(stage: Stage) -> None:
    """Nobody is in it any more, it is found no more, and its id stays a group's."""
    group = await stage.group(1, 2)
    await stage.change(group, Action.DESTROYED)
    assert [entry.action for entry in await told(stage, 2)] == [Action.JOINED, Action.DESTROYED]
    assert await stage.store.group(stage.app.id, group) is None
    assert await stage.store.facts(stage.app.id, [group], 1) == [None]
    assert await stage.store.joined(await stage.id(1)) == []
    assert (await stage.party(group)).scope is Scope.GROUP


async def test_the_end_of_a_group_does_not_list_its_members(stage: Stage) -> None:
    """The group's own entry concerns whoever is in it."""
    group = await stage.group(1, 2)
    await stage.change(group, Action.DESTROYED)
    assert (await told(stage, group))[-1].user_xids == ()
    assert (await told(stage, 2))[-1].user_xids == (2,)


async def test_a_destroyed_group_cannot_change(stage: Stage) -> None:
    """Neither again nor otherwise."""
    group = await stage.group(1, 2)
    again = await stage.membership(group, Action.DESTROYED)
    join = await stage.membership(group, Action.JOINED, 3)
    first, second, third = await stage.store.append([again, again, join])
    assert isinstance(first, Changed)
    assert second == third == Refused(Kind.GROUP_UNKNOWN, f"there is no group {group}")


async def test_a_group_of_another_app_cannot_change(stage: Stage) -> None:
    """The group's id alone opens nothing."""
    group = await stage.group(1, 2)
    answer = await stage.append(await stage.membership(group, Action.KICKED, 2, app=stage.app.id + 1))
    assert answer == Refused(Kind.GROUP_UNKNOWN, f"there is no group {group}")


async def test_a_message_to_a_destroyed_group_is_stale(stage: Stage) -> None:
    """Judged again, it will find no group."""
    group = await stage.group(1, 2)
    draft = await stage.group_text(1, group)
    await stage.change(group, Action.DESTROYED)
    assert await stage.append(draft) == Stale()


async def test_an_owner_that_is_a_group_is_refused(stage: Stage) -> None:
    """And the refused creation leaves no trace: no member is made, no id is taken."""
    group = await stage.group(1)
    answer = await stage.append(stage.creation(group, 77))
    assert answer == Refused(Kind.BAD_PARAMETER, f"owner: {group} cannot own a group")
    assert await stage.store.party(stage.app.id, 77) is None
    assert await stage.group(1) == group + 1


@pytest.fixture
async def narrow(engine: str, tmp_path: Path) -> Stage:
    """A stage where groups hold three users, and users are in two groups."""
    return Stage(engine, tmp_path / "data", Limits(group_members_max=3, groups_per_user_max=2))


async def test_a_full_group_refuses_whoever_comes_too_late(narrow: Stage) -> None:
    """In the order named, at creation and later; who is refused does not come into being by it."""
    async with narrow as stage:
        answer = await stage.append(stage.creation(1, 2, 3, 4))
        assert isinstance(answer, Changed)
        assert answer.refused == {4: Kind.GROUP_FULL}
        assert await stage.store.party(stage.app.id, 4) is None
        assert (await stage.join(answer.xid, 4)).refused == {4: Kind.GROUP_FULL}
        await stage.kick(answer.xid, 2)
        assert (await stage.join(answer.xid, 4, 5)).refused == {5: Kind.GROUP_FULL}
        assert await members(stage, answer.xid) == [1, 3, 4]


async def test_who_is_in_too_many_groups_is_refused(narrow: Stage) -> None:
    """The others join; the owner's own limit refuses the creation, without a trace."""
    async with narrow as stage:
        await stage.group(1, 2)
        await stage.group(1, 3)
        third = await stage.group(4)
        changed = await stage.join(third, 1, 2)
        assert changed.refused == {1: Kind.GROUPS_FULL}
        answer = await stage.append(stage.creation(1, 50))
        assert answer == Refused(Kind.GROUPS_FULL, "owner: is in 2 groups already")
        assert await stage.store.party(stage.app.id, 50) is None


async def test_a_left_group_does_not_count(narrow: Stage) -> None:
    """Only open stays are counted against the limit."""
    async with narrow as stage:
        first = await stage.group(1, 2)
        await stage.group(1, 2)
        await stage.kick(first, 2)
        assert (await stage.join(await stage.group(3), 2)).refused == {}


async def test_facts_tell_owner_and_member(stage: Stage) -> None:
    """Of a user who is neither, of one who does not exist, and of no group."""
    group = await stage.group(1, 2)
    await stage.user(3)
    known = [await stage.facts(group, xid) for xid in (1, 2, 3, 99)]
    assert [(fact.owner, fact.member) for fact in known] == [
        (True, True),
        (False, True),
        (False, False),
        (False, False),
    ]
    asked = await stage.store.facts(stage.app.id, [88, group, 2], 1)
    assert [fact is not None for fact in asked] == [False, True, False]


async def test_the_groups_of_a_user_are_listed(stage: Stage) -> None:
    """Those with an open stay, by rising id."""
    first, second, third = [await stage.group(1, 2) for _ in range(3)]
    await stage.kick(second, 2)
    assert await stage.store.joined(await stage.id(2)) == [first, third]


async def test_changes_survive_a_restart(stage: Stage) -> None:
    """Members, and the message said after a change."""
    group = await stage.group(1, 2)
    await stage.join(group, 3)
    await stage.restart()
    assert await members(stage, group) == [1, 2, 3]
    assert isinstance(await stage.append(await stage.group_text(3, group)), Appended)
