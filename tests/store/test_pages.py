"""Reading timelines: pages of entries, and what a device needs in order to attach."""

from __future__ import annotations

from gateway.domain.model import Page
from gateway.domain.positions import Bearing, Keep, Standing, Stay
from gateway.store.base import Store
from tests.store.stage import MIB, NOW, Stage


async def page(stage: Stage, xid: int, start: int, limit: int = 100, bytes_max: int = MIB) -> list[int]:
    [found] = await stage.store.pages([(await stage.id(xid), start)], limit, bytes_max)
    return [entry.seq for entry in found.entries]


async def test_a_page_starts_where_it_is_asked_to(stage: Stage) -> None:
    """Entries rise from the seq asked for."""
    await stage.store.append([stage.text(1, 2) for _ in range(5)])
    assert await page(stage, 2, 1) == [1, 2, 3, 4, 5]
    assert await page(stage, 2, 4) == [4, 5]


async def test_a_page_holds_no_more_than_its_limit(stage: Stage) -> None:
    """The next page goes on after it."""
    await stage.store.append([stage.text(1, 2) for _ in range(5)])
    assert await page(stage, 2, 2, limit=3) == [2, 3, 4]


async def test_a_page_tells_floor_and_head(stage: Stage) -> None:
    """Also where it has no entries: beyond the head, and of an empty timeline."""
    await stage.store.append([stage.text(1, 2) for _ in range(5)])
    [found] = await stage.store.pages([(await stage.id(2), 3)], 1, MIB)
    assert (found.floor, found.head) == (0, 5)
    assert await stage.store.pages([(await stage.id(2), 6)], 10, MIB) == [Page(entries=[], floor=0, head=5)]
    user = await stage.user(9)
    assert await stage.store.pages([(user.id, 1)], 10, MIB) == [Page(entries=[], floor=0, head=0)]


async def test_a_timeline_that_is_not_there_has_no_entries(store: Store) -> None:
    """Asking for it is no error."""
    assert await store.pages([(12345, 1)], 10, MIB) == [Page(entries=[], floor=0, head=0)]


async def test_a_page_is_cut_by_bytes(stage: Stage) -> None:
    """It ends before the entry that would make it too large."""
    await stage.store.append([stage.text(1, 2, content="x" * 1000) for _ in range(5)])
    assert await page(stage, 2, 1, bytes_max=4000) == [1, 2, 3]


async def test_bytes_are_counted_not_characters(stage: Stage) -> None:
    """A text of three bytes per character fills a page three times as fast, whichever member it is in."""
    for member in ("content", "attachment", "config", "ext"):
        await stage.store.append([stage.text(1, 2, **{member: "中" * 1000}) for _ in range(5)])
    assert await page(stage, 2, 1, bytes_max=10_000) == [1, 2, 3]
    assert await page(stage, 2, 6, bytes_max=10_000) == [6, 7, 8]


async def test_a_page_has_at_least_one_entry(stage: Stage) -> None:
    """However large it is, for otherwise nobody would get past it."""
    await stage.store.append([stage.text(1, 2, content="x" * 1000) for _ in range(3)])
    assert await page(stage, 2, 2, bytes_max=10) == [2]


async def test_all_entries_of_a_long_timeline_are_in_order(stage: Stage) -> None:
    """Page after page, with every kind of entry between."""
    await stage.store.append([stage.text(1 + index % 5, 9, content=str(index)) for index in range(250)])
    await stage.group(9, 8)
    await stage.delete(9, 1)
    seen: list[int] = []
    while found := await page(stage, 9, len(seen) + 1, limit=60):
        seen += found
    assert seen == list(range(1, 253))


async def test_pages_of_many_timelines(stage: Stage) -> None:
    """Each from its own seq, with its own floor and head, cut by itself, in the order asked; also one twice."""
    await stage.store.append([stage.text(1, 2, content="x" * 500 * (number % 3)) for number in range(6)])
    await stage.store.append([stage.text(1, 3) for _ in range(2)])
    one, two, three = [await stage.id(xid) for xid in (1, 2, 3)]
    asked = [(three, 2), (two, 1), (12345, 1), (two, 4), (one, 9), (three, 2), (two, 3)]
    found = await stage.store.pages(asked, 5, 1500)
    assert [[entry.seq for entry in page.entries] for page in found] == [
        [2], [1, 2], [], [4, 5], [], [2], [3, 4],
    ]  # fmt: skip
    assert [page.head for page in found] == [2, 6, 0, 6, 8, 2, 6]
    assert found == [page for alone in asked for page in await stage.store.pages([alone], 5, 1500)]
    assert await stage.store.pages([], 5, 1500) == []


