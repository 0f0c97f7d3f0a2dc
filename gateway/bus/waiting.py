"""What one node still has to say: merged by channel while a publish is under way, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gateway.bus.base import EVERYBODY, Hint, Note
from gateway.bus.codec import (
    ENVELOPE_BYTES,
    HINT_BYTES,
    NOTE_BYTES,
    encode_entries,
    encode_note,
    encode_payload,
)
from gateway.bus.counts import Counts
from gateway.bus.options import BusOptions
from gateway.domain.limits import Limits

_PROTOCOL = 1
"""Of the channels: raised when nodes that publish on them can no longer be read at all."""


class Channels:
    """The names under which topics are heard: a bounded number of partitions, and one that everybody hears."""

    def __init__(self, options: BusOptions, node: int) -> None:
        stem = f"{options.prefix}:{_PROTOCOL}:".encode()
        self.everybody = stem + b"all"
        self.beat = b"%bbeat:%d" % (stem, node)
        self._partitions = options.partitions
        # How many there are is part of the name: nodes that disagree do not hear each other, rather than now and then.
        self._stem = b"%b%d:" % (stem, options.partitions)

    def of(self, topic: int) -> bytes:
        """The channel of a topic."""
        if topic == EVERYBODY:
            return self.everybody
        return b"%b%d" % (self._stem, topic % self._partitions)


class Publish(NamedTuple):
    """One payload for one channel."""

    channel: bytes
    payload: bytes


class _Piece:
    """A hint that waits, with the encoded entries up to its head."""

    __slots__ = ("entries", "head", "size", "timeline_id")

    def __init__(self, timeline_id: int, head: int, entries: list[bytes]) -> None:
        self.timeline_id = timeline_id
        self.head = head
        self.entries = entries
        self.size = sum(map(len, entries))

    def join(self, head: int, entries: list[bytes], size_max: int) -> bool:
        """Take a later hint of the timeline in; False where that would lose entries."""
        if head <= self.head:
            return True
        if not entries and not self.entries:
            self.head = head
            return True
        size = sum(map(len, entries))
        if not self.entries or head - len(entries) != self.head or self.size + size > size_max:
            return False
        self.head = head
        self.entries += entries
        self.size += size
        return True


class _Parcel:
    """What waits for one channel, in the order it came; `latest` is the last hint of each timeline."""

    __slots__ = ("latest", "notes", "pieces")

    def __init__(self) -> None:
        self.pieces: list[_Piece] = []
        self.latest: dict[int, _Piece] = {}
        self.notes: list[tuple[int, bytes]] = []


class Waiting:
    """The hints and notes of a node that are not published yet.

    Bounded by `bus_queue_bytes_max` (past it hints go without entries and notes are dropped) and `bus_queue_max`
    (past it hints are dropped, too). `some` is set while anything waits.
    Whatever is published says the `epoch` of the store.
    """

    def __init__(self, node: int, channels: Channels, limits: Limits, counts: Counts) -> None:
        self._node = node
        self._channels = channels
        self._payload_bytes_max = max(limits.publish_bytes_max, ENVELOPE_BYTES + HINT_BYTES)
        self._hint_bytes_max = min(
            limits.hint_bytes_max, self._payload_bytes_max - ENVELOPE_BYTES - HINT_BYTES
        )
        self._bytes_max = limits.bus_queue_bytes_max
        self._count_max = limits.bus_queue_max
        self._counts = counts
        self._parcels: dict[bytes, _Parcel] = {}
        self._bytes = 0
        self._count = 0
        self.some = asyncio.Event()
        self.epoch: Callable[[], str] = str

    def put(self, hints: Sequence[Hint], notes: Sequence[Note]) -> None:
        """Let the hints and notes of one flush wait."""
        for hint in hints:
            self._put_hint(hint.timeline_id, hint.head, self._encoded(hint))
        for note in notes:
            self._put_note(note)
        if self._parcels:
            self.some.set()

    def put_heads(self, heads: Iterable[tuple[int, int]]) -> None:
        """Let bare hints wait, given as timeline and head."""
        for timeline_id, head in heads:
            self._put_hint(timeline_id, head, [])
        if self._parcels:
            self.some.set()

    def strip(self) -> None:
        """Keep of what waits the heads only: the rest would come too late."""
        heads: dict[int, int] = {}
        for parcel in self._parcels.values():
            heads |= {timeline_id: piece.head for timeline_id, piece in parcel.latest.items()}
            self._counts.notes_dropped += len(parcel.notes)
        self._clear()
        self.put_heads(heads.items())

    def take(self) -> tuple[list[Publish], dict[int, int]]:
        """Take all that waits: what is to be published, and the heads that it tells of."""
        publishes: list[Publish] = []
        heads: dict[int, int] = {}
        for channel, parcel in self._parcels.items():
            heads |= {timeline_id: piece.head for timeline_id, piece in parcel.latest.items()}
            publishes += [Publish(channel, payload) for payload in self._payloads(parcel)]
            self._counts.hints_published += len(parcel.pieces)
            self._counts.notes_published += len(parcel.notes)
        self._clear()
        return publishes, heads

    def _clear(self) -> None:
        self._parcels = {}
        self._bytes = self._count = 0
        self.some.clear()

    def _encoded(self, hint: Hint) -> list[bytes]:
        """The entries of a hint, or none where there is no room for them."""
        if not hint.entries:
            return []
        entries = []
        if self._bytes < self._bytes_max:
            entries = encode_entries(hint.entries, self._hint_bytes_max)
        if not entries:
            self._counts.hints_bare += 1
        return entries

    def _put_hint(self, timeline_id: int, head: int, entries: list[bytes]) -> None:
        parcel = self._parcel(timeline_id)
        latest = parcel.latest.get(timeline_id)
        if latest is not None:
            before = latest.size
            if latest.join(head, entries, self._hint_bytes_max):
                self._bytes += latest.size - before
                return
        if self._count >= self._count_max:
            self._counts.hints_dropped += 1
            return
        piece = _Piece(timeline_id, head, entries)
        parcel.pieces.append(piece)
        parcel.latest[timeline_id] = piece
        self._count += 1
        self._bytes += piece.size

    def _put_note(self, note: Note) -> None:
        encoded = encode_note(note)
        too_large = encoded is None or len(encoded) + NOTE_BYTES + ENVELOPE_BYTES > self._payload_bytes_max
        if encoded is None or too_large or self._bytes >= self._bytes_max or self._count >= self._count_max:
            self._counts.notes_dropped += 1
            return
        self._parcel(note.topic).notes.append((note.topic, encoded))
        self._count += 1
        self._bytes += len(encoded)

    def _parcel(self, topic: int) -> _Parcel:
        channel = self._channels.of(topic)
        parcel = self._parcels.get(channel)
        if parcel is None:
            parcel = self._parcels[channel] = _Parcel()
        return parcel

    def _payloads(self, parcel: _Parcel) -> list[bytes]:
        """A parcel as payloads that are none too large; hints come before notes."""
        payloads: list[bytes] = []
        hints: list[tuple[int, int, Sequence[bytes]]] = []
        notes: list[tuple[int, bytes]] = []
        room = self._payload_bytes_max - ENVELOPE_BYTES
        for piece in parcel.pieces:
            room -= piece.size + HINT_BYTES
            if room < 0:
                payloads.append(encode_payload(self._node, self.epoch(), hints, []))
                hints = []
                room = self._payload_bytes_max - ENVELOPE_BYTES - piece.size - HINT_BYTES
            hints.append((piece.timeline_id, piece.head, piece.entries))
        for topic, note in parcel.notes:
            room -= len(note) + NOTE_BYTES
            if room < 0:
                payloads.append(encode_payload(self._node, self.epoch(), hints, notes))
                hints, notes = [], []
                room = self._payload_bytes_max - ENVELOPE_BYTES - len(note) - NOTE_BYTES
            notes.append((topic, note))
        if hints or notes:
            payloads.append(encode_payload(self._node, self.epoch(), hints, notes))
        return payloads
