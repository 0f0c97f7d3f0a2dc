"""The bytes of a publish: what goes in comes out, and what nobody put in comes to no harm."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bus.base import Forget, Hint, Note, Tell
from gateway.bus.codec import VERSION, Heard, decode_payload, encode_entries, encode_note, encode_payload
from gateway.domain.model import (
    INT64_MAX,
    SAFE_MAX,
    Action,
    Deleted,
    Entry,
    EntryKind,
    Gone,
    Membership,
    Message,
    Recalled,
    Scope,
)

US, THEM = 1, 2
EPOCH = "0123456789abcdef"
DEEP = b"\x91" * 100_000 + b"\x01"
DELETED = {"conversation_xid": 1, "msg_id": 1}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
IDS = st.integers(0, SAFE_MAX)

MESSAGES = st.builds(
    Message,
    msg_id=IDS,
    scope=st.sampled_from(Scope),
    sender_xid=IDS,
    sender_sn=st.integers(0, 2**31 - 1),
    target_xid=IDS,
    ctype=st.integers(0, 100),
    content=TEXT,
    attachment=TEXT,
    config=TEXT,
    ext=TEXT,
    at=st.integers(0, INT64_MAX),
    notice=st.booleans(),
    gone=st.none() | st.sampled_from(Gone),
    seq=IDS,
    related=IDS,
    expires_at=IDS,
    group_xid=IDS,
)
PARTS: dict[EntryKind, tuple[str, st.SearchStrategy[Any]]] = {
    EntryKind.MESSAGE: ("message", MESSAGES),
    EntryKind.RECALLED: ("recalled", st.builds(Recalled, conversation_xid=IDS, msg_id=IDS)),
    EntryKind.MEMBERSHIP: (
        "membership",
        st.builds(
            Membership,
            action=st.sampled_from(Action),
            group_id=IDS,
            group_xid=IDS,
            user_xids=st.lists(IDS, max_size=5).map(tuple),
            from_seq=IDS,
        ),
    ),
    EntryKind.DELETED: ("deleted", st.builds(Deleted, conversation_xid=IDS, msg_id=IDS)),
}


@st.composite
def hints(draw: st.DrawFn) -> Hint:
    """A hint with the newest entries of its timeline, of any kinds."""
    kinds = draw(st.lists(st.sampled_from(EntryKind), max_size=4))
    first = draw(st.integers(1, INT64_MAX - len(kinds)))
    entries = []
    for seq, kind in enumerate(kinds, first):
        member, parts = PARTS[kind]
        entries.append(Entry(seq=seq, kind=kind, **{member: draw(parts)}))
    return Hint(draw(IDS), first + len(kinds) - 1, tuple(entries))


def payload_of(told: Sequence[Hint], notes: Sequence[Note] = (), node: int = THEM) -> bytes:
    said = []
    for note in notes:
        encoded = encode_note(note)
        assert encoded is not None
        said.append((note.topic, encoded))
    return encode_payload(
        node,
        EPOCH,
        [(hint.timeline_id, hint.head, encode_entries(hint.entries, 1 << 20)) for hint in told],
        said,
    )


class Everything:
    """Topics of which none is missing."""

    def __contains__(self, topic: object) -> bool:
        return True


@given(st.lists(hints(), max_size=20))
def test_hints_come_as_they_were(told: list[Hint]) -> None:
    """Hints with entries of every kind, and any number of them, survive the way."""
    heard = decode_payload(payload_of(told), US, EPOCH, Everything())
    assert heard is not None
    assert (heard.hints, heard.notes, heard.refused) == (told, [], 0)


def test_kinds_of_entries_are_all_tried() -> None:
    """A new kind of entry wants a strategy here."""
    assert issubclass(EntryKind, enum.Enum)
    assert set(PARTS) == set(EntryKind)


@pytest.mark.parametrize("count", [15, 16, 65_535, 65_536])
def test_number_of_entries_is_not_limited_by_the_layout(count: int) -> None:
    """The three ways of MessagePack to say how long an array is."""
    entries = [
        Entry(seq=seq, kind=EntryKind.DELETED, deleted=Deleted(conversation_xid=1, msg_id=1))
        for seq in range(1, count + 1)
    ]
    payload = encode_payload(THEM, EPOCH, [(7, count, encode_entries(entries, 1 << 30))], [])
    heard = decode_payload(payload, US, EPOCH, {7})
    assert heard is not None
    assert list(heard.hints[0].entries) == entries


def test_own_payload_is_not_for_oneself() -> None:
    """What a node has published itself says nothing to it."""
    assert decode_payload(payload_of([Hint(7, 3)], node=US), US, EPOCH, {7}) is None


@pytest.mark.parametrize("version", [VERSION, VERSION + 1])
def test_another_store_says_nothing(version: int) -> None:
    """Its timelines have the same numbers and are about somebody else."""
    payload = msgspec.msgpack.encode((version, THEM, EPOCH, [7, 3], [[]], [(0, Forget(app_id="a", app=1))]))
    heard = decode_payload(payload, US, "another", Everything())
    assert heard == Heard([], [], foreign=True)


def test_only_topics_asked_for_are_decoded() -> None:
    """What else shares the channel costs nothing but a look at its number, even where it is damaged."""
    payload = msgspec.msgpack.encode((VERSION, THEM, EPOCH, [6, 3, 7, 4], ["damaged", []], [(8, "damaged")]))
    heard = decode_payload(payload, US, EPOCH, {7})
    assert heard is not None
    assert (heard.hints, heard.notes, heard.refused) == ([Hint(7, 4)], [], 0)


@pytest.mark.parametrize(
    "rest", [[], ["nobody knows"], [{"a": 1}, 7, None], [[[1, 2]], [[0, {"type": "forget"}]]]]
)
def test_unknown_version_counts_as_bare_hints(rest: list[Any]) -> None:
    """Of a later version the heads are read and the rest is left."""
    payload = msgspec.msgpack.encode([VERSION + 1, THEM, EPOCH, [7, 3, 8, 4], *rest])
    heard = decode_payload(payload, US, EPOCH, Everything())
    assert heard is not None
    assert (heard.hints, heard.notes, heard.refused) == ([Hint(7, 3), Hint(8, 4)], [], 0)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00",
        b"PING",
        b"\xc1" * 10,
        msgspec.msgpack.encode({"a": 1}),
        msgspec.msgpack.encode([]),
        msgspec.msgpack.encode([VERSION, THEM]),
        msgspec.msgpack.encode([VERSION, THEM, EPOCH, [7]]),
        msgspec.msgpack.encode([VERSION, THEM, EPOCH, [7, -1]]),
        msgspec.msgpack.encode([VERSION, THEM, EPOCH, [7, 2**64 - 1]]),
        msgspec.msgpack.encode([VERSION, THEM, EPOCH, [7, "3"]]),
        msgspec.msgpack.encode([VERSION, "them", EPOCH, [7, 3]]),
        msgspec.msgpack.encode([VERSION, THEM, EPOCH, [7, 3], 5]),
        msgspec.msgpack.encode([VERSION, THEM, EPOCH, [7, 3], [[]], {"a": 1}]),
        payload_of([Hint(7, 3)])[:-1],
        b"\xa1\xff",
        DEEP,
        encode_payload(THEM, EPOCH, [], [(7, DEEP)]),
    ],
)
def test_what_is_no_payload_is_refused(garbage: bytes) -> None:
    """Whatever else comes on a channel is one error, and no other."""
    with pytest.raises(msgspec.DecodeError):
        decode_payload(garbage, US, EPOCH, Everything())


@given(st.binary(max_size=200), st.integers(0, 200))
def test_damage_is_refused_and_nothing_else(noise: bytes, place: int) -> None:
    """Bytes put anywhere into a payload leave something that is read, or the one error."""
    payload = payload_of([Hint(7, 1, (Entry(seq=1, kind=EntryKind.MESSAGE),))], [Forget(app_id="a", app=1)])
    with suppress(msgspec.DecodeError):
        decode_payload(payload[:place] + noise + payload[place:], US, EPOCH, Everything())


@pytest.mark.parametrize(
    "entries",
    [
        [{"seq": 3}],
        [{"seq": 3, "kind": 99}],
        [{"seq": 3, "kind": 1, "message": {"msg_id": "x"}}],
        [{"seq": 3, "kind": 4}],
        [{"seq": 3, "kind": 1, "deleted": DELETED}],
        [{"seq": 2, "kind": 4, "deleted": DELETED}],
        [{"seq": 2, "kind": 4, "deleted": DELETED}, {"seq": 4, "kind": 4, "deleted": DELETED}],
        [{"seq": 3, "kind": 4, "deleted": DELETED}, {"seq": 3, "kind": 4, "deleted": DELETED}],
        7,
    ],
)
def test_entries_that_cannot_be_used_leave_a_bare_hint(entries: Any) -> None:
    """That the timeline has grown is believed; entries that are damaged, or are not the newest, are not."""
    payload = msgspec.msgpack.encode((VERSION, THEM, EPOCH, [7, 3, 8, 1], [entries, []], []))
    heard = decode_payload(payload, US, EPOCH, {7, 8})
    assert heard is not None
    assert (heard.hints, heard.refused) == ([Hint(7, 3), Hint(8, 1)], 1)


def test_note_that_cannot_be_decoded_is_left_out() -> None:
    """One bad note takes no other along."""
    good = Forget(app_id="demo", app=1)
    payload = msgspec.msgpack.encode(
        (VERSION, THEM, EPOCH, [], [], [(0, {"type": "later"}), (0, good), (0, 5)])
    )
    heard = decode_payload(payload, US, EPOCH, {0})
    assert heard is not None
    assert (heard.notes, heard.refused) == ([good], 2)


def test_note_whose_members_are_no_text_is_left_out() -> None:
    """Whatever any kind of note may hold is decoded with the same care."""
    tell = b"\x84\xa4type\xa4tell\xa7user_id\x07\xa2op\xa1x\xa7members\x81\xa1\xff\x01"
    heard = decode_payload(encode_payload(THEM, EPOCH, [], [(7, tell)]), US, EPOCH, {7})
    assert heard is not None
    assert (heard.notes, heard.refused) == ([], 1)


def test_entries_too_large_are_left_out() -> None:
    """Entries go whole up to the limit, and not at all above it."""
    entries = [
        Entry(seq=seq, kind=EntryKind.DELETED, deleted=Deleted(conversation_xid=1, msg_id=1))
        for seq in (1, 2)
    ]
    size = sum(map(len, encode_entries(entries, 1 << 20)))
    assert len(encode_entries(entries, size)) == 2
    assert encode_entries(entries, size - 1) == []


def test_what_cannot_be_said_is_left_out() -> None:
    """Half a surrogate pair, or a value of no JSON type, raises nothing."""
    deleted = Deleted(conversation_xid=2**70, msg_id=1)
    assert encode_entries([Entry(seq=1, kind=EntryKind.DELETED, deleted=deleted)], 1 << 20) == []
    assert encode_note(Tell(user_id=1, op="x", members={"a": object()})) is None
    assert encode_note(Tell(user_id=1, op="x", members={"a": "\ud800"})) is None
