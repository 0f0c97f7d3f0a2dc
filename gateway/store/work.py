"""A job as its pages see it, on every engine (`jobs.py` of each runs them; broadcasts and erasures are two kinds)."""

from __future__ import annotations

import msgspec

from gateway.domain.drafts import MessageDraft, Placed


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
