"""Lists that are read page by page, by rising number: where a page starts, what it holds, and whether more follows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from gateway.domain.errors import bad

T = TypeVar("T")

_CURSOR = re.compile(r"[0-9]{1,16}")


def after(cursor: str) -> int:
    """Where a page starts: after the number its cursor holds, which the call gave out with the page before."""
    if cursor and not _CURSOR.fullmatch(cursor):
        raise bad("cursor", "it is not one of this call's answers")
    return int(cursor or "0")


def page_limit(limit: int, most: int) -> int:
    """How much a page holds: what is asked for, clamped."""
    if limit < 1:
        raise bad("limit", "it must be at least 1")
    return min(limit, most)


def page_of(found: list[T], limit: int, number: Callable[[T], int]) -> tuple[list[T], str]:
    """A page, of which one more than it holds was asked for, and the cursor of the next; empty after the last."""
    page = found[:limit]
    return page, str(number(page[-1])) if len(found) > limit else ""
