"""What is done in the chatrooms of a run."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.day.run import GONE, Run, back, operation, phones, users
from tests.rest.stage import order

PUT_OUT = 10010
"""What a join is answered with where its device was put out meanwhile."""


@operation(users)
async def open_room(run: Run, owner: int) -> None:
    await run.create_room(run.user(owner))


@operation(phones, back, st.sampled_from(["head", "held", "all"]))
async def join_room(run: Run, phone: int, room: int, start: str) -> None:
    """A device goes in: where the chatroom is now, where it left off, or from the first entry kept."""
    device = run.phone(phone)
    async with run.locks[phone]:
        if device is not None and device.here:
            xid = run.room(room)
            held = device.view.rooms[xid].held if xid in device.view.rooms else 0
            seq = {"head": None, "held": held, "all": 0}[start]
            assert await device.join(xid, seq) in (200, GONE, PUT_OUT)


@operation(phones, back)
async def leave_room(run: Run, phone: int, room: int) -> None:
    """Out of it, and whatever is said then is not for who has left."""
    device, xid = run.phone(phone), run.room(room)
    async with run.locks[phone]:
        if device is not None and device.here:
            await device.leave(xid)
            await run.send(run.owner(xid), order([xid], "one is gone", type=2), GONE)


@operation(users, back, st.sampled_from([None, None, 60]), st.integers(1, 6))
async def say_in_room(run: Run, sender: int, room: int, seconds: int | None, count: int) -> None:
    """Whoever is there speaks, in it or not; some of it goes by itself."""
    for _ in range(count):
        body = order([run.room(room)], f"in the room {len(run.sent)}", type=2, expire_s=seconds)
        await run.send(run.caller(sender), body, GONE)


@operation(users, back)
async def put_out(run: Run, user: int, room: int) -> None:
    """Somebody who is in it, if anybody is, is put out, does not hear what is said then, and is free to come back."""
    xid = run.room(room)
    known = ((phone.user, phone.view.rooms.get(xid)) for phone in run.phones)
    inside = run.there([there for there, found in known if found is not None and found.inside])
    answer = await run.owner(xid).change("kick", xid, inside[0] if inside else run.user(user))
    assert answer.code in (200, GONE), answer.envelope
    await run.send(run.owner(xid), order([xid], "one was put out", type=2), GONE)


@operation(back)
async def close_room(run: Run, room: int) -> None:
    xid = run.room(room)
    answer = await run.owner(xid).change("destroy", xid)
    assert answer.code in (200, GONE), answer.envelope
