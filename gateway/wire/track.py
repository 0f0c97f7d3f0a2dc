"""What a session knows of each timeline that it follows: the law's counter, and all that goes with it (design §3)."""

from __future__ import annotations

from gateway.domain.model import SAFE_MAX

ROOM_PREFIX = "r:"
"""How the names of chatrooms' timelines begin."""


class Track:
    """One timeline as one session follows it.

    `start`: the seq after which this connection began. `base`: the greatest one that was there when the stays were
    read. `sent`: the law's counter. `head`: the
    greatest seq known to exist. `acked`: up to where the device has acked on this connection. `gaps`: first and
    last seq of each `gap` told since. `fetching`: the seq a page in flight starts at, or 0. `due`: no page is
    asked for before then. `settled`: nothing is missing, so that a run that starts at `sent + 1` may be written
    at once. `goal`: the head at attach while `live` waits for it, else -1.
    """

    __slots__ = (
        "acked",
        "base",
        "due",
        "fetching",
        "gaps",
        "goal",
        "head",
        "name",
        "primed",
        "sent",
        "settled",
        "start",
        "timeline_id",
    )

    def __init__(self, timeline_id: int, name: str, from_seq: int) -> None:
        self.timeline_id = timeline_id
        self.name = name
        self.base = from_seq
        # Nothing below its stay is owed to a device, and a late ack of an earlier stay must do no harm.
        self.start = self.sent = self.acked = from_seq - 1
        self.head = 0
        self.gaps: tuple[tuple[int, int], ...] = ()
        self.goal = -1
        self.due = 0
        self.primed = False
        self.fetching = 0
        self.settled = False

    @property
    def unacked(self) -> int:
        """Return how many entries no ack covers. A gap is none, however wide: nobody acks what never came."""
        told = sum(last - max(first - 1, self.acked) for first, last in self.gaps)
        return self.sent - self.acked - told


class RoomTrack(Track):
    """A chatroom as one session is in it since `joined_at` (ms since 1970): no acks, no cursor, no stay (design §3).

    Its replay waits for nothing but the transport, and what of it is gone may be passed over at any seq.
    """

    __slots__ = ("joined_at",)

    def __init__(self, timeline_id: int, name: str, joined_at: int) -> None:
        super().__init__(timeline_id, name, 1)
        self.base = SAFE_MAX
        self.joined_at = joined_at

    @property
    def unacked(self) -> int:
        """Return 0: nobody acks a chatroom."""
        return 0
