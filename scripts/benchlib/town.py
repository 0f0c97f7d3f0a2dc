"""What the scenarios with devices need of a gateway: users in groups, who call, and their devices."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from scripts.benchlib.programs import Served
from scripts.benchlib.sockets import Fleet, handshakes
from scripts.loadlib.crowd import Crowd, Target
from scripts.loadlib.ledger import Ledger
from scripts.loadlib.sender import Draft, Principal, Pump

TEXT_BYTES = 100
"""The length of a message's text, everywhere."""

Drafting = Callable[[Principal, int], Draft]


class Town(NamedTuple):
    """Users of a running gateway with a device each, all live."""

    crowd: Crowd
    fleet: Fleet


def crowd_of(served: Served, users: int) -> Crowd:
    """Users that nobody has named yet."""
    return Crowd(Target("127.0.0.1", served.program.port, served.program.pid, served.signer, ""), users)


@contextlib.asynccontextmanager
async def town(
    served: Served, users: int, *, group_size: int = 0, callers: int = 0, tracked: bool = False
) -> AsyncIterator[Town]:
    """Make users, put them into groups (0: none), let callers speak for some, and connect a device for each."""
    crowd = crowd_of(served, users)
    fleet = Fleet(served.program.port, tracked=tracked)
    try:
        if group_size:
            await crowd.make_groups(group_size)
        await crowd.open_callers(callers)
        uids = [crowd.uid(index) for index in range(users)]
        await fleet.connect(handshakes(served.program.port, served.signer, uids))
        yield Town(crowd, fleet)
    finally:
        fleet.close()
        crowd.close()


def pump_of(draft: Drafting, messages: int, rate: float = 0.0, text_bytes: int = TEXT_BYTES) -> Pump:
    """Sends to come. That all of them arrive is seen by counting, so the ledger is nobody's to read."""
    return Pump(
        run_id="bench", messages=messages, rate=rate, text_bytes=text_bytes, draft=draft, ledger=Ledger()
    )


async def pumped(pump: Pump, crowd: Crowd) -> None:
    """Send it all. Raises `RuntimeError` for a send that was refused, or not answered."""
    pump.start(crowd.callers)
    await pump.finished.wait()
    if pump.refused or pump.unanswered:
        raise RuntimeError(f"sends failed: {dict(pump.refused)}, {pump.unanswered} without an answer")


def to_group(crowd: Crowd) -> Drafting:
    """Each caller sends to the group that its user is in."""
    return lambda who, _: Draft((), _body(2, crowd.group_of(who.uid)), b'"}')


def to_user(uid: Callable[[Principal, int], int]) -> Drafting:
    """A caller sends to the user that `uid` names for it and the number of the send."""
    return lambda who, number: Draft((), _body(1, uid(who, number)), b'"}')


def _body(kind: int, target: int) -> bytes:
    return b'{"type":%d,"targets":[%d],"content_type":0,"content":"' % (kind, target)
