"""Jobs on PostgreSQL: work that would not fit a batch, in pages that move its progress as they commit."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.drafts import (
    Answer,
    Appended,
    Job,
    JobDraft,
    JobKind,
    Stale,
    Started,
    StepDraft,
    Stepped,
)
from gateway.domain.limits import Limits
from gateway.store.jobs import Sent, job_unknown, known_jobs, started_before, stepped, too_many
from gateway.store.postgres import broadcast, erase
from gateway.store.postgres.lane import Conn, OvertakenError
from gateway.store.postgres.run import append_message
from gateway.store.postgres.work import Work
from gateway.store.refusals import storage_full
from gateway.store.work import Task

WORKS: Mapping[JobKind, Work] = {JobKind.BROADCAST: broadcast.WORK, JobKind.ERASE: erase.WORK}
"""How each kind of job is done."""

_KNOWN = "SELECT id, done, finished, digest, progress FROM job WHERE app = $1 AND kind = $2 AND key = $3 AND key <> ''"
# By kind: broadcasts that wait for room must not stand before the erasing that would make it.
_OPEN = "SELECT count(*) FROM job WHERE finished = 0 AND id > 0 AND app = $1 AND kind = $2"
_FULL = """
SELECT 1 FROM app AS a WHERE a.id = $1 AND a.storage_bytes_max > 0
    AND a.storage_bytes_max <= (SELECT coalesce(sum(u.bytes), 0) FROM usage AS u WHERE u.app = a.id)
"""
_START = """
INSERT INTO job (app, kind, key, digest, data, progress, ends_at, done, finished, at)
VALUES ($1, $2, $3, $4, $5, 0, $6, 0, 0, $7)
ON CONFLICT (app, kind, key) WHERE key <> '' DO NOTHING RETURNING id
"""
_JOB = "SELECT app, kind, data, progress, ends_at, done, finished FROM job WHERE id = $1 FOR UPDATE"
_MOVE = """
UPDATE job SET progress = $2, done = $3, finished = $4, data = CASE WHEN $4 = 1 THEN '' ELSE data END WHERE id = $1
"""
_UNFINISHED = "SELECT id, app, kind, done, progress FROM job WHERE finished = 0 AND id > 0 ORDER BY id"


async def start(conn: Conn, draft: JobDraft, limits: Limits) -> Answer:
    """Commit to a job, or answer with the one that its key has started before."""
    if draft.key and (known := await conn.fetchrow(_KNOWN, draft.app, draft.kind, draft.key)):
        return started_before(draft, *known)
    if await conn.fetchval(_OPEN, draft.app, draft.kind) >= limits.jobs_open_max:
        return too_many(limits)
    if draft.kind is JobKind.BROADCAST and await conn.fetchval(_FULL, draft.app):
        # Later pages, of a broadcast that has begun, wait for room.
        return storage_full()
    ends_at = await WORKS[draft.kind].begin(conn, draft)
    job_id = await conn.fetchval(
        _START, draft.app, draft.kind, draft.key, draft.digest, draft.data, ends_at, draft.at
    )
    if job_id is None:
        # Another node has started it meanwhile: what was begun here is undone, and found the next time.
        raise OvertakenError
    return Started(Job(id=job_id, app=draft.app, kind=draft.kind))


async def step(conn: Conn, draft: StepDraft, limits: Limits) -> Answer:
    """Do the next page of a job and move its progress. A page that is refused leaves the job where it was."""
    found = await conn.fetchrow(_JOB, draft.job_id)
    if not found:
        return job_unknown(draft)
    app, kind, data, progress, ends_at, done, finished = found
    job = Job(
        id=draft.job_id, app=app, kind=JobKind(kind), done=done, finished=bool(finished), progress=progress
    )
    if job.finished:
        return Stepped(job)
    if draft.after not in {-1, progress}:
        return Stale()
    task = Task(app=app, data=data, progress=progress, ends_at=ends_at, at=draft.at)
    page = await WORKS[job.kind].page(conn, task, limits)
    sent: Sent = []
    for message in page.messages:
        answer = await append_message(conn, message, limits)
        if not isinstance(answer, Appended):
            return answer
        sent.append((message, answer))
    job = stepped(job, page)
    await conn.execute(_MOVE, job.id, page.progress, job.done, int(job.finished))
    return Stepped(job, sent, page.placed)


async def unfinished(conn: Conn) -> list[Job]:
    """List the jobs that a start goes on with."""
    return known_jobs(await conn.fetch(_UNFINISHED), WORKS)
