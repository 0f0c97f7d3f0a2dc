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


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(Limits(password_queue_max=2), Random(1).randbytes, CHEAP)
    yield made
    made.close()


async def test_a_record_matches_its_password(passwords: Passwords) -> None:
    """The right password matches, any other does not."""
    record = await passwords.record("sécret 密码")
    assert await passwords.matches("sécret 密码", record)
    assert not await passwords.matches("sécret 密", record)
    assert not await passwords.matches("", record)


async def test_records_are_salted(passwords: Passwords) -> None:
    """Two records of one password differ, and neither holds it."""
    first, second = await passwords.record("secret"), await passwords.record("secret")
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
    record = await dearer.record("secret")
    dearer.close()
    assert record.startswith("$scrypt$ln=2,r=2,p=2$")
    assert await passwords.matches("secret", record)


async def test_the_default_cost_works() -> None:
    """The cost in production is one that this machine's scrypt takes, memory limit and all."""
    real = Passwords(Limits(), Random(1).randbytes)
    record = await real.record("secret")
    assert record.startswith(f"$scrypt$ln={COST.ln},r={COST.r},p={COST.p}$")
    assert await real.matches("secret", record)
    real.close()


async def test_without_a_record_nothing_matches(passwords: Passwords) -> None:
    """A user without a password has none that could be guessed, not even the empty one."""
    assert not await passwords.matches("", "")


async def test_without_a_record_it_costs_the_same(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking nobody's password does the very work of checking somebody's."""
    record = await passwords.record("secret")
    costs = []
    hashed = module._hashed

    def counted(password: str, cost: Cost, salt: bytes) -> bytes:
        costs.append((cost, len(salt)))
        return hashed(password, cost, salt)

    monkeypatch.setattr(module, "_hashed", counted)
    await passwords.matches("guess", record)
    await passwords.matches("guess", "")
    assert costs[0] == costs[1]


async def test_a_record_that_cannot_be_read_is_a_bug(passwords: Passwords) -> None:
    """A damaged record is neither right nor wrong."""
    with pytest.raises(ValueError, match="cannot be read"):
        await passwords.matches("secret", "$scrypt$ln=1")


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
        waiting = [asyncio.create_task(passwords.matches("a", "")) for _ in range(2)]
        await asyncio.sleep(0)
        with refused(Kind.OVERLOADED) as refusal:
            await passwords.matches("a", "")
        assert refusal.retry_after_ms
        gate.set()
        await asyncio.gather(*waiting)
        assert not await passwords.matches("a", "")

    async def test_a_caller_that_goes_away_keeps_its_place(
        self, passwords: Passwords, gate: threading.Event
    ) -> None:
        """Hanging up makes no room: the work still waits, and nobody can pile it up that way."""
        waiting = [asyncio.create_task(passwords.matches("a", "")) for _ in range(2)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        with refused(Kind.OVERLOADED):
            await passwords.matches("a", "")
        gate.set()

    async def test_the_loop_goes_on_meanwhile(self, passwords: Passwords, gate: threading.Event) -> None:
        """The work is done beside the loop."""
        waiting = asyncio.create_task(passwords.matches("a", ""))
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
                await closed.record("secret")
