"""What becomes of drafts about jobs, from what an engine has read of them: the same on every engine."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import msgspec

from gateway.domain.drafts import (
    Answer,
    Appended,
    BroadcastText,
    Job,
    JobDraft,
    JobKind,
    MessageDraft,
    Refused,
    Started,
    StepDraft,
)
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from gateway.store.refusals import conflict
from gateway.store.work import Page, Task

log = logging.getLogger(__name__)

Sent = list[tuple[MessageDraft, Appended]]

_text = msgspec.json.Decoder(BroadcastText)


def started_before(
    draft: JobDraft, job_id: int, done: int, finished: int, digest: str, progress: int
) -> Answer:
    """Answer a draft whose key has started this job."""
    if digest != draft.digest:
        return conflict(draft.key, draft.kind)
    return Started(
        Job(
            id=job_id,
            app=draft.app,
            kind=draft.kind,
            done=done,
            finished=bool(finished),
            progress=progress,
        )
    )


def too_many(limits: Limits) -> Refused:
    """The refusal of one more job, where too many are not finished."""
    return Refused(Kind.OVERLOADED, f"{limits.jobs_open_max} jobs of this app and kind are not finished yet")


def job_unknown(draft: StepDraft) -> Refused:
    """The refusal to go on with what is not there."""
    return Refused(Kind.BAD_PARAMETER, f"there is no job {draft.job_id}")


def stepped(job: Job, page: Page) -> Job:
    """A job after one more page of it."""
    return msgspec.structs.replace(
        job, done=job.done + page.done, finished=page.finished, progress=page.progress
    )


def known_jobs(found: Sequence[tuple[int, int, str, int, int]], kinds: Collection[str]) -> list[Job]:
    """List the jobs that a start goes on with, of (id, app, kind, done, progress).

    One of a kind unknown here is left to the gateway that knows it.
    """
    for job_id, _, kind, *_ in found:
        if kind not in kinds:
            log.error("job %d is of the kind %s, which this gateway does not know: it waits", job_id, kind)
    return [
        Job(id=row[0], app=row[1], kind=JobKind(row[2]), done=row[3], progress=row[4])
        for row in found
        if row[2] in kinds
    ]


def broadcast_page(
    task: Task, system_xid: int, looked_at: Sequence[tuple[int, bool]], limits: Limits
) -> Page:
    """Make the next page of a broadcast, of the xids looked at, by rising xid, and whether each is meant."""
    xids = tuple(xid for xid, meant in looked_at if meant)
    text = _text.decode(task.data)
    message = MessageDraft(
        app=task.app,
        sender_xid=system_xid,
        sender_sn=0,
        scope=Scope.USER,
        targets=xids,
        ctype=text.ctype,
        content=text.content,
        attachment=text.attachment,
        config=text.config,
        ext=text.ext,
        at=task.at,
        copied=False,
        create=False,
    )
    return Page(
        progress=looked_at[-1][0] if looked_at else task.progress,
        done=len(xids),
        finished=len(looked_at) < limits.job_page_max,
        messages=[message] if xids else [],
    )
