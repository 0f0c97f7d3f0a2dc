"""The store port on SQLite: one writer lane that group-commits, readers beside it (design §4, §5)."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TypeVar

from gateway.domain.drafts import Answer, Draft, Job, Refused
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import Page, Scope
from gateway.domain.positions import Ack, Advanced, Attachment, Bearing, Keep, ReadDone, ReadMark, Standing
from gateway.store.base import Party
from gateway.store.errors import StoreError
from gateway.store.sqlite import jobs, pages, positions
from gateway.store.sqlite.accounts import Accounts
from gateway.store.sqlite.batch import append_batch
from gateway.store.sqlite.book import Book
from gateway.store.sqlite.changing import Changing
from gateway.store.sqlite.credentials import Credentials
from gateway.store.sqlite.files import Filing
from gateway.store.sqlite.folder import migrate, private, take_folder
from gateway.store.sqlite.group_lists import GroupLists
from gateway.store.sqlite.histories import Histories
from gateway.store.sqlite.lane import Lane, one, open_lane
from gateway.store.sqlite.looking import Looking
from gateway.store.sqlite.lookups import Lookups
from gateway.store.sqlite.newest import Newest
from gateway.store.sqlite.parties import Parties
from gateway.store.sqlite.presence import Presence
from gateway.store.sqlite.reading import Reading
from gateway.store.sqlite.recents import Recents
from gateway.store.sqlite.touched import Touched
from gateway.store.sqlite.upkeep import Upkeep

T = TypeVar("T")
log = logging.getLogger(__name__)

SQLITE_MIN = (3, 37, 0)
"""The first SQLite with STRICT tables."""

_BAD_DATA = (sqlite3.IntegrityError, sqlite3.DataError, UnicodeError, OverflowError)
_DAMAGE = {"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_ROWID"}


class SqliteStore(Parties, Credentials, Accounts, GroupLists, Reading, Looking, Upkeep, Presence, Filing):
    """The `Store` port on one folder. Made by `open`, which takes the folder's lock and applies migrations."""

    def __init__(self, path: Path, limits: Limits, lock: IO[str], writer: Lane, readers: list[Lane]) -> None:
        super().__init__()
        self._path = path
        self._limits = limits
        self._lock = lock
        self._writer = writer
        self._readers = Lookups(readers)
        self._newest = Newest(limits.conversations_behind_max)
        self._book = Book(limits.parties_held_max)
        self._changing = Changing()
        self._recents = Recents(self._changing, limits.cached_recents_max, limits.recent_max)
        self._histories = Histories(self._changing, limits.cached_history_bytes_max)
        self._reading = 0
        self._doubtful = False
        self._failing = False
        self._settling = asyncio.Lock()
        self._closed = False

    @classmethod
    async def open(cls, folder: Path, limits: Limits) -> SqliteStore:
        """Open or make the store in a folder (0700). Raises `StoreError` where another process owns it."""
        if sqlite3.sqlite_version_info < SQLITE_MIN:
            message = f"SQLite 3.37 or newer is needed; this Python has {sqlite3.sqlite_version}"
            raise StoreError(message)
        path, lock = take_folder(folder)
        lanes: list[Lane] = []
        try:
            # SQLite gives the files beside it the mode of this one.
            os.close(private(str(path), os.O_RDWR))
            lanes.append(await open_lane(path, readonly=False))
            await lanes[0].run(migrate)
            for _ in range(limits.readers):
                lanes.append(await open_lane(path, readonly=True))  # noqa: PERF401 - each is closed on a failure
            store = cls(path, limits, lock, lanes[0], lanes[1:])
            await store._writer.run(store._newest.load)
            store._epoch = await store._look(lambda conn: one(conn, "SELECT epoch FROM meta")[0])
        except (sqlite3.Error, OSError) as error:
            await _close_all(lanes)
            lock.close()
            message = f"cannot open {path}: {error}"
            raise StoreError(message) from error
        except BaseException:
            await _close_all(lanes)
            lock.close()
            raise
        return store

    async def close(self) -> None:
        """Finish what is under way; fold the log into the database; let go of the folder."""
        if not self._closed:
            self._closed = True
            async with self._settling:
                await self._readers.drain()
                if not self._doubtful:
                    await self._tell_all()
                await _close_all([*self._readers.lanes, self._writer])
            self._lock.close()

    async def _tell_all(self) -> None:
        """Leave a store behind whose tables are told all; where that fails, the next start reads what is missing."""
        try:
            await self._writer.run(self._newest.tell_all)
        except (sqlite3.Error, ValueError) as error:
            log.warning("the newest messages of conversations are not told: %s", error)

    async def probe(self) -> None:
        """Commit for real: the only proof that the store can. An update that changes nothing writes nothing."""
        await self._write(lambda conn: conn.execute("UPDATE meta SET probes = 1 - probes"), Touched())

    # -- the writer's lane ------------------------------------------------------------------------------

    async def _write(self, work: Callable[[sqlite3.Connection], T], touched: Touched | None = None) -> T:
        """Run `work` as one transaction. Whatever SQLite refuses is a `Problem`, and all of it is undone."""
        touched = touched or Touched(everything=True)

        def visit(conn: sqlite3.Connection) -> T:
            if touched.everything:
                self._book.forget()
            conn.execute("BEGIN IMMEDIATE")
            try:
                result = work(conn)
                with self._changing.committing(touched):
                    conn.execute("COMMIT")
            except BaseException:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                raise
            return result

        await self._settle()
        try:
            done = await self._writer.run(visit)
        except _BAD_DATA as error:
            raise _bad_data(error) from error
        except (sqlite3.Error, ValueError) as error:
            self._doubtful = True
            raise self._failed(error) from error
        self._works()
        return done

    def _works(self) -> None:
        if self._failing:
            log.info("the store works again")
            self._failing = False

    def _failed(self, error: Exception) -> Problem:
        # Every caller is told; the log is told once, until a commit says that it is over.
        if not self._failing:
            log.error("the store failed: %s", error)
            self._failing = True
        return Problem(
            Kind.STORE_FAILED, "the store cannot keep anything now; try again", retry_after_ms=1000
        )

    async def _settle(self) -> None:
        """After a failure, open the writer anew and fold in the log, so that what is on disk is what we read."""
        self._want_open()
        if not self._doubtful:
            return
        async with self._settling:
            # Whoever waited here finds it settled by who came first, or closed.
            self._want_open()
            if self._doubtful:
                await self._reopen()

    def _want_open(self) -> None:
        if self._closed:
            raise Problem(Kind.STORE_FAILED, "the store is closed")

    async def _reopen(self) -> None:
        try:
            await self._writer.close()
        except (sqlite3.Error, ValueError) as error:
            log.warning("closing the writer after a failure: %s", error)
        try:
            self._writer = await open_lane(self._path, readonly=False)
            # A commit that failed may yet turn out to be one.
            with self._changing.committing(Touched(everything=True)):
                await self._writer.run(lambda conn: one(conn, "PRAGMA wal_checkpoint(PASSIVE)"))
                await self._writer.run(self._newest.load)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._doubtful = False

    async def append(self, batch: Sequence[Draft]) -> list[Answer]:
        """Commit a batch; halve it until only a draft whose data SQLite refuses stands alone (design §4)."""
        await self._settle()
        key = secrets.token_hex(8)
        answers: list[Answer] = []
        try:
            await self._writer.run(
                lambda conn: append_batch(
                    conn, batch, key, self._limits, self._newest, self._book, self._changing, answers
                )
            )
            self._works()
            return answers
        except _BAD_DATA as error:
            if len(batch) == 1:
                return [_refuse(error)]
        except (sqlite3.Error, ValueError) as error:
            self._doubtful = True
            problem = self._failed(error)
            if answers and await self._is_committed(key, problem):
                return answers
            raise problem from error
        middle = len(batch) // 2
        answers = await self.append(batch[:middle])
        try:
            return answers + await self.append(batch[middle:])
        except Problem as problem:
            # The first half is committed and must be answered as such.
            return answers + [Refused(problem.kind, problem.sentence) for _ in batch[middle:]]

    async def _is_committed(self, key: str, problem: Problem) -> bool:
        """Learn the outcome of a batch whose COMMIT failed: "not kept" of a batch that was is the worst lie."""
        try:
            await self._settle()
            last = await self._writer.run(lambda conn: one(conn, "SELECT last_batch FROM meta")[0])
        except (Problem, sqlite3.Error, ValueError):
            problem.sentence = (
                "the store failed while committing; the outcome is unknown:"
                " ask again with the same transaction_id"
            )
            return False
        return bool(last == key)

    # -- positions --------------------------------------------------------------------------------------

    async def advance(self, acks: Sequence[Ack]) -> Advanced:
        """Move cursors and *delivered* up."""
        held, replaced = self._sort(acks)
        touched = Touched(delivered=(ack.user_id for ack in held if ack.timeline_id == ack.user_id))
        changes = await self._write(lambda conn: positions.advance(conn, held), touched)
        return Advanced(changes, replaced)

    async def keep(self, devices: Sequence[Keep]) -> list[Attachment]:
        """Make devices kept."""
        held, replaced = self._sort(devices)
        await self._write(lambda conn: positions.keep(conn, held, self._limits), Touched())
        return replaced

    async def read(self, marks: Sequence[ReadMark]) -> list[ReadDone | Kind]:
        """Move READ positions up."""
        pairs = [(mark.user_id, mark.opposite_id) for mark in marks if mark.scope is Scope.USER]

        def work(conn: sqlite3.Connection) -> list[ReadDone | Kind]:
            self._newest.settle(conn, pairs, {})
            return [positions.read(conn, mark) for mark in marks]

        return await self._write(work, Touched((mark.user_id, mark.opposite_id) for mark in marks))

    async def put_off(self, user_id: int, opposite: Party) -> bool:
        """Keep a conversation off the recent list."""

        def work(conn: sqlite3.Connection) -> bool:
            self._newest.settle(conn, [(user_id, opposite.id)], {})
            return positions.put_off(conn, user_id, opposite)

        return await self._write(work, Touched([(user_id, opposite.id)]))

    async def reserve(self, count: int) -> int:
        """Take message ids."""
        sql = "UPDATE meta SET next_msg_id = next_msg_id + ?1 RETURNING next_msg_id - ?1"
        first: int = await self._write(lambda conn: one(conn, sql, (count,))[0], Touched())
        return first

    async def jobs(self) -> list[Job]:
        """List the jobs that are not finished."""
        return await self._look(jobs.unfinished)

    # -- reading ----------------------------------------------------------------------------------------

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read for a caller, who can come back: past `reads_queue_max` with `OVERLOADED`."""
        if self._reading >= self._limits.reads_queue_max:
            raise Problem(Kind.OVERLOADED, "too many reads wait for the store", retry_after_ms=1000)
        return await self._look(work)

    async def _look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read what devices, tokens and this node itself need: there are at most `connections_max` of them."""
        self._want_open()
        self._reading += 1
        try:
            return await self._readers.run(work)
        except _BAD_DATA as error:
            raise _bad_data(error) from error
        except (sqlite3.Error, ValueError) as error:
            raise self._failed(error) from error
        finally:
            self._reading -= 1

    async def pages(self, asked: Sequence[tuple[int, int]], limit: int, bytes_max: int) -> list[Page]:
        """Read entries of timelines."""
        return await self._look(lambda conn: pages.pages(conn, asked, limit, bytes_max))

    async def standings(self, asked: Sequence[tuple[int, int]]) -> list[Standing]:
        """Attach, first query."""
        return await self._look(lambda conn: pages.standings(conn, asked))

    async def bearings(self, asked: Sequence[tuple[int, int, int]]) -> list[Bearing]:
        """Attach, second query."""
        return await self._look(lambda conn: pages.bearings(conn, asked))


def _bad_data(error: Exception) -> Problem:
    return Problem(Kind.BAD_PARAMETER, f"the store cannot keep this: {error}")


def _refuse(error: Exception) -> Refused:
    """Refuse the one draft that cannot be kept. A number given twice is never the draft's own: the tables are wrong."""
    if getattr(error, "sqlite_errorname", "") in _DAMAGE:
        log.error("a draft meets a damaged store, see `gateway check`: %s", error)
        return Refused(Kind.INTERNAL, "the store is damaged here")
    return Refused(Kind.BAD_PARAMETER, f"the store cannot keep this: {error}")


async def _close_all(lanes: list[Lane]) -> None:
    for lane in lanes:
        try:
            await lane.close()
        except (sqlite3.Error, ValueError) as error:
            log.warning("closing a connection: %s", error)
