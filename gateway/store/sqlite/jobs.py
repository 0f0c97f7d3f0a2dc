"""Jobs on SQLite: work that would not fit a batch, in pages that each move the job's progress by their own commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

from gateway.domain.drafts import (
    Answer,
    Appended,
    Job,
    JobDraft,
    JobKind,
    MessageDraft,
    Stale,
    Started,
    StepDraft,
    Stepped,
)
from gateway.domain.limits import Limits
from gateway.store.jobs import Sent, job_unknown, known_jobs, started_before, stepped, too_many
from gateway.store.refusals import storage_full
from gateway.store.sqlite import broadcast, erase
from gateway.store.sqlite.lane import one
from gateway.store.sqlite.work import Work
from gateway.store.work import Page, Task

WORKS: Mapping[JobKind, Work] = {JobKind.BROADCAST: broadcast.WORK, JobKind.ERASE: erase.WORK}
"""How each kind of job is done."""

Append = Callable[[MessageDraft], Answer]
"""Appends one message draft inside the transaction."""


def start(conn: sqlite3.Connection, draft: JobDraft, limits: Limits) -> Answer:
    """Commit to a job, or answer with the one that its key has started before."""
    if draft.key:
        known = one(
            conn,
            """SELECT id, done, finished, digest, progress FROM job
            WHERE app = ? AND kind = ? AND key = ? AND key <> ''""",
            (draft.app, draft.kind, draft.key),
        )
        if known:
            return started_before(draft, *known)
    # By kind: broadcasts that wait for room must not stand before the erasing that would make it.
    unfinished_now = one(
        conn,
        "SELECT count(*) FROM job INDEXED BY job_open WHERE finished = 0 AND id > 0 AND app = ? AND kind = ?",
        (draft.app, draft.kind),
    )[0]
    if unfinished_now >= limits.jobs_open_max:
        return too_many(limits)
    if draft.kind is JobKind.BROADCAST and one(
        conn,
        "SELECT 1 FROM app WHERE id = ? AND storage_bytes_max > 0 AND stored_bytes >= storage_bytes_max",
        (draft.app,),
    ):
        # Later pages, of a broadcast that has begun, wait for room.
        return storage_full()
    job_id = one(
        conn,
        """INSERT INTO job (app, kind, key, digest, data, progress, ends_at, done, finished, at)
        VALUES (?, ?, ?, ?, ?, 0, ?, 0, 0, ?) RETURNING id""",
        (
            draft.app,
            draft.kind,
            draft.key,
            draft.digest,
            draft.data,
            WORKS[draft.kind].begin(conn, draft),
            draft.at,
        ),
    )[0]
    return Started(Job(id=job_id, app=draft.app, kind=draft.kind))


def step(conn: sqlite3.Connection, draft: StepDraft, limits: Limits, append: Append) -> Answer:
    """Do the next page of a job and move its progress. A page that is refused leaves the job where it was."""
    found = one(
        conn,
        "SELECT app, kind, data, progress, ends_at, done, finished FROM job WHERE id = ?",
        (draft.job_id,),
    )
    if not found:
        return job_unknown(draft)
    app, kind, data, progress, ends_at, done, finished = found
    job = Job(
        id=draft.job_id, app=app, kind=JobKind(kind), done=done, finished=bool(finished), progress=progress
    )
    if finished:
        return Stepped(job)
    if draft.after not in {-1, progress}:
        return Stale()
    task = Task(app=app, data=data, progress=progress, ends_at=ends_at, at=draft.at)
    page: Page = WORKS[job.kind].page(conn, task, limits)
    sent: Sent = []
    for message in page.messages:
        answer = append(message)
        if not isinstance(answer, Appended):
            return answer
        sent.append((message, answer))
    conn.execute(
        """UPDATE job SET progress = ?2, done = done + ?3, finished = ?4, data = CASE WHEN ?4 THEN '' ELSE data END
        WHERE id = ?1""",
        (draft.job_id, page.progress, page.done, page.finished),
    )
    return Stepped(stepped(job, page), sent, page.placed)


def unfinished(conn: sqlite3.Connection) -> list[Job]:
    """List the jobs that a start goes on with."""
    found = conn.execute(
        "SELECT id, app, kind, done, progress FROM job INDEXED BY job_open WHERE finished = 0 AND id > 0 ORDER BY id"
    ).fetchall()
    return known_jobs(found, WORKS)
