"""Statements over many rows, which are given as parameters and not as JSON.

Binding a row costs a fifth of what `json_each` takes to read it again column by column. As with JSON the GIL changes
hands once a statement, not once a row as with `executemany`: beside a busy event loop that is what a batch waits for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

from gateway.store.sqlite.lane import table

SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)
"""So many rows one statement takes: few shapes, so that each is prepared once, and any number is a sum of a few."""


class Many:
    """A statement that holds `(?, …)` for each of its rows between `before` and `after`."""

    def __init__(self, before: str, row: str, after: str = "") -> None:
        self._shapes = [(size, f"{before} {', '.join([row] * size)} {after}") for size in SIZES]

    def run(self, conn: sqlite3.Connection, values: Sequence[Sequence[Any]]) -> None:
        """Run it over all rows."""
        for sql, params in self._cut(values):
            conn.execute(sql, params)

    def read(self, conn: sqlite3.Connection, values: Sequence[Sequence[Any]]) -> list[Any]:
        """Run a query over all rows whose only column is one JSON array of rows; return them together."""
        return [row for sql, params in self._cut(values) for row in table(conn, sql, params)]

    def _cut(self, values: Sequence[Sequence[Any]]) -> list[tuple[str, list[Any]]]:
        cut, start, count = [], 0, len(values)
        for size, sql in self._shapes:
            while count - start >= size:
                cut.append((sql, list(chain.from_iterable(values[start : start + size]))))
                start += size
        return cut
