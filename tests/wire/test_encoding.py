"""Both encodings say the same: every frame of the server and of a client, and nothing that only one has words for."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.model import (
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
from gateway.wire.close import Close
from gateway.wire.effects import Fetch, Write
from gateway.wire.encoding import (
    ENCODINGS,
    JSON,
    MSGPACK,
    NESTED_BYTES_MAX,
    SENTENCE_MAX,
    Encoding,
    FrameError,
)
from gateway.wire.frames import Told, bye_frame, decode_frame, entry_frame, frame
from gateway.wire.session import Session
from tests.wire.stage import NEVER, PACE, UID, USER

pack = msgspec.msgpack.encode


def told(encoding: Encoding, data: bytes) -> Any:
    """What a finished frame of the server says; its header is checked and taken off."""
    assert data[0] == (0x82 if encoding.binary else 0x81)
    size, start = data[1], 2
    if size >= 126:
        start = 4 if size == 126 else 10
        size = int.from_bytes(data[2:start])
    assert len(data) == start + size
    decode = msgspec.msgpack.decode if encoding.binary else msgspec.json.decode
    return decode(data[start:])


# -- from the server --------------------------------------------------------------------------------------

ids = st.integers(1, SAFE_MAX)
messages = st.builds(
    Message,
    msg_id=ids,
    scope=st.sampled_from(Scope),
    sender_xid=ids,
    sender_sn=st.integers(0, 2**31 - 1),
    target_xid=ids,
    ctype=st.integers(0, 7),
    content=st.text() | st.sampled_from(["x" * 1_000, "\u20ac" * 30_000]),
    attachment=st.text(),
    config=st.text(),
    ext=st.text(),
    at=ids,
    notice=st.booleans(),
    gone=st.none() | st.sampled_from(Gone),
)
memberships = st.builds(
    Membership,
    action=st.sampled_from(Action),
    group_id=ids,
    group_xid=ids,
    user_xids=st.lists(ids, max_size=5).map(tuple),
    from_seq=st.integers(0, SAFE_MAX),
)
entries = (
    st.builds(Entry, seq=ids, kind=st.just(EntryKind.MESSAGE), message=messages)
    | st.builds(
        Entry,
        seq=ids,
        kind=st.just(EntryKind.RECALLED),
        recalled=st.builds(Recalled, conversation_xid=ids, msg_id=ids),
    )
    | st.builds(Entry, seq=ids, kind=st.just(EntryKind.MEMBERSHIP), membership=memberships)
    | st.builds(
        Entry,
        seq=ids,
        kind=st.just(EntryKind.DELETED),
        deleted=st.builds(Deleted, conversation_xid=ids, msg_id=ids),
    )
)


@given(entries, st.sampled_from(["user", "g:77"]), ids)
def test_entries_say_the_same(entry: Entry, timeline: str, owner_xid: int) -> None:
    """The frame of an entry is the same object in every encoding."""
    in_json, in_msgpack = (
        told(encoding, entry_frame(encoding, entry, timeline, owner_xid)) for encoding in (JSON, MSGPACK)
    )
    assert in_json == in_msgpack
    assert (in_json["timeline"], in_json["seq"]) == (timeline, entry.seq)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.text(min_size=1), st.dictionaries(st.text(), plain, max_size=5))
def test_any_other_frame_says_the_same(op: str, members: dict[str, Any]) -> None:
    """So is every other frame, whatever its members are."""
    members.pop("op", None)
    said = {"op": op, **members}
    assert [told(encoding, frame(encoding, op, **members)) for encoding in (JSON, MSGPACK)] == [said, said]


def test_bye_says_the_same() -> None:
    """A `bye` too: whoever it sends away understands it."""
    expected = {"op": "bye", "code": 4000, "reason": "drain", "retry_after_ms": 5}
    for encoding in ENCODINGS.values():
        assert told(encoding, bye_frame(encoding, Close.DRAINING, "drain", 5)) == expected


def test_a_frame_for_many_is_written_once_per_encoding() -> None:
    """Whoever speaks one encoding gets the very same bytes."""
    shared = Told("receipt", msg_id=5)
    for encoding in (JSON, MSGPACK):
        first = shared.frame(encoding)
        assert first == frame(encoding, "receipt", msg_id=5)
        assert shared.frame(encoding) is first


def test_a_frame_for_many_can_be_told_to_another_node() -> None:
    """What it holds is plain values by then, of which the same frame is made again."""
    shared = Told("group", action=Action.JOINED, user_ids=[5, 6])
    assert shared.op == "group"
    assert shared.members == {"action": "joined", "user_ids": [5, 6]}
    assert Told(shared.op, **shared.members).frame(JSON) == shared.frame(JSON)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_a_session_writes_its_own_frames_in_its_encoding(encoding: Encoding) -> None:
    """`live` and `gap` are the session's own."""
    session = Session(UID, USER, PACE, 0, NEVER, encoding)
    session.attach(3, [])
    session.prime(USER, 0, 3)
    assert session.start() == [Fetch(USER, 1)]
    gap, live = session.page(USER, 1, [], 3, 3)
    assert isinstance(gap, Write)
    assert isinstance(live, Write)
    expected = {"op": "gap", "timeline": "user", "from": 1, "to": 3, "reason": "retention"}
    assert (told(encoding, gap.data), told(encoding, live.data)) == (expected, {"op": "live"})


