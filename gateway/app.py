"""The composition root: the only place that knows engines, and puts a gateway together by hand."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from contextlib import suppress
from functools import partial
from pathlib import Path

from gateway.blobs.base import Blobs
from gateway.blobstores import make_blobs
from gateway.bus.base import Bus, Forget, ForgetGroup
from gateway.buses import make_bus
from gateway.clock import now_ms, ticks_ms
from gateway.config import Config
from gateway.control import ControlServer
from gateway.core.accounts import Accounts
from gateway.core.announcing import announce
from gateway.core.answers import Answers
from gateway.core.attaching import Attaching
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
from gateway.core.metrics import Metrics
from gateway.core.notes import Notes
from gateway.core.operator import Operator
from gateway.core.pacing import Pacing
from gateway.core.presence import Presence
from gateway.core.receipts import Receipts
from gateway.core.records import Records
from gateway.core.retention import Retention
from gateway.core.rooms import Rooms
from gateway.core.roster import Roster
from gateway.core.service import Core
from gateway.core.signals import Signals
from gateway.core.sweep import Sweep
from gateway.core.tasks import Tasks
from gateway.core.thumbnails import Thumbnails
from gateway.core.users import Users
from gateway.core.writer import Writer
from gateway.domain.drafts import Job
from gateway.domain.errors import Problem
from gateway.domain.model import App, User
from gateway.edge.answering import Answering, Switch
from gateway.edge.channel import Channel
from gateway.edge.facades.agora.dispatch import Dialect
from gateway.edge.facades.agora.routes import ROUTES
from gateway.edge.facades.agora.settings import Settings
from gateway.edge.facades.native.routes import ROOTS
from gateway.edge.facades.netease.dispatch import ROOTS as NETEASE_ROOTS
from gateway.edge.facades.netease.dispatch import Dialect as NeteaseDialect
from gateway.edge.facades.netease.routes import ROUTES as NETEASE_ROUTES
from gateway.edge.metrics import metrics_route
from gateway.edge.port import Port
from gateway.edge.server import build_app
from gateway.edge.socket import SocketRoad
from gateway.listening import BACKLOG, bind, listen, url_of
from gateway.outlet.fetch import PublicFetcher
from gateway.store.base import Store
from gateway.stores import open_store
from gateway.wire.close import Close

log = logging.getLogger(__name__)

ERASE_WAIT_MS = 5_000
"""How long an operator's command waits for an erasure before it asks again."""

ANSWERING = 0.3
"""The part of `drain_ms` that is kept for telling callers and devices, however long the store takes."""

PROBE_MS = 1_000
"""How old the proof that the store can commit may be when `/readyz` is asked."""


