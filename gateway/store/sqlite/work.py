"""What a kind of job has to say of itself (`jobs.py` runs them, `broadcast.py` and `erase.py` are two)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from gateway.domain.drafts import JobDraft, MessageDraft, Placed
from gateway.domain.limits import Limits


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its next page finds it: `progress` is where the last one ended (0: none yet), `at` the time now."""

    app: int
    data: str
    progress: int
    ends_at: int
    at: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What one page does.

    `progress` is where the next one goes on, `done` what this one adds to the job's count. `messages` are appended in
    the same transaction; `placed` are entries that the page has appended itself.
    """

    progress: int
    done: int
    finished: bool
    messages: list[MessageDraft] = []
    placed: list[Placed] = []


class Work(NamedTuple):
    """How a kind of job is done. Both run on the writer's thread, inside the transaction.

    `begin` does what must be done with the commit of the job itself, and fixes how far it will go (`ends_at`); `page`
    does what comes after `progress`: few enough rows that nobody who sends meanwhile notices.
    """

    begin: Callable[[sqlite3.Connection, JobDraft], int]
    page: Callable[[sqlite3.Connection, Task, Limits], Page]
