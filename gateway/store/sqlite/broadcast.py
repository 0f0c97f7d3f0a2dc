"""The pages of a broadcast: one message from `system` to every user of an app that was there when it was committed."""

from __future__ import annotations

import sqlite3

from gateway.domain.drafts import JobDraft
from gateway.domain.limits import Limits
from gateway.domain.model import Scope, State
from gateway.store.jobs import broadcast_page
from gateway.store.sqlite.lane import one, table
from gateway.store.sqlite.work import Work
from gateway.store.work import Page, Task

# By xid, which is an index search within the app. So many rows are looked at and no more, whoever of them is meant:
# users who came later have greater ids of their own, however small the xid that they chose.
_NEXT = f"""
SELECT json_group_array(json_array(xid, meant)) FROM (
    SELECT xid, kind = {Scope.USER:d} AND state <> {State.DELETED:d} AND id <= ?3 AND id <> ?4 AS meant
    FROM timeline WHERE app = ?1 AND xid > ?2 ORDER BY xid LIMIT ?5)
"""


def _begin(conn: sqlite3.Connection, _: JobDraft) -> int:
    last: int = one(conn, "SELECT coalesce(max(id), 0) FROM timeline")[0]
    return last


def _page(conn: sqlite3.Connection, task: Task, limits: Limits) -> Page:
    system_id, system_xid = one(
        conn,
        "SELECT t.id, t.xid FROM app AS a JOIN timeline AS t ON t.id = a.system WHERE a.id = ?",
        (task.app,),
    )
    looked_at = sorted(
        table(conn, _NEXT, (task.app, task.progress, task.ends_at, system_id, limits.job_page_max))
    )
    return broadcast_page(task, system_xid, looked_at, limits)


WORK = Work(begin=_begin, page=_page)
