"""What is asked of the store in one batch, and what it answers per draft (design §4).

A draft names parties by `xid`, since a party may not exist yet; answers name timelines by `id`, as
dispatch does. Each says in `parties` which users and groups of its app it concerns, as far as that is known
beforehand: no two batches in flight concern the same one. (Whom a page of a job or the end of a group concerns, the
store finds.)
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from gateway.domain.errors import Kind
from gateway.domain.group_drafts import GroupDraft, GroupSettings
from gateway.domain.model import Action, Entry, Scope, Side


class MessageDraft(msgspec.Struct, frozen=True):
    """A message asked for, to one or many targets of one scope.

    `key` (empty: none) executes once per sender; `digest` tells whether a repeat asks for the same (`asks_same`).
    `judged` holds the `facts_version` per target that a group draft was judged by; empty for users.
    `create` lets unknown users come into being (an open app). `copied`: the sender gets an entry of its own too
    (not for notices, and not where `system` sends); `listed`: it gets none, yet the conversation is in its list like
    any other. `related` is the message of the same conversation that this one answers or, by its `ctype`, appends to or
    replaces: then it is the sender's own. `group_xid`: it goes to these users alone, members of that group, and lies in
    the group's conversation; `judged` holds the group's version then. `unjudged`: neither a block stops it nor that its
    sender is frozen. `hide_from`: it goes to groups, and is on no history page of these users. `uncounted`: it counts
    as unread nowhere; `passing`: it is shown nowhere; `side`: between users it is in the timeline and history of this
    side alone (its receiver's: it is not `copied`).
    """

    app: int
    sender_xid: int
    sender_sn: int
    scope: Scope
    targets: tuple[int, ...]
    ctype: int
    content: str
    attachment: str
    config: str
    ext: str
    at: int
    notice: bool = False
    copied: bool = True
    key: str = ""
    digest: str = ""
    judged: tuple[int, ...] = ()
    create: bool = True
    related: int = 0
    expires_at: int = 0
    group_xid: int = 0
    listed: bool = False
    unjudged: bool = False
    hide_from: tuple[int, ...] = ()
    uncounted: bool = False
    passing: bool = False
    side: Side = Side.BOTH

    @property
    def stoppable(self) -> bool:
        """Whether a block between its sender and a target stops it: none stops a notice, or what `system` sends."""
        return (self.copied or self.listed or self.side is Side.RECEIVER) and not self.unjudged

    @property
    def rows(self) -> int:
        """How many rows this adds at the most: what a batch is cut by."""
        return 2 + 5 * len(self.targets)

    @property
    def size(self) -> int:
        """Roughly how many bytes this adds."""
        return 200 * len(self.targets) + 2 * (
            len(self.content) + len(self.attachment) + len(self.config) + len(self.ext)
        )

    @property
    def parties(self) -> set[int]:
        """Its sender and targets, and the group in whose conversation it lies."""
        return {self.sender_xid, self.group_xid or self.sender_xid, *self.targets}


def asks_same(one: str, other: str) -> bool:
    """Whether two digests are of the same request. What follows a space in either is kept with it, and says no more."""
    return one == other or one.split(" ", 1)[0] == other.split(" ", 1)[0]


class ImportDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was sent elsewhere comes into the history of its conversation; nobody is sent it.

    `message` says what was sent by whom to one target: to a user or, judged, to a group. `shown_at` is when (ms);
    `settled`: whoever it went to has read it. `sender_name` and `target_name` stand for an xid in `message` that is 0:
    a user who is called so, made with the import where there is none yet and `message` lets users come into being, and
    not made where it is refused.
    """

    message: MessageDraft
    shown_at: int
    settled: bool = False
    sender_name: str = ""
    target_name: str = ""

    @property
    def names(self) -> list[str]:
        """Who is named and has no xid in `message`."""
        return [name for name in dict.fromkeys((self.sender_name, self.target_name)) if name]

    def called(self, xids: Mapping[str, int]) -> ImportDraft:
        """The same with the xids of those who are named; 0 stays for who is not there."""
        message = self.message
        message = msgspec.structs.replace(
            message,
            sender_xid=xids.get(self.sender_name, message.sender_xid),
            targets=(xids.get(self.target_name, 0),) if self.target_name else message.targets,
        )
        return ImportDraft(message=message, shown_at=self.shown_at, settled=self.settled)

    @property
    def app(self) -> int:
        """The app that it is of."""
        return self.message.app

    @property
    def at(self) -> int:
        """When it was asked for."""
        return self.message.at

    @property
    def rows(self) -> int:
        """How many rows this adds at the most."""
        return self.message.rows

    @property
    def size(self) -> int:
        """Roughly how many bytes this adds."""
        return self.message.size

    @property
    def parties(self) -> set[int]:
        """Its sender and target."""
        return self.message.parties


class RecallDraft(msgspec.Struct, frozen=True, kw_only=True):
    """The recall of one message and of all that was folded into it, already judged.

    Who may is settled, in a group by its `facts_version` in `judged` (-1: not by its facts); whether it was first, the
    store decides. `parties` are those of its conversation.
    """

    app: int
    msg_id: int
    at: int
    judged: int = -1
    parties: frozenset[int] = frozenset()

    rows = 6
    size = 300


class DeleteDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A user hides a conversation up to its newest message at commit."""

    app: int
    user_id: int
    user_xid: int
    opposite_id: int
    opposite_xid: int
    scope: Scope
    at: int

    rows = 3
    size = 200

    @property
    def parties(self) -> set[int]:
        """Both ends of the conversation."""
        return {self.user_xid, self.opposite_xid}


class CreateDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A new group. `group_xid` is given by the store; owner and members join by one entry."""

    app: int
    owner_xid: int
    member_xids: tuple[int, ...]
    name: str
    description: str
    avatar: str
    type: int
    at: int
    create: bool = True
    settings: GroupSettings = GroupSettings()

    @property
    def rows(self) -> int:
        """One stay, one entry and a timeline for each member."""
        return 3 + 4 * len(self.member_xids)

    @property
    def size(self) -> int:
        """Roughly how many bytes this adds."""
        return 300 * (1 + len(self.member_xids)) + len(self.description)

    @property
    def parties(self) -> set[int]:
        """Its owner and members; that there is a group, nobody knows yet."""
        return {self.owner_xid, *self.member_xids}


class MembershipDraft(msgspec.Struct, frozen=True, kw_only=True):
    """Users join, leave or are kicked, or the group ends (`user_xids` empty: whoever is in it).

    Judged by `judged`, the group's `facts_version`. Users for whom nothing would change are answered, not
    refused. `sparing`: administrators are refused, for whoever asks may not put them out.
    """

    app: int
    group_id: int
    group_xid: int
    action: Action
    user_xids: tuple[int, ...]
    judged: int
    at: int
    create: bool = True
    sparing: bool = False

    @property
    def rows(self) -> int:
        """One stay, one entry and a timeline for each user."""
        return 3 + 4 * len(self.user_xids)

    @property
    def size(self) -> int:
        """Roughly how many bytes this adds."""
        return 300 * (1 + len(self.user_xids))

    @property
    def parties(self) -> set[int]:
        """The group and those named."""
        return {self.group_xid, *self.user_xids}


class JobKind(enum.StrEnum):
    """What jobs are there for; each has its pages in the store."""

    BROADCAST = "broadcast"
    ERASE = "erase"


class BroadcastText(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a broadcast says: the `data` of its job, as JSON."""

    ctype: int
    content: str = ""
    attachment: str = ""
    config: str = ""
    ext: str = ""


class JobDraft(msgspec.Struct, frozen=True, kw_only=True):
    """Work that would not fit a batch: it is committed now, and done in pages by `StepDraft`s.

    `key` (empty: none) starts one job per app and kind; `digest` tells whether a repeat asks for the same. `data` is
    what the pages need to know; a finished job loses it. Its one party is 0, which stands for the app.
    """

    app: int
    kind: JobKind
    at: int
    data: str = ""
    key: str = ""
    digest: str = ""

    rows = 2
    parties = frozenset((0,))

    @property
    def size(self) -> int:
        """Roughly how many bytes this adds."""
        return 200 + 2 * len(self.data)


class StepDraft(msgspec.Struct, frozen=True, kw_only=True):
    """The next page of a job. What it adds and how far the job has got are one commit: no page is done twice.

    `rows` and `size` are what one page adds at the most, as in every other draft; its one party is the job, below 0.
    `after` is the job's progress as the asker knows it: where another has moved it, nothing is done and the answer is
    `Stale`. -1: from wherever it is.
    """

    app: int
    job_id: int
    at: int
    rows: int
    size: int
    after: int = -1

    @property
    def parties(self) -> set[int]:
        """The job, whose pages come one after the other."""
        return {-self.job_id}


Draft = (
    MessageDraft
    | ImportDraft
    | RecallDraft
    | DeleteDraft
    | CreateDraft
    | MembershipDraft
    | JobDraft
    | StepDraft
    | GroupDraft
)


class Placed(msgspec.Struct, frozen=True):
    """An entry that now stands at `seq` of a timeline. `owner_xid` is the user or group the timeline is of."""

    timeline_id: int
    scope: Scope
    owner_xid: int
    entry: Entry


class Appended(msgspec.Struct, frozen=True):
    """A message draft is committed: target number i got `first_msg_id + i`.

    `received[i]` is (timeline id, seq) of target i; seq 0: none, for the message is its sender's alone. `copies` are
    the sender's own seqs, one per target, in the sender's timeline `sender_id`; empty where the sender gets none
    (groups, notices, `system`, oneself).
    `expires_at` is the draft's, or sooner where it goes with the message it is folded into.
    """

    first_msg_id: int
    received: list[tuple[int, int]]
    sender_id: int
    copies: list[int]
    expires_at: int = 0


class Imported(msgspec.Struct, frozen=True):
    """An import is committed."""

    msg_id: int


class Changed(msgspec.Struct, frozen=True):
    """A recall, deletion, membership or group draft is committed; `placed` are its entries (none: nothing changed).

    `xid` is the group's, for a creation. `refused` says, per user, why a membership did not change.
    """

    placed: list[Placed]
    xid: int = 0
    refused: dict[int, Kind] = {}


class Repeated(msgspec.Struct, frozen=True):
    """The `key` was used before for the same: the first answer once more, nothing new."""

    first_msg_id: int
    last_msg_id: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as far as it is committed: `done` counts what its kind counts (a broadcast: the messages sent).

    `progress` is how far its pages have got: it never falls, and moves with nearly every page.
    """

    id: int
    app: int
    kind: JobKind
    done: int = 0
    finished: bool = False
    progress: int = 0


class Started(msgspec.Struct, frozen=True):
    """The job is committed, or was before under the same `key`."""

    job: Job


class Stepped(msgspec.Struct, frozen=True):
    """A page of a job is committed, or there was none left; `sent` and `placed` are what it appended."""

    job: Job
    sent: list[tuple[MessageDraft, Appended]] = []
    placed: list[Placed] = []


class Stale(msgspec.Struct, frozen=True):
    """The draft was judged by facts that have changed: judge again, then ask again."""


class Refused(msgspec.Struct, frozen=True):
    """This draft alone was refused; its neighbours in the batch were not touched."""

    kind: Kind
    sentence: str


Answer = Appended | Imported | Changed | Started | Stepped | Repeated | Stale | Refused
