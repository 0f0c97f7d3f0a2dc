"""Which device is connected where: attach numbers, and what becomes of the writes of replaced connections."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.domain.model import State
from gateway.domain.positions import Ack, Attach, Attachment, Keep
from gateway.store.base import Store
from tests.store.stage import LIMITS, NOW, Stage

NODE, OTHER = 101, 102


async def beating(stage: Stage, xid: int = 1) -> int:
    """A user, and two nodes that live."""
    for node in (NODE, OTHER):
        await stage.store.beat(node)
    return (await stage.user(xid)).id


async def attach(store: Store, user_id: int, sn: int = 1, node: int = NODE) -> Attachment:
    [number] = await store.attach([Attach(user_id, sn, node)])
    return Attachment(user_id, sn, number)


def ack(connection: Attachment, xid: int, seq: int) -> Ack:
    """An ack of a user's own timeline."""
    return Ack(
        connection.user_id, xid, connection.device_sn, connection.user_id, seq, NOW, connection.attach_no
    )


def keep(connection: Attachment, cursor: int = 0) -> Keep:
    return Keep(
        connection.user_id,
        connection.device_sn,
        NOW,
        {connection.user_id: cursor},
        (),
        attach_no=connection.attach_no,
    )


async def positions(store: Store, user_id: int, sn: int = 1) -> tuple[bool, int, int]:
    """Whether a device is kept, its cursor, and what was delivered to its user."""
    [standing] = await store.standings([(user_id, sn)])
    [bearing] = await store.bearings([(user_id, sn, user_id)])
    return standing.kept, bearing.cursor, standing.delivered


async def test_a_beat_tells_the_epoch_and_who_lives(stage: Stage) -> None:
    """Every node that beats, until it leaves."""
    assert (await stage.store.beat(NODE)).nodes == [NODE]
    pulse = await stage.store.beat(OTHER)
    assert (pulse.epoch, sorted(pulse.nodes)) == (stage.store.epoch, [NODE, OTHER])
    await stage.store.leave(NODE)
    assert (await stage.store.beat(OTHER)).nodes == [OTHER]


async def test_attach_numbers_rise(stage: Stage) -> None:
    """With every attaching, of whichever device and node, and in the order asked."""
    user_id = await beating(stage)
    numbers = await stage.store.attach([Attach(user_id, sn, NODE) for sn in (3, 1, 2)])
    numbers += await stage.store.attach([Attach(user_id, 2, OTHER), Attach(user_id, 3, NODE)])
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 0


async def test_of_one_device_asked_twice_the_later_is_connected(stage: Stage) -> None:
    """Both are answered; the first is replaced at once."""
    user_id = await beating(stage)
    numbers = await stage.store.attach([Attach(user_id, 1, NODE), Attach(user_id, 1, NODE)])
    first, second = (Attachment(user_id, 1, number) for number in numbers)
    assert await stage.store.replaced([first, second]) == [first]


async def test_a_newer_connection_replaces_the_older(stage: Stage) -> None:
    """On whichever node; other devices stay as they are."""
    user_id = await beating(stage)
    first, other = await attach(stage.store, user_id), await attach(stage.store, user_id, sn=2)
    assert await stage.store.replaced([first, other]) == []
    second = await attach(stage.store, user_id, node=OTHER)
    assert await stage.store.replaced([other, first, second]) == [first]
    assert await stage.store.attached(user_id) == [1, 2]
    assert await stage.store.present([12345, user_id, user_id]) == {user_id}


async def test_acks_of_a_replaced_connection_move_nothing(stage: Stage) -> None:
    """Neither the cursor nor *delivered*, and nobody is told; its successor's do."""
    user_id = await beating(stage, 2)
    sent = await stage.send(1, 2)
    old = await attach(stage.store, user_id)
    await stage.store.keep([keep(old)])
    new = await attach(stage.store, user_id, node=OTHER)
    advanced = await stage.store.advance([ack(old, 2, 1)])
    assert (advanced.changes, advanced.replaced) == ([], [old])
    assert await positions(stage.store, user_id) == (True, 0, 0)
    advanced = await stage.store.advance([ack(old, 2, 1), ack(new, 2, 1)])
    assert ([change.msg_id for change in advanced.changes], advanced.replaced) == (
        [sent.first_msg_id],
        [old],
    )
    assert await positions(stage.store, user_id) == (True, 1, 1)


async def test_of_two_connections_that_keep_a_device_the_current_one_wins(stage: Stage) -> None:
    """The other is told that it is replaced, and nothing of it is kept."""
    user_id = await beating(stage, 2)
    for _ in range(3):
        await stage.send(1, 2)
    old, new = await attach(stage.store, user_id), await attach(stage.store, user_id, node=OTHER)
    assert await stage.store.keep([keep(old, 2)]) == [old]
    assert await positions(stage.store, user_id) == (False, -1, 0)
    assert await stage.store.keep([keep(new, 3), keep(old, 2)]) == [old]
    assert await positions(stage.store, user_id) == (True, 3, 0)


async def test_a_dismissed_devices_writes_count_not(stage: Stage) -> None:
    """Until it connects anew."""
    user_id = await beating(stage, 2)
    await stage.send(1, 2)
    dismissed, other = await attach(stage.store, user_id), await attach(stage.store, user_id, sn=2)
    await stage.store.dismiss(user_id, 1)
    assert await stage.store.attached(user_id) == [2]
    assert await stage.store.replaced([dismissed, other]) == [dismissed]
    assert (await stage.store.advance([ack(dismissed, 2, 1)])).replaced == [dismissed]
    assert await stage.store.keep([keep(dismissed)]) == [dismissed]
    assert await positions(stage.store, user_id) == (False, -1, 0)
    assert (await stage.store.advance([ack(await attach(stage.store, user_id), 2, 1)])).replaced == []


