"""How many bytes of answers are held at a time: who waits for room, who gets it, and who is told to come back."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.answers import Answers
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits

MESSAGE: dict[str, int] = {
    "content_bytes_max": 4,
    "attachment_bytes_max": 3,
    "ext_bytes_max": 2,
    "config_bytes_max": 1,
}
"""A message of ten bytes at the most."""


def room_for(messages: int, *, wait_ms: int = 60_000, waiting: int = 10) -> Answers:
    """Room for so many messages."""
    return Answers(
        Limits(answers_bytes_max=10 * messages, answers_wait_ms=wait_ms, reads_queue_max=waiting, **MESSAGE)
    )


class Reader:
    """Somebody who reads so many messages, and holds them until told to let go."""

    def __init__(self, answers: Answers, messages: int) -> None:
        self._answers = answers
        self._messages = messages
        self.let_go = asyncio.Event()
        self.reading = False
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with self._answers.space(self._messages):
            self.reading = True
            await self.let_go.wait()
        self.reading = False

    async def done(self) -> None:
        self.let_go.set()
        await self.task


async def settled() -> None:
    """Let everybody go on who can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def readers(answers: Answers, *messages: int) -> list[Reader]:
    made = [Reader(answers, count) for count in messages]
    await settled()
    return made


def reading(*who: Reader) -> list[bool]:
    return [reader.reading for reader in who]


async def test_who_comes_when_there_is_none_waits_in_turn() -> None:
    """Also whoever would find room, behind one who wants more: else that one might wait for ever."""
    answers = room_for(10)
    first, second, large, small = await readers(answers, 4, 5, 6, 1)
    assert reading(first, second, large, small) == [True, True, False, False]
    await first.done()
    await settled()
    assert reading(large, small) == [False, False]
    await second.done()
    await settled()
    assert reading(large, small) == [True, True]
    await large.done()
    await small.done()


async def test_more_than_there_is_takes_all() -> None:
    """It is read alone, and not refused for ever."""
    answers = room_for(3)
    small, huge, other = await readers(answers, 1, 100, 1)
    assert reading(small, huge, other) == [True, False, False]
    await small.done()
    await settled()
    assert reading(huge, other) == [True, False]
    await huge.done()
    await settled()
    assert other.reading
    await other.done()


async def test_who_waits_too_long_is_told_to_come_back() -> None:
    """And is in nobody's way from then on."""
    answers = room_for(1, wait_ms=1)
    first, late = await readers(answers, 1, 1)
    with pytest.raises(Problem) as refused:
        await late.task
    assert refused.value.kind is Kind.OVERLOADED
    assert refused.value.retry_after_ms
    await first.done()
    [last] = await readers(answers, 1)
    assert last.reading
    await last.done()


async def test_too_many_do_not_wait() -> None:
    """They are told at once."""
    answers = room_for(1, waiting=1)
    first, second, third = await readers(answers, 1, 1, 1)
    with pytest.raises(Problem) as refused:
        await third.task
    assert refused.value.kind is Kind.OVERLOADED
    await first.done()
    await second.done()


async def test_who_goes_away_while_they_wait() -> None:
    """Leaves their turn to others."""
    answers = room_for(2)
    first, gone, third = await readers(answers, 1, 2, 1)
    gone.task.cancel()
    await settled()
    assert reading(first, third) == [True, True]
    await first.done()
    await third.done()


async def test_who_goes_away_when_their_turn_has_come() -> None:
    """Leaves the room itself, in the moment between being told and going on."""
    answers = room_for(1)
    async with answers.space(1):
        [gone] = await readers(answers, 1)
    gone.task.cancel()
    await settled()
    assert not gone.reading
    [last] = await readers(answers, 1)
    assert last.reading
    await last.done()


async def test_what_fails_gives_its_room_back() -> None:
    """Whatever becomes of the answer."""
    answers = room_for(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            async with answers.space(1):
                raise ZeroDivisionError
