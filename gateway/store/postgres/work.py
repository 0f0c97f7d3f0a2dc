"""What a kind of job has to say of itself on PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from gateway.domain.drafts import JobDraft
from gateway.domain.limits import Limits
from gateway.store.postgres.lane import Conn
from gateway.store.work import Page, Task


class Work(NamedTuple):
    """How a kind of job is done. Both run inside the transaction of the job's draft, which locks the job's row.

    `begin` does what must be done with the commit of the job itself, and fixes how far it will go (`ends_at`); `page`
    does what comes after `progress`: few enough rows that nobody who sends meanwhile notices.
    """

    begin: Callable[[Conn, JobDraft], Awaitable[int]]
    page: Callable[[Conn, Task, Limits], Awaitable[Page]]
