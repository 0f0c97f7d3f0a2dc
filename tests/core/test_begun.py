"""Sends that are begun and told of: the same answers as those that are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from gateway.core.groups import Groups
from gateway.core.handing import TellSent
from gateway.core.order import Order
from gateway.core.principal import Principal
from gateway.domain.drafts import Appended, Refused
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from tests.core.grouping import MEMBER, OWNER, STRANGER, make
from tests.core.stage import Stage, open_stage, refused
from tests.patience import WAIT_S

ORDER = Order(scope=Scope.USER, targets=(7,), ctype=0, content="hi")
KEYED = msgspec.structs.replace(ORDER, transaction_id=4)

Sent = tuple[int, int] | Problem | None


def telling() -> tuple[asyncio.Future[Sent], TellSent]:
    """What is told, and what tells it."""
    told: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
    return told, told.set_result


async def begun(stage: Stage, principal: Principal, order: Order) -> Sent:
    told, tell = telling()
    assert stage.core.messaging.begin(principal, order, tell)
    return await asyncio.wait_for(told, WAIT_S)


async def test_it_is_told_what_send_returns(stage: Stage) -> None:
    """A send that is begun is committed, and one with its transaction id gets the same answer down either way."""
    principal = await stage.user(5)
    plain, keyed = await begun(stage, principal, ORDER), await begun(stage, principal, KEYED)
    assert isinstance(plain, tuple)
    assert plain != keyed == await begun(stage, principal, KEYED)
    assert keyed == await stage.core.messaging.send(principal, KEYED)
    found = await stage.store.message(principal.app.id, plain[0])
    assert found is not None
    assert (found.sender_xid, found.target_xid, found.content) == (5, 7, "hi")


async def test_it_is_told_of_several_targets(stage: Stage) -> None:
    """The first and the last id."""
    told = await begun(stage, await stage.user(5), msgspec.structs.replace(ORDER, targets=(7, 8, 9)))
    assert isinstance(told, tuple)
    assert told[1] == told[0] + 2


async def test_an_administrator_sends_for_anybody(stage: Stage) -> None:
    """Whom it names is who sends."""
    principal = await stage.admin()
    told = await begun(stage, principal, msgspec.structs.replace(ORDER, from_xid=6))
    assert isinstance(told, tuple)
    found = await stage.store.message(principal.app.id, told[0])
    assert found is not None
    assert found.sender_xid == 6


async def test_to_a_group(stage: Stage) -> None:
    """It is begun by whoever is known to be let pass: the first one is awaited, and finds that out."""
    group = await make(stage)
    principal = await stage.user(OWNER)
    order = msgspec.structs.replace(KEYED, scope=Scope.GROUP, targets=(group.xid,))
    told, tell = telling()
    assert not stage.core.messaging.begin(principal, order, tell)
    first = await stage.core.messaging.send(principal, order)
    assert await begun(stage, principal, order) == first
    another = await begun(stage, principal, msgspec.structs.replace(order, transaction_id=5))
    assert isinstance(another, tuple)
    assert another > first
    assert not stage.core.messaging.begin(await stage.user(MEMBER), order, tell)
    assert not told.done()


async def test_a_notification_to_a_group(stage: Stage) -> None:
    """It asks for no membership, but for a group that is known to stand."""
    group = await make(stage)
    order = msgspec.structs.replace(ORDER, scope=Scope.GROUP, targets=(group.xid,))
    await stage.core.messaging.send(await stage.user(OWNER), order)
    told, tell = telling()
    assert stage.core.messaging.begin(await stage.admin(), order, tell, notice=True)
    assert isinstance(await asyncio.wait_for(told, WAIT_S), tuple)


async def test_a_group_that_has_changed(stage: Stage) -> None:
    """Nothing is done by what was judged before: it is for `send`, and the next one is begun again."""
    group = await make(stage)
    principal = await stage.user(OWNER)
    order = msgspec.structs.replace(ORDER, scope=Scope.GROUP, targets=(group.xid,))
    await stage.core.messaging.send(principal, order)
    await stage.groups.invite(principal, group.xid, [STRANGER])
    asked = [(0, 0, group.id)]
    before = await stage.store.bearings(asked)
    assert await begun(stage, principal, order) is None
    assert await stage.store.bearings(asked) == before
    assert not stage.core.messaging.begin(principal, order, telling()[1])
    await stage.core.messaging.send(principal, order)
    assert isinstance(await begun(stage, principal, order), tuple)


@pytest.mark.parametrize(
    ("happens", "kind"),
    [
        (lambda groups, owner, xid: groups.bans.ban(owner, xid, [MEMBER], 0), Kind.BANNED),
        (lambda groups, owner, xid: groups.kick(owner, xid, [MEMBER]), Kind.NOT_A_MEMBER),
        (lambda groups, owner, xid: groups.destroy(owner, xid), Kind.GROUP_UNKNOWN),
    ],
)
async def test_whoever_may_not_speak_any_more(
    stage: Stage, happens: Callable[[Groups, Principal, int], Awaitable[object]], kind: Kind
) -> None:
    """Sends nothing by what was known of it; what it has sent before is answered as it was."""
    group = await make(stage)
    member, owner = await stage.user(MEMBER), await stage.user(OWNER)
    order = msgspec.structs.replace(KEYED, scope=Scope.GROUP, targets=(group.xid,))
    first = await stage.core.messaging.send(member, order)
    another = msgspec.structs.replace(order, transaction_id=5)
    await happens(stage.groups, owner, group.xid)
    told = await asyncio.gather(begun(stage, member, another), begun(stage, member, order))
    assert list(told) == [None, first]
    with refused(kind):
        await stage.core.messaging.send(member, another)


async def test_some_members_of_a_group_that_has_changed(stage: Stage) -> None:
    """What goes to some of its members is judged by the group, too."""
    group = await make(stage)
    principal = await stage.user(OWNER)
    order = msgspec.structs.replace(ORDER, scope=Scope.GROUP, targets=(group.xid,), only=(MEMBER,))
    await stage.core.messaging.send(principal, order)
    assert isinstance(await begun(stage, principal, order), tuple)
    await stage.groups.invite(principal, group.xid, [STRANGER])
    assert await begun(stage, principal, order) is None
    assert not stage.core.messaging.begin(principal, order, telling()[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": Scope.GROUP},
        {"online_only": True},
        {"ctype": 9, "related": 1},
        {"from_xid": 6},
        {"content": ""},
        {"only": (8,)},
    ],
    ids=str,
)
async def test_what_is_not_begun(stage: Stage, changes: dict[str, Any]) -> None:
    """What has to wait for more than its commit, or is refused, is left to `send`: nothing is done."""
    told, tell = telling()
    order = msgspec.structs.replace(ORDER, **changes)
    assert not stage.core.messaging.begin(await stage.user(5), order, tell)
    assert not told.done()
    assert not stage.writer.waiting.rows


async def test_an_app_with_a_rate(stage: Stage) -> None:
    """Whoever may have to wait for its turn is not begun."""
    principal = await stage.user(5)
    app = msgspec.structs.replace(
        principal.app, limits=msgspec.structs.replace(principal.app.limits, sends_per_s=1)
    )
    told, tell = telling()
    assert not stage.core.messaging.begin(msgspec.structs.replace(principal, app=app), ORDER, tell)
    assert not told.done()


async def test_an_id_that_was_handed_over(stage: Stage) -> None:
    """A transaction id of an online-only message is a conflict, which `send` says."""
    principal = await stage.user(5)
    await stage.core.messaging.send(principal, msgspec.structs.replace(KEYED, online_only=True))
    assert not stage.core.messaging.begin(principal, KEYED, telling()[1])
    with refused(Kind.TRANSACTION_CONFLICT):
        await stage.core.messaging.send(principal, KEYED)


async def test_what_the_rules_refuse(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a transaction id may be a repeat, which `send` finds out; one without is refused at once."""
    principal = await stage.user(5)

    async def append(batch: list[object]) -> list[Refused]:
        return [Refused(Kind.BLOCKED, "no") for _ in batch]

    monkeypatch.setattr(stage.store, "append", append)
    assert await begun(stage, principal, KEYED) is None
    problem = await begun(stage, principal, ORDER)
    assert isinstance(problem, Problem)
    assert (problem.kind, problem.sentence) == (Kind.BLOCKED, "no")


