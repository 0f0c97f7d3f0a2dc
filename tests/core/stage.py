"""A core over a real store in a temporary folder, with a clock that a test moves by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Self

from gateway.blobs.local import LocalBlobs
from gateway.bus.memory import MemoryBus
from gateway.core.accounts import Accounts
from gateway.core.answers import Answers
from gateway.core.broadcast import Broadcasts
from gateway.core.conversations import Conversations
from gateway.core.directory import Directory
from gateway.core.ephemeral import Ephemeral
from gateway.core.erasing import Erasing
from gateway.core.files import Files
from gateway.core.groups import Groups
from gateway.core.hub import Hub
from gateway.core.jobs import Jobs
from gateway.core.looking import Looking
from gateway.core.messaging import Messaging
from gateway.core.notes import Notes
from gateway.core.pacing import Pacing
from gateway.core.passwords import Cost, Passwords
from gateway.core.presence import Presence
from gateway.core.principal import Principal
from gateway.core.receipts import Receipts
from gateway.core.records import Records
from gateway.core.rooms import Rooms
from gateway.core.roster import Roster
from gateway.core.service import Core
from gateway.core.signals import Signals
from gateway.core.thumbnails import Thumbnails
from gateway.core.users import Users
from gateway.core.writer import Writer
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import App
from gateway.outlet.fetch import PublicFetcher
from gateway.store.sqlite import SqliteStore
from tests.sqlite import lay_tables

CHEAP = Cost(ln=1, r=1, p=1)


class Clock:
    """Milliseconds since 1970, as far as anybody here knows."""

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def move(self, *, s: int) -> None:
        self.now_ms += s * 1000


class Stage:
    """One node's core, without an edge."""

    def __init__(self, store: SqliteStore, blobs: LocalBlobs, limits: Limits) -> None:
        self.store = store
        self.limits = limits
        self.clock = Clock()
        self.randomness = Random(1).randbytes
        bus = MemoryBus()
        self.hub = Hub(store, bus, limits, self.clock)
        notes = Notes(bus, self.hub)
        self.writer = Writer(store, limits, lambda _drafts, _answers: None)
        self.directory = Directory(
            store,
            limits,
            self.clock,
            self.randomness,
            passwords=Passwords(limits, self.randomness, CHEAP),
        )
        self.rooms = Rooms(store, self.hub, notes, lambda: 1, limits, self.clock)
        self.groups = Groups(store, self.writer.submit, limits, self.clock, self.rooms)
        self.pacing = Pacing(limits, self.clock)
        receipts = Receipts(store, self.hub, notes, limits, self.clock, self.directory.known)
        presence = Presence(
            store, self.hub, receipts, notes, limits, self.clock, 1, self.directory.known.forget_all
        )
        self.jobs = Jobs(store, self.writer, self.pacing, limits, self.clock)
        ephemeral = Ephemeral(store, notes, limits)
        messaging = Messaging(
            store, self.writer, receipts, ephemeral, self.pacing, limits, self.clock, self.directory.known
        )
        self.blobs = blobs
        self.thumbnails = Thumbnails(limits)
        self.files = Files(store, blobs, self.thumbnails, PublicFetcher(limits), limits, self.clock, days=30)
        self.core = Core(
            accounts=Accounts(store, self.directory, presence, limits, self.clock),
            answers=Answers(limits),
            broadcasts=Broadcasts(self.jobs, limits, self.clock),
            directory=self.directory,
            erasing=Erasing(store, self.jobs, self.directory, presence, self.clock),
            files=self.files,
            groups=self.groups,
            rooms=self.rooms,
            messaging=messaging,
            conversations=Conversations(store, self.writer, self.clock, self.directory.known),
            looking=Looking(store, limits, self.directory.known),
            records=Records(store, limits),
            receipts=receipts,
            signals=Signals(messaging, notes),
            users=Users(store, self.directory, self.hub, presence, receipts, limits, self.clock),
            roster=Roster(store, self.directory, limits, self.clock),
        )

    async def app(self, app_id: str = "demo", *, registered: bool = False) -> App:
        return await self.directory.create_app(app_id, registered=registered)

    async def user(self, xid: int, app_id: str = "demo") -> Principal:
        """Whom a user's token speaks for."""
        grant = await self.directory.token_for(app_id, str(xid))
        return await self.directory.principal(app_id, grant.token, None, None)

    async def admin(
        self, app_id: str = "demo", *, user_id: int | None = None, group_id: int | None = None
    ) -> Principal:
        """Whom an administrator's token speaks for, with an acting header or alone."""
        grant = await self.directory.token_for(app_id, None)
        named = [None if xid is None else str(xid) for xid in (user_id, group_id)]
        return await self.directory.principal(app_id, grant.token, *named)


@asynccontextmanager
async def open_stage(folder: Path, limits: Limits | None = None) -> AsyncIterator[Stage]:
    limits = limits or Limits()
    lay_tables(folder)
    store = await SqliteStore.open(folder, limits)
    stage = Stage(store, LocalBlobs(folder / "blobs"), limits)
    try:
        yield stage
    finally:
        await stage.writer.close()
        await stage.files.close()
        stage.directory.close()
        await store.close()


async def app_of(stage: Stage, app_id: str = "demo") -> App:
    app = await stage.store.app(app_id)
    assert app is not None
    return app


async def group_of(stage: Stage, owner_xid: int) -> int:
    """The id of a new group with this owner."""
    principal = await stage.user(owner_xid)
    group, _ = await stage.groups.create(principal, name="", description="", avatar="", kind=0, members=())
    return group.xid


class Refusal:
    """What a block is expected to be refused with: `with refused(Kind.FORBIDDEN) as refusal`."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.sentence = ""
        self.retry_after_ms: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> bool:
        if error is None:
            raise AssertionError(f"nothing was refused, {self._kind} was expected")
        if not isinstance(error, Problem):
            return False
        assert error.kind is self._kind, f"refused as {error.kind}: {error.sentence}"
        self.sentence = error.sentence
        self.retry_after_ms = error.retry_after_ms
        return True


def refused(kind: Kind) -> Refusal:
    return Refusal(kind)
