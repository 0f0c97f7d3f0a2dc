"""Frames that are none: each ends its connection with a `bye` and a code that says do not come back (design §6)."""

from __future__ import annotations

import aiohttp
import pytest

from gateway.wire.close import Close
from tests.channel.conftest import Start
from tests.channel.raw import CLOSE, CONTINUATION, PING, PONG, TEXT, frame, handshake, text
from tests.channel.stage import ALICE, BOB, Stage, ops, until

pytestmark = pytest.mark.one_node("what the edge refuses by itself")

DEEP = 100_000

BAD = {
    "empty": "",
    "no JSON": "hello",
    "cut off": '{"op":"ping"',
    "two of them": '{"op":"ping"}{"op":"ping"}',
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "a string": '"ping"',
    "no op": "{}",
    "bogus op": '{"op":"jump"}',
    "op of the server": '{"op":"welcome"}',
    "op is a number": '{"op":1}',
    "op is null": '{"op":null}',
    "op is a list": '{"op":["ping"]}',
    "NUL": "\0",
    "NUL in the op": '{"op":"pi\\u0000ng"}',
    "lone surrogate": '{"op":"ping","ref":"\\ud800"}',
    "reversed surrogates": '{"op":"ack","timeline":"\\udc00\\ud800","seq":0}',
    "huge seq": '{"op":"ack","timeline":"user","seq":' + "9" * 5_000 + "}",
    "seq beyond int64": '{"op":"ack","timeline":"user","seq":18446744073709551616}',
    "seq beyond 2^53": '{"op":"ack","timeline":"user","seq":9007199254740992}',
    "negative seq": '{"op":"ack","timeline":"user","seq":-1}',
    "fractional seq": '{"op":"ack","timeline":"user","seq":1.5}',
    "infinite seq": '{"op":"ack","timeline":"user","seq":1e999}',
    "NaN seq": '{"op":"ack","timeline":"user","seq":NaN}',
    "no seq": '{"op":"ack","timeline":"user"}',
    "timeline is a number": '{"op":"ack","timeline":1,"seq":0}',
    "ref is an object": '{"op":"ping","ref":{}}',
    "ref is true": '{"op":"ping","ref":true}',
    "ref is a fraction": '{"op":"ping","ref":1.5}',
    "deep lists": '{"op":"ping","x":' + "[" * DEEP + "]" * DEEP + "}",
    "deep objects": '{"op":"send","ext":' + '{"a":' * DEEP + "1" + "}" * DEEP + "}",
    "deep and cut off": "[" * DEEP,
    "byte order mark": '\ufeff{"op":"ping"}',
}


@pytest.mark.parametrize("what", BAD)
async def test_bad_text_frame_ends_the_connection(stage: Stage, what: str) -> None:
    """What is no frame of the protocol is told by `bye` and closed in 45xx; others go on."""
    other = await stage.live(BOB)
    peer = await stage.live(ALICE)
    await peer.ws.send_str(BAD[what])
    ended = await peer.end()
    assert (ended.code, ended.bye["code"], ended.frames) == (Close.PROTOCOL, Close.PROTOCOL, [])
    assert await other.so_far() == []


@pytest.mark.parametrize("what", ["no JSON", "bogus op", "lone surrogate", "deep lists", "NUL"])
async def test_bad_first_frame_ends_the_connection(stage: Stage, what: str) -> None:
    """The same before authentication."""
    peer = await stage.open()
    await peer.ws.send_str(BAD[what])
    assert (await peer.end()).code == Close.PROTOCOL


async def test_close_reason_fits_and_is_text(stage: Stage) -> None:
    """A sentence that quotes the client is cut to what a close may carry, between characters."""
    raw = await stage.raw(ALICE)
    raw.write(text(op="é" * 300))
    frames, code, reason = await raw.end()
    assert code == Close.PROTOCOL
    assert len(reason.encode()) <= 123
    assert frames[-1]["op"] == "bye"


async def test_binary_frame_is_a_protocol_error(stage: Stage) -> None:
    """`gateway.v1` has text frames only."""
    peer = await stage.live(ALICE)
    await peer.ws.send_bytes(b'{"op":"ping"}')
    assert (await peer.end()).code == Close.PROTOCOL


async def test_binary_first_frame_is_a_protocol_error(stage: Stage) -> None:
    """The same before authentication."""
    peer = await stage.open()
    await peer.ws.send_bytes(b"\xff")
    assert (await peer.end()).code == Close.PROTOCOL


@pytest.mark.parametrize("authenticated", [True, False])
async def test_oversized_frame_is_a_protocol_error(start: Start, authenticated: bool) -> None:
    """A frame beyond `frame_bytes_max` is told by `bye` and closed."""
    stage = await start(frame_bytes_max=1_000)
    peer = await (stage.live(ALICE) if authenticated else stage.open())
    await peer.ws.send_str('{"op":"ping","x":"' + "x" * 1_000 + '"}')
    ended = await peer.end()
    assert (ended.code, ended.bye["code"]) == (Close.PROTOCOL, Close.PROTOCOL)


