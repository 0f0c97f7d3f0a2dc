"""The handshake of a device: which one is answered here, and how (RFC 6455 §4)."""

from __future__ import annotations

import re

from gateway.edge.channel import Channel
from gateway.edge.frontdoor.head import Head
from gateway.wire.encoding import Encoding
from gateway.wire.websocket import accept_key

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_NOT_HERE = frozenset({"content-length", "expect", "proxy-connection", "transfer-encoding"})
"""Headers that ask for more than a handshake, or that llhttp takes for another."""

_ANSWER = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: "
)


def accepts(head: Head, channel: Channel) -> bool:
    """Whether this is a handshake that is answered here. Every other one is aiohttp's, to answer or to refuse."""
    headers = head.headers
    if head.path != "/ws" or head.method != "GET" or head.repeated or not _NOT_HERE.isdisjoint(headers):
        return False
    connection = headers.get("connection", "").lower()
    protocols = headers.get("sec-websocket-protocol")
    return (
        headers.get("upgrade", "").lower() == "websocket"
        and any(token.strip() == "upgrade" for token in connection.split(","))
        and headers.get("sec-websocket-version") == "13"
        and _KEY.fullmatch(headers.get("sec-websocket-key", "")) is not None
        and (protocols is None or channel.select(protocols) is not None)
        and channel.welcomes(headers.get("origin"))
        and not channel.draining
        and not channel.full
    )


def answer(head: Head, encoding: Encoding | None) -> bytes:
    """Say yes to a handshake that `accepts` has let in, in this encoding where it offers one."""
    selected = f"\r\nSec-WebSocket-Protocol: {encoding.subprotocol}" if encoding else ""
    return f"{_ANSWER}{accept_key(head.headers['sec-websocket-key'])}{selected}\r\n\r\n".encode()
