"""RFC 6455 on the server's side, as pure bytes: the handshake's answer, the frames that are sent, those that come.

What is sent are whole, unmasked frames. What comes is cut by the network wherever it likes; a `Reader` makes the
messages of it. Extensions are never agreed upon, so that every frame stands by itself.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import struct

CONTINUATION = 0
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10

_FIN = 0x80
_RESERVED = 0x70
_OPCODE = 0x0F
_CONTROL = 0x08
_MASKED = 0x80

_SHORT_MAX = 125
_MEDIUM = 126
_MEDIUM_MAX = 0xFFFF
_LONG = 127

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_BROKEN = 1002
_NOT_UTF8 = 1007
_TOO_LARGE = 1009


def accept_key(key: str) -> str:
    """Return the `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


# -- what is sent ---------------------------------------------------------------------------------------


def text_frame(payload: bytes) -> bytes:
    """Return a whole text frame, header included, as the server sends it (RFC 6455 §5.2: never masked)."""
    return _frame(_FIN | TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """Return a whole binary frame, header included, as the server sends it."""
    return _frame(_FIN | BINARY, payload)


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping, which says what the ping said."""
    return _frame(_FIN | PONG, payload)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= _SHORT_MAX:
        return bytes((first, size)) + payload
    if size <= _MEDIUM_MAX:
        return struct.pack("!BBH", first, _MEDIUM, size) + payload
    return struct.pack("!BBQ", first, _LONG, size) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close (RFC 6455 §5.5.1): at most 125 bytes, two of them its code; a longer reason is cut, as UTF-8."""
    told = reason.encode()[: _SHORT_MAX - 2].decode(errors="ignore").encode()
    return struct.pack("!BBH", _FIN | CLOSE, 2 + len(told), code) + told


_PING = _frame(_FIN | PING, b"")


def ping_frame() -> bytes:
    """Return an empty ping, which every client library answers."""
    return _PING


# -- what comes -----------------------------------------------------------------------------------------


class MalformedError(ValueError):
    """What came is no frame of a client, or too large a one. `code` is what a close for it says (RFC 6455 §7.4.1)."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def read_short(data: bytes, most: int) -> tuple[int, bytes] | None:
    """Return what these bytes are, if they are one short frame and nothing else: a text of plain ASCII, or a pong.

    That is nearly all that devices ever say: acks, and the answers to pings. Any other bytes are for a `Reader`, which
    takes these too, but in three times the time. `most`: as there.
    """
    size = len(data) - 6
    first = data[0]
    if first not in _COMMON or not 0 <= size <= _SHORT_MAX or size > most or data[1] != _MASKED | size:
        return None
    payload = _unmasked(data[6:], data[2:6])
    return (first & _OPCODE, payload) if payload.isascii() else None


class _Message:
    """A message of which fragments are to come."""

    __slots__ = ("check", "data", "kind")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        # Empty fragments are allowed and may come for ever: nothing may be kept of each.
        self.data = bytearray()
        self.check = codecs.getincrementaldecoder("utf-8")() if kind == TEXT else None


class Reader:
    """Makes messages of the bytes of one client: `feed` it what came, and take messages by `next` until it has none.

    What is not taken stays where it is, as bytes: whoever can do no more at the moment just stops. Between messages
    a reader holds nothing. After `MalformedError` no further call has a meaning.
    """

    __slots__ = ("_at", "_data", "_message", "_most")

    def __init__(self, most: int) -> None:
        """Read messages of at most so many bytes."""
        self._most = most
        self._data: bytes | bytearray = b""
        self._at = 0
        self._message: _Message | None = None

    @property
    def unread(self) -> int:
        """How many bytes were fed and not taken, be it that more of their frame must come first."""
        return len(self._data) - self._at

    @property
    def idle(self) -> bool:
        """Whether it holds nothing: another one would read on just as well."""
        return self._message is None and not self._data

    def feed(self, data: bytes) -> None:
        """Take what came, however it was cut."""
        kept = self._data
        if not kept:
            # Nearly always: frames come whole, and are read out of the very bytes that the transport made.
            self._data = data
            return
        if not isinstance(kept, bytearray):
            kept = self._data = bytearray(memoryview(kept)[self._at :])
        else:
            # Which moves nothing, and so it costs nothing that a large frame comes byte by byte.
            del kept[: self._at]
        self._at = 0
        kept += data

    def next(self) -> tuple[int, bytes] | None:
        """Return the next message (TEXT, BINARY) or control frame (CLOSE, PING, PONG), or None: more must come first.

        A text is UTF-8; a close is empty or a code that may be said, and a reason in UTF-8. A fragment that is not
        the last of its message is an empty CONTINUATION: no call reads more than one frame, however many came, so
        that whoever has others to hear too can stop after each.

        Raises:
            MalformedError: It breaks the protocol, as soon as its header or its fragment shows that.
        """
        data, at = self._data, self._at
        start = at + 2
        if start > len(data):
            self._keep()
            return None
        first = data[at]
        size = data[at + 1] - _MASKED
        if size > _SHORT_MAX and not first & _CONTROL:
            start += 2 if size == _MEDIUM else 8
            if start > len(data):
                self._keep()
                return None
            size = int.from_bytes(data[at + 2 : start])
        if first != _FIN | TEXT or self._message is not None or not 0 <= size <= self._most:
            self._judge(first, size)
        end = start + 4 + size
        if end > len(data):
            self._keep()
            return None
        payload = _unmasked(data[start + 4 : end], data[start : start + 4])
        if end == len(data):
            self._data = b""
            end = 0
        self._at = end
        if first == _FIN | TEXT:
            if not payload.isascii():
                _check_text(payload)
            return TEXT, payload
        return self._put(first, payload)

    def _keep(self) -> None:
        """Hold what more must come after, and not what was read before it."""
        if self._at:
            self._data = self._data[self._at :]
            self._at = 0

    def _judge(self, first: int, size: int) -> None:
        """Refuse a frame by its header. The size of one that is not masked is negative."""
        opcode = first & _OPCODE
        if size < 0:
            raise MalformedError(_BROKEN, "the frame of a client must be masked")
        if first & _RESERVED:
            raise MalformedError(_BROKEN, "no extension was agreed upon that would use the reserved bits")
        if opcode not in _OPCODES:
            raise MalformedError(_BROKEN, f"the opcode {opcode} is reserved")
        if opcode & _CONTROL:
            if size > _SHORT_MAX or not first & _FIN:
                raise MalformedError(_BROKEN, "a control frame has at most 125 bytes and no fragments")
            return
        message = self._message
        if (opcode == CONTINUATION) == (message is None):
            raise MalformedError(_BROKEN, "fragments of one message must follow each other")
        if size + (0 if message is None else len(message.data)) > self._most:
            raise MalformedError(_TOO_LARGE, f"a message has at most {self._most} bytes")

    def _put(self, first: int, payload: bytes) -> tuple[int, bytes]:
        """Take the payload of a frame that is no whole text; return what it is or completes."""
        opcode = first & _OPCODE
        if opcode & _CONTROL:
            if opcode == CLOSE:
                _check_close(payload)
            return opcode, payload
        message = self._message
        if message is None:
            if first & _FIN:
                return opcode, payload
            message = self._message = _Message(opcode)
        final = bool(first & _FIN)
        if message.check is not None:
            try:
                message.check.decode(payload, final)
            except UnicodeDecodeError:
                raise MalformedError(_NOT_UTF8, "a text must be UTF-8") from None
        message.data += payload
        if not final:
            return CONTINUATION, b""
        self._message = None
        return message.kind, bytes(message.data)


_COMMON = frozenset({_FIN | TEXT, _FIN | PONG})
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})


def _unmasked(payload: bytes | bytearray, key: bytes | bytearray) -> bytes:
    """Undo the masking, as one XOR of two large numbers: the fastest that plain Python has, from 1 byte to 1 MB."""
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise MalformedError(_NOT_UTF8, "a text must be UTF-8") from None


_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
_FREE_CODES = range(3000, 5000)


def _check_close(payload: bytes) -> None:
    """Refuse a close without a code that may be sent (RFC 6455 §7.4), or with a reason that is no text."""
    if payload:
        code = int.from_bytes(payload[:2])
        if len(payload) == 1 or (code not in _CODES and code not in _FREE_CODES):
            raise MalformedError(_BROKEN, "a close has a code that may be sent, or nothing")
        _check_text(payload[2:])
