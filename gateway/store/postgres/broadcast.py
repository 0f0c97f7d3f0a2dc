"""The pages of a broadcast: one message from `system` to every user of an app that was there when it was committed."""

from __future__ import annotations

from gateway.domain.drafts import JobDraft
from gateway.domain.limits import Limits
from gateway.domain.model import Scope, State
from gateway.store.jobs import broadcast_page
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.work import Work
from gateway.store.work import Page, Task

_SYSTEM = "SELECT t.id, t.xid FROM app AS a JOIN timeline AS t ON t.id = a.system WHERE a.id = $1"
# By xid, which is an index search within the app. So many rows are looked at and no more, whoever of them is meant:
# users who came later have greater ids of their own, however small the xid that they chose.
_NEXT = f"""
SELECT xid, kind = {Scope.USER:d} AND state <> {State.DELETED:d} AND id <= $3 AND id <> $4
FROM timeline WHERE app = $1 AND xid > $2 ORDER BY xid LIMIT $5
"""


async def _begin(conn: Conn, _: JobDraft) -> int:
    last: int = await conn.fetchval("SELECT coalesce(max(id), 0) FROM timeline")
    return last


async def _page(conn: Conn, task: Task, limits: Limits) -> Page:
    system_id, system_xid = await conn.fetchrow(_SYSTEM, task.app)
    looked_at = await conn.fetch(_NEXT, task.app, task.progress, task.ends_at, system_id, limits.job_page_max)
    return broadcast_page(task, system_xid, looked_at, limits)


WORK = Work(begin=_begin, page=_page)
