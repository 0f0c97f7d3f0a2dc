"""One life of the bus: a connection to publish by and one to hear by, from when they are made until either fails."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import NoReturn

from redis.asyncio.connection import AbstractConnection

from gateway.bus.counts import Counts
from gateway.bus.dial import Pair
from gateway.bus.options import BusOptions
from gateway.bus.waiting import Channels, Publish, Waiting

log = logging.getLogger(__name__)

_BEAT_DIGITS_MAX = 18


class Mute(Exception):
    """The bus did not hear itself: a connection may be dead without having said so."""


class Link:
    """A pair of connections at work.

    It is `up` from when every channel wanted is confirmed and a beat has come all the way round, and never again once
    it is down.
    """

    def __init__(
        self,
        pair: Pair,
        channels: Channels,
        waiting: Waiting,
        options: BusOptions,
        counts: Counts,
        beats: Iterator[int],
        *,
        wanted: Callable[[], AbstractSet[bytes]],
        on_payload: Callable[[bytes], Awaitable[None]],
        on_up: Callable[[], None],
    ) -> None:
        self.up = False
        self._pair = pair
        self._channels = channels
        self._waiting = waiting
        self._options = options
        self._counts = counts
        self._wanted = wanted
        self._on_payload = on_payload
        self._on_up = on_up
        self._asked: set[bytes] = set()
        self._unanswered: Counter[bytes] = Counter()
        self._confirmed: dict[bytes, asyncio.Event] = {}
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._beats = beats
        self._beat_first = self._beat_said = self._beat_heard = next(beats)
        self._beat_due = False
        self._heard_itself = asyncio.Event()
        self._speaking = False
        self._said = asyncio.Event()

    # -- what the bus asks of it --------------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Work until a connection fails.

        Raises:
            Mute: no beat came back.
            RedisError, OSError, TimeoutError: a connection failed.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(self._pair.hearer))
                tasks.create_task(self._ask(self._pair.hearer))
                tasks.create_task(self._speak(self._pair.speaker))
                await self._settle()
                self.up = True
                self._counts.connects += 1
                self._on_up()
                await self._keep_beating()
        except ExceptionGroup as group:
            # One failure ends the others, which have nothing to add.
            raise group.exceptions[0] from None
        finally:
            self.up = False
            for confirmed in self._confirmed.values():
                confirmed.set()
            self._said.set()
            await self._pair.close()
        raise AssertionError("unreachable: beating ends by an error only")

    def change(self) -> None:
        """The channels wanted have changed: ask for them with the next command."""
        self._changed.set()

    async def confirmed(self, channel: bytes) -> None:
        """Return once the server has confirmed this channel, or at once when this link is over."""
        if self.up and not self._hears(channel):
            await self._confirmed.setdefault(channel, asyncio.Event()).wait()

    async def said(self) -> None:
        """Return once all that waits is published, or this link is over."""
        while self.up and (self._speaking or self._waiting.some.is_set()):
            self._said.clear()
            await self._said.wait()

    # -- hearing ------------------------------------------------------------------------------------------

    def _hears(self, channel: bytes) -> bool:
        return channel in self._asked and not self._unanswered[channel]

    async def _ask(self, hearer: AbstractConnection) -> None:
        """Subscribe and unsubscribe: whatever has changed by now in one command each."""
        while True:
            self._changed.clear()
            wanted = {self._channels.everybody, self._channels.beat, *self._wanted()}
            new, old = wanted - self._asked, self._asked - wanted
            self._asked = wanted
            self._unanswered.update([*new, *old])
            for verb, channels in (("SUBSCRIBE", new), ("UNSUBSCRIBE", old)):
                if channels:
                    self._counts.commands += 1
                    await hearer.send_command(verb, *channels, check_health=False)
            self._answered.set()
            await self._changed.wait()

    async def _hear(self, hearer: AbstractConnection) -> None:
        while True:
            match await hearer.read_response():
                case [b"message", self._channels.beat, beat]:
                    self._hear_beat(beat)
                case [b"message", _, payload]:
                    await self._on_payload(payload)
                case [b"subscribe" | b"unsubscribe", channel, _]:
                    self._hear_answer(channel)
                case other:
                    log.debug("the bus said %r", other)

    def _hear_answer(self, channel: bytes) -> None:
        self._unanswered[channel] -= 1
        if not self._unanswered[channel]:
            del self._unanswered[channel]
            confirmed = self._confirmed.pop(channel, None)
            if confirmed is not None:
                confirmed.set()
        self._answered.set()

    # -- speaking -----------------------------------------------------------------------------------------

    async def _speak(self, speaker: AbstractConnection) -> None:
        """Publish what waits; what comes while that is under way goes next, merged."""
        while True:
            await self._waiting.some.wait()
            publishes, heads = self._waiting.take()
            self._speaking = True
            try:
                await self._publish(speaker, publishes)
            except BaseException:
                # How much of it got out is not known: that these timelines have grown can be said twice.
                self._waiting.put_heads(heads.items())
                raise
            finally:
                self._speaking = False
            self._said.set()

    async def _publish(self, speaker: AbstractConnection, publishes: list[Publish]) -> None:
        if self._beat_due:
            self._beat_due = False
            publishes = [*publishes, Publish(self._channels.beat, b"%d" % self._beat_said)]
        commands = b"".join(map(_command, publishes))
        self._counts.commands += len(publishes)
        self._counts.payloads_published += len(publishes)
        await speaker.send_packed_command(commands, check_health=False)
        for _ in publishes:
            await speaker.read_response()

    # -- the beat -----------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Return once all that is wanted is confirmed, and the link has heard itself."""
        try:
            async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
                while not self._settled() or not self._heard_itself.is_set():
                    if self._settled():
                        self._beat()
                        await self._heard_itself.wait()
                    else:
                        self._answered.clear()
                        await self._answered.wait()
        except TimeoutError:
            raise Mute("it did not answer in time") from None

    def _settled(self) -> bool:
        return bool(self._asked) and not self._unanswered and not self._changed.is_set()

    async def _keep_beating(self) -> NoReturn:
        """Beat for as long as beats are heard.

        They are numbered, not timed: a stall of this very process is no fault of the peer's.
        """
        missed_max = self._options.beats_missed_max
        while self._beat_said - self._beat_heard < missed_max:
            self._beat()
            await asyncio.sleep(self._options.beat_ms / 1000)
        self._counts.beats_missed += 1
        raise Mute(f"nothing came back for {missed_max * self._options.beat_ms / 1000:g} s")

    def _beat(self) -> None:
        self._beat_said = next(self._beats)
        self._beat_due = True
        self._waiting.some.set()

    def _hear_beat(self, told: bytes) -> None:
        # One of an earlier link may come late; it says nothing of this one. Nor does what somebody else publishes.
        beat = int(told) if told.isdigit() and len(told) <= _BEAT_DIGITS_MAX else 0
        if self._beat_first < beat <= self._beat_said:
            self._beat_heard = beat
            self._heard_itself.set()


def _command(publish: Publish) -> bytes:
    """A publish as Redis' protocol has it."""
    channel, payload = publish
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        len(channel),
        channel,
        len(payload),
        payload,
    )
