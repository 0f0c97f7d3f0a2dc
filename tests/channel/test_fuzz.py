"""A thousand frames that nobody would say: each is answered, ignored or ends its connection, and nothing breaks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.wire.encoding import JSON, MSGPACK
from tests.channel.raw import TEXT, frame
from tests.channel.stage import ALICE, BOB, Peer, Stage, until

pytestmark = pytest.mark.one_node("what the edge refuses by itself")

OPS = ["hello", "ack", "read", "send", "recall", "ping", "signal", "join", "leave", "bye", "", "PING"]
NAMES = [
    "ref", "token", "app_id", "device_sn", "epoch", "cursors", "timeline", "seq", "conversation_id", "msg_id",
    "type", "target", "targets", "content_type", "content", "attachment", "ext", "config", "from_user_id",
    "transaction_id", "transaction_id ", "online_only", "room_id", "unknown",
]  # fmt: skip
EDGES = [
    0,
    1,
    -1,
    ALICE,
    BOB,
    2**31,
    2**53 - 1,
    2**53,
    2**63 - 1,
    2**63,
    2**64,
    10**400,
    1.0,
    1.5,
    1e300,
    True,
    None,
]
TEXTS = ["", "user", "g:1", "1", "-1", "1e3", "\0", "é", "\U0010ffff", "x" * 300, "9" * 40, "true"]

scalars = (
    st.sampled_from(EDGES)
    | st.sampled_from(TEXTS)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
likely = st.fixed_dictionaries(
    {"op": st.sampled_from(["send", "read", "recall", "signal", "join", "leave", "ack", "ping"])},
    optional={
        "ref": st.integers(-5, 5) | st.text(max_size=3),
        "type": st.sampled_from([1, 2, "1", 3]),
        "target": st.sampled_from([ALICE, BOB, "12", 10**12 + 1]),
        "targets": st.lists(st.sampled_from([ALICE, BOB, "12", 10**12 + 1]), max_size=3),
        "content_type": st.sampled_from([0, 1, 4, 7, 8]),
        "content": st.text(max_size=10),
        "conversation_id": st.sampled_from([ALICE, BOB, 0, 999]),
        "room_id": st.sampled_from([ALICE, 10**12 + 1, "1000000000001", 0, 999]),
        "msg_id": st.integers(0, 20),
        "timeline": st.sampled_from(["user", "g:1", ""]),
        "seq": st.integers(0, 3),
        "transaction_id": st.integers(0, 3),
    },
)
unlikely = st.dictionaries(st.sampled_from(NAMES), values, max_size=6).flatmap(
    lambda members: st.sampled_from(OPS).map(lambda op: {"op": op} | members)
)
broken = st.sampled_from(
    ['{"op":"ping"', "[" * 2_000, '{"op":"ack","seq":1e999}', '{"op":"\\ud800"}', "\ufeff{}"]
)
SETTINGS = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


# Written by Python's own encoder, which has numbers of any size and escapes of any kind.
frames = st.one_of(likely, likely, unlikely, values).map(json.dumps) | broken | st.text(max_size=60)


class Device:
    """One device that comes back whenever it is thrown out."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._peer: Peer | None = None
        self.encoding = JSON
        self.answers = 0
        self.byes = 0

    async def survives(self, said: str | bytes) -> None:
        """Say a frame; whatever it is, the gateway answers a ping after it or has said `bye` in a known range."""
        if self._peer is None:
            self._peer = await self._stage.connect(BOB, encoding=self.encoding)
            await self._peer.until("live")
        peer, op = self._peer, ""
        await (peer.ws.send_bytes(said) if isinstance(said, bytes) else peer.ws.send_str(said))
        await peer.say(op="ping", ref="after")
        while (message := await peer.receive()).type is peer.kind:
            told = peer.told(message)
            assert op != "bye"
            op = told["op"]
            if op == "error":
                assert told["code"] in {10000, 10002, 10010, 20001, 20002, 60001, 60003}
            self.answers += op in {"ok", "error"}
            if told == {"op": "pong", "ref": "after"}:
                return
        assert op == "bye"
        assert 4500 <= (peer.ws.close_code or 0) <= 4999
        self.byes += 1
        self._peer = None


