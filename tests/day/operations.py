"""What users, devices and the operator do in a run of the property test: one table, easy to extend."""

from __future__ import annotations

from hypothesis import strategies as st

from gateway.core.order import Order
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import Scope
from tests.day.run import (
    BANNED,
    GONE,
    NOT_A_MEMBER,
    USERS,
    Run,
    anyone,
    back,
    groups,
    operation,
    phones,
    some,
    users,
)
from tests.day.view import USER
from tests.rest.stage import order

OWNER_STAYS, BLOCKED = 20004, 10006
TOO_LATE, NO_MESSAGE = 60002, 60003
OUT_OF_GROUP, GONE_APPLICATION, IS_MEMBER, IS_BLOCKED = 20005, 20014, 20017, 20018
BLOCKS_ITSELF = 10002


# -- messages --------------------------------------------------------------------------------------------


@operation(users, users)
async def text(run: Run, sender: int, target: int) -> None:
    """A text to a user, to oneself at times."""
    await run.send(run.caller(sender), order([USERS[target]], f"text {len(run.sent)}", ext="x"), BLOCKED)


@operation(users, some)
async def text_to_many(run: Run, sender: int, targets: list[int]) -> None:
    await run.send(run.caller(sender), order(targets, "to many"), BLOCKED)


@operation(users, groups)
async def say(run: Run, sender: int, group: int) -> None:
    body = order([run.group(group)], f"say {len(run.sent)}", type=2)
    await run.send(run.caller(sender), body, GONE, NOT_A_MEMBER, BANNED)


@operation(phones, anyone)
async def type_in(run: Run, phone: int, target: int) -> None:
    """A text from a device that is on; it comes back to that device as an entry too."""
    device = run.phone(phone)
    async with run.locks[phone]:
        if device is not None and device.here:
            kind = 1 if target < len(USERS) else 2
            await device.peer.say(op="send", ref=1, **order([run.party(target)], "typed", type=kind))
            await device.echo()


@operation(users, groups, some)
async def whisper(run: Run, sender: int, group: int, only: list[int]) -> None:
    """A text to some members of a group, as a dialect asks the core for it: an entry in the timeline of each."""
    caller, xid, core = run.caller(sender), run.group(group), run.town.node.gateway.core
    principal = await core.directory.principal("demo", caller.headers["access-token"], None, None)
    asked = Order(scope=Scope.GROUP, targets=(xid,), ctype=0, content="psst", only=tuple(only))
    try:
        first, last = await core.messaging.send(principal, asked)
    except Problem as problem:
        expected = {Kind.GROUP_UNKNOWN, Kind.NOT_A_MEMBER, Kind.FORBIDDEN}
        assert problem.kind in expected, problem.sentence  # noqa: PT017 - anything else is raised on as it is
    else:
        run.add([*range(first, last + 1)], caller.xid, [xid] * len(only))


@operation(some)
async def notify(run: Run, targets: list[int]) -> None:
    admin = run.town.people[0]
    run.note(await admin.post("/message/notify", order(targets, "notice")), admin.xid, targets)


@operation(groups)
async def notify_group(run: Run, group: int) -> None:
    """A notice to a group; that one needs no member."""
    admin = run.town.people[0]
    body = order([run.group(group)], "all take notice", type=2)
    run.note(await admin.post("/message/notify", body), admin.xid, [run.group(group)], GONE)


@operation(users, users)
async def notify_from(run: Run, sender: int, target: int) -> None:
    """A notice in a user's name: an entry in the receiver's timeline only."""
    admin = run.town.people[0]
    body = order([USERS[target]], "in your name", from_user_id=USERS[sender])
    run.note(await admin.post("/message/notify", body), USERS[sender], [USERS[target]])


@operation(back)
async def recall(run: Run, ago: int) -> None:
    """Its sender takes one of the newest messages back, if still among those who may."""
    if run.sent:
        msg_id, sender, target = run.sent[-1 - ago % len(run.sent)]
        if sender not in run.town.erased:
            caller = run.town.people.get(sender, run.town.people[0])
            answer = await caller.recall(target, msg_id)
            assert answer.code in (200, GONE, NOT_A_MEMBER, TOO_LATE, NO_MESSAGE), answer.envelope


