"""What goes with the oldest messages, found by what their rows say: the same on every engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.domain.model import ROW_BYTES
from gateway.store.rows import SENDERS, UNCOPIED

ENTRIES_PER_MESSAGE = 4
"""Entries that a page may remove for each of its messages: a message has two at the most, the rest is between them."""

JOBS_MAX = 100
"""Finished jobs that one run of retention looks at."""


class Old(NamedTuple):
    """A message that goes; `app` is its target's."""

    msg_id: int
    at: int
    target: int
    peer: int
    sender: int
    flags: int
    app: int


class Raised(NamedTuple):
    """A timeline, its floor and the floor that it gets."""

    timeline_id: int
    floor: int
    above: int


def touched(old: Sequence[Old]) -> dict[int, int]:
    """Name the timelines that hold one of these messages, each with the greatest of them."""
    newest: dict[int, int] = {}
    for row in old:
        if not row.flags & SENDERS:
            newest[row.target] = row.msg_id
        if row.peer and not row.flags & UNCOPIED:
            newest[row.sender] = row.msg_id
    return newest


def conversations(old: Sequence[Old]) -> dict[tuple[int, int], int]:
    """Name the conversations of two users that these messages are in, seen by each, with the greatest of them."""
    newest: dict[tuple[int, int], int] = {}
    for row in old:
        if row.peer == row.sender:
            newest[row.target, row.sender] = newest[row.sender, row.target] = row.msg_id
    return newest


def freed(apps: Sequence[int]) -> dict[int, int]:
    """Say what apps store less, beside the texts, when messages of theirs have gone: one name for each message."""
    return {app: -ROW_BYTES * apps.count(app) for app in set(apps)}


def too_many(floors: Sequence[Raised], most: int) -> bool:
    """Whether what goes with the floors is more than a page of so many messages may remove."""
    return sum(raised.above - raised.floor for raised in floors) > ENTRIES_PER_MESSAGE * most
