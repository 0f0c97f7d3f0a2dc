"""What a session knows of each timeline that it follows: the law's counter, and all that goes with it (design §3)."""

from __future__ import annotations

from gateway.domain.model import SAFE_MAX
from gateway.wire.effects import Run

ROOM_PREFIX = "r:"
"""How the names of chatrooms' timelines begin."""


class Front:
    """Where those stand that have all of one timeline: one `seq` for all of them.

    So a run that comes next moves a thousand sessions by moving a number, and nothing of theirs is looked at but
    their transports. Whoever goes its own way parts from the front first, and takes the number along.
    `changed`: somebody has joined or parted since its owner last looked.
    """

    __slots__ = ("changed", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self.changed = False

    def take(self, run: Run) -> bool:
        """Move on over a run that comes next, and say whether it did: then all who stand here must be written it.

        A membership entry is obeyed by each session for itself, so nobody is moved over one.
        """
        if run.first != self.seq + 1 or run.fence is not None:
            return False
        self.seq = run.last
        return True


class Track:
    """One timeline as one session follows it.

    `start`: the seq after which this connection began. `base`: the greatest one that was there when the stays were
    read. `sent`: the law's counter. `head`: the
    greatest seq known to exist. `acked`: up to where the device has acked on this connection. `gaps`: first and
    last seq of each `gap` told since. `fetching`: the seq a page in flight starts at, or 0. `due`: no page is
    asked for before then. `settled`: nothing is missing, so that a run that starts at `sent + 1` may be written
    at once. `goal`: the head at attach while `live` waits for it, else -1. `front`: what tells `sent` instead, while it
    is settled and stands with the others.
    """

    __slots__ = (
        "_sent",
        "acked",
        "base",
        "due",
        "fetching",
        "front",
        "gaps",
        "goal",
        "head",
        "name",
        "primed",
        "settled",
        "start",
        "timeline_id",
    )

    def __init__(self, timeline_id: int, name: str, from_seq: int) -> None:
        self.timeline_id = timeline_id
        self.name = name
        self.base = from_seq
        # Nothing below its stay is owed to a device, and a late ack of an earlier stay must do no harm.
        self.start = self._sent = self.acked = from_seq - 1
        self.head = 0
        self.front: Front | None = None
        self.gaps: tuple[tuple[int, int], ...] = ()
        self.goal = -1
        self.due = 0
        self.primed = False
        self.fetching = 0
        self.settled = False

    @property
    def sent(self) -> int:
        """The law's counter: its own, or the front's."""
        return self._sent if self.front is None else self.front.seq

    @sent.setter
    def sent(self, seq: int) -> None:
        assert self.front is None, "who stands with others moves with them, or parts first"
        self._sent = seq

    def join(self, front: Front) -> None:
        """Stand with the others from here on, if it stands where they do and nothing is missing."""
        if self.settled and self.sent == front.seq:
            self.front = front
            front.changed = True

    def part(self) -> None:
        """Go its own way from where it stands, with the others or not."""
        front = self.front
        if front is not None:
            # Nothing beyond is known of: whoever had heard of more would have parted then.
            self._sent = self.head = front.seq
            self.front = None
            front.changed = True

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
