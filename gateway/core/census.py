"""Who is in a chatroom, on whichever node: each knows its own, and is asked (design §3, Chatroom)."""

from __future__ import annotations

import asyncio
import heapq
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress

from gateway.bus.base import TheyAreIn, WhoIsIn
from gateway.core.notes import Notes
from gateway.domain.model import Member

ANSWER_S = 0.3
"""How long other nodes may take to answer: who has not by then is left out."""

_Here = Callable[[int, int, int], list[Member]]


class _Question:
    """What one question was answered so far: pairs of xid and since when."""

    def __init__(self, answers: int) -> None:
        self.pairs: list[tuple[int, int]] = []
        self.missing = answers
        self.done = asyncio.Event()


class Census:
    """Merges what the nodes know. `here` lists this node's own; `nodes` says how many live, this one among them."""

    def __init__(self, notes: Notes, here: _Here, nodes: Callable[[], int]) -> None:
        self._notes = notes
        self._here = here
        self._nodes = nodes
        self._questions: dict[int, _Question] = {}
        notes.on(WhoIsIn, self._answer)
        notes.on(TheyAreIn, self._take)

    @property
    def alone(self) -> bool:
        """Whether there is nobody to ask."""
        return self._nodes() < 2 or not self._notes.reaching  # noqa: PLR2004 - this one and another

    async def page(self, room_id: int, after_xid: int, limit: int) -> list[Member]:
        """List who is in a chatroom, by rising id after the one given, and since when; as far as answers come."""
        elsewhere = [] if self.alone else await self._ask(room_id, after_xid, limit)
        # Not before: who has come or gone meanwhile has.
        here = self._here(room_id, after_xid, limit)
        return _merge([*elsewhere, *((member.xid, member.joined_at) for member in here)], limit)

    async def _ask(self, room_id: int, after_xid: int, limit: int) -> list[tuple[int, int]]:
        number = secrets.randbits(63)
        question = self._questions[number] = _Question(self._nodes() - 1)
        self._notes.publish(WhoIsIn(question=number, room_id=room_id, after_xid=after_xid, limit=limit))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await question.done.wait()
        finally:
            del self._questions[number]
        return question.pairs

    def _answer(self, asked: WhoIsIn) -> None:
        here = self._here(asked.room_id, asked.after_xid, asked.limit + 1)
        pairs = tuple((member.xid, member.joined_at) for member in here)
        more = len(pairs) > asked.limit
        self._notes.publish(TheyAreIn(question=asked.question, members=pairs[: asked.limit], more=more))

    def _take(self, answer: TheyAreIn) -> None:
        question = self._questions.get(answer.question)
        if question is not None:
            question.pairs += answer.members
            question.missing -= 1
            if question.missing <= 0:
                question.done.set()


def _merge(pairs: Iterable[tuple[int, int]], limit: int) -> list[Member]:
    """The first of all that were told, each once, with the earliest time told of it."""
    since: dict[int, int] = {}
    for xid, joined_at in pairs:
        since[xid] = min(since.get(xid, joined_at), joined_at)
    return [Member(xid=xid, joined_at=since[xid]) for xid in heapq.nsmallest(limit, since)]
