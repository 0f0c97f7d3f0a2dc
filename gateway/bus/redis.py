"""The bus over Redis' publish and subscribe; Valkey and whatever else speaks its protocol will do.

Redis is an accelerator: what it loses, the law of the session and the sweep make good (design promise 3). While it is
away notes are dropped and hints wait as bare heads, so that those who stayed connected hear of them afterwards. After
a failure a bare head may be told twice; entries and notes are told at most once.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random, SystemRandom
from typing import TypeVar

import msgspec

from gateway.bus.base import EVERYBODY, Hint, Note
from gateway.bus.codec import decode_payload
from gateway.bus.counts import Counts
from gateway.bus.dial import FAILURES, Dial, Unreachable, why
from gateway.bus.link import Link, Mute
from gateway.bus.options import BusOptions
from gateway.bus.waiting import Channels, Waiting
from gateway.domain.limits import Limits

log = logging.getLogger(__name__)

T = TypeVar("T")

_NODE_BITS = 48
_RETRY_FIRST_S = 0.05
_DOUBLINGS_MAX = 10
_START_S = 1.0
_CLOSE_S = 1.0
_COMPLAIN_S = 60.0

# So much is handed on before others on the loop get their turn, and so long.
_CHUNK = 64
_SLICE_S = 0.005


class RedisBus:
    """One node's end of the bus; see `Bus` for what it promises. Making one does no I/O.

    An ACL user needs `+publish +subscribe +unsubscribe` and the channels `<prefix>:*`; `+select` for another db than
    0; with Sentinels `+role`, so that a server that is no master any more is found out.

    Raises:
        ValueError: `options.url` is no URL of a bus.
    """

    alone = False

    def __init__(self, options: BusOptions, limits: Limits, rng: Random | None = None) -> None:
        self.counts = Counts()
        self._options = options
        self._rng = rng or SystemRandom()
        self._node = self._rng.getrandbits(_NODE_BITS)
        self._name = options.place.name
        self._dial = Dial(options, self._rng)
        self._channels = Channels(options, self._node)
        self._waiting = Waiting(self._node, self._channels, limits, self.counts)
        self._topics: set[int] = {EVERYBODY}
        self._followed: Counter[bytes] = Counter()
        self._beats = itertools.count()
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._closed = False
        self._away = False
        self._complain_after = 0.0
        self._turn_ends = 0.0
        self._on_hints: Callable[[Sequence[Hint]], None] = lambda _hints: None
        self._on_notes: Callable[[Sequence[Note]], None] = lambda _notes: None
        self._on_connect: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        """Whether this node has heard itself of late."""
        return self._link is not None and self._link.up

    def listen(
        self,
        on_hints: Callable[[Sequence[Hint]], None],
        on_notes: Callable[[Sequence[Note]], None],
        on_connect: Callable[[], None],
        epoch: Callable[[], str] = str,
    ) -> None:
        """Say who hears the other nodes and the (re)connects; once, before anything else."""
        self._on_hints, self._on_notes, self._on_connect = on_hints, on_notes, on_connect
        self._waiting.epoch = epoch

    async def start(self) -> None:
        """Connect; where the first attempt fails or takes longer than a second, go on beside what follows."""
        self._task = asyncio.create_task(self._keep_connected(), name="bus")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), _START_S)

    def publish(self, hints: Sequence[Hint], notes: Sequence[Note] = ()) -> None:
        """Let the hints and notes of one flush go with the next publish."""
        if self._closed:
            return
        if self.connected:
            self._waiting.put(hints, notes)
        else:
            self._waiting.put_heads((hint.timeline_id, hint.head) for hint in hints)
            self.counts.notes_dropped += len(notes)

    async def subscribe(self, timeline_id: int) -> None:
        """Hear this timeline; returns when its partition is confirmed, or at once while the bus is down."""
        channel = self._channels.of(timeline_id)
        if timeline_id not in self._topics:
            self._topics.add(timeline_id)
            self._followed[channel] += 1
            self._rewire(channel, followers=1)
        if self._link is not None:
            await self._link.confirmed(channel)

    def unsubscribe(self, timeline_id: int) -> None:
        """Hear it no more."""
        if timeline_id in self._topics:
            channel = self._channels.of(timeline_id)
            self._topics.remove(timeline_id)
            self._followed[channel] -= 1
            if not self._followed[channel]:
                del self._followed[channel]
            self._rewire(channel, followers=0)

    async def close(self) -> None:
        """Send what waits, within a second, and leave."""
        self._closed = True
        if self._link is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._link.said(), _CLOSE_S)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _rewire(self, channel: bytes, *, followers: int) -> None:
        """A channel may have its first follower, or none any more."""
        if self._link is not None and self._followed[channel] == followers:
            self._link.change()

    # -- one link after the other -------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        failures = 0
        while True:
            connects = self.counts.connects
            try:
                await self._live()
            except Exception as error:  # noqa: BLE001 - whatever it was, a node without a bus tries again
                failures = failures + 1 if self.counts.connects == connects else 0
                self._miss(error)
            self._tried.set()
            longest = min(
                self._options.retry_ms_max / 1000, _RETRY_FIRST_S * 2 ** min(failures, _DOUBLINGS_MAX)
            )
            await asyncio.sleep(longest * self._rng.uniform(0.5, 1))

    async def _live(self) -> None:
        """Connect, and work until that connection fails."""
        link = self._link = Link(
            await self._dial.pair(),
            self._channels,
            self._waiting,
            self._options,
            self.counts,
            self._beats,
            wanted=self._followed.keys,
            on_payload=self._hear,
            on_up=self._greet,
        )
        try:
            await link.run()
        finally:
            self._link = None
            self._waiting.strip()

    def _greet(self) -> None:
        """The bus is there: everybody's heads are to be compared with the store."""
        if self._away:
            log.info("the bus %s is back", self._name)
        self._away = False
        self._tried.set()
        self._guarded(self._on_connect)

    def _miss(self, error: Exception) -> None:
        """Say once that the bus is away."""
        if not self._away:
            known = isinstance(error, (*FAILURES, Mute, Unreachable))
            log.warning("the bus %s is away: %s", self._name, why(error), exc_info=None if known else error)
        self._away = True

    # -- hearing ------------------------------------------------------------------------------------------

    async def _hear(self, payload: bytes) -> None:
        """Hand on what another node has said, in pieces that leave others their turn."""
        try:
            heard = decode_payload(payload, self._node, self._waiting.epoch(), self._topics)
        except msgspec.DecodeError as error:
            self._refuse(str(error))
            return
        if heard is None:
            return
        if heard.foreign:
            self._refuse(
                "what nodes of another store or epoch say. Each gateway wants a [bus] prefix of its own"
            )
        if heard.refused:
            self._refuse("some of its entries or notes", heard.refused)
        self.counts.hints_heard += len(heard.hints)
        self.counts.notes_heard += len(heard.notes)
        await self._hand_on(self._on_hints, heard.hints)
        await self._hand_on(self._on_notes, heard.notes)

    async def _hand_on(self, handler: Callable[[Sequence[T]], None], heard: Sequence[T]) -> None:
        now = asyncio.get_running_loop().time
        for start in range(0, len(heard), _CHUNK):
            chunk = heard[start : start + _CHUNK]
            self._guarded(lambda: handler(chunk))  # noqa: B023 - called before the next turn
            if now() > self._turn_ends:
                await asyncio.sleep(0)
                self._turn_ends = now() + _SLICE_S

    def _guarded(self, handler: Callable[[], None]) -> None:
        """Call who hears: what goes wrong there is not the bus's failure."""
        try:
            handler()
        except Exception:
            log.exception("what the bus said could not be taken in")

    def _refuse(self, what: str, count: int = 1) -> None:
        """Count what could not be taken, and say so now and then."""
        self.counts.refused += count
        now = asyncio.get_running_loop().time()
        if now >= self._complain_after:
            self._complain_after = now + _COMPLAIN_S
            log.warning("the bus %s carries what is of no use: %s", self._name, what)
