"""What a repeat is answered with (design §4): as the first one was, or that its key was used for something else."""

from __future__ import annotations

from gateway.core.ephemeral import Answered
from gateway.core.placing import Sent
from gateway.domain.errors import Problem, reused
from gateway.store.base import Remembered


def conflict(key: str) -> Problem:
    """Say that the key of a send was used for another message."""
    return reused(key, "message")


def same(known: Remembered | Answered, digest: str, key: str) -> Sent:
    """Return the first answer to a key, if this asks for the same. Raises `TRANSACTION_CONFLICT`."""
    if known.digest != digest:
        raise conflict(key)
    return Sent(known.first_msg_id, known.last_msg_id, None)
