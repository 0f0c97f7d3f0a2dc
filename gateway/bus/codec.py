"""The bytes of one publish: an envelope that every version can read, and what this version puts behind it.

MessagePack: `[version, node, epoch, [timeline, head, timeline, head, …], …]`. Whoever reads a version it does not know
takes the (timeline, head) pairs and leaves the rest; whoever knows another epoch leaves all of it. Version 1 goes on
with `[entries of the first pair, of the second, …]` and `[[topic, note], …]`; entries and notes are the structs of the
domain and of the port, members by name.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Annotated

import msgspec

from gateway.bus.base import Hint, Note
from gateway.domain.model import INT64_MAX, Entry

VERSION = 1

ENVELOPE_BYTES = 64
HINT_BYTES = 24
NOTE_BYTES = 16
"""What an envelope, a hint and a note take at most, beside the bytes of entries and of the note itself."""

_Whole = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
_NOTHING = msgspec.Raw(b"\x90")

# What cannot be put into bytes: a string with half a surrogate pair, an integer beyond 64 bits, a foreign type.
_UNSAYABLE = (TypeError, ValueError, OverflowError)

# How decoding fails: besides what the decoder says, by what is no text and what is nested too deep.
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


class _Envelope(msgspec.Struct, array_like=True, frozen=True):
    """The part that every version reads, and the rest as it came."""

    version: _Whole
    node: _Whole
    epoch: str
    heads: list[_Whole]
    entries: msgspec.Raw = _NOTHING
    notes: msgspec.Raw = _NOTHING


class Heard(msgspec.Struct):
    """What one payload says to this node; `refused` parts of it could not be decoded.

    A `foreign` one is of another store, or of this one under another epoch, and says nothing.
    """

    hints: list[Hint]
    notes: list[Note]
    refused: int = 0
    foreign: bool = False


_encode = msgspec.msgpack.Encoder().encode
_envelope = msgspec.msgpack.Decoder(_Envelope)
_raw_entries = msgspec.msgpack.Decoder(list[msgspec.Raw])
_raw_notes = msgspec.msgpack.Decoder(list[tuple[_Whole, msgspec.Raw]])
_entries = msgspec.msgpack.Decoder(tuple[Entry, ...])
_note = msgspec.msgpack.Decoder(Note)


def encode_entries(entries: Sequence[Entry], bytes_max: int) -> list[bytes]:
    """Each entry as bytes; none at all where they are more than `bytes_max` together, or cannot be said."""
    encoded: list[bytes] = []
    room = bytes_max
    for entry in entries:
        message = entry.message
        if message is not None and len(message.content) + len(message.attachment) > room:
            return []
        try:
            encoded.append(_encode(entry))
        except _UNSAYABLE:
            return []
        room -= len(encoded[-1])
        if room < 0:
            return []
    return encoded


def encode_note(note: Note) -> bytes | None:
    """A note as bytes; None where it cannot be said."""
    try:
        return _encode(note)
    except _UNSAYABLE:
        return None


def encode_payload(
    node: int,
    epoch: str,
    hints: Sequence[tuple[int, int, Sequence[bytes]]],
    notes: Sequence[tuple[int, bytes]],
) -> bytes:
    """One publish: hints as timeline, head and encoded entries; notes as topic and encoded note."""
    heads: list[int] = []
    entries: list[msgspec.Raw] = []
    for timeline_id, head, encoded in hints:
        heads += (timeline_id, head)
        entries.append(msgspec.Raw(_array_of(len(encoded)) + b"".join(encoded)) if encoded else _NOTHING)
    return _encode(
        (VERSION, node, epoch, heads, entries, [(topic, msgspec.Raw(note)) for topic, note in notes])
    )


def decode_payload(payload: bytes, node: int, epoch: str, topics: Container[int]) -> Heard | None:
    """What a payload says of these topics; None where `node`, which asks, has published it itself.

    Timelines have numbers, and another store's are about somebody else: of another epoch nothing is taken.

    Entries that cannot be decoded leave a bare hint, and a note that cannot is left out; both are counted.

    Raises:
        msgspec.DecodeError: it is no payload of any version.
    """
    try:
        return _decode(_envelope.decode(payload), node, epoch, topics)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def _decode(envelope: _Envelope, node: int, epoch: str, topics: Container[int]) -> Heard | None:
    if envelope.node == node:
        return None
    if envelope.epoch != epoch:
        return Heard([], [], foreign=True)
    heads = envelope.heads
    if len(heads) % 2:
        raise msgspec.DecodeError("a timeline without a head")
    heard = Heard([], [])
    if envelope.version == VERSION:
        entries = _raw_entries.decode(envelope.entries)
        _take_hints(heads, entries, topics, heard)
        _take_notes(_raw_notes.decode(envelope.notes), topics, heard)
    else:
        _take_hints(heads, (), topics, heard)
    return heard


def _take_hints(
    heads: Sequence[int], entries: Sequence[msgspec.Raw], topics: Container[int], heard: Heard
) -> None:
    for place in range(len(heads) // 2):
        timeline_id, head = heads[2 * place], heads[2 * place + 1]
        if timeline_id not in topics:
            continue
        told: Sequence[Entry] = ()
        if place < len(entries):
            try:
                told = _entries.decode(entries[place])
            except _UNREADABLE:
                heard.refused += 1
            if not _sound(told, head):
                heard.refused += 1
                told = ()
        heard.hints.append(Hint(timeline_id, head, told))


def _sound(entries: Sequence[Entry], head: int) -> bool:
    """Whether these are the newest entries of a timeline, one after the other, and each holds what its kind says."""
    first = head - len(entries) + 1
    return all(
        entry.seq == seq and getattr(entry, entry.kind.name.lower()) is not None
        for seq, entry in enumerate(entries, first)
    )


def _take_notes(notes: Sequence[tuple[int, msgspec.Raw]], topics: Container[int], heard: Heard) -> None:
    for topic, raw in notes:
        if topic not in topics:
            continue
        try:
            heard.notes.append(_note.decode(raw))
        except _UNREADABLE:
            heard.refused += 1


def _array_of(count: int) -> bytes:
    """The MessagePack header of an array."""
    if count < 1 << 4:
        return bytes((0x90 | count,))
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2)
    return b"\xdd" + count.to_bytes(4)