class Gateway:
    """One running node. Made by `start`; `stop` drains it."""

    def __init__(self, config: Config, store: Store, bus: Bus, blobs: Blobs, worker: int = 0) -> None:
        limits = config.limits
        self._config = config
        self._tasks = Tasks()
        self._draining = False
        self._probed = (0, "")
        self.store = store
        self._bus = bus
        self.hub = Hub(store, self._bus, limits, ticks_ms)
        self.writer = Writer(store, limits, lambda batch, answers: announce(self.hub, batch, answers))
        notes = Notes(self._bus, self.hub)
        self.directory = Directory(
            store, limits, now_ms, secrets.token_bytes, publish=notes.publish, ticks_ms=ticks_ms
        )
        known = self.directory.known
        notes.on(Forget, known.forget)
        notes.on(ForgetGroup, known.forget_group)
        self.receipts = Receipts(store, self.hub, notes, limits, now_ms, known)
        self.presence = Presence(
            store,
            self.hub,
            self.receipts,
            notes,
            limits,
            ticks_ms,
            secrets.randbits(63),
            known.forget_all,
        )
        rooms = Rooms(store, self.hub, notes, lambda: self.presence.nodes, limits, now_ms)
        self.sweep = Sweep(store, self._bus, self.hub, self.presence, rooms, limits, ticks_ms)
        self._bus.listen(self.hub.hear, notes.hear, self.sweep.connected, lambda: store.epoch)
        pacing = Pacing(limits, ticks_ms)
        self._ephemeral = ephemeral = Ephemeral(store, notes, limits)
        messaging = Messaging(store, self.writer, self.receipts, ephemeral, pacing, limits, now_ms, known)
        self.jobs = Jobs(store, self.writer, pacing, limits, now_ms)
        self._erasing = Erasing(store, self.jobs, self.directory, self.presence, now_ms)
        files_days = config.files.days or config.retention.days
        self._files = Files(
            store, blobs, Thumbnails(limits), PublicFetcher(limits), limits, now_ms, days=files_days
        )
        self.core = Core(
            accounts=Accounts(store, self.directory, self.presence, limits, now_ms),
            answers=Answers(limits),
            broadcasts=Broadcasts(self.jobs, limits, now_ms),
            directory=self.directory,
            groups=Groups(store, self.writer.submit, limits, now_ms, rooms),
            rooms=rooms,
            messaging=messaging,
            conversations=Conversations(store, self.writer, now_ms, known),
            looking=Looking(store, limits, known),
            records=Records(store, limits),
            receipts=self.receipts,
            signals=Signals(messaging, notes),
            erasing=self._erasing,
            files=self._files,
            users=Users(store, self.directory, self.hub, self.presence, self.receipts, limits, now_ms),
            roster=Roster(store, self.directory, limits, now_ms),
        )
        attaching = Attaching(store, self.hub, self.receipts, self.presence, limits, now_ms, ticks_ms)
        self.channel = Channel(self.core, attaching, self.hub, limits, ticks_ms, config.edge.ws_origins)
        self.retention = Retention(
            store,
            limits,
            now_ms,
            ticks_ms,
            days=config.retention.days,
            clock_step_max_s=config.retention.clock_step_max_s,
            files_days=files_days,
            sweep_files=self._files.sweep,
        )
        self.operator = Operator(
            store, self.directory, self.retention, lambda: self.url, self._erase, self.hub.connections_of
        )
        # Where nodes share a store, commands write to it beside them.
        self._control = None if store.shared else ControlServer(Path(config.server.data), self.operator)
        self._metrics = Metrics(
            store, self._bus, self.hub, self.writer, self.receipts, self.presence, ephemeral
        )
        self._worker = worker
        self.url = ""
        self._answering = Answering(self.core, limits, Switch())
        self._port: Port | None = None

    @classmethod
    async def start(cls, config: Config, *, worker: int = 0) -> Gateway:
        """Open the store and listen, as a `worker` with this number on a port that the others listen on too.

        Raises `StoreError` or `ListenError` with a sentence; nothing is left behind.
        """
        bus = make_bus(config)
        # On a shared port nobody is let in before there is somebody to serve: others are there who do.
        take = partial(bind, shared=True) if worker else listen
        listener = take(config.server.host, config.server.port)
        try:
            store = await open_store(config)
        except BaseException:
            listener.close()
            raise
        try:
            blobs = make_blobs(config)
        except BaseException:
            listener.close()
            await store.close()
            raise
        gateway = cls(config, store, bus, blobs, worker)
        try:
            await gateway._serve(listener)
        except BaseException:
            listener.close()
            await bus.close()
            await store.close()
            blobs.close()
            raise
        return gateway

    async def _serve(self, listener: socket.socket) -> None:
        await self._bus.start()
        # Devices that attach count only while their node is known to live.
        await self.presence.beat()
        edge = self._config.edge
        app = build_app(
            self._answering,
            self._config.limits,
            readiness=self.readiness,
            remarks=self.remarks,
            channel=SocketRoad(self.channel).handle,
            cors_origins=edge.cors_origins,
            extra=[
                metrics_route(self._metrics.read, self._config.metrics.token, self._worker),
                *self._netease().routes(),
                *self._agora().routes(ROOTS | NETEASE_ROOTS),
            ],
        )
        self._port = Port(app, self._config.limits)
        await self._port.open(
            listener,
            BACKLOG,
            self._answering,
            front_door=edge.front_door,
            channel=self.channel,
            cors_origins=edge.cors_origins,
        )
        self.url = url_of(listener)
        if self._control is not None:
            await self._control.start()
        self._tasks.keep(self._port.run, "half requests")
        self._tasks.keep(self._metrics.run, "loop delay")
        self._tasks.keep(self.sweep.run, "sweep")
        self._tasks.keep(self.presence.run_beat, "beat")
        self._tasks.keep(self.presence.run, "departures")
        self._tasks.keep(self.receipts.run, "acks")
        self._tasks.keep(self.jobs.run, "jobs")
        if self.store.shared:
            self._tasks.keep(self.jobs.run_looks, "jobs of other nodes")
        self._tasks.keep(self.retention.run, "retention")
        self._tasks.keep(self.retention.run_expiry, "expiry")

    def _netease(self) -> NeteaseDialect:
        return NeteaseDialect(self.core, self._config.limits, self._answering.switch, NETEASE_ROUTES, now_ms)

    def _agora(self) -> Dialect:
        config = self._config
        return Dialect(
            self.core,
            config.limits,
            Settings(
                public_url=config.edge.public_url,
                retention_days=config.retention.days,
                **{name: getattr(config.agora, name) for name in config.agora.__struct_fields__},
            ),
            self._answering.switch,
            ROUTES,
            now_ms,
        )

    async def _erase(self, app: App, user: User) -> Job:
        """Erase a user for the operator, and tell after a while how far it has got."""
        return await self.jobs.follow(await self._erasing.erase(app, user), ERASE_WAIT_MS)

    async def readiness(self) -> list[str]:
        """Return why this node is not ready; empty when it can commit and takes connections."""
        if self._draining:
            return ["shutting down"]
        if self.channel.full:
            return [f"{self._config.limits.connections_max} devices are connected, and no more are taken"]
        at, reason = self._probed
        if now_ms() - at >= PROBE_MS or now_ms() < at:
            try:
                await self.store.probe()
                reason = ""
            except Problem as problem:
                reason = problem.sentence
            self._probed = (now_ms(), reason)
        return [reason] if reason else []

    def remarks(self) -> list[str]:
        """Return what a node that is ready does without."""
        if self._bus.connected:
            return []
        wait_s = self._config.limits.sweep_busless_ms / 1000
        return [f"the bus is away: what other nodes commit comes to devices here every {wait_s:g} s"]

    async def stop(self) -> None:
        """Drain: take nothing new, flush batches, answers, hints and acks, say `bye`, all within `drain_ms`."""
        if self._draining:
            return
        self._draining = self._answering.switch.draining = self.channel.draining = True
        log.info("draining")
        limit_s = self._config.limits.drain_ms / 1000
        ends = asyncio.get_running_loop().time() + limit_s
        try:
            async with asyncio.timeout_at(ends - limit_s * ANSWERING):
                await self._flush()
        except TimeoutError:
            log.warning("the store is too slow to flush in time: what waits for it is answered with an error")
            # Whoever waits for it is told so: nobody is cut off without a word.
            await self.store.close()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(ends):
                    await self.writer.close()
        await self._say_bye()
        await self.channel.stop(ends)
        if self._port:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(ends):
                    await self._port.close(ends)
        await self._release()

    async def _flush(self) -> None:
        """Take nothing new, and commit what waits."""
        if self._port:
            self._port.stop_listening()
        self.jobs.close()
        await self.writer.close()
        await self.receipts.close()

    async def _say_bye(self) -> None:
        await self.channel.close()
        for connection in self.hub.connections:
            # Jittered, so that a fleet of clients does not come back in one moment.
            later_ms = 100 + secrets.randbelow(2_900)
            self.hub.close(connection, Close.DRAINING, "the gateway is shutting down", later_ms)

    async def _release(self) -> None:
        if self._control is not None:
            await self._control.stop()
        await self._tasks.stop()
        await self._files.close()
        await self._ephemeral.close()
        await self.sweep.stop()
        await self.hub.stop()
        await self.presence.stop()
        self.directory.close()
        await self._bus.close()
        await self.store.close()