# -- from the client --------------------------------------------------------------------------------------

OPS = ["hello", "ack", "read", "send", "recall", "signal", "ping"]
MEMBERS = ["token", "app_id", "device_sn", "epoch", "cursors", "timeline", "seq", "ref", "msg_id", "targets"]


@given(plain | st.dictionaries(st.sampled_from(["op", *MEMBERS]) | st.text(), plain, max_size=6))
@example({"op": "send", "ref": 1, "type": "1", "targets": ["5", 6.0], "transaction_id": -(2**63)})
@example({"op": "ack", "timeline": "user", "seq": 2**64 - 1})
@example({"op": "ping", "ref": 2**64 - 1})
def test_any_object_is_the_same_json(said: object) -> None:
    """What JSON can say is taken from MessagePack to the letter, down to which numbers are integers."""
    as_json = MSGPACK.json(pack(said))
    assert as_json == JSON.json(msgspec.json.encode(said))
    assert repr(msgspec.json.decode(as_json)) == repr(msgspec.json.decode(msgspec.json.encode(said)))


@given(
    st.sampled_from(OPS) | plain,
    st.dictionaries(st.sampled_from(MEMBERS) | st.text(), plain | st.integers(0, 9) | st.text(), max_size=6),
)
@example("hello", {"token": "t", "cursors": {"user": 5, "g:77": 0}})
@example("ack", {"timeline": "user", "seq": 5})
@example("ack", {"timeline": "user", "seq": 5.0})
@example("ack", {"timeline": "user", "seq": True})
@example("send", {"ref": "a", "targets": ["5"]})
@example("ping", {"ref": None})
def test_client_frames_are_the_same(op: object, members: dict[str, Any]) -> None:
    """Every frame of a client decodes to the same from either encoding, or is refused for the same reason."""
    said = {**members, "op": op}
    verdicts = []
    for payload in (JSON.json(msgspec.json.encode(said)), MSGPACK.json(pack(said))):
        try:
            verdicts.append(repr(decode_frame(payload)))
        except FrameError as error:
            verdicts.append(str(error))
    assert verdicts[0] == verdicts[1]