async def test_largest_frame_is_taken(start: Start) -> None:
    """A frame just within `frame_bytes_max` is a frame."""
    stage = await start(frame_bytes_max=1_000)
    peer = await stage.live(ALICE)
    assert peer.welcome["limits"]["frame_bytes_max"] == 1_000
    around = len('{"op":"ping","x":""}')
    await peer.ws.send_str('{"op":"ping","x":"' + "x" * (999 - around) + '"}')
    assert (await peer.hear())["op"] == "pong"


BROKEN = {
    "reserved bits": frame(TEXT, b'{"op":"ping"}', bits=0x40),
    "reserved opcode": frame(3, b""),
    "reserved control opcode": frame(11, b""),
    "invalid UTF-8": frame(TEXT, b'{"op":"ping","ref":"\xff"}'),
    "cut UTF-8": frame(TEXT, b'{"op":"ping","ref":"\xc3'),
    "surrogate in UTF-8": frame(TEXT, b'{"op":"ping","ref":"\xed\xa0\x80"}'),
    "fragmented ping": frame(PING, b"", fin=False),
    "long ping": frame(PING, b"x" * 126),
    "continuation of nothing": frame(CONTINUATION, b"x"),
    "text inside a fragmented text": frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"),
    "declared as 8 EiB": b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"\0\0\0\0",
    "too many fragments": frame(TEXT, b"x" * 50_000, fin=False) + frame(CONTINUATION, b"x" * 50_000, fin=False) * 10,
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
async def test_broken_framing_ends_the_connection(stage: Stage, what: str) -> None:
    """What breaks RFC 6455 gets a `bye` and a close in 45xx, and nothing after it."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    raw.write(BROKEN[what])
    frames, code, _ = await raw.end()
    assert ops(frames) == ["bye"]
    assert (frames[0]["code"], code) == (Close.PROTOCOL, Close.PROTOCOL)
    await until(lambda: stage.empty)


async def test_fragments_make_one_frame(stage: Stage) -> None:
    """A text frame may come in pieces, cut inside a character, with pings in between."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    whole = '{"op":"ping","ref":"é"}'.encode()
    cut = whole.index(b"\xc3") + 1
    raw.write(frame(TEXT, whole[:cut], fin=False))
    raw.write(frame(PING, b"between"))
    assert await raw.read() == (PONG, b"between")
    raw.write(frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, whole[cut:]))
    assert await raw.hear() == {"op": "pong", "ref": "é"}


async def test_frame_may_come_byte_by_byte(stage: Stage) -> None:
    """How the network cuts a frame does not matter."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    for byte in text(op="ping", ref=1):
        raw.write(bytes([byte]))
        await raw.writer.drain()
    assert (await raw.hear())["op"] == "pong"


async def test_many_frames_may_come_at_once(stage: Stage) -> None:
    """Frames that come in one piece are all answered, in order."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    raw.write(b"".join(text(op="ping", ref=ref) for ref in range(100)))
    assert [(await raw.hear())["ref"] for _ in range(100)] == list(range(100))


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8bye", b"\x0f\xa0\xc3\xa9"])
async def test_close_of_the_client_is_answered(stage: Stage, payload: bytes) -> None:
    """A client that closes gets its close answered, without a `bye`."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    raw.write(frame(CLOSE, payload))
    assert (await raw.read())[0] == CLOSE
    await raw.eof()
    await until(lambda: stage.empty)


@pytest.mark.parametrize("payload", [b"\x03", b"\x03\xec", b"\x00\x00", b"\x03\xe8\xff"])
async def test_bad_close_of_the_client_ends_the_connection(stage: Stage, payload: bytes) -> None:
    """A close that is itself malformed ends the connection like any close."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    raw.write(frame(CLOSE, payload))
    await raw.eof()
    await until(lambda: stage.empty)


async def test_half_close_ends_the_connection(stage: Stage) -> None:
    """A client that says it sends no more is gone."""
    raw = await stage.raw(ALICE)
    await raw.until("live")
    raw.writer.write_eof()
    await raw.eof()
    await until(lambda: stage.empty)


async def test_get_without_upgrade_is_no_connection(stage: Stage) -> None:
    """A plain GET of the channel is a plain error."""
    async with stage.http.get(f"{stage.gateway.url}/ws") as response:
        assert response.status == 400
    assert stage.empty


@pytest.mark.parametrize("version", ["0", "x", ""])
async def test_unknown_version_is_refused(stage: Stage, version: str) -> None:
    """A version of WebSocket that is not there is refused before any connection is made."""
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": version}
    async with stage.http.get(f"{stage.gateway.url}/ws", headers=headers) as response:
        assert response.status == 400


async def test_compression_is_not_negotiated(stage: Stage) -> None:
    """The server frames each message once for all, so that it takes no compression."""
    peer = await stage.connect(ALICE, compress=15)
    assert peer.ws.compress == 0
    assert isinstance(peer.ws, aiohttp.ClientWebSocketResponse)


@pytest.mark.parametrize(
    "header", [b"Connection: Upgrade", b"Upgrade: ", b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Version: "]
)
async def test_handshake_that_is_no_ascii(stage: Stage, header: bytes) -> None:
    """It is refused, and the log has no word of it: anybody can make one."""
    raw = await stage.socket()
    raw.write(handshake(stage.port).replace(header, header + b", \xff"))
    assert (await raw.head()).startswith(b"HTTP/1.1 400 ")
    raw.cut()
