"""Who has read a group's message; ids that are reserved; what many xids name."""

from __future__ import annotations

from gateway.domain.model import Scope
from gateway.store.base import Party, Readers
from tests.store.stage import Stage


async def test_readers_are_those_who_were_there(stage: Stage) -> None:
    """Members with a stay around the message, its sender left out; who left or came back is counted once."""
    group = await stage.group(1, 2, 3, 4)
    said = (await stage.say(1, group)).first_msg_id
    await stage.join(group, 5)
    app = stage.app.id
    assert await stage.store.readers(app, said, 0, 10) == Readers(0, 3, [])
    await stage.read(3, group)
    await stage.read(2, group)
    await stage.read(1, group)
    assert await stage.store.readers(app, said, 0, 10) == Readers(2, 1, [2, 3])
    await stage.kick(group, 3)
    await stage.join(group, 3)
    await stage.read(5, group)
    assert await stage.store.readers(app, said, 0, 10) == Readers(2, 1, [2, 3])


async def test_readers_come_in_pages(stage: Stage) -> None:
    """By rising id, after the one given; the counts are those of all."""
    group = await stage.group(1, *range(20, 9, -1))
    said = (await stage.say(1, group)).first_msg_id
    for xid in range(10, 21):
        await stage.read(xid, group)
    assert await stage.store.readers(stage.app.id, said, 0, 3) == Readers(11, 0, [10, 11, 12])
    assert await stage.store.readers(stage.app.id, said, 18, 3) == Readers(11, 0, [19, 20])


async def test_who_has_not_read_is_named_too(stage: Stage) -> None:
    """The first of them by rising id, as many as asked for; the counts are those of all."""
    group = await stage.group(1, *range(20, 9, -1))
    said = (await stage.say(1, group)).first_msg_id
    for xid in (12, 15):
        await stage.read(xid, group)
    assert await stage.store.readers(stage.app.id, said, 0, 1, unread_max=3) == Readers(
        2, 9, [12], [10, 11, 13]
    )
    found = await stage.store.readers(stage.app.id, said, 0, 10, unread_max=100)
    assert found == Readers(2, 9, [12, 15], [10, 11, 13, 14, *range(16, 21)])


async def test_what_has_no_readers(stage: Stage) -> None:
    """A message between users, of another app or of nobody."""
    group = await stage.group(1, 2)
    said, sent = (await stage.say(1, group)).first_msg_id, (await stage.send(1, 2)).first_msg_id
    await stage.read(2, group)
    for app, msg_id in ((stage.app.id + 1, said), (stage.app.id, sent), (stage.app.id, 4711)):
        assert await stage.store.readers(app, msg_id, 0, 10) == Readers(0, 0, [])


async def test_reserved_ids_are_nobodys(stage: Stage) -> None:
    """No message gets one of them, and nobody gets them again, also after a restart."""
    before = (await stage.send(1, 2)).first_msg_id
    first = await stage.store.reserve(1_000)
    assert first > before
    await stage.restart()
    second = await stage.store.reserve(5)
    assert second >= first + 1_000
    assert (await stage.send(1, 2)).first_msg_id >= second + 5


async def test_what_many_xids_name(stage: Stage) -> None:
    """In the order asked, None for what is nobody's."""
    group = await stage.group(1)
    found = await stage.store.parties(stage.app.id, [group, 4711, 1, group])
    told = Party(await stage.id(group), group, Scope.GROUP)
    assert found == [told, None, Party(await stage.id(1), 1, Scope.USER), told]
    assert await stage.store.parties(stage.app.id + 1, [group]) == [None]
