"""Who is in a group, where several nodes change it at once: one waits for the other, and is judged by what that did."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.domain.drafts import (
    Answer,
    Changed,
    CreateDraft,
    DeleteDraft,
    Draft,
    MembershipDraft,
    RecallDraft,
    Refused,
    Stale,
)
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import BlockDraft, RoleDraft
from gateway.domain.limits import Limits
from gateway.domain.model import Action
from gateway.store.base import Store
from gateway.store.postgres.changes import append_change
from gateway.store.postgres.heads import lock_heads, lock_named
from gateway.store.postgres.lane import Conn
from tests.store.grouping import draft as group_draft
from tests.store.meeting import meets
from tests.store.stage import NOW, Stage, open_store

HALF = 0.5
LIMITS = Limits(groups_per_user_max=3, group_members_max=6)


@pytest.fixture
def engine() -> str:
    return "postgres"


@pytest.fixture
async def other(stage: Stage) -> AsyncIterator[Store]:
    """The same store, as another node has it."""
    opened = await open_store("postgres", stage.folder, LIMITS)
    yield opened
    await opened.close()


def appends(
    draft: RecallDraft | DeleteDraft | CreateDraft | MembershipDraft,
) -> Callable[[Conn], Awaitable[Answer]]:
    return lambda conn: append_change(conn, draft, LIMITS)


async def whole(stage: Stage) -> None:
    """Every timeline is dense, every member is counted, told of it and somebody; nobody is there for nothing."""
    assert not await stage.ask(
        """SELECT t.xid FROM timeline AS t WHERE t.head - t.floor <> (
            SELECT count(*) FROM entry AS e WHERE e.t = t.id AND e.seq > t.floor AND e.seq <= t.head)
        OR EXISTS (SELECT 1 FROM entry AS e WHERE e.t = t.id AND e.seq > t.head)"""
    )
    assert not await stage.ask(
        """SELECT g.id FROM grp AS g WHERE g.members <> (
            SELECT count(*) FROM stay AS s WHERE s.grp = g.id AND s.to_seq IS NULL)"""
    )
    # Whoever joined and whoever went was told of it in the own timeline, once each.
    assert not await stage.ask(
        """SELECT t.xid FROM timeline AS t JOIN "user" AS u ON u.id = t.id
        WHERE (SELECT count(*) FROM entry AS e WHERE e.t = t.id AND e.kind = 3) <> (
            SELECT count(*) + count(s.to_seq) FROM stay AS s WHERE s.usr = t.id)"""
    )
    assert not await stage.ask(
        'SELECT t.xid FROM timeline AS t LEFT JOIN "user" AS u ON u.id = t.id WHERE (t.kind = 1) <> (u.id IS NOT NULL)'
    )


@pytest.mark.parametrize("lock", ["named", "or made", "by id"])
async def test_heads_are_held_before_anything_is_read(stage: Stage, other: Store, lock: str) -> None:
    """Whoever changes a group waits for who is about to, also where nothing is written yet."""
    group = await stage.group(1)
    group_id = await stage.id(group)
    joins = await stage.membership(group, Action.JOINED, 2)

    async def locks(conn: Conn) -> None:
        if lock == "by id":
            await lock_heads(conn, [group_id])
        else:
            await lock_named(conn, stage.app.id, [group], make=lock == "or made")

    _, [answer] = await meets(stage, locks, other.append([joins]))
    assert isinstance(answer, Changed)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_user_joins_once(stage: Stage, other: Store, kept: bool) -> None:
    """Of two nodes that add the same user the second judges again; or adds it, where nothing came of the first."""
    group = await stage.group(1)
    joins = await stage.membership(group, Action.JOINED, 2)
    _, second = await meets(stage, appends(joins), other.append([joins]), kept=kept)
    if kept:
        assert second == [Stale()]
    else:
        assert [type(answer) for answer in second] == [Changed]
    assert (await stage.party(group)).xid == group
    assert [member.xid for member in await stage.store.members(await stage.id(group), 0, 10)] == [1, 2]
    assert len(await stage.entries(group)) == 2
    await whole(stage)


async def test_who_is_kicked_says_nothing_afterwards(stage: Stage, other: Store) -> None:
    """What was judged while they were in the group does not come behind the entry that ends their stay."""
    group = await stage.group(1, 2)
    text = await stage.group_text(2, group)
    kick = await stage.membership(group, Action.KICKED, 2)
    _, second = await meets(stage, appends(kick), other.append([text]))
    assert second == [Stale()]
    assert [entry.message for entry in await stage.entries(group)] == [None, None]
    await whole(stage)


async def test_a_group_ends_for_who_has_just_come(stage: Stage, other: Store) -> None:
    """Its end waits for who joins, is judged again, and leaves nobody in it."""
    group = await stage.group(1)
    end = await stage.membership(group, Action.DESTROYED)
    joins = await stage.membership(group, Action.JOINED, 2, 3)
    _, second = await meets(stage, appends(joins), other.append([end]))
    assert second == [Stale()]
    changed = await stage.change(group, Action.DESTROYED)
    assert sorted(placed.owner_xid for placed in changed.placed) == [1, 2, 3, group]
    await whole(stage)


async def test_nobody_joins_a_group_that_ends(stage: Stage, other: Store) -> None:
    """Who waits for its end is refused, and who would have been made for it is not."""
    group = await stage.group(1)
    end = await stage.membership(group, Action.DESTROYED)
    joins = await stage.membership(group, Action.JOINED, 1, 2)
    _, second = await meets(stage, appends(end), other.append([joins]))
    assert second == [Refused(Kind.GROUP_UNKNOWN, f"there is no group {group}")]
    assert await stage.store.party(stage.app.id, 2) is None
    await whole(stage)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_new_user_is_made_by_one_node(stage: Stage, other: Store, kept: bool) -> None:
    """The other finds it there, with an entry already; or makes it, where nothing came of the first."""
    groups = [await stage.group(1), await stage.group(1)]
    first, second = [await stage.membership(group, Action.JOINED, 5) for group in groups]
    await meets(stage, appends(first), other.append([second]), kept=kept)
    assert await stage.store.joined(await stage.id(5)) == (groups if kept else groups[1:])
    assert len(await stage.entries(5)) == (2 if kept else 1)
    await whole(stage)


async def test_who_is_not_let_in_is_not_made(stage: Stage, other: Store) -> None:
    """A group has no room for a new user, whom another node makes at this moment: it comes to be by that node."""
    full, free = await stage.group(1), await stage.group(1)
    joins = await stage.membership(full, Action.JOINED, 2, 3, 4, 5, 6, 9, 10)
    also = await stage.membership(free, Action.JOINED, 9)
    first, second = await meets(stage, appends(joins), other.append([also]))
    assert isinstance(first, Changed)
    assert first.refused == {9: Kind.GROUP_FULL, 10: Kind.GROUP_FULL}
    assert [type(answer) for answer in second] == [Changed]
    assert await stage.store.joined(await stage.id(9)) == [free]
    assert await stage.store.party(stage.app.id, 10) is None
    await whole(stage)


async def test_a_user_is_in_no_more_groups_than_may_be(stage: Stage, other: Store) -> None:
    """Also where two nodes add it to two groups at once, of which one would fit."""
    groups = [await stage.group(owner) for owner in (1, 2, 3, 4)]
    for group in groups[:2]:
        await stage.join(group, 9)
    first, second = [await stage.membership(group, Action.JOINED, 9) for group in groups[2:]]
    _, answers = await meets(stage, appends(first), other.append([second]))
    assert answers == [Changed([], groups[3], {9: Kind.GROUPS_FULL})]
    assert await stage.store.joined(await stage.id(9)) == groups[:3]
    await whole(stage)


async def test_groups_made_at_once_have_ids_of_their_own(stage: Stage, other: Store) -> None:
    """Each node gives the next id, the second after the first."""
    creation = stage.creation(1, 2)
    first, second = await meets(stage, appends(creation), other.append([creation]))
    assert isinstance(first, Changed)
    assert isinstance(second[0], Changed)
    assert second[0].xid == first.xid + 1
    await whole(stage)


async def test_an_id_that_is_being_taken_is_no_groups(stage: Stage, other: Store) -> None:
    """Somebody comes to be by the very id that the next group would get, one of its own members too."""
    group = await stage.group(1)
    joins = await stage.membership(group, Action.JOINED, group + 1)
    _, [made] = await meets(stage, appends(joins), other.append([stage.creation(1, group + 2)]))
    assert isinstance(made, Changed)
    assert made.xid == group + 3
    await whole(stage)


async def test_a_message_is_recalled_once(stage: Stage, other: Store) -> None:
    """The second node finds it recalled; its text is let go of once."""
    sent = await stage.send(1, 2)
    before = await stage.store.stored_bytes(stage.app.id)
    recall = RecallDraft(app=stage.app.id, msg_id=sent.first_msg_id, at=NOW)
    first, second = await meets(stage, appends(recall), other.append([recall]))
    assert isinstance(first, Changed)
    assert len(first.placed) == 2
    assert second == [Changed([])]
    assert await stage.store.stored_bytes(stage.app.id) == before - len("hello")
    await whole(stage)


async def test_a_deletion_hides_nothing_that_comes_after_it(stage: Stage, other: Store) -> None:
    """A message that waits for it is newer than what it hides."""
    await stage.send(1, 2)
    deletion = await stage.deletion(1, 2)
    await meets(stage, appends(deletion), other.append([stage.text(1, 2)]))
    assert len(await stage.shown(1, 2)) == 1
    assert len(await stage.shown(2, 1)) == 2
    await whole(stage)


async def any_draft(stage: Stage, chance: random.Random, kind: str, group: int) -> Draft:
    """Something that somebody asks of a group, judged by the facts of this moment."""
    users = tuple(chance.sample(range(1, 12), 3))
    if kind == "block":
        return await group_draft(stage, group, BlockDraft, user_xids=users, blocked=chance.random() < HALF)
    if kind == "role":
        return await group_draft(stage, group, RoleDraft, user_xids=users, admin=chance.random() < HALF)
    if kind == "text":
        return await stage.group_text(users[0], group)
    return await stage.membership(group, Action(kind), *users)


@pytest.mark.parametrize("seed", range(3))
async def test_many_changes_at_once(stage: Stage, other: Store, seed: int) -> None:
    """Of groups and users that all have in common: each is answered, and what is left is whole."""
    chance = random.Random(seed)
    groups = [await stage.group(owner) for owner in (1, 2, 3)]

    async def some(store: Store) -> None:
        for kind in chance.choices(kinds, k=5):
            answer: Answer = Stale()
            while isinstance(answer, Stale):
                [answer] = await store.append([await any_draft(stage, chance, kind, chance.choice(groups))])
            assert not isinstance(answer, Refused), answer

    kinds = ["joined", "joined", "kicked", "left", "block", "role", "text"]
    stores = [stage.store, other]
    await asyncio.gather(*(some(stores[n % 2]) for n in range(20)))
    await whole(stage)
    for group in groups:
        await stage.change(group, Action.DESTROYED)
    await whole(stage)
