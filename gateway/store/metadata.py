"""What apps keep with a user: one JSON object of strings."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.domain.limits import Limits

_decoder = msgspec.json.Decoder(dict[str, str])


def merged(held: str, changes: Mapping[str, str] | None, limits: Limits) -> str | None:
    """What is kept after a change (None: nothing); None where it is too much (`Limits.metadata_bytes_max`)."""
    told = {} if changes is None else {**_decoder.decode(held), **changes}
    encoded = msgspec.json.encode(told)
    return encoded.decode() if len(encoded) <= limits.metadata_bytes_max else None