async def test_an_unknown_outcome(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may have been done is never tried again, whether the draft or its whole batch failed so."""
    principal = await stage.user(5)
    answers: list[list[Refused] | Problem] = [
        [Refused(Kind.STORE_FAILED, "who knows")],
        Problem(Kind.STORE_FAILED, "who knows"),
    ]

    async def append(_: list[object]) -> list[Refused]:
        answer = answers.pop()
        if isinstance(answer, Problem):
            raise answer
        return answer

    monkeypatch.setattr(stage.store, "append", append)
    while answers:
        problem = await begun(stage, principal, KEYED)
        assert isinstance(problem, Problem)
        assert problem.kind is Kind.STORE_FAILED


async def test_a_full_queue(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds no room is told so at once, and who is told its answer finds the room of its batch free."""
    async with open_stage(tmp_path, Limits(queue_rows_max=10)) as stage:
        await stage.app()
        principal = await stage.user(5)

        async def append(batch: list[object]) -> list[Appended]:
            return [Appended(1, [(1, 1)], 2, [1]) for _ in batch]

        monkeypatch.setattr(stage.store, "append", append)
        told, tell = telling()

        def tell_first(_: Sent) -> None:
            stage.core.messaging.begin(principal, ORDER, tell)

        assert stage.core.messaging.begin(principal, ORDER, tell_first)
        problem = await begun(stage, principal, ORDER)
        assert isinstance(problem, Problem)
        assert problem.kind is Kind.OVERLOADED
        assert await asyncio.wait_for(told, WAIT_S) == (1, 1)
        assert not stage.writer.waiting.rows


async def test_an_answer_that_cannot_be_told(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and whoever shares the batch is told all the same."""
    principal = await stage.user(5)

    def broken(_: Sent) -> None:
        raise RuntimeError("nobody hears")

    assert stage.core.messaging.begin(principal, ORDER, broken)
    assert isinstance(await begun(stage, principal, ORDER), tuple)
    assert "nobody hears" in caplog.text


async def test_a_notification(stage: Stage) -> None:
    """It is stored as one, and nobody but an administrator without an acting header begins one."""
    told, tell = telling()
    assert stage.core.messaging.begin(await stage.admin(), ORDER, tell, notice=True)
    sent = await asyncio.wait_for(told, WAIT_S)
    assert isinstance(sent, tuple)
    found = await stage.store.message((await stage.user(5)).app.id, sent[0])
    assert found is not None
    assert found.notice
    for principal in (await stage.user(5), await stage.admin(user_id=5)):
        assert not stage.core.messaging.begin(principal, ORDER, tell, notice=True)


@pytest.mark.parametrize("notice", [False, True])
async def test_what_is_not_stored(stage: Stage, notice: bool) -> None:
    """It is told at once, if all that is asked of it is known: the first one is awaited, and reads it."""
    principal, online = await stage.admin(), msgspec.structs.replace(ORDER, online_only=True, targets=(7, 8))
    messaging = stage.core.messaging
    for xid in (7, 8):
        await stage.user(xid)
    told, tell = telling()
    assert not messaging.begin(principal, online, tell, notice=notice)
    first, last = await (messaging.notify if notice else messaging.send)(principal, online)
    assert messaging.begin(principal, online, tell, notice=notice)
    assert told.result() == (first + 2, last + 2)
    assert not stage.writer.waiting.rows


@pytest.mark.parametrize("changes", [{"transaction_id": 4}, {"expire_s": 9}, {"content": ""}], ids=str)
async def test_what_is_not_stored_and_not_begun(stage: Stage, changes: dict[str, Any]) -> None:
    """A repeat is looked for in the store, and what is refused is refused by `send`."""
    principal, online = await stage.user(5), msgspec.structs.replace(ORDER, online_only=True)
    await stage.user(7)
    await stage.core.messaging.send(principal, online)
    told, tell = telling()
    assert not stage.core.messaging.begin(principal, msgspec.structs.replace(online, **changes), tell)
    assert stage.core.messaging.begin(principal, online, tell)
    assert isinstance(told.result(), tuple)
