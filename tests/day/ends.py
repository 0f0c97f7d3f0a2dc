"""How messages and users end in a run: by their time, by age, with whoever sent them."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st

from gateway.wire.close import Close
from tests.day.operations import BLOCKED, NO_MESSAGE
from tests.day.run import ILLEGAL_TOKEN, USERS, Run, anyone, back, operation, users
from tests.rest.stage import order

HOUR_S = 3600


@operation(users, anyone, st.sampled_from([60, 2 * HOUR_S]))
async def text_for_a_while(run: Run, sender: int, target: int, seconds: int) -> None:
    """A text that goes by itself."""
    kind = 1 if target < len(USERS) else 2
    body = order([run.party(target)], "for a while", type=kind, expire_s=seconds)
    await run.send(run.caller(sender), body, BLOCKED, *run.outside(target))


@operation(back, st.sampled_from([60, 2 * HOUR_S]))
async def amend_for_a_while(run: Run, ago: int, seconds: int) -> None:
    """What is appended has a time of its own, or that of what it is appended to, whichever is sooner."""
    mine = [sent for sent in run.sent if sent[1] in run.there([*USERS])]
    if mine:
        msg_id, sender, target = mine[-1 - ago % len(mine)]
        kind = 1 if target in USERS else 2
        body = order([target], "more", type=kind, content_type=11, related_mid=msg_id, expire_s=seconds)
        answer = await run.town.people[sender].post("/message/send", body)
        expected = (200, BLOCKED, NO_MESSAGE, *run.outside(len(USERS)), *run.nobody(target))
        assert answer.code in expected, answer.envelope


@operation(st.sampled_from([61, HOUR_S, 13 * HOUR_S]))
async def wait(run: Run, seconds: int) -> None:
    """Time passes, and what is due is not wiped yet: devices hide it by themselves."""
    run.town.clock.move(s=seconds)


@operation()
async def expire(run: Run) -> None:
    await run.town.node.gateway.retention.expire()


@operation(st.sampled_from([0, 25 * HOUR_S]))
async def sweep(run: Run, seconds: int) -> None:
    """What is older than a day is removed, and floors rise; after more than a day that is everything."""
    run.town.clock.move(s=seconds)
    await run.town.node.gateway.retention.sweep()


@operation(users, st.booleans(), anyone)
async def erase(run: Run, user: int, by_itself: bool, target: int) -> None:
    """A user is erased while it writes; its devices are sent away, its groups go to heirs, and two stay behind."""
    if len(run.there([*USERS])) <= 2:
        return
    caller, admin = run.caller(user), run.town.people[0]
    mine = [phone for phone in run.phones if phone.user == caller.xid]
    here = [phone for phone in mine if phone.here]
    run.town.erased.add(caller.xid)
    kind = 1 if target < len(USERS) else 2
    last = caller.post("/message/send", order([run.party(target)], "my last words", type=kind))
    end = caller.post("/user/delete") if by_itself else admin.post("/user/delete", {"user_id": caller.xid})
    said, ended = await asyncio.gather(last, end)
    assert ended.done, ended.envelope
    expected = (200, BLOCKED, *run.outside(target), ILLEGAL_TOKEN, *run.nobody(caller.xid))
    assert said.code in expected, said.envelope
    for phone in here:
        assert await phone.sent_away() == Close.TOKEN_ILLEGAL
    await run.jobs_done()
    for group in run.owners:
        run.owners[group] = run.town.owner(group)
