"""What goes into a session and what comes out of it: runs of frames, and effects to carry out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.domain.model import Membership
from gateway.wire.close import Close


class Run(msgspec.Struct, frozen=True):
    """Frames of one timeline with consecutive seqs from `first` on.

    `fence` is the membership change that its last frame tells, if it tells one: a membership entry ends a
    run, so that what follows it can be withheld.
    """

    first: int
    frames: Sequence[bytes]
    data: bytes
    fence: Membership | None = None

    @property
    def last(self) -> int:
        """Return the seq of the last frame."""
        return self.first + len(self.frames) - 1


class Write(msgspec.Struct, frozen=True):
    """Write these bytes to the transport."""

    data: bytes


class Fetch(msgspec.Struct, frozen=True):
    """Read the timeline's page from `from_seq` and give it to `page`, or call `page_failed`."""

    timeline_id: int
    from_seq: int


class Follow(msgspec.Struct, frozen=True):
    """Register for the timeline, then read its head and floor and call `prime`."""

    timeline_id: int
    group_xid: int
    from_seq: int


class Unfollow(msgspec.Struct, frozen=True):
    """Stop giving this session the timeline's runs."""

    timeline_id: int


class Acked(msgspec.Struct, frozen=True):
    """The device holds the timeline up to `seq`: to be committed."""

    timeline_id: int
    seq: int


class Wake(msgspec.Struct, frozen=True):
    """Call `tick` at this time, at the latest."""

    at: int


class Ping(msgspec.Struct, frozen=True):
    """Send a WebSocket ping."""


class End(msgspec.Struct, frozen=True):
    """Say `bye` and close."""

    code: Close
    reason: str


Effect = Write | Fetch | Follow | Unfollow | Acked | Wake | Ping | End
