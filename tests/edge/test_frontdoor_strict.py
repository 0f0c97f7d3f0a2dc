"""The front door understands a request as aiohttp does, or leaves it to aiohttp: nothing is guessed."""

from __future__ import annotations

import pytest

from tests.edge.roads import LAST, Roads

GET = b"GET /message/ack?a=1 HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /message/send HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"POST /message/notify HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"

PLAIN = {
    "no body": GET + b"\r\n",
    "a body": POST + b"Content-Length: 5\r\n\r\nhello",
    "an empty body": POST + b"Content-Length: 0\r\n\r\n",
    "no length": POST + b"\r\n",
    "names in any case": POST + b"APP_ID: demo\r\nAcCeSs-ToKeN: t\r\ncontent-length: 2\r\n\r\n{}",
    "spaces around values": POST + b"app_id:   demo  \r\nuser_id:5\r\nContent-Length: 2\r\n\r\n{}",
    "tabs around values": POST + b"app_id:\tdemo\t\r\nContent-Length: 2\r\n\r\n{}",
    "kept alive": GET + b"Connection: keep-alive\r\n\r\n",
    "kept alive, in capitals": GET + b"Connection: Keep-Alive\r\n\r\n",
    "closed": GET + b"Connection: close\r\n\r\n",
    "closed, among others": GET + b"Connection: foo, close\r\n\r\n",
    "an odd connection": GET + b"Connection: close, keep-alive\r\n\r\n",
    "the connection twice": GET + b"Connection: keep-alive\r\nConnection: close\r\n\r\n",
    "a proxy's connection": GET + b"Proxy-Connection: close\r\n\r\n",
    "empty lines before": b"\r\n\r\n" + GET + b"\r\n",
    "a repeated header": GET + b"app_id: one\r\nAPP_ID: two\r\n\r\n",
    "a repeated unknown header": GET + b"X: one\r\nx: two\r\napp_id: a\r\n\r\n",
    "an empty header": GET + b"app_id:\r\nuser_id: 5\r\n\r\n",
    "a header of spaces": GET + b"app_id:   \r\nuser_id: 5\r\n\r\n",
    "text beyond ASCII": GET + "app_id: \xe4\r\n\r\n".encode(),
    "bytes that are no text": GET + b"app_id: \xff\r\n\r\n",
    "an odd token": GET + b"a!#$%&'*+-.^_`|~9: x\r\n\r\n",
    "a body with GET": GET + b"Content-Length: 2\r\n\r\n{}",
    "chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks with trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n\r\n",
    "to be continued": POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "an unknown expectation": POST + b"Expect: wonders\r\nContent-Length: 2\r\n\r\n{}",
    "an unknown encoding": POST + b"Content-Encoding: x\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.0": b"GET /message/ack HTTP/1.0\r\n\r\n",
    "HTTP/1.0, kept": b"GET /message/ack HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "an unknown path": b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
    "a slash too many": b"GET /message/ack/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "two slashes": b"GET //message/ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "dots": b"GET /message/../message/ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path in percents": b"GET /message/%61ck HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path in capitals": b"GET /Message/ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment": b"GET /message/ack?a=1#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment before the query": b"GET /message/ack#b?a=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an empty query": b"GET /message/ack? HTTP/1.1\r\nHost: x\r\n\r\n",
    "a query of all sorts": b"GET /message/ack?a=%41+b&a=2&&c&=d&e=f=g&%zz=%e4;h=1?i HTTP/1.1\r\nHost: x\r\n\r\n",
    "a query that is no text": b"GET /message/ack?a=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "quotes in a query": b"GET /message/ack?a=\"'<>{}|\\^` HTTP/1.1\r\nHost: x\r\n\r\n",
    "the whole URL": b"GET http://x/message/ack?a=1 HTTP/1.1\r\nHost: y\r\n\r\n",
    "a verb that the path has not": b"PUT /message/ack HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "HEAD": b"HEAD /message/ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS of everything": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "the greatest body": POST + b"Content-Length: 2000\r\n\r\n" + b" " * 2000,
    "a body too great": POST + b"Content-Length: 2001\r\n\r\n" + b" " * 2001,
    "as many headers as may be": GET + b"".join(b"h%d: x\r\n" % n for n in range(127)) + b"\r\n",
    "a long header": GET + b"X: " + b"y" * 8_100 + b"\r\n\r\n",
    "long headers": GET + b"X: " + b"y" * 8_000 + b"\r\nY: " + b"z" * 8_000 + b"\r\n\r\n",
    "an upgrade to what is not there": GET + b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
    "an upgrade that is not asked for": GET + b"Upgrade: websocket\r\n\r\n",
    "the host twice, elsewhere": b"GET /message/ack HTTP/1.1\r\nHost: x\r\nX-Host: y\r\n\r\n",
}
"""Odd or not, these are HTTP: both roads do the same for them, and go on with the next request if they keep to it."""