async def test_every_device_of_a_user_may_be_dismissed(stage: Stage) -> None:
    """And no other user's."""
    user_id, other = await beating(stage), (await stage.user(2)).id
    for sn in (1, 2, 3):
        await attach(stage.store, user_id, sn)
    await attach(stage.store, other)
    await stage.store.dismiss(user_id)
    assert await stage.store.attached(user_id) == []
    assert await stage.store.attached(other) == [1]


async def test_writes_of_no_connection_are_always_believed(stage: Stage) -> None:
    """Number 0 stands for none."""
    user_id = await beating(stage, 2)
    await stage.send(1, 2)
    await attach(stage.store, user_id)
    nobody = Attachment(user_id, 1, 0)
    assert await stage.store.keep([keep(nobody)]) == []
    assert (await stage.store.advance([ack(nobody, 2, 1)])).replaced == []
    assert await positions(stage.store, user_id) == (True, 1, 1)


async def test_a_user_has_so_many_devices_connected(engine: str, tmp_path: Path) -> None:
    """One more is not let in; a device that comes again is, and so is another once one has gone."""
    bounds = msgspec.structs.replace(LIMITS, devices_per_user_max=2)
    async with Stage(engine, tmp_path / "data", bounds) as stage:
        user_id = await beating(stage)
        numbers = await stage.store.attach([Attach(user_id, sn, NODE) for sn in (1, 2, 3, 1)])
        assert [number > 0 for number in numbers] == [True, True, False, True]
        assert (await attach(stage.store, user_id, 3, OTHER)).attach_no == 0
        assert await stage.store.attached(user_id) == [1, 2]
        await stage.store.detach([Attachment(user_id, 2, numbers[1])])
        assert (await attach(stage.store, user_id, 3, OTHER)).attach_no > 0
        assert await stage.store.attached(user_id) == [1, 3]


async def test_the_end_of_a_replaced_connection_ends_nothing(stage: Stage) -> None:
    """Its device is connected still."""
    user_id = await beating(stage)
    old, new = await attach(stage.store, user_id), await attach(stage.store, user_id)
    await stage.store.detach([old])
    assert await stage.store.attached(user_id) == [1]
    await stage.store.detach([new, old])
    assert await stage.store.attached(user_id) == []


async def test_a_node_that_leaves_takes_its_devices_along(stage: Stage) -> None:
    """Those of others stay."""
    user_id = await beating(stage)
    here, there = await attach(stage.store, user_id), await attach(stage.store, user_id, 2, OTHER)
    await stage.store.leave(NODE)
    assert await stage.store.attached(user_id) == [2]
    assert await stage.store.replaced([here, there]) == [here]


async def test_nobody_has_no_devices(store: Store) -> None:
    """Asking for nothing is no error."""
    assert await store.attached(12345) == []
    assert await store.present([]) == await store.present([12345]) == set()
    assert await store.attach([]) == []
    assert await store.replaced([]) == []
    assert await store.outdated([]) == {}
    await store.detach([])
    await store.dismiss(12345)
    await store.leave(NODE)


async def test_it_is_told_who_may_not_act(stage: Stage) -> None:
    """Of those asked about."""
    ids = [(await stage.user(xid)).id for xid in (1, 2, 3, 4)]
    await stage.store.set_state(stage.app.id, [2, 4, 3], State.FROZEN, NOW, create=False)
    await stage.store.set_state(stage.app.id, [3], State.NORMAL, NOW, create=False)
    frozen = {(ids[3], 0): State.FROZEN, (ids[1], 0): State.FROZEN}
    assert await stage.store.outdated([(user_id, 0) for user_id in ids]) == frozen
    assert await stage.store.outdated([(ids[0], 0)]) == {}


async def test_it_is_told_whose_tokens_count_from_another_time_on(stage: Stage) -> None:
    """Who knows the new time is not told."""
    user_id = (await stage.user(1)).id
    changed = await stage.store.set_password(user_id, None, "record", NOW)
    assert changed
    assert await stage.store.outdated([(user_id, 0), (user_id, changed)]) == {(user_id, 0): State.NORMAL}


async def test_who_attaches_after_a_dismissal_has_a_greater_number(stage: Stage) -> None:
    """So that a note of it that comes late is not taken for the newer connection's."""
    user_id = await beating(stage)
    older = await attach(stage.store, user_id)
    number = await stage.store.dismiss(user_id)
    assert older.attach_no < number < (await attach(stage.store, user_id)).attach_no


async def test_another_epoch_jumps_over_ids(stage: Stage) -> None:
    """By more than a lost tail of commits can have given away; it outlives a restart."""
    before, first = stage.store.epoch, await stage.store.reserve(1)
    epoch = await stage.store.renew_epoch()
    assert epoch == stage.store.epoch != before
    assert await stage.store.reserve(1) > first + 2**32
    assert (await stage.store.beat(NODE)).epoch == epoch
    await stage.restart()
    assert stage.store.epoch == epoch


async def test_reserved_ids_are_nobody_elses(stage: Stage) -> None:
    """However many are taken at once."""
    taken: set[int] = set()
    for count in (1, 1000, 5000, 4096, 10_000):
        first = await stage.store.reserve(count)
        taken.update(range(first, first + count))
    assert len(taken) == 20_097
