"""Pieces of SQL about stays that every engine asks in the same words (design §3, Stay)."""

from __future__ import annotations

Place = tuple[str, str]
"""Where something lies in a group's timeline, as SQL: a stay is around it that begins by the first seq and reaches the
second. That is the same one, but for what was imported: it lies between two."""


def around(stay: str, place: Place) -> str:
    """Put together the SQL for: a stay is around a place."""
    first, last = place
    return f"{stay}.from_seq <= {first} AND ({stay}.to_seq IS NULL OR {stay}.to_seq >= {last})"


def at_seq(seq: str) -> Place:
    """Put together the SQL of the place of an entry."""
    return seq, seq
