#!/usr/bin/env python3
"""Measures what a store engine by itself costs: durable sends a second, and this process's CPU time for each.

    .venv/bin/python scripts/bench_store.py
    .venv/bin/python scripts/bench_store.py --sends 20000 --engine postgres --url postgresql://user@host/database

Batches of 1, 100 and 500 sends between two users each; as many batches in flight as the engine takes, no two of which
name a user in common. Without `--url` PostgreSQL is a server of its own that keeps what it commits. CPU time is what to
look at where other programs share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import uvloop

# A program is started by its path: make the project's own modules importable from wherever that is.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gateway.domain.drafts import Appended, MessageDraft
from gateway.domain.limits import Limits
from gateway.domain.model import Scope
from gateway.store.base import Store
from gateway.store.postgres.engine import PostgresOptions, PostgresStore
from gateway.store.sqlite import SqliteStore
from scripts.loadlib.services import Postgres

SIZES = (1, 100, 500)
USERS_PER_LANE = 1_000
NOW = 1_700_000_000_000


@contextlib.asynccontextmanager
async def opened(engine: str, url: str) -> AsyncIterator[Store]:
    """Open an empty store of an engine."""
    with contextlib.ExitStack() as stack:
        if engine == "postgres":
            if not url:
                postgres = Postgres()
                stack.callback(postgres.close)
                url = postgres.url
            store = cast("Store", await PostgresStore.open(PostgresOptions(url=url), Limits()))
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            store = await SqliteStore.open(Path(folder), Limits())
        try:
            yield store
        finally:
            await store.close()


def batches(app: int, lane: int, size: int, sends: int, round_: str) -> list[list[MessageDraft]]:
    """Make batches of sends between the users of one lane, each with a key of its own in every round."""
    first = 1 + lane * USERS_PER_LANE
    return [
        [
            MessageDraft(
                app=app,
                sender_xid=first + n % USERS_PER_LANE,
                sender_sn=0,
                scope=Scope.USER,
                targets=(first + (n * 7 + 1) % USERS_PER_LANE,),
                ctype=0,
                content="a message of some thirty letters",
                attachment="",
                config="",
                ext="",
                at=NOW,
                key=f"{round_}-{n}",
                digest="d",
            )
            for n in range(start, min(start + size, sends))
        ]
        for start in range(0, sends, size)
    ]


async def append_all(store: Store, asked: Sequence[Sequence[MessageDraft]]) -> None:
    """Append batch after batch, as one timeline's writer does."""
    for batch in asked:
        answers = await store.append(batch)
        if not all(isinstance(answer, Appended) for answer in answers):
            raise SystemExit(f"not every send was kept: {answers}")


async def measure(engine: str, url: str, sends: int) -> None:
    """Print a line for each size of batch."""
    async with opened(engine, url) as store:
        app = await store.create_app(f"bench-{time.time_ns()}", "k", b"x" * 64, registered=False, at=NOW)
        if app is None:
            raise SystemExit("the database has such an app already")
        lanes = store.batches_max
        # The first sends make users and let the server plan.
        for lane in range(lanes):
            await append_all(store, batches(app.id, lane, 100, USERS_PER_LANE, "first"))
        for size in SIZES:
            each = max(size, (sends if size > 1 else sends // 10) // lanes)
            asked = [batches(app.id, lane, size, each, str(size)) for lane in range(lanes)]
            wall, cpu = time.perf_counter(), time.process_time()
            async with asyncio.TaskGroup() as group:
                for lane_batches in asked:
                    group.create_task(append_all(store, lane_batches))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            count = each * lanes
            print(
                f"{engine:8} batches of {size:3}, {lanes} in flight: {count / wall:8,.0f} sends/s, "
                f"{cpu / count * 1e6:6.1f} µs CPU a send"
            )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=["sqlite", "postgres"], action="append")
    parser.add_argument(
        "--url", default="", help="a PostgreSQL database for it, else a server of its own is started"
    )
    parser.add_argument("--sends", type=int, default=10_000, help="at the most, for each size of batch")
    asked = parser.parse_args()
    for engine in asked.engine or ["sqlite", "postgres"]:
        uvloop.run(measure(engine, asked.url, min(asked.sends, 1_000_000)))


if __name__ == "__main__":
    main()
