"""The part of the store port that commits batches, on PostgreSQL.

Plain messages that stand side by side in a batch go together, by one statement; every other draft is a transaction of
its own, for it asks before it knows what to lock.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Iterator, Sequence

import asyncpg

from gateway.domain.drafts import Answer, Appended, Draft, MessageDraft, Refused, Repeated
from gateway.domain.errors import Kind, Problem
from gateway.store.postgres.hot import HOT, Question, ask, understand
from gateway.store.postgres.lane import BAD_DATA, Conn, Lanes, OvertakenError, known_answers
from gateway.store.postgres.schema import DRAFT_ID_BLOCK, MSG_ID_BLOCK
from gateway.store.run import known_as

log = logging.getLogger(__name__)

USAGE_SLOTS = 64
"""Over so many rows the bytes of an app are spread, so that batches in flight seldom wait for the same one."""

_LOOKUPS_MAX = 3
"""How often a draft is tried again whose key was another's when it was tried and nobody's when it was looked up."""

_KEYS = """
SELECT j.n, d.digest, a.first_msg_id, a.last_msg_id
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) WITH ORDINALITY AS j (app, sender_xid, key, n)
JOIN LATERAL (SELECT digest, draft FROM dedup
    WHERE app = j.app AND sender_xid = j.sender_xid AND key = j.key LIMIT 1) AS d ON true
JOIN LATERAL (SELECT first_msg_id, last_msg_id FROM answer WHERE draft = d.draft LIMIT 1) AS a ON true
"""


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

    async def _append_part(self, part: Sequence[Draft]) -> list[Answer]:
        return await self._append_plain([draft for draft in part if isinstance(draft, MessageDraft)])

    # -- plain messages ---------------------------------------------------------------------------------

    async def _append_plain(self, drafts: Sequence[MessageDraft]) -> list[Answer]:
        """Commit messages in rounds: of those with one key the first goes first, and mostly answers the others."""
        answers: dict[int, Answer] = {}
        waiting = list(range(len(drafts)))
        for _ in range(len(drafts) + _LOOKUPS_MAX):
            firsts: dict[tuple[int, int, str], int] = {}
            now = [n for n in waiting if not drafts[n].key or firsts.setdefault(_key(drafts[n]), n) == n]
            asked = await self._append_run([drafts[n] for n in now])
            answers.update((n, answer) for n, answer in zip(now, asked, strict=True) if answer is not None)
            for n in waiting:
                if n not in answers:
                    first = firsts[_key(drafts[n])]
                    if (answer := _repeat(drafts[n], drafts[first], answers.get(first))) is not None:
                        answers[n] = answer
            waiting = [n for n in waiting if n not in answers]
            if not waiting:
                break
        lost = Refused(Kind.INTERNAL, "the store does not tell what became of this; ask again")
        return [answers.get(n, lost) for n in range(len(drafts))]

    async def _append_run(self, drafts: Sequence[MessageDraft]) -> list[Answer | None]:
        """Commit messages by one statement; None for one whose key was another's, and is nobody's any more.

        Where the data of one cannot be kept, the run is halved until only that one is refused.
        """
        if not drafts:
            return []
        question = ask(drafts, await self._take_draft_ids(len(drafts)), next(self._slots))
        done = await self._keyed(lambda conn, key, first: _run(conn, key, question, first=first))
        if not isinstance(done, Exception):
            return done
        if len(drafts) == 1:
            return [_refuse(done)]
        middle = len(drafts) // 2
        answers = await self._append_run(drafts[:middle])
        try:
            return answers + await self._append_run(drafts[middle:])
        except Problem as problem:
            # The first half is committed and must be answered as such.
            return answers + [Refused(problem.kind, problem.sentence) for _ in drafts[middle:]]

    async def _take_draft_ids(self, count: int) -> list[int]:
        """Take numbers for drafts. They are the same in every try, which makes a second one of a batch collide."""
        while len(self._draft_ids) < count:
            first = await self._write(lambda conn: conn.fetchval("SELECT nextval('draft_id')"))
            # What was left is let go of: numbers are plenty.
            self._draft_ids = range(first, first + DRAFT_ID_BLOCK)
        taken, self._draft_ids = self._draft_ids[:count], self._draft_ids[count:]
        return list(taken)


def _parts(batch: Sequence[Draft]) -> Iterator[list[Draft]]:
    """Take a batch apart, in its order: what goes by one statement, and what goes alone."""
    part: list[Draft] = []
    targets = 0
    for draft in batch:
        alone = not isinstance(draft, MessageDraft) or draft.related or draft.group_xid
        count = len(draft.targets) if isinstance(draft, MessageDraft) else 0
        if part and (alone or targets + count > MSG_ID_BLOCK):
            yield part
            part, targets = [], 0
        part.append(draft)
        targets += count
        if alone:
            yield part
            part, targets = [], 0
    if part:
        yield part


async def _run(conn: Conn, key: str, question: Question, *, first: bool) -> list[Answer | None] | Exception:
    """Ask the one statement; an exception that is returned says that it has failed for the data of some draft."""
    if not first and (known := await known_answers(conn, key)) is not None:
        return understand(question, known)
    try:
        answers = understand(question, await conn.fetchval(HOT, key, *question.params))
    except asyncpg.NotNullViolationError as error:
        if error.table_name == "batch":
            raise OvertakenError from error
        return error
    except BAD_DATA as error:
        # An earlier try, whose connection was lost, may have committed after all: this one has waited for it.
        if not first and (known := await known_answers(conn, key)) is not None:
            return understand(question, known)
        return error
    if not first and None in answers and (known := await known_answers(conn, key)) is not None:
        # The keys were taken by that earlier try.
        return understand(question, known)
    return await _look_up(conn, question.drafts, answers)


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
        apps, senders, keys = zip(*(_key(drafts[n]) for n in asked), strict=True)
        for place, digest, first_msg_id, last_msg_id in await conn.fetch(_KEYS, apps, senders, keys):
            n = asked[place - 1]
            answers[n] = known_as(drafts[n], digest, first_msg_id, last_msg_id)
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


def _refuse(error: Exception) -> Refused:
    """Refuse the one draft that cannot be kept. A number given twice is never the draft's own: the tables are wrong."""
    if isinstance(error, asyncpg.UniqueViolationError):
        log.error("a draft meets a damaged store, see `gateway check`: %s", error)
        return Refused(Kind.INTERNAL, "the store is damaged here")
    return Refused(Kind.BAD_PARAMETER, f"the store cannot keep this: {error}")
