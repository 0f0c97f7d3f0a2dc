"""What a kind of job has to say of itself (`jobs.py` runs them, `broadcast.py` and `erase.py` are two)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from gateway.domain.drafts import JobDraft
from gateway.domain.limits import Limits
from gateway.store.work import Page, Task


class Work(NamedTuple):
    """How a kind of job is done. Both run on the writer's thread, inside the transaction.

    `begin` does what must be done with the commit of the job itself, and fixes how far it will go (`ends_at`); `page`
    does what comes after `progress`: few enough rows that nobody who sends meanwhile notices.
    """

    begin: Callable[[sqlite3.Connection, JobDraft], int]
    page: Callable[[sqlite3.Connection, Task, Limits], Page]
