"""The part of the store port that commits batches, on PostgreSQL.

Plain messages that stand side by side in a batch go together, by one statement; every other draft is a transaction of
its own, for it asks before it knows what to lock.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TypeGuard

import asyncpg

from gateway.domain.drafts import (
    Answer,
    Appended,
    Draft,
    ImportDraft,
    Job,
    JobDraft,
    MessageDraft,
    Refused,
    Repeated,
    StepDraft,
)
from gateway.domain.errors import Kind, Problem
from gateway.domain.group_drafts import GroupChange
from gateway.domain.limits import Limits
from gateway.domain.model import Scope, Side
from gateway.store.postgres.changes import append_change
from gateway.store.postgres.group_changes import append_group_change
from gateway.store.postgres.hot import HOT, Question, ask, understand
from gateway.store.postgres.jobs import start, step, unfinished
from gateway.store.postgres.keys import find_keys
from gateway.store.postgres.lane import BAD_DATA, Conn, Lanes, OvertakenError, known_answers, refuse
from gateway.store.postgres.rooms import trim
from gateway.store.postgres.run import append_import, append_message
from gateway.store.postgres.schema import DRAFT_ID_BLOCK, MSG_ID_BLOCK
from gateway.store.run import known_as

USAGE_SLOTS = 64
"""Over so many rows the bytes of an app are spread, so that batches in flight seldom wait for the same one."""

_LOOKUPS_MAX = 3
"""How often a draft is tried again whose key was another's when it was tried and nobody's when it was looked up."""


class Appending(Lanes):
    """How a batch is taken apart, committed, and answered draft by draft."""

    def __init__(self) -> None:
        super().__init__()
        # Two in flight never share one, and nodes begin at different ones.
        self._slots = itertools.cycle(random.sample(range(USAGE_SLOTS), USAGE_SLOTS))
        self._draft_ids = range(0)

    async def append(self, batch: Sequence[Draft]) -> list[Answer]:
        """Commit a batch, part after part; what is committed is answered as such, whatever becomes of the rest."""
        answers: list[Answer] = []
        for part in _parts(batch):
            try:
                answers += await self._append_part(part)
            except Problem as problem:
                if not answers:
                    raise
                answers += [Refused(problem.kind, problem.sentence)] * (len(batch) - len(answers))
                break
        return answers

    async def jobs(self) -> list[Job]:
        """List the jobs that are not finished."""
        return await self._look(unfinished)

    async def _append_part(self, part: Sequence[Draft]) -> list[Answer]:
        plain = [draft for draft in part if _is_plain(draft)]
        if plain:
            return await self._append_plain(plain)
        [draft] = part
        if isinstance(draft, MessageDraft) and len(draft.targets) > MSG_ID_BLOCK:
            return [Refused(Kind.TOO_LARGE, f"targets: at most {MSG_ID_BLOCK}")]
        return [await self._once(lambda conn: _append_alone(conn, draft, self._limits))]

    # -- plain messages ---------------------------------------------------------------------------------

    async def _append_plain(self, drafts: Sequence[MessageDraft]) -> list[Answer]:
        """Commit messages in rounds: of those with one key the first goes first, and mostly answers the others.

        Each round answers one draft at least, but for those whose key is let go of while it is looked up.
        """
        answers: dict[int, Answer] = {}
        waiting = list(range(len(drafts)))
        for _ in range(len(drafts) + _LOOKUPS_MAX):
            firsts: dict[tuple[int, int, str], int] = {}
            now = [n for n in waiting if not drafts[n].key or firsts.setdefault(_key(drafts[n]), n) == n]
            try:
                asked = await self._append_run([drafts[n] for n in now])
            except Problem as problem:
                if not answers:
                    raise
                return [answers.get(n, Refused(problem.kind, problem.sentence)) for n in range(len(drafts))]
            answers.update((n, answer) for n, answer in zip(now, asked, strict=True) if answer is not None)
            for n in waiting:
                if n not in answers and drafts[n].key:
                    first = firsts[_key(drafts[n])]
                    if (answer := _repeat(drafts[n], drafts[first], answers.get(first))) is not None:
                        answers[n] = answer
            waiting = [n for n in waiting if n not in answers]
            if not waiting:
                break
        lost = Refused(Kind.INTERNAL, "the store does not tell what became of this; ask again")
        return [answers.get(n, lost) for n in range(len(drafts))]

    async def _append_run(self, drafts: Sequence[MessageDraft]) -> list[Answer | None]:
        """Commit messages by one statement; None for one that is to be asked again.

        Where the data of one cannot be kept, the run is halved until only that one is refused.
        """
        if not drafts:
            return []
        question = ask(drafts, await self._take_draft_ids(len(drafts)), next(self._slots))
        done = await self._keyed(lambda conn, key, first: _run(conn, key, question, first=first))
        if not isinstance(done, Refused):
            await self._trim(drafts, done)
            return done
        if len(drafts) == 1:
            return [done]
        middle = len(drafts) // 2
        answers = await self._append_run(drafts[:middle])
        try:
            return answers + await self._append_run(drafts[middle:])
        except Problem as problem:
            # The first half is committed and must be answered as such.
            return answers + [Refused(problem.kind, problem.sentence) for _ in drafts[middle:]]

    async def _trim(self, drafts: Sequence[MessageDraft], answers: Sequence[Answer | None]) -> None:
        """Let chatrooms go of what is too old. The messages are committed: what fails here the next ones make good."""
        keep = self._limits.room_history_max
        count = sum(len(draft.targets) for draft in drafts)
        passed = {
            timeline_id
            for draft, answer in zip(drafts, answers, strict=True)
            if draft.scope is Scope.GROUP and isinstance(answer, Appended)
            for timeline_id, seq in answer.received
            # Whatever passes a multiple of what is kept is looked at, so that most batches ask nothing.
            if seq % keep < count
        }
        if passed:
            with suppress(Problem):
                await self._write(lambda conn: trim(conn, list(passed), keep))

    async def _take_draft_ids(self, count: int) -> list[int]:
        """Take numbers for drafts. They are the same in every try, which makes a second one of a batch collide."""
        while len(self._draft_ids) < count:
            first = await self._write(lambda conn: conn.fetchval("SELECT nextval('draft_id')"))
            # What was left is let go of: numbers are plenty.
            self._draft_ids = range(first, first + DRAFT_ID_BLOCK)
        taken, self._draft_ids = self._draft_ids[:count], self._draft_ids[count:]
        return list(taken)


def _is_plain(draft: Draft) -> TypeGuard[MessageDraft]:
    """Whether a draft can go by the one statement."""
    return (
        isinstance(draft, MessageDraft)
        and not draft.related
        and not draft.group_xid
        and not draft.hide_from
        and draft.side is not Side.SENDER
        and 0 < len(draft.targets) <= MSG_ID_BLOCK
    )


def _parts(batch: Sequence[Draft]) -> Iterator[list[Draft]]:
    """Take a batch apart, in its order: what goes by one statement, and what goes alone."""
    part: list[Draft] = []
    targets = 0
    for draft in batch:
        count = len(draft.targets) if _is_plain(draft) else 0
        if part and (not count or targets + count > MSG_ID_BLOCK):
            yield part
            part, targets = [], 0
        part.append(draft)
        targets += count
        if not count:
            yield part
            part = []
    if part:
        yield part


async def _append_alone(conn: Conn, draft: Draft, limits: Limits) -> Answer:
    """Append one draft inside a transaction; where it is refused, all of that is undone."""
    try:
        if isinstance(draft, MessageDraft):
            return await append_message(conn, draft, limits)
        if isinstance(draft, ImportDraft):
            return await append_import(conn, draft, limits)
        if isinstance(draft, GroupChange):
            return await append_group_change(conn, draft, limits)
        if isinstance(draft, JobDraft):
            return await start(conn, draft, limits)
        if isinstance(draft, StepDraft):
            return await step(conn, draft, limits)
        return await append_change(conn, draft, limits)
    except BAD_DATA as error:
        return refuse(error)


async def _run(conn: Conn, key: str, question: Question, *, first: bool) -> list[Answer | None] | Refused:
    """Ask the one statement; it is refused as a whole where the data of some draft cannot be kept."""
    known = None if first else await known_answers(conn, key)
    answers = await _ask(conn, key, question) if known is None else understand(question, known)
    if not first and known is None and (isinstance(answers, Refused) or None in answers):
        # An earlier try, whose connection was lost, may have committed after all: this one has waited for it, and has
        # met what that has kept.
        known = await known_answers(conn, key)
        answers = answers if known is None else understand(question, known)
    return answers if isinstance(answers, Refused) else await _look_up(conn, question.drafts, answers)


async def _ask(conn: Conn, key: str, question: Question) -> list[Answer | None] | Refused:
    try:
        return understand(question, await conn.fetchval(HOT, key, *question.params))
    except asyncpg.NotNullViolationError as error:
        if error.table_name == "batch":
            raise OvertakenError from error
        return refuse(error)
    except BAD_DATA as error:
        return refuse(error)


async def _look_up(
    conn: Conn, drafts: Sequence[MessageDraft], answers: list[Answer | None]
) -> list[Answer | None]:
    """Answer the drafts that added nothing by what their keys were used for before, where they were."""
    asked = [
        n
        for n, (draft, answer) in enumerate(zip(drafts, answers, strict=True))
        if draft.key and not isinstance(answer, Appended)
    ]
    if asked:
        for place, known in (await find_keys(conn, [drafts[n] for n in asked])).items():
            n = asked[place]
            answers[n] = known_as(drafts[n], *known)
    return answers


def _key(draft: MessageDraft) -> tuple[int, int, str]:
    return draft.app, draft.sender_xid, draft.key


def _repeat(draft: MessageDraft, first: MessageDraft, answer: Answer | None) -> Answer | None:
    """Answer a draft by what has become of the first one of its key in the batch; None: it has left the key free."""
    if isinstance(answer, Appended):
        last_msg_id = answer.first_msg_id + len(first.targets) - 1
        return known_as(draft, first.digest, answer.first_msg_id, last_msg_id)
    if isinstance(answer, Repeated):
        return known_as(draft, first.digest, answer.first_msg_id, answer.last_msg_id)
    return None