@operation(back)
async def recall_by_owner(run: Run, ago: int) -> None:
    if run.sent:
        msg_id, _, target = run.sent[-1 - ago % len(run.sent)]
        if target in run.owners:
            answer = await run.owner(target).recall(target, msg_id)
            assert answer.code in (200, GONE, NO_MESSAGE, *run.left(target)), answer.envelope


@operation(back, st.sampled_from([11, 12]))
async def amend(run: Run, ago: int, ctype: int) -> None:
    """Its sender appends to a message, or replaces it: an entry of its own, in no history and no count."""
    mine = [sent for sent in run.sent if sent[1] in USERS and sent[1] not in run.town.erased]
    if mine:
        msg_id, sender, target = mine[-1 - ago % len(mine)]
        kind = 1 if target in USERS else 2
        body = order([target], "more", type=kind, content_type=ctype, related_mid=msg_id)
        answer = await run.town.people[sender].post("/message/send", body)
        expected = (200, GONE, NOT_A_MEMBER, BANNED, BLOCKED, NO_MESSAGE, *run.nobody(target))
        assert answer.code in expected, answer.envelope


@operation(users, anyone)
async def delete(run: Run, user: int, conversation: int) -> None:
    answer = await run.caller(user).delete(run.party(conversation))
    assert answer.code in (200, NOT_A_MEMBER), answer.envelope


@operation(users, anyone)
async def read(run: Run, user: int, conversation: int) -> None:
    answer = await run.caller(user).ack(conversation_id=run.party(conversation))
    assert answer.code in (200, NOT_A_MEMBER), answer.envelope


@operation()
async def broadcast(run: Run) -> None:
    """A message to everybody there is; some may get it after this was answered."""
    answer = await run.town.people[0].post("/message/broadcast", order(None, "to everybody"))
    assert answer.code == 200, answer.envelope


@operation(users, users)
async def block(run: Run, user: int, other: int) -> None:
    """Texts between the two are refused from then on, and whatever there was stays."""
    caller = run.caller(user)
    answer = await caller.post("/roster/block", {"user_id": USERS[other]})
    itself = [BLOCKS_ITSELF] if caller.xid == USERS[other] else []
    assert answer.code in (200, *itself, *run.nobody(USERS[other])), answer.envelope


@operation(users, users)
async def unblock(run: Run, user: int, other: int) -> None:
    answer = await run.caller(user).post("/roster/unblock", {"user_id": USERS[other]})
    assert answer.code in (200, *run.nobody(USERS[other])), answer.envelope


# -- groups ----------------------------------------------------------------------------------------------


@operation(users, some)
async def create(run: Run, owner: int, members: list[int]) -> None:
    await run.create(run.user(owner), run.there(members))


@operation(groups, some)
async def invite(run: Run, group: int, who: list[int]) -> None:
    xid = run.group(group)
    answer = await run.owner(xid).change("invite", xid, *who)
    assert answer.code in (200, GONE, *run.nobody(*who)), answer.envelope


@operation(groups, some)
async def kick(run: Run, group: int, who: list[int]) -> None:
    xid = run.group(group)
    answer = await run.owner(xid).change("kick", xid, *who)
    assert answer.code in (200, GONE), answer.envelope


@operation(groups, users)
async def leave(run: Run, group: int, user: int) -> None:
    answer = await run.caller(user).change("leave", run.group(group))
    assert answer.code in (200, GONE, OWNER_STAYS), answer.envelope


@operation(groups, some)
async def come_again(run: Run, group: int, who: list[int]) -> None:
    """Out and in at once: a new stay, one entry after the last."""
    await kick(run, group, who)
    await invite(run, group, who)


@operation(users, some)
async def create_open_book(run: Run, owner: int, members: list[int]) -> None:
    """A group that shows its history to who joins."""
    body = {"name": "open", "user_list": run.there(members), "history_visible": True}
    group = int((await run.caller(owner).post("/group/create", body)).data["group_id"])
    run.town.groups.append(group)
    run.groups.append(group)
    run.owners[group] = run.user(owner)


