"""Looking for messages in a conversation: what comes of it is what a plain list of them says, on every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.known import Known
from gateway.core.looking import Look, Looked, Looking
from gateway.core.principal import Principal
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import GroupSettings, SettingsDraft
from gateway.domain.limits import Limits
from gateway.domain.model import HistoryItem
from gateway.store.base import Readers
from tests.core.stage import refused
from tests.core.talk import APPEND, HOUR, Talk
from tests.postgres import clear_database
from tests.store.grouping import change
from tests.store.stage import NOW, Stage

FEW = Limits(look_scan_max=5)
"""So that what is rare is found only by asking again."""


@pytest.fixture(params=["sqlite", "postgres"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(request.param, tmp_path / "data") as made:
        yield made
    assert [x for x in made.check() if "relates" not in x and "related" not in x and "folded" not in x] == []
    await clear_database(tmp_path / "data")


def looking_of(stage: Stage, limits: Limits = FEW) -> Looking:
    known = Known(stage.store, limits, lambda: NOW, lambda: 0, lambda _: None)
    return Looking(stage.store, limits, known)


async def as_user(stage: Stage, xid: int, **members: Any) -> Principal:
    return Principal(app=stage.app, user=await stage.user(xid), **members)


async def through(look: Look, page: Callable[[Look], Awaitable[Looked]]) -> list[list[HistoryItem]]:
    """Follow `after` to the end."""
    pages = []
    while True:
        looked = await page(look)
        pages.append(looked.items)
        if not looked.after:
            return pages
        assert looked.after == looked.items[-1].msg_id
        look = msgspec.structs.replace(look, after=looked.after)


def compare(talk: Talk, pages: list[list[HistoryItem]], look: Look, expected: list[int]) -> None:
    """Pages hold what is expected, in this order and as it stands now; only the last is not full, nor empty."""
    found = [item for page in pages for item in page]
    assert [item.msg_id for item in found] == expected, look
    assert [(item.content, item.attachment, item.at, item.ctype) for item in found] == talk.told(expected)
    assert {len(page) for page in pages[:-1]} <= {look.limit}
    assert pages[-1] or len(pages) == 1


@pytest.mark.parametrize("hours_max", [0, 3, 100])
@pytest.mark.parametrize("kind", ["users", "group"])
async def test_pages_are_what_a_plain_list_says(stage: Stage, kind: str, hours_max: int) -> None:
    """Whatever is looked for, by whom and how: in order, whole, each page full but the last, and folded."""
    await stage.restart(Limits(look_hours_max=hours_max))
    talk = await Talk.held(stage, hours_max, await stage.group(1, 2, 3) if kind == "group" else 0)
    looking = looking_of(stage)
    for principal in (await as_user(stage, 1), await as_user(stage, 2)):
        opposite = talk.opposite(principal.user.xid)
        for _ in range(15):
            look = talk.look()
            pages = await through(look, lambda look: looking.page(principal, opposite, look))  # noqa: B023
            compare(talk, pages, look, talk.visible(principal.user.xid, look))


@pytest.mark.parametrize("kind", ["users", "group"])
async def test_threads_are_what_a_plain_list_says(stage: Stage, kind: str) -> None:
    """The replies that are looked for, page by page, and how many there are in all, as far as they are counted."""
    talk = await Talk.held(stage, 4, await stage.group(1, 2, 3) if kind == "group" else 0)
    looking, replies = looking_of(stage), 0
    for principal in (await as_user(stage, 1), await as_user(stage, 2)):
        xid = principal.user.xid
        for root in talk.roots(xid):
            total = len(talk.visible(xid, Look(limit=1), root))
            replies += total

            async def page(
                look: Look, root: int = root, total: int = total, who: Principal = principal
            ) -> Looked:
                thread = await looking.thread(who, talk.opposite(who.user.xid), root, look, total_max=4)
                assert (thread.root.msg_id, thread.total) == (root, min(4, total))
                return thread.page

            for _ in range(3):
                look = talk.look()
                compare(talk, await through(look, page), look, talk.visible(xid, look, root))
    assert replies > 10


@pytest.mark.parametrize("limit", [1, 3, 5])
@pytest.mark.parametrize("descending", [True, False])
async def test_what_was_imported_long_before(stage: Stage, *, limit: int, descending: bool) -> None:
    """What lies apart is looked through in the order looked for, and only as far as the page goes."""
    ids = [await stage.bring(1, 2, shown_at=NOW + 9 * HOUR + n) for n in range(3)]
    await stage.store.reserve(5_000_000)
    ids += [(await stage.send(1, 2, at=NOW + 9 * HOUR)).first_msg_id for _ in range(3)]
    looking, me = looking_of(stage, Limits()), await as_user(stage, 2)
    look = Look(from_ms=NOW + 9 * HOUR, to_ms=NOW + 10 * HOUR, descending=descending, limit=limit)
    pages = await through(look, lambda look: looking.page(me, 1, look))
    assert [item.msg_id for page in pages for item in page] == (ids[::-1] if descending else ids)


async def test_nobody_and_strangers(stage: Stage) -> None:
    """A conversation with nobody is empty; a group one is not in refuses, whatever is looked for in it."""
    looking, me = looking_of(stage), await as_user(stage, 1)
    group = await stage.group(2, 3)
    said = (await stage.say(2, group)).first_msg_id
    look = Look(limit=5)
    assert await looking.page(me, 4711, look) == Looked([], 0)
    assert await looking.some(me, 4711, [said]) == {}
    for asked in (look, Look(from_ms=5, to_ms=4, limit=5), Look(after=said, limit=5)):
        with refused(Kind.NOT_A_MEMBER) as refusal:
            await looking.page(me, group, asked)
        assert str(group) in refusal.sentence
    with refused(Kind.NOT_A_MEMBER):
        await looking.some(me, group, [said])
    with refused(Kind.NOT_A_MEMBER):
        await looking.thread(me, group, said, look)


async def test_who_acts_for_a_group_sees_that_one_only(stage: Stage) -> None:
    """Of any other conversation it is told nothing."""
    looking = looking_of(stage)
    group = await stage.group(1)
    owner = await as_user(stage, 1, admin=True, group_xid=group)
    await stage.users(2)
    assert await looking.page(owner, group, Look(limit=5)) == Looked([], 0)
    for ask in (
        looking.page(owner, 2, Look(limit=5)),
        looking.some(owner, 2, [1]),
        looking.thread(owner, 2, 1, Look(limit=5)),
        looking.readers(owner, 2, 1, 5),
    ):
        with refused(Kind.FORBIDDEN):
            await ask


async def test_some_are_folded_too(stage: Stage) -> None:
    """However they are asked for, and however often; in as many pieces as it takes to read them."""
    ids = [(await stage.send(1, 2)).first_msg_id for _ in range(4)]
    for msg_id in ids[1:]:
        await stage.send(1, 2, ctype=APPEND, content=" and more", related=msg_id)
    looking = looking_of(stage, Limits(look_bytes_max=1))
    found = await looking.some(await as_user(stage, 2), 1, [*ids, *ids])
    assert {msg_id: item.content for msg_id, item in found.items()} == {
        ids[0]: "hello",
        **dict.fromkeys(ids[1:], "hello and more"),
    }
    # Pages of devices leave it to them.
    assert {item.content for item in (await stage.history(2, 1)).items} == {"hello"}


async def test_what_is_taken_back_meanwhile_is_missing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is short, and the next one begins where it would have."""
    ids = [(await stage.send(1, 2)).first_msg_id for _ in range(3)]
    seek = stage.store.seek

    async def recall_then(*asked: Any) -> Any:
        found = await seek(*asked)
        await stage.recall(ids[1])
        return found

    monkeypatch.setattr(stage.store, "seek", recall_then)
    page = await looking_of(stage, Limits()).page(await as_user(stage, 2), 1, Look(limit=2))
    assert ([item.msg_id for item in page.items], page.after) == ([ids[2]], ids[1])


