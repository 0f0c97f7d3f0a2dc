"""What the scenarios with devices need of a gateway: users in groups, who call, and their devices."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from scripts.benchlib.programs import Served
from scripts.benchlib.sockets import Fleet, handshakes
from scripts.loadlib.crowd import Crowd, Target
from scripts.loadlib.ledger import Ledger
from scripts.loadlib.sender import Caller, Draft, Principal, Pump

TEXT_BYTES = 100
"""The length of a message's text, everywhere."""

Drafting = Callable[[Principal, int], Draft]


def crowd_of(served: Served, users: int) -> Crowd:
    """Users that nobody has named yet."""
    return Crowd(Target("127.0.0.1", served.program.port, served.program.pid, served.signer, ""), users)


@contextlib.asynccontextmanager
async def town(
    served: Served, fleet: Fleet, users: int, *, group_size: int, groups_each: int = 1, callers: int = 0
) -> AsyncIterator[Crowd]:
    """Make users, put each into `groups_each` groups, let callers speak for some, and connect a device for each."""
    crowd = crowd_of(served, users)
    try:
        await crowd.make_groups(group_size, groups_each)
        await crowd.open_callers(callers)
        uids = [crowd.uid(index) for index in range(users)]
        await fleet.connect(handshakes(served.program.port, served.signer, uids))
        yield crowd
    finally:
        fleet.close()
        crowd.close()


def pump_of(draft: Drafting, messages: int, rate: float = 0.0, text_bytes: int = TEXT_BYTES) -> Pump:
    """Sends to come. That all of them arrive is seen by counting, so the ledger is nobody's to read."""
    return Pump(
        run_id="bench", messages=messages, rate=rate, text_bytes=text_bytes, draft=draft, ledger=Ledger()
    )


async def pumped(pump: Pump, callers: list[Caller]) -> None:
    """Send it all, or until the pump is stopped.

    Raises:
        RuntimeError: A send was refused, or not answered, or there was no caller left to send it.
    """
    pump.start(callers)
    await pump.finished.wait()
    if pump.refused or pump.unanswered:
        raise RuntimeError(f"sends failed: {dict(pump.refused)}, {pump.unanswered} without an answer")
    if all(caller.gone for caller in callers):
        raise RuntimeError("the connections of all callers were closed")


def to_group(crowd: Crowd) -> Drafting:
    """Each caller sends to the group that its user is in, or to one after the other of several."""
    return lambda who, number: Draft((), _body(2, crowd.group_of(who.uid, number)), b'"}')


def to_user(uid: Callable[[Principal, int], int]) -> Drafting:
    """A caller sends to the user that `uid` names for it and the number of the send."""
    return lambda who, number: Draft((), _body(1, uid(who, number)), b'"}')


def _body(kind: int, target: int) -> bytes:
    return b'{"type":%d,"targets":[%d],"content_type":0,"content":"' % (kind, target)
