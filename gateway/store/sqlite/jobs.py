"""Jobs on SQLite: work that would not fit a batch, in pages that each move the job's progress by their own commit."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping

import msgspec

from gateway.domain.drafts import (
    Answer,
    Appended,
    Job,
    JobDraft,
    JobKind,
    MessageDraft,
    Refused,
    Stale,
    Started,
    StepDraft,
    Stepped,
)
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.store.sqlite import broadcast, erase
from gateway.store.sqlite.lane import one
from gateway.store.sqlite.work import Work
from gateway.store.work import Page, Task

log = logging.getLogger(__name__)

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
            if known[3] != draft.digest:
                return Refused(
                    Kind.TRANSACTION_CONFLICT, f"transaction_id {draft.key} was used for another {draft.kind}"
                )
            return Started(
                Job(
                    id=known[0],
                    app=draft.app,
                    kind=draft.kind,
                    done=known[1],
                    finished=bool(known[2]),
                    progress=known[4],
                )
            )
    # By kind: broadcasts that wait for room must not stand before the erasing that would make it.
    unfinished_now = one(
        conn,
        "SELECT count(*) FROM job INDEXED BY job_open WHERE finished = 0 AND id > 0 AND app = ? AND kind = ?",
        (draft.app, draft.kind),
    )[0]
    if unfinished_now >= limits.jobs_open_max:
        return Refused(
            Kind.OVERLOADED, f"{limits.jobs_open_max} jobs of this app and kind are not finished yet"
        )
    if draft.kind is JobKind.BROADCAST and one(
        conn,
        "SELECT 1 FROM app WHERE id = ? AND storage_bytes_max > 0 AND stored_bytes >= storage_bytes_max",
        (draft.app,),
    ):
        # Later pages, of a broadcast that has begun, wait for room.
        return Refused(Kind.STORAGE_FULL, "the app stores as much as it may")
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
        return Refused(Kind.BAD_PARAMETER, f"there is no job {draft.job_id}")
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
    sent: list[tuple[MessageDraft, Appended]] = []
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
    job = msgspec.structs.replace(job, done=done + page.done, finished=page.finished, progress=page.progress)
    return Stepped(job, sent, page.placed)


def unfinished(conn: sqlite3.Connection) -> list[Job]:
    """List the jobs that a start goes on with. One of a kind unknown here is left to the gateway that knows it."""
    found = conn.execute(
        "SELECT id, app, kind, done, progress FROM job INDEXED BY job_open WHERE finished = 0 AND id > 0 ORDER BY id"
    ).fetchall()
    for job_id, _, kind, _, _ in found:
        if kind not in WORKS:
            log.error("job %d is of the kind %s, which this gateway does not know: it waits", job_id, kind)
    return [
        Job(id=row[0], app=row[1], kind=JobKind(row[2]), done=row[3], progress=row[4])
        for row in found
        if row[2] in WORKS
    ]