@operation(groups, users)
async def apply(run: Run, group: int, user: int) -> None:
    """Somebody asks to be let in, and is."""
    xid = run.group(group)
    answer = await run.caller(user).post("/group/apply", {"group_id": xid})
    assert answer.code in (200, GONE, IS_MEMBER, IS_BLOCKED), answer.envelope
    if answer.code == 200:
        told = {"group_id": xid, "user_id": run.user(user), "approval": True}
        answer = await run.owner(xid).post("/group/apply/handle", told)
        assert answer.code in (200, GONE, GONE_APPLICATION, IS_MEMBER), answer.envelope


@operation(st.sampled_from(["ban", "unban", "block", "unblock"]), groups, some)
async def hold_off(run: Run, what: str, group: int, who: list[int]) -> None:
    """Members are silenced for good, or kicked and kept out; or that is taken back."""
    xid = run.group(group)
    who = [user for user in who if user != run.owners[xid]]
    if who:
        answer = await run.owner(xid).change(what, xid, *who)
        assert answer.code in (200, GONE), answer.envelope


@operation(groups, users)
async def hand_over(run: Run, group: int, user: int) -> None:
    """The group gets another owner; no entry tells of it."""
    xid = run.group(group)
    body = {"group_id": xid, "new_owner": USERS[user]}
    answer = await run.owner(xid).post("/group/transfer", body)
    assert answer.code in (200, GONE, OUT_OF_GROUP), answer.envelope
    if answer.code == 200:
        run.owners[xid] = USERS[user]


@operation(groups)
async def destroy(run: Run, group: int) -> None:
    xid = run.group(group)
    answer = await run.owner(xid).change("destroy", xid)
    assert answer.code == 200, answer.envelope


# -- devices ---------------------------------------------------------------------------------------------


@operation(phones, st.sampled_from(["stored", "held", "stale", "nothing"]))
async def connect(run: Run, phone: int, how: str) -> None:
    """Attach: from the stored cursors, from those held, or from staler ones."""
    device = run.phone(phone)
    if device is None:
        return
    held = device.view.held
    stated = {
        "stored": None,
        "held": dict(held),
        "stale": {timeline: seq // 2 for timeline, seq in held.items()},
        "nothing": {USER: 0, **dict.fromkeys(held, 0)},
    }[how]
    async with run.locks[phone]:
        await device.on(stated or None)


@operation(phones, st.booleans())
async def disconnect(run: Run, phone: int, cut: bool) -> None:
    device = run.phone(phone)
    async with run.locks[phone]:
        if device is not None:
            await device.off(cut=cut)


@operation(phones, st.sampled_from([0.5, 1.0]))
async def ack(run: Run, phone: int, share: float) -> None:
    device = run.phone(phone)
    async with run.locks[phone]:
        if device is not None:
            await device.ack(share)


@operation(phones)
async def kick_device(run: Run, phone: int) -> None:
    """It is sent away, and nothing of it is forgotten."""
    device = run.phone(phone)
    if device is None:
        return
    async with run.locks[phone]:
        answer = await run.town.people[device.user].post("/user/kick", {"device_sn": device.device_sn})
        assert answer.code == 200, answer.envelope
        await device.off()


@operation(phones)
async def remove_device(run: Run, phone: int) -> None:
    """The gateway forgets it; what it holds it still holds, and has to state when it comes back."""
    device = run.phone(phone)
    if device is None:
        return
    async with run.locks[phone]:
        answer = await run.town.people[device.user].post(
            "/user/device/remove", {"device_sn": device.device_sn}
        )
        assert answer.code == 200, answer.envelope
        device.forgotten = True
        await device.off()


@operation(users, users)
async def freeze(run: Run, user: int, sender: int) -> None:
    """A user is out for a while, and is written to meanwhile."""
    admin, frozen = run.town.people[0], run.user(user)
    assert (await admin.call("PUT", "/user/disable", {"list": [frozen]})).code == 200
    for phone in run.phones:
        if phone.user == frozen:
            await phone.off()
    if run.user(sender) != frozen:
        await run.send(run.caller(sender), order([frozen], "to one who is frozen"), BLOCKED)
    assert (await admin.call("PUT", "/user/enable", {"list": [frozen]})).code == 200


@operation()
async def restart(run: Run) -> None:
    """The gateway drains and starts again; nobody comes back by itself."""
    await run.town.restart()
    for phone in run.phones:
        await phone.off()
