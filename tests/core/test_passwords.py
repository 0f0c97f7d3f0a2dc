"""Password records, and the bounded queue before them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from random import Random

import pytest

from gateway.core import passwords as module
from gateway.core.passwords import COST, Cost, Passwords
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from tests.core.stage import CHEAP, refused
from tests.patience import WAIT_S

APP, OTHER = 1, 2


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(Limits(password_queue_max=2), Random(1).randbytes, CHEAP)
    yield made
    made.close()


async def test_a_record_matches_its_password(passwords: Passwords) -> None:
    """The right password matches, any other does not."""
    record = await passwords.record("sécret 密码", APP)
    assert await passwords.matches("sécret 密码", record, APP)
    assert not await passwords.matches("sécret 密", record, APP)
    assert not await passwords.matches("", record, APP)


async def test_records_are_salted(passwords: Passwords) -> None:
    """Two records of one password differ, and neither holds it."""
    first, second = await passwords.record("secret", APP), await passwords.record("secret", APP)
    assert first != second
    assert "secret" not in first


async def test_one_that_is_drawn(passwords: Passwords) -> None:
    """It is of 128 bits, and another each time."""
    drawn = {passwords.draw() for _ in range(100)}
    assert len(drawn) == 100
    assert {len(bytes.fromhex(password)) for password in drawn} == {16}


async def test_a_record_carries_its_cost(passwords: Passwords) -> None:
    """A record made at another cost can still be checked after the cost was raised."""
    dearer = Passwords(Limits(), Random(2).randbytes, Cost(ln=2, r=2, p=2))
    record = await dearer.record("secret", APP)
    dearer.close()
    assert record.startswith("$scrypt$ln=2,r=2,p=2$")
    assert await passwords.matches("secret", record, APP)


async def test_the_default_cost_works() -> None:
    """The cost in production is one that this machine's scrypt takes, memory limit and all."""
    real = Passwords(Limits(), Random(1).randbytes)
    record = await real.record("secret", APP)
    assert record.startswith(f"$scrypt$ln={COST.ln},r={COST.r},p={COST.p}$")
    assert await real.matches("secret", record, APP)
    real.close()


async def test_without_a_record_nothing_matches(passwords: Passwords) -> None:
    """A user without a password has none that could be guessed, not even the empty one."""
    assert not await passwords.matches("", "", APP)


async def test_without_a_record_it_costs_the_same(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking nobody's password does the very work of checking somebody's."""
    record = await passwords.record("secret", APP)
    costs = []
    hashed = module._hashed

    def counted(password: str, cost: Cost, salt: bytes) -> bytes:
        costs.append((cost, len(salt)))
        return hashed(password, cost, salt)

    monkeypatch.setattr(module, "_hashed", counted)
    await passwords.matches("guess", record, APP)
    await passwords.matches("guess", "", APP)
    assert costs[0] == costs[1]


async def test_a_record_that_cannot_be_read_is_a_bug(passwords: Passwords) -> None:
    """A damaged record is neither right nor wrong."""
    with pytest.raises(ValueError, match="cannot be read"):
        await passwords.matches("secret", "$scrypt$ln=1", APP)


class TestQueue:
    """What waits for the one thread."""

    @pytest.fixture
    def gate(self, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
        """Holds up the thread until it is set."""
        gate = threading.Event()

        def held(_password: str, _cost: Cost, _salt: bytes) -> bytes:
            assert gate.wait(WAIT_S)
            return b"hash"

        monkeypatch.setattr(module, "_hashed", held)
        return gate

    async def test_it_is_bounded(self, passwords: Passwords, gate: threading.Event) -> None:
        """One call more than may wait is refused at once, with a time to come back; later there is room."""
        waiting = [asyncio.create_task(passwords.matches("a", "", app)) for app in (APP, OTHER)]
        await asyncio.sleep(0)
        with refused(Kind.OVERLOADED) as refusal:
            await passwords.matches("a", "", APP)
        assert refusal.retry_after_ms
        gate.set()
        await asyncio.gather(*waiting)
        assert not await passwords.matches("a", "", APP)

    async def test_one_app_leaves_room_for_others(self, passwords: Passwords, gate: threading.Event) -> None:
        """Whoever guesses at one app's passwords, or makes very many users, keeps nobody of another app waiting."""
        guess = asyncio.create_task(passwords.matches("a", "", APP))
        await asyncio.sleep(0)
        with refused(Kind.OVERLOADED):
            await passwords.matches("a", "", APP)
        other = asyncio.create_task(passwords.matches("a", "", OTHER))
        await asyncio.sleep(0)
        assert not other.done()
        gate.set()
        await asyncio.gather(guess, other)

    async def test_a_caller_that_goes_away_keeps_its_place(
        self, passwords: Passwords, gate: threading.Event
    ) -> None:
        """Hanging up makes no room: the work still waits, and nobody can pile it up that way."""
        waiting = [asyncio.create_task(passwords.matches("a", "", app)) for app in (APP, OTHER)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        with refused(Kind.OVERLOADED):
            await passwords.matches("a", "", APP)
        gate.set()

    async def test_apps_take_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who logs in to one waits for the check under way, and for one of another app: not for all that wait there."""
        gate, began, order = threading.Event(), threading.Event(), []

        def held(password: str, _cost: Cost, _salt: bytes) -> bytes:
            order.append(password)
            began.set()
            assert gate.wait(WAIT_S)
            return b"hash"

        monkeypatch.setattr(module, "_hashed", held)
        passwords = Passwords(Limits(password_queue_max=8), Random(1).randbytes, CHEAP)
        calls = [("first", APP), ("second", APP), ("third", APP), ("other's", OTHER), ("other's next", OTHER)]
        waiting = []
        for password, app in calls:
            waiting.append(asyncio.create_task(passwords.matches(password, "", app)))
            await asyncio.sleep(0)
            assert await asyncio.to_thread(began.wait, WAIT_S)
        gate.set()
        await asyncio.gather(*waiting)
        assert order == ["first", "second", "other's", "third", "other's next"]
        passwords.close()

    async def test_closed_while_some_wait(
        self, passwords: Passwords, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are told so at once; the check under way is answered."""
        began, held = threading.Event(), module._hashed

        def begun(password: str, cost: Cost, salt: bytes) -> bytes:
            began.set()
            return held(password, cost, salt)

        monkeypatch.setattr(module, "_hashed", begun)
        first = asyncio.create_task(passwords.matches("a", "", APP))
        await asyncio.sleep(0)
        assert await asyncio.to_thread(began.wait, WAIT_S)
        second = asyncio.create_task(passwords.matches("a", "", OTHER))
        await asyncio.sleep(0)
        passwords.close()
        with refused(Kind.DRAINING):
            await second
        assert not first.done()
        gate.set()
        assert not await first

    async def test_the_loop_goes_on_meanwhile(self, passwords: Passwords, gate: threading.Event) -> None:
        """The work is done beside the loop."""
        waiting = asyncio.create_task(passwords.matches("a", "", APP))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
        await waiting

    async def test_closed_it_takes_nothing(self) -> None:
        """After the end a call is told so, however often it asks."""
        closed = Passwords(Limits(password_queue_max=1), Random(1).randbytes, CHEAP)
        closed.close()
        for _ in range(2):
            with refused(Kind.DRAINING):
                await closed.record("secret", APP)
