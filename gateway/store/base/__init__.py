"""The store port: the truth. What every engine promises, and nothing of how.

Promises of every engine:

- **Durable.** When a call that changes something returns, its effect survives `kill -9` and power loss.
- **Atomic per draft.** A draft is kept whole or not at all, and every other call is one transaction. A refused draft
  leaves no trace and disturbs no neighbour.
- **Once.** A draft counts once, also where the engine had to ask again for its outcome.
- **Dense.** Entries of a timeline are numbered 1, 2, 3 … in commit order, in a batch in the batch's order.
- **Rising ids.** Inside one conversation `msg_id` rises in commit order.
- **Snapshots.** Each read answers from one snapshot.

Errors: `Problem(STORE_FAILED)` when the store cannot do its work now (disk full, I/O error, closing): nothing
of the call was kept, and a later call may succeed. Data that an engine cannot keep makes a draft `Refused`, alone,
and any other call a `Problem(BAD_PARAMETER)`.

The parts of the port that are about one subject lie beside this; it is known by this name, as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.domain.drafts import Answer, Draft, Job
from gateway.domain.errors import Kind
from gateway.domain.model import Page
from gateway.domain.positions import Ack, Advanced, Attachment, Bearing, Keep, ReadDone, ReadMark, Standing
from gateway.store.base.accounts import Accounts
from gateway.store.base.conversations import (
    Conversations,
    History,
    Readers,
    Recent,
    Record,
    Records,
    Remembered,
)
from gateway.store.base.credentials import Credentials
from gateway.store.base.filing import Filing
from gateway.store.base.grouping import Grouping
from gateway.store.base.looking import Fold, Folds, Looking, Sighted, Sought, Span
from gateway.store.base.parties import Parties, Party
from gateway.store.base.presence import Presence, Pulse
from gateway.store.base.upkeep import Oldest, Sweeping, Swept, Upkeep

__all__ = [
    "EPOCH_STEP",
    "SEEN_STEP_MS",
    "Fold",
    "Folds",
    "History",
    "Oldest",
    "Party",
    "Pulse",
    "Readers",
    "Recent",
    "Record",
    "Records",
    "Remembered",
    "Sighted",
    "Sought",
    "Span",
    "Store",
    "Sweeping",
    "Swept",
]

SEEN_STEP_MS = 60_000
"""How exactly it is kept when a device was last seen: an ack within it need not say when it came."""

EPOCH_STEP = 2**32
"""How far message ids jump with an epoch: further than a lost tail of commits can have given away."""


class Store(
    Parties, Credentials, Accounts, Grouping, Conversations, Looking, Presence, Filing, Upkeep, Protocol
):
    """The port. Lists are answered in the order asked, one answer per question."""

    @property
    def epoch(self) -> str:
        """Return the store's epoch (design §3) as last read: stable until `renew_epoch`."""

    @property
    def shared(self) -> bool:
        """Whether other processes write to it too, so that what was read before may be old."""

    @property
    def batches_max(self) -> int:
        """How many batches may be in flight at a time, no two of which name a user or group in common."""

    async def renew_epoch(self) -> str:
        """Begin another epoch (after a restore, or a failover that lost commits); message ids jump by 2^32."""

    async def close(self) -> None:
        """Finish what is under way and let go of every resource. Later calls raise `Problem`."""

    async def probe(self) -> None:
        """Commit something and read it back; raises `Problem` where the store could not keep a send now."""

    # -- what moves timelines and positions -------------------------------------------------------------

    async def append(self, batch: Sequence[Draft]) -> list[Answer]:
        """Commit a batch of drafts, in order, each answered by itself.

        Of a chatroom the newest `room_history_max` entries stay, with the newest message; what is older goes in time.
        """

    async def advance(self, acks: Sequence[Ack]) -> Advanced:
        """Move cursors of kept devices and *delivered* positions up; those of a replaced connection are not kept."""

    async def keep(self, devices: Sequence[Keep]) -> list[Attachment]:
        """Make devices kept and set their cursors; evict the longest unseen of users that hold too many.

        A connected device is never evicted, on whichever node. Of a replaced connection nothing is kept: returned are
        those.
        """

    async def read(self, marks: Sequence[ReadMark]) -> list[ReadDone | Kind]:
        """Move READ positions up, cumulatively; a `Kind` where the mark is refused (not a member any more)."""

    async def put_off(self, user_id: int, opposite: Party) -> bool:
        """Keep a conversation off a user's recent list until there is something newer in it.

        Its history and its count of unread messages are as they were. False for a group that the user is not in.
        """

    async def jobs(self) -> list[Job]:
        """List the jobs that are not finished, oldest first: `StepDraft`s do them, page by page."""

    # -- reading timelines ------------------------------------------------------------------------------

    async def pages(self, asked: Sequence[tuple[int, int]], limit: int, bytes_max: int) -> list[Page]:
        """Read, for many (timeline, from_seq), entries from there on: at most `limit` and about `bytes_max` each.

        A page has at least one entry, where there is one. Each is of one snapshot.
        """

    async def standings(self, asked: Sequence[tuple[int, int]]) -> list[Standing]:
        """Attach, first query, for many (user, device_sn): stays and the own timeline, all in one snapshot.

        Where there is no such user, for this store is not the one that it was known from, the head is -1.
        """

    async def bearings(self, asked: Sequence[tuple[int, int, int]]) -> list[Bearing]:
        """Attach, second query, for many (user, device_sn, timeline): heads, floors and the devices' cursors.

        In the order asked, without those of timelines that are not there. Also the sweep's question, of no device:
        there (0, 0, timeline) is asked.
        """

    async def reserve(self, count: int) -> int:
        """Take `count` message ids that no stored message will ever have; return the first."""