@pytest.fixture
async def device(stage: Stage) -> AsyncIterator[Device]:
    """A device that must have seen both answers and ends when the test is over, or the frames were too tame."""
    await stage.call("POST", "/group/create", ALICE, json={"type": 2})
    device = Device(stage)
    yield device
    assert device.answers
    assert device.byes


@settings(SETTINGS, max_examples=100)
@given(said=st.lists(frames, min_size=5, max_size=15))
async def test_frames_of_any_kind(device: Device, said: list[str]) -> None:
    """Whatever a device says, it is answered, ignored or ends its connection."""
    for text in said:
        await device.survives(text)


def _pack(value: object) -> bytes:
    """Write a value as MessagePack, or what it has no word for as the text that JSON has for it."""
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, ValueError):
        return msgspec.msgpack.encode(json.dumps(value))


packed = st.one_of(likely, likely, unlikely, values).map(_pack)
cut = st.tuples(packed, st.integers(0, 60)).map(lambda pair: pair[0][: pair[1]])
strange = st.sampled_from(
    [
        b"\x91" * 16_000 + b"\xc0",
        b"\x81\xa1a" * 5_000 + b"\xc0",
        b"\x91" * 300_000 + b"\xc0",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc1",
        b"\x81\xa2op\xc7\x0c\xff" + bytes(12),
        b"\x82\xa2op\xa4ping\xa3ref\xd6\xff\xff\xff\xff\xff",
        b"\x82\xa2op\xa4ping\xa3ref\xc4\x01x",
        b"\x82\xa2op\xa4ping\xa3ref\xcb\x7f\xf8" + bytes(6),
        b"\x82\xa2op\xa4ping\x01\x02",
        b"\x82\xa2op\xa4ping\xa1\xff\x02",
        b"\x82\xa2op\xa4ping\xa2op\xa3ack",
        msgspec.msgpack.encode({"op": "send", "ref": 1, "ext": "\x01" * 100_000}),
        msgspec.msgpack.encode({"op": "ping", "x": [[[]]] * 10_000}),
    ]
)


@settings(SETTINGS, max_examples=70)
@given(said=st.lists(packed | cut | strange | st.binary(max_size=60), min_size=5, max_size=15))
async def test_messagepack_of_any_kind(device: Device, said: list[bytes]) -> None:
    """The same of a device that speaks it: cut short, nested, sizes that are not there, types that JSON has not."""
    device.encoding = MSGPACK
    for packed in said:
        await device.survives(packed)


@settings(SETTINGS, max_examples=100)
@given(pieces=st.lists(st.binary(max_size=40), min_size=1, max_size=5), mask=st.booleans())
async def test_bytes_of_any_kind(stage: Stage, pieces: list[bytes], mask: bool) -> None:
    """Bytes that need not be frames at all, and text frames of any bytes, leave nothing behind."""
    raw = await stage.raw(BOB)
    for piece in pieces:
        raw.write(frame(TEXT, piece) if mask else piece)
    raw.writer.write_eof()
    await raw.eof()
    raw.cut()
    stage.raws.remove(raw)
    await until(lambda: stage.empty)


@settings(SETTINGS, max_examples=100)
@given(said=frames)
async def test_first_frames_of_any_kind(stage: Stage, said: str) -> None:
    """Whatever comes before authentication, nobody who has no token is let in."""
    peer = await stage.open({"app_id": "demo"})
    await peer.ws.send_str(said)
    ended = await peer.end()
    assert ended.frames == []
    assert 4500 <= (ended.code or 0) <= 4999
    stage.peers.remove(peer)
