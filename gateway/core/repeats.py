"""What a repeat is answered with (design §4): as the first one was, or that its key was used for something else.

Of a partial send it is kept with the digest who of those named got no message and why, place by place: they may be
others, or nobody, by the time that it is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gateway.core.ephemeral import Answered
from gateway.domain.drafts import asks_same
from gateway.domain.errors import Kind, Problem, reused
from gateway.store.base import Remembered

_GOT = "."
_LETTERS = {
    Kind.BAD_PARAMETER: "p",
    Kind.USER_UNKNOWN: "u",
    Kind.GROUP_UNKNOWN: "g",
    Kind.NOT_A_MEMBER: "m",
    Kind.BLOCKED: "b",
    Kind.FORBIDDEN: "f",
}
"""For what a target is left out of a send: stores keep these."""

_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


class Sent(msgspec.Struct, frozen=True):
    """What has become of a send, and when (ms; 0: not known here); both ids 0: nobody was left to send it to.

    `receivers` got a message each, in this order, and `whys` says of the others why not. Of a repeat they are None, and
    `places` tells per place of the first order why nobody got one there (None: somebody did; empty: everywhere).
    """

    first_msg_id: int
    last_msg_id: int
    receivers: tuple[int, ...] | None
    at: int = 0
    whys: Mapping[int, Kind] = {}
    places: Sequence[Kind | None] = ()


def conflict(key: str) -> Problem:
    """Say that the key of a send was used for another message."""
    return reused(key, "message")


def noted(digest: str, named: Sequence[int], whys: Mapping[int, Kind]) -> str:
    """Put to a digest what a repeat is to be told of those named, some of whom are left out."""
    if not digest or not whys:
        return digest
    return f"{digest} {''.join(_LETTERS[whys[xid]] if xid in whys else _GOT for xid in named)}"


def same(known: Remembered | Answered, digest: str, key: str) -> Sent:
    """Return the first answer to a key, if this asks for the same. Raises `TRANSACTION_CONFLICT`."""
    if not asks_same(known.digest, digest):
        raise conflict(key)
    places = tuple(map(_KINDS.get, known.digest.partition(" ")[2]))
    at = known.at if isinstance(known, Answered) else 0
    return Sent(known.first_msg_id, known.last_msg_id, None, at, places=places)