async def test_standing_tells_the_stays_and_the_own_head(stage: Stage) -> None:
    """Open stays only, each with where it starts and what was delivered of it."""
    group, left = await stage.group(1, 2), await stage.group(1, 2)
    await stage.say(1, group)
    await stage.join(group, 3)
    await stage.kick(left, 2)
    await stage.ack(2, group, 2)
    await stage.ack(2, 2, 1)
    group_id = await stage.id(group)
    [standing] = await stage.store.standings([(await stage.id(2), 1)])
    assert standing == Standing(3, 1, kept=False, cursor=-1, stays=[Stay(group_id, group, 1, 2)])
    assert (await stage.store.standings([(await stage.id(3), 1)]))[0].stays == [Stay(group_id, group, 3, 2)]


async def test_standings_are_told_in_the_order_asked(stage: Stage) -> None:
    """Of many devices at once: each its own, kept or not, with as many stays as its user has, also none."""
    groups = [await stage.group(1, 2), await stage.group(1, 2, 3)]
    await stage.user(4)
    one, two, three, four = [await stage.id(xid) for xid in (1, 2, 3, 4)]
    await stage.store.keep([Keep(two, 5, NOW, {two: 1}, ()), Keep(three, 5, NOW, {}, ())])
    asked = [(four, 1), (two, 5), (three, 5), (one, 9), (two, 6), (two, 5)]
    found = await stage.store.standings(asked)
    told = [(one.head, one.kept, one.cursor, sorted(stay.group_xid for stay in one.stays)) for one in found]
    assert told == [
        (0, False, -1, []),
        (2, True, 1, groups),
        (1, True, -1, groups[1:]),
        (2, False, -1, groups),
        (2, False, -1, groups),
        (2, True, 1, groups),
    ]
    assert await stage.store.standings([]) == []


async def test_who_is_not_there_is_nobody_else(stage: Stage) -> None:
    """Users may be missing that a node still knows, of a store that was restored: the others get what is theirs."""
    group = await stage.group(1, 2)
    two, group_id = await stage.id(2), await stage.id(group)
    nobody = Standing(-1, 0, kept=False, cursor=-1, stays=[])
    found = await stage.store.standings([(10**9, 1), (two, 1), (10**9, 2), (10**9 + 1, 1)])
    assert [one.head for one in found] == [-1, 1, -1, -1]
    assert found[0] == nobody
    assert [stay.group_xid for stay in found[1].stays] == [group]
    asked = [(two, 1, 10**9), (two, 1, group_id), (two, 1, 10**9 + 1), (two, 2, two)]
    assert [one.timeline_id for one in await stage.store.bearings(asked)] == [group_id, two]


async def test_bearings_of_many_devices(stage: Stage) -> None:
    """Each has the cursor of the device it is asked for."""
    await stage.send(1, 2)
    one, two = await stage.id(1), await stage.id(2)
    await stage.store.keep([Keep(one, 5, NOW, {one: 0, two: 1}, ()), Keep(two, 5, NOW, {one: 1}, ())])
    asked = [(one, 5, two), (two, 5, one), (one, 6, one), (one, 5, one), (two, 5, two)]
    found = await stage.store.bearings(asked)
    assert [(bearing.timeline_id, bearing.cursor) for bearing in found] == [
        (two, 1), (one, 1), (one, -1), (one, 0), (two, -1),
    ]  # fmt: skip


async def test_bearings_are_told_in_the_order_asked(stage: Stage) -> None:
    """Head, floor and cursor of each; -1 where none is stored."""
    group = await stage.group(1, 2)
    await stage.say(1, group)
    own, group_id = await stage.id(2), await stage.id(group)
    await stage.store.keep([Keep(own, 1, NOW, {group_id: 1}, ())])
    expected = [Bearing(group_id, 2, 0, 1), Bearing(own, 1, 0, -1)]
    assert await stage.store.bearings([(own, 1, group_id), (own, 1, own)]) == expected
    assert await stage.store.bearings([(own, 1, own), (own, 1, group_id)]) == expected[::-1]
    assert await stage.store.bearings([(0, 0, group_id)]) == [Bearing(group_id, 2, 0, -1)]
    assert await stage.store.bearings([]) == []
