"""How frames become bytes: one encoding per subprotocol, the same objects in each (design §6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.wire.websocket import binary_frame, text_frame

SENTENCE_MAX = 100
"""Characters of a `FrameError`: its sentence may quote the client, and goes into a `bye` and a close."""


class FrameError(ValueError):
    """A frame that is not of the protocol; its sentence, which is cut to plain ASCII, goes into the `bye`."""

    def __init__(self, sentence: str) -> None:
        told = sentence.encode("ascii", "backslashreplace").decode()
        super().__init__(told if len(told) <= SENTENCE_MAX else f"{told[:SENTENCE_MAX]}...")


class Encoding:
    """What a connection has agreed to speak. `binary`: in binary WebSocket frames, in text frames otherwise."""

    __slots__ = ("_encode", "_wrap", "binary", "subprotocol")

    def __init__(self, subprotocol: str, encode: Callable[[Any], bytes], *, binary: bool) -> None:
        self.subprotocol = subprotocol
        self.binary = binary
        self._encode = encode
        self._wrap = binary_frame if binary else text_frame

    def pack(self, told: Any) -> bytes:  # noqa: ANN401 - any object that msgspec can encode
        """Return a finished WebSocket frame that says this, header included."""
        return self._wrap(self._encode(told))

    def json(self, payload: bytes) -> bytes:
        """Return the JSON of what a client said in this encoding; every rule is checked there, and only there.

        Raises:
            FrameError: It says what JSON has no word for.
        """
        return _as_json(payload) if self.binary else payload


JSON = Encoding("gateway.v1", msgspec.json.Encoder().encode, binary=False)
MSGPACK = Encoding("gateway.v1.msgpack", msgspec.msgpack.Encoder().encode, binary=True)

ENCODINGS = {encoding.subprotocol: encoding for encoding in (JSON, MSGPACK)}
"""By subprotocol. Who offers none speaks JSON."""

NESTED_BYTES_MAX = 16 * 1024
"""A larger frame of MessagePack holds nothing deeper than lists and maps of plain values, which no frame needs.

To make objects of hundreds of thousands of nested ones, only to ignore them, would hold everybody else up.
"""

_Plain = str | int | float | bool | None
_unpack = msgspec.msgpack.Decoder().decode
_unpack_flat = msgspec.msgpack.Decoder(dict[str, _Plain | list[_Plain] | dict[str, _Plain]]).decode
_to_json = msgspec.json.Encoder().encode
_SAME = frozenset({str, int, bool, type(None)})
_KEY = frozenset({str})


def _as_json(payload: bytes) -> bytes:
    """Write MessagePack as JSON: of repeated keys the last counts, as there."""
    try:
        said = _unpack(payload) if len(payload) <= NESTED_BYTES_MAX else _unpack_flat(payload)
        _check_plain(said)
        return _to_json(said)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise FrameError(f"not a MessagePack frame: {error}") from error


def _check_plain(said: object) -> None:
    """See that it holds nothing but what JSON has too: msgspec would write the rest as strings, and NaN as null."""
    left: list[Any] = [[said]]
    while left:
        values = left.pop()
        if isinstance(values, dict):
            if not _KEY.issuperset(map(type, values)):
                raise FrameError("a key of a map must be a string")
            values = values.values()
        # Nearly always all there is to see.
        if _SAME.issuperset(map(type, values)):
            continue
        for value in values:
            if isinstance(value, list | dict):
                left.append(value)
            elif isinstance(value, float):
                if not math.isfinite(value):
                    raise FrameError("a number must be finite")
            elif type(value) not in _SAME:
                raise FrameError("binaries, timestamps and extensions are not for frames")
