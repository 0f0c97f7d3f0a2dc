"""Answers as bytes: what a store keeps of a batch whose outcome its node may have to ask for (design §4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.domain.drafts import (
    Answer,
    Appended,
    Changed,
    Imported,
    Refused,
    Repeated,
    Stale,
    Started,
    Stepped,
)

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Appended, Imported, Changed, Refused, Repeated, Stale, Started, Stepped)
}
_pairs = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]])


def encode_answers(answers: Sequence[Answer]) -> bytes:
    """Encode the answers of a batch."""
    return msgspec.msgpack.encode([(type(answer).__name__, answer) for answer in answers])


def decode_answers(data: bytes) -> list[Answer]:
    """Decode what `encode_answers` has made."""
    return [msgspec.msgpack.decode(raw, type=_KINDS[kind]) for kind, raw in _pairs.decode(data)]