PING = pack({"op": "ping"})[1:]
REFUSED = {
    "nothing": b"",
    "two frames": pack({"op": "ping"}) * 2,
    "cut off": pack({"op": "ping"})[:-1],
    "JSON": b'{"op":"ping"}',
    "a reserved byte": b"\xc1",
    "a binary": b"\x82" + PING + b"\xa3ref" + b"\xc4\x01a",
    "a binary in a list": b"\x82" + PING + b"\xa1x" + b"\x91\xc4\x01a",
    "a binary in a map": b"\x82" + PING + b"\xa1x" + b"\x81\xa1y\xc4\x01a",
    "a binary as op": b"\x81\xa2op\xc4\x04ping",
    "an extension": b"\x82" + PING + b"\xa3ref" + b"\xd4\x05\x00",
    "a timestamp": b"\x82" + PING + b"\xa3ref" + b"\xd6\xff\x00\x00\x00\x00",
    "no timestamp": b"\x82" + PING + b"\xa3ref" + b"\xd5\xff\x00\x00",
    "an integer as key": b"\x82" + PING + b"\x01\x01",
    "a binary as key": b"\x82" + PING + b"\xc4\x01a\x01",
    "nil as key": b"\x82" + PING + b"\xc0\x01",
    "a list as key": b"\x82" + PING + b"\x91\x01\x01",
    "a map as key": b"\x82" + PING + b"\x80\x01",
    "an integer as key further in": b"\x82" + PING + b"\xa1x" + b"\x91\x81\x01\x01",
    "NaN": b"\x82" + PING + b"\xa3ref" + struct.pack("!Bd", 0xCB, float("nan")),
    "infinity": b"\x82" + PING + b"\xa3ref" + struct.pack("!Bf", 0xCA, float("-inf")),
    "invalid UTF-8": b"\x82" + PING + b"\xa3ref" + b"\xa1\xff",
    "invalid UTF-8 as key": b"\x82" + PING + b"\xa1\xff" + b"\x01",
    "a surrogate": b"\x82" + PING + b"\xa3ref" + b"\xa3\xed\xa0\x80",
    "a list that says it is huge": b"\x82" + PING + b"\xa1x" + b"\xdd\xff\xff\xff\xff",
    "a map that says it is huge": b"\xdf\xff\xff\xff\xff" + PING,
    "a string that says it is huge": b"\x82" + PING + b"\xa3ref" + b"\xdb\xff\xff\xff\xff",
    "many that say they are huge": b"\xdd\xff\xff\xff\xff" * 50_000,
    "deep lists": b"\x91" * 300_000,
    "deep lists to their end": b"\x91" * 100_000 + b"\xc0",
    "deep maps": b"\x81\xa1x" * 100_000,
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_bytes(what: str) -> None:
    """What JSON has no word for, and what is no MessagePack, is a `FrameError` with a short sentence."""
    with pytest.raises(FrameError) as caught:
        MSGPACK.json(REFUSED[what])
    sentence = str(caught.value)
    assert sentence.isascii()
    assert 0 < len(sentence) <= SENTENCE_MAX + len("...")


@pytest.mark.parametrize("said", [None, 5, "ping", [], ["op", "ping"], {}, {"op": 5}, {"op": "welcome"}])
def test_refused_objects(said: object) -> None:
    """What is MessagePack but no frame is refused as its JSON would be."""
    with pytest.raises(FrameError):
        decode_frame(MSGPACK.json(pack(said)))


def test_of_repeated_keys_the_last_counts() -> None:
    """As in JSON, and as REST says."""
    assert MSGPACK.json(b"\x82\xa1a\x01\xa1a\x02") == b'{"a":2}'


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1x"])
@pytest.mark.parametrize("depth", range(50, 1_500, 50))
def test_depth(opening: bytes, depth: int) -> None:
    """However deep a frame nests, it is refused or is a frame, and nobody crashes on the way to either."""
    try:
        decode_frame(MSGPACK.json(b"\x82" + PING + b"\xa1x" + opening * depth + b"\xc0"))
    except FrameError as error:
        assert "recursion" in str(error)  # noqa: PT017 - where that begins is Python's business


LARGE = "x" * NESTED_BYTES_MAX


def test_a_large_frame_may_hold_what_frames_need() -> None:
    """Long texts, a thousand receivers, a thousand cursors: lists and maps of plain values, however many."""
    for said in (
        {"op": "send", "targets": list(range(2**52, 2**52 + 5_000)), "content": LARGE, "ext": None, "x": 1.5},
        {"op": "hello", "token": LARGE, "cursors": {f"g:{number}": number for number in range(5_000)}},
    ):
        assert len(pack(said)) > NESTED_BYTES_MAX
        assert MSGPACK.json(pack(said)) == msgspec.json.encode(said)


@pytest.mark.parametrize(
    "value",
    [[[]], [{}], {"a": []}, {"a": {}}, b"x", [b"x"], {1: 2}, {"a": b"x"}, [math.nan], {"a": math.inf}],
)
def test_a_large_frame_is_flat(value: object) -> None:
    """Anything deeper than that is refused before objects are made of it; the rest is judged as in a small one."""
    payload = pack({"op": "ping", "x": value, "y": LARGE})
    with pytest.raises(FrameError):
        MSGPACK.json(payload)


@pytest.mark.parametrize("said", [[[]] * 300_000, {"op": "ping", "x": [[]] * 300_000}])
def test_many_small_ones(said: object) -> None:
    """Hundreds of thousands of nested objects are no frame, and nobody makes them."""
    with pytest.raises(FrameError, match="Expected"):
        MSGPACK.json(pack(said))


@given(st.binary())
def test_garbage(payload: bytes) -> None:
    """Whatever bytes come are a frame or a `FrameError`, and nothing else."""
    try:
        decode_frame(MSGPACK.json(payload))
    except FrameError as error:
        assert str(error)  # noqa: PT017 - most of the time there is one, but not always