HOSTILE = {
    "no host": b"GET /message/ack HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /message/ack HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "two content types": POST + b"Content-Type: a\r\nContent-Type: b\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": POST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "chunks and length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two different lengths": POST + b"Content-Length: 0\r\nContent-Length: 90\r\n\r\n" + SMUGGLED,
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "a hexadecimal length": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "a grouped length": POST + b"Content-Length: 1_0\r\n\r\n{}",
    "a length in other digits": POST + "Content-Length: \u0662\r\n\r\n{}".encode(),
    "a length with a fraction": POST + b"Content-Length: 2.0\r\n\r\n{}",
    "a length of nothing": POST + b"Content-Length:\r\n\r\n{}",
    "a length beyond all": POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "a length with zeros": POST + b"Content-Length: 0002\r\n\r\n{}",
    "a length with a space in it": POST + b"Content-Length: 1 0\r\n\r\n{}",
    "an unknown coding": POST + b"Transfer-Encoding: gzip\r\n\r\n{}",
    "chunks that are not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunks twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks nearly": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunks in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n' + SMUGGLED,
    "bare line feeds": b"GET /message/ack HTTP/1.1\nHost: x\n\n",
    "a bare line feed in the end": GET + b"\n" + SMUGGLED,
    "a bare line feed between headers": GET + b"X: y\nContent-Length: 90\r\n\r\n" + SMUGGLED,
    "a bare line feed in a value": GET + b"X: y\n\r\n\r\n",
    "a bare return in a value": GET + b"X: y\rContent-Length: 90\r\n\r\n" + SMUGGLED,
    "a bare return in a name": GET + b"X\rY: z\r\n\r\n",
    "a folded header": GET + b"X: y\r\n z\r\n\r\n",
    "a folded length": POST + b"Content-Length:\r\n 2\r\n\r\n{}",
    "a header that begins with a space": GET + b" X: y\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "a tab before the colon": POST + b"Content-Length\t: 2\r\n\r\n{}",
    "a space in a name": GET + b"X Y: z\r\n\r\n",
    "no name": GET + b": y\r\n\r\n",
    "no colon": GET + b"nothing\r\n\r\n",
    "a name in brackets": GET + b"X(y): z\r\n\r\n",
    "a name beyond ASCII": GET + b"X\xe4: z\r\n\r\n",
    "NUL in a value": GET + b"X: a\0b\r\n\r\n",
    "NUL in a name": GET + b"X\0: a\r\n\r\n",
    "NUL in the path": b"GET /message/ack\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a control character": GET + b"X: a\x01b\r\n\r\n",
    "DEL": GET + b"X: a\x7fb\r\n\r\n",
    "two spaces after the verb": b"GET  /message/ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces before the version": b"GET /message/ack  HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab for a space": b"GET\t/message/ack\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "a space after the version": b"GET /message/ack HTTP/1.1 \r\nHost: x\r\n\r\n",
    "a space in the path": b"GET /message/ ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space before the verb": b" GET /message/ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "a verb in small letters": b"get /message/ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown verb": b"FETCH /message/ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /message/ack\r\nHost: x\r\n\r\n",
    "an old version": b"GET /message/ack HTTP/0.9\r\nHost: x\r\n\r\n",
    "a new version": b"GET /message/ack HTTP/2.0\r\nHost: x\r\n\r\n",
    "an odd version": b"GET /message/ack HTTP/1.10\r\nHost: x\r\n\r\n",
    "a version in small letters": b"GET /message/ack http/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a tunnel": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "another's tunnel": b"CONNECT /message/ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "too many headers": GET + b"".join(b"h%d: x\r\n" % n for n in range(129)) + b"\r\n",
    "a header too long": GET + b"X: " + b"y" * 8_191 + b"\r\n\r\n",
    "a name too long": GET + b"x" * 8_191 + b": y\r\n\r\n",
    "a line too long": b"GET /message/ack?" + b"y" * 8_191 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a head without an end": GET + b"".join(b"h%d: %b\r\n" % (n, b"y" * 900) for n in range(150)),
    "an old WebSocket": GET + b"Sec-WebSocket-Key1: x\r\n\r\n",
    "HTTP/1.0 with chunks": b"POST /message/send HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "two requests in one line": b"GET /message/ack HTTP/1.1\rGET /message/ack HTTP/1.1\r\nHost: x\r\n\r\n",
    "a bad chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
}
"""Refused, left to wait for what never comes, or understood in the one way that both roads have."""


@pytest.mark.parametrize("said", PLAIN.values(), ids=PLAIN.keys())
async def test_what_is_http(roads: Roads, said: bytes) -> None:
    """Both roads ask the same calls for it, answer the same, and keep or close the connection."""
    assert await roads.both(said + LAST)
    # What comes alone is the front door's to answer.
    await roads.both(said, LAST)


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_is_not(roads: Roads, said: bytes) -> None:
    """Both roads ask the same calls for it, if any, answer the same, and hang up."""
    await roads.both(said + LAST)
    await roads.both(said, LAST)


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_is_not_after_what_is(roads: Roads, said: bytes) -> None:
    """In one piece with a request before it: that is done where aiohttp does it, and where not, not."""
    await roads.both(PLAIN["a body"] + said + LAST)


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_is_not_later(roads: Roads, said: bytes) -> None:
    """It changes nothing that a request was answered before it on the connection."""
    found = await roads.both(PLAIN["a body"], said + LAST)
    assert found[0].status == 200


@pytest.mark.parametrize(
    "name", ["a body", "no body", "length and chunks", "chunks", "a bare line feed in the end"]
)
async def test_every_split(roads: Roads, name: str) -> None:
    """Wherever the network cuts a request in two, it is the same request."""
    said = PLAIN.get(name) or HOSTILE[name]
    for cut in range(1, len(said)):
        await roads.both(said[:cut], said[cut:] + LAST)


async def test_byte_by_byte(roads: Roads) -> None:
    """And where it cuts it at every byte."""
    said = PLAIN["names in any case"] + PLAIN["no body"] + LAST
    assert len(await roads.both(*(said[at : at + 1] for at in range(len(said))))) == 3


async def test_a_tunnel_to_nowhere(roads: Roads, caplog: pytest.LogCaptureFixture) -> None:
    """A verb without a target, which aiohttp reads and then fails at, is answered, and nothing is logged for it."""
    [answer] = await roads.both(b"CONNECT \r\n\r\n")
    assert answer.status in {404, 405}
    assert caplog.records == []