@pytest.mark.parametrize("gone", ["elsewhere", "recalled", "deleted", "folded", "nobody's"])
async def test_a_thread_needs_a_root_that_is_seen(stage: Stage, gone: str) -> None:
    """Otherwise there is no such message, for this user."""
    root = (await stage.send(1, 2)).first_msg_id
    match gone:
        case "elsewhere":
            root = (await stage.send(1, 3)).first_msg_id
        case "recalled":
            await stage.recall(root)
        case "deleted":
            await stage.delete(1, 2)
        case "folded":
            root = (await stage.send(1, 2, ctype=APPEND, related=root)).first_msg_id
        case _:
            root = 4711
    for opposite in (2, 4711):
        with refused(Kind.MESSAGE_UNKNOWN):
            await looking_of(stage).thread(await as_user(stage, 1), opposite, root, Look(limit=5))


async def test_who_has_read_and_who_has_not(stage: Stage) -> None:
    """Told to its sender, the group's owner and admins, and an app's admin, also one that acts for a member."""
    looking = looking_of(stage)
    group = await stage.group(1, *range(2, 9))
    said = (await stage.say(2, group)).first_msg_id
    for xid in (7, 3, 5):
        await stage.read(xid, group)
    told = Readers(3, 4, [3, 5], [1, 4])
    system = await as_user(stage, stage.app.system_xid, admin=True)
    for principal in (
        await as_user(stage, 1),
        await as_user(stage, 2),
        await as_user(stage, 3, admin=True, as_user=True),
        system,
    ):
        assert await looking.readers(principal, group, said, 2) == told
    whole = await looking.readers(system, group, said, 500)
    assert whole == Readers(3, 4, [3, 5, 7], [1, 4, 6, 8])
    with refused(Kind.FORBIDDEN):
        await looking.readers(await as_user(stage, 3), group, said, 2)
    with refused(Kind.NOT_A_MEMBER):
        await looking.readers(await as_user(stage, 9, admin=True, as_user=True), group, said, 2)


async def test_whose_readers_nobody_is_told(stage: Stage) -> None:
    """Of another conversation or of nobody's message there are none, between users that is no question."""
    looking, me = looking_of(stage), await as_user(stage, 1)
    group, other = await stage.group(1, 2), await stage.group(1, 2)
    said, sent = (await stage.say(1, group)).first_msg_id, (await stage.send(1, 2)).first_msg_id
    for opposite, msg_id in ((other, said), (2, said), (group, sent), (group, 4711), (4711, said)):
        with refused(Kind.MESSAGE_UNKNOWN):
            await looking.readers(me, opposite, msg_id, 5)
    with refused(Kind.BAD_PARAMETER):
        await looking.readers(me, 2, sent, 5)
    await change(stage, group, SettingsDraft, settings=GroupSettings(read_ack=False))
    with refused(Kind.FORBIDDEN):
        await looking.readers(me, group, said, 5)
