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
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from gateway.domain.drafts import (
    Ack,
    Advanced,
    Answer,
    Attach,
    Attachment,
    Draft,
    Job,
    Keep,
    ReadDone,
    ReadMark,
    Refused,
)
from gateway.domain.errors import Kind
from gateway.domain.files import File, Thumb
from gateway.domain.model import (
    Account,
    App,
    AppLimits,
    Banned,
    Bearing,
    Blocked,
    Credential,
    Device,
    Facts,
    Group,
    GroupRequest,
    HistoryItem,
    Member,
    Message,
    Page,
    Profile,
    Scope,
    Standing,
    State,
    User,
)

SEEN_STEP_MS = 60_000
"""How exactly it is kept when a device was last seen: an ack within it need not say when it came."""

EPOCH_STEP = 2**32
"""How far message ids jump with an epoch: further than a lost tail of commits can have given away."""


class Party(msgspec.Struct, frozen=True):
    """Who or what an xid of an app names."""

    id: int
    xid: int
    scope: Scope


class History(msgspec.Struct, frozen=True):
    """One page of a conversation, newest first. `next_msg_id` is the first of the next page, 0 iff it is the last."""

    items: list[HistoryItem]
    next_msg_id: int


class Recent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A conversation of the recent list with its count of unread messages (at most `unread_max`).

    `last` is its newest message, by which the list is ordered. Members are in the order of the columns that an engine
    reads, as those of a `HistoryItem` are.
    """

    conversation_xid: int
    unread: int
    last: int


class Record(msgspec.Struct, frozen=True):
    """A message with the names that its sender and target have, empty where none or a group."""

    message: Message
    sender_name: str
    target_name: str


class Records(msgspec.Struct, frozen=True):
    """A page of messages by rising id. `after`: the next page begins after this id; 0: there is none."""

    records: list[Record]
    after: int


class Remembered(msgspec.Struct, frozen=True):
    """What a transaction key was first used for."""

    digest: str
    first_msg_id: int
    last_msg_id: int


class Sweeping(msgspec.Struct, frozen=True):
    """Where retention stands: every message up to `swept_to` is removed; 0 where it has never run, or not halted."""

    swept_to: int
    swept_at: int
    halted_at: int


class Oldest(msgspec.Struct, frozen=True):
    """When the first message was sent, when the next text expires, and when the first file came; 0: none."""

    sent_at: int
    expires_at: int
    filed_at: int = 0


class Swept(msgspec.Struct, frozen=True):
    """What one page of retention has removed; `more`: the next page may find more."""

    swept_to: int
    removed: int
    more: bool


class Credentials(Protocol):
    """The part of the port that knows what dialects call apps, and by what their backends prove who they are."""

    async def alias(self, dialect: str, name: str) -> str | None:
        """Find the app (its `app_id`) that a dialect calls so."""

    async def aliases(self, app: int) -> dict[str, str]:
        """Return what an app is called, by dialect."""

    async def set_alias(self, app: int, dialect: str, name: str) -> bool:
        """Call an app so in a dialect, and no longer otherwise; False where another app is called so."""

    async def secrets(self, app: int, dialect: str, name: str) -> list[str]:
        """List the secrets that are good for a name, the newest first."""

    async def credentials(self, app: int) -> list[Credential]:
        """List an app's credentials, oldest first; a name is there as often as it has secrets."""

    async def add_credential(self, app: int, dialect: str, name: str, secret: str, at: int) -> bool:
        """Make a secret good for a name too; False where an app has as many as it may. Again: nothing happens."""

    async def drop_credentials(self, app: int, dialect: str, name: str) -> None:
        """Let no secret be good for a name any more."""


class Upkeep(Protocol):
    """The part of the port that removes what is too old."""

    async def sweeping(self) -> Sweeping:
        """Read where retention stands."""

    async def oldest(self) -> Oldest:
        """Read what there is to be removed or to expire, sooner or later."""

    async def mark_sweep(self, at: int, jobs_before: int) -> None:
        """Note that retention runs at this time, and forget finished jobs that were begun before `jobs_before`."""

    async def halt_sweep(self, at: int) -> bool:
        """Note that the clock is not believed any more; False where it was not before."""

    async def resume_sweep(self, at: int) -> None:
        """Note that this time is believed, and that nothing is halted."""

    async def sweep(self, before: int, most: int) -> Swept:
        """Remove the oldest messages sent before a time, at most so many, with their entries: floors rise.

        Nothing where another process is at it.
        """

    async def expire(self, at: int, most: int) -> int:
        """Wipe the texts of messages whose time has come, at most so many; their entries say `gone`.

        Nothing where another process is at it.
        """


class Readers(msgspec.Struct, frozen=True):
    """How many other members with a stay around a group's message have `read` it and how many not.

    `xids` is a page of those who have, by rising id.
    """

    read: int
    unread: int
    xids: list[int]


class Accounts(Protocol):
    """The part of the port that is about users, their devices and their blocks."""

    async def users(self, app: int, offset: int, limit: int) -> list[User]:
        """List users by rising id, after the first `offset`; not the reserved one, not the deleted."""

    async def users_after(self, app: int, after_xid: int, limit: int) -> list[User]:
        """List users by rising id, after the one given; not the reserved one, not the deleted."""

    async def enroll(
        self, app: int, accounts: Sequence[Account], at: int, *, claim: bool = True
    ) -> list[User] | str:
        """Make users that have a password, all or none: the name of one that is taken, and nothing is done.

        A name of digits that may be an id is that id. With `claim` who is there already without a password, by having
        been named, is taken for the one that is made. The reserved user is nobody's to take.
        """

    async def add_contact(self, user_id: int, other_id: int, at: int) -> bool:
        """Put two users into each other's address book; False where one holds `Limits.contacts_max` others.

        Again: nothing more happens. A deleted user has none.
        """

    async def drop_contact(self, user_id: int, other_id: int) -> None:
        """Take two users out of each other's address book, if they are there."""

    async def contacts(self, user_id: int, after_xid: int, limit: int) -> list[int]:
        """List the xids of a user's contacts by rising id, after the one given; not the deleted."""

    async def metadata(self, user_id: int) -> str:
        """Read what apps keep with a user: a JSON object of strings."""

    async def set_metadata(self, user_id: int, changes: Mapping[str, str] | None) -> bool:
        """Change members of what apps keep with a user, or take all away (None).

        False where it would be more than `Limits.metadata_bytes_max`, and nothing is changed. A deleted user has none.
        """

    async def set_state(
        self, app: int, xids: Sequence[int], state: State, at: int, *, create: bool
    ) -> list[tuple[int, int]] | Refused:
        """Freeze or unfreeze users, all or none: their (id, xid), or whom it is refused for, and nothing done."""

    async def set_password(self, user_id: int, expected: str | None, record: str, at: int) -> int | None:
        """Change a password where its record is still `expected` (None: whatever it is), else None.

        Returns the new `valid_from_ms`: a whole second, above the second of `at` and above the one before. A deleted
        user has none.
        """

    async def profile(self, user_id: int) -> Profile:
        """Read what a user tells of itself."""

    async def set_profile(self, user_id: int, changes: Mapping[str, str]) -> None:
        """Change members of a profile, by their names in `Profile`. A deleted user has none."""

    async def devices(self, user_id: int) -> list[Device]:
        """List the devices kept, by number; none is told to be online."""

    async def remove_device(self, user_id: int, device_sn: int) -> None:
        """Forget a kept device and its cursors, if it is there."""

    async def block(self, user_id: int, blocked_id: int, at: int) -> bool:
        """Block a user; False where as many are blocked as may be. Where either is deleted there is nothing to do."""

    async def unblock(self, user_id: int, blocked_id: int) -> None:
        """Take a block back, if it is there."""

    async def blocked(self, user_id: int, after_xid: int, limit: int) -> list[int]:
        """List the xids of those whom a user has blocked, by rising id."""

    async def may_message(
        self,
        app: int,
        sender_xid: int,
        target_xids: Sequence[int],
        *,
        create: bool,
        blocks: bool = True,
        frozen: bool = False,
    ) -> Refused | None:
        """Judge what a user would send to users and nobody stores, as a batch judges a message; None: it may.

        `create`: who does not exist yet may be named. Without `blocks` none stops it, as none stops a notice. `frozen`:
        that its sender is stops it neither.
        """


class Pulse(msgspec.Struct, frozen=True):
    """What a node learns with each beat: the store's epoch now, and which nodes live, this one among them."""

    epoch: str
    nodes: list[int]


class Presence(Protocol):
    """The part of the port that knows which device is connected where, across nodes.

    A node that has not beaten for `node_timeout_ms` counts as dead, and its devices as not connected.
    """

    async def beat(self, node: int) -> Pulse:
        """Say that a node lives, and forget what dead nodes have left. `epoch` is up to date afterwards."""

    async def leave(self, node: int) -> None:
        """A node ends: none of its devices is connected any more."""

    async def attach(self, asked: Sequence[Attach]) -> list[int]:
        """Note that devices have connected; return their attach numbers.

        0 for one that is not connected yet, of a user who has `devices_per_user_max` others connected.
        """

    async def detach(self, gone: Sequence[Attachment]) -> None:
        """Note that connections have ended; one that was replaced meanwhile has nothing to end."""

    async def dismiss(self, user_id: int, device_sn: int = 0) -> int:
        """Let a device (0: every device) of a user be connected no more: whatever its connections write counts not.

        Returns a number: who attaches after this has a greater one.
        """

    async def attached(self, user_id: int) -> list[int]:
        """List the devices of a user that are connected, to whichever node."""

    async def replaced(self, connections: Sequence[Attachment]) -> list[Attachment]:
        """Which of these are no longer their device's connection: replaced by another, or dismissed. The sweep asks."""

    async def outdated(self, known: Collection[tuple[int, int]]) -> dict[tuple[int, int], State]:
        """Which of these users, known as (id, `valid_from_ms`), may not act or have another one, and their state.

        The sweep asks.
        """


class Filing(Protocol):
    """The part of the port that knows files; their bytes are elsewhere."""

    async def add_file(self, file: File) -> bool:
        """Keep a file's row, which counts its bytes with its app; False where the app stores as much as it may."""

    async def file(self, app: int, uuid: str) -> File | None:
        """Find a file of an app."""

    async def set_thumbnail(self, uuid: str, thumb: Thumb, size: int) -> None:
        """Note what has become of a file's thumbnail."""

    async def discard_file(self, uuid: str) -> None:
        """Let nobody find a file any more; it goes with the next that are dropped."""

    async def drop_files(self, before: int, most: int) -> list[tuple[int, str]]:
        """Forget files that were uploaded before a time, at most so many, oldest first: their apps and uuids.

        Those that were discarded, and of users that were erased, go whatever the time.
        """

    async def files_among(self, uuids: Sequence[str]) -> set[str]:
        """Which of these are files that are kept."""


class Store(Accounts, Credentials, Upkeep, Presence, Filing, Protocol):
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

    # -- reading conversations --------------------------------------------------------------------------

    async def history(self, asker: User, opposite: Party, start: int, limit: int) -> History | Kind:
        """Page a conversation towards older from `start` (0: newest); `NOT_A_MEMBER` for a group one is not in.

        Of a chatroom anybody sees what it keeps; `GROUP_BLOCKED` for who is kept out, `GROUP_UNKNOWN` once it ended.
        The page may be told again: it is not to be changed.
        """

    async def recent(self, user_id: int, group_id: int = 0) -> list[Recent]:
        """List a user's conversations that have a visible message, newest first; of one group only where named.

        The list may be told again: it is not to be changed.
        """

    async def hour(
        self, app: int, from_ms: int, to_ms: int, after_msg_id: int, limit: int, bytes_max: int
    ) -> Records:
        """Page through the messages of an app that were sent from one time on and before another, by rising id.

        What is gone is left out, and what was folded into others, sent to chatrooms, or imported. At most `limit` and
        about `bytes_max`, at least one where the page has any; a page may be empty and not the last.
        """

    async def message(self, app: int, msg_id: int) -> Message | None:
        """Find a message of the app by its id, recalled or not."""

    async def targets(self, app: int, first_msg_id: int, last_msg_id: int) -> dict[int, int]:
        """Name whom the messages of one draft went to, of those that are still kept: their ids by xid."""

    async def readers(self, app: int, msg_id: int, after_xid: int, limit: int) -> Readers:
        """Say who has read a group's message: a page of them, after the id given, and how many have and have not."""

    async def undelivered(self, user_id: int) -> int:
        """Count the messages for a user that lie above *delivered*: sent to it, or to groups while it is in them.

        Its own do not count, nor those that are gone. `undelivered_max` entries are looked at.
        """

    async def awaits(self, user_id: int, msg_id: int) -> bool | None:
        """Say whether a message for a user is UNREAD, as that user sees it; None: there is no such message for it."""

    async def transaction(self, app: int, sender_xid: int, key: str) -> Remembered | None:
        """Look up what a transaction key of a sender was used for."""

    # -- apps, users, groups ----------------------------------------------------------------------------

    async def create_app(
        self, app_id: str, kid: str, secret: bytes, *, registered: bool, at: int
    ) -> App | None:
        """Make an app with its reserved user `system`; None where the name is taken."""

    async def add_key(self, app_id: str, kid: str, secret: bytes, at: int) -> App | None:
        """Add a token key and sign with it from now on; older keys stay good. None where there is no such app."""

    async def set_limits(self, app_id: str, changes: Mapping[str, int]) -> App | None:
        """Set limits of an app by their names in `AppLimits`, the others stay. None where there is no such app."""

    async def limits(self, app: int) -> AppLimits:
        """Look up what an app may use."""

    async def stored_bytes(self, app: int) -> int:
        """Return what an app stores: its texts, and a bit for each message."""

    async def app(self, app_id: str) -> App | None:
        """Find an app by its name."""

    async def apps(self) -> list[App]:
        """List all apps, oldest first."""

    async def party(self, app: int, xid: int) -> Party | None:
        """Find what an xid names, if anything."""

    async def parties(self, app: int, xids: Sequence[int]) -> list[Party | None]:
        """Find what each of many xids names, if anything."""

    async def user(self, app: int, xid: int) -> User | Kind:
        """Find a user; `USER_UNKNOWN` where nothing has this id, `BAD_PARAMETER` where a group has it."""

    async def find_users(self, app: int, xids: Sequence[int]) -> dict[int, User | Kind]:
        """Find users by their xids; `BAD_PARAMETER` where a group has one, and nothing where nothing has it."""

    async def user_named(self, app: int, name: str) -> User | None:
        """Find a user by its unique name."""

    async def users_named(self, app: int, names: Sequence[str]) -> dict[str, User]:
        """Find users by their unique names; nothing where nobody is called so."""

    async def ensure_named(self, app: int, names: Sequence[str], at: int) -> dict[str, User]:
        """Find users by their unique names or make them, all in one transaction, with ids of the server's."""

    async def ensure_users(self, app: int, xids: Sequence[int], at: int) -> list[User | Kind]:
        """Find users or make them; `BAD_PARAMETER` where a group has this id."""

    async def register(self, app: int, name: str, password: str, at: int) -> User | None:
        """Make a user with a name, a password record (may be empty) and an id of the server's; None: name taken."""

    async def group(self, app: int, xid: int) -> Group | None:
        """Find a group that has not been destroyed."""

    async def facts(self, app: int, group_xids: Sequence[int], user_xid: int) -> list[Facts | None]:
        """Read what judging needs, per group; None where there is no such group (or it was destroyed)."""

    async def members(self, group_id: int, after_xid: int, limit: int) -> list[Member]:
        """List members in the order of their ids, after the one given."""

    async def joined(self, user_id: int) -> list[int]:
        """List the xids of the groups a user is in."""

    # -- lists about groups -----------------------------------------------------------------------------

    async def groups(self, app: int, xids: Sequence[int]) -> dict[int, Group]:
        """Find groups that have not been destroyed, by their xids; those that are not there are left out."""

    async def groups_of_type(self, app: int, kind: int, after_xid: int, limit: int) -> list[int]:
        """List the xids of an app's groups of a type, oldest first, after the one given (0: from the first)."""

    async def group_admins(self, group_id: int) -> list[Member]:
        """List a group's administrators in the order of their ids; the owner is none of them."""

    async def group_trusted(self, group_id: int) -> list[Member]:
        """List who is trusted in a group, in the order of their ids: some of its members."""

    async def list_in(self, group_id: int, user_ids: Sequence[int], at: int) -> bool:
        """List users as members of a chatroom; False where it would list more than `Limits.group_members_max`.

        Who is listed already stays as they are; who is deleted, and a chatroom that has ended, are left out.
        """

    async def unlist(self, group_id: int, user_ids: Sequence[int]) -> set[int]:
        """List users no longer as members of a chatroom; return which of them were."""

    async def listed(self, group_id: int, after_xid: int, limit: int) -> list[Member]:
        """List whom a chatroom lists as members, in the order of their ids, after the one given."""

    async def listing(self, user_id: int) -> list[int]:
        """List the xids of the chatrooms that list a user."""

    async def group_bans(self, group_id: int, after_xid: int, limit: int, now: int) -> list[Banned]:
        """List who may not speak in a group at `now`, in the order of their ids, after the one given."""

    async def group_blocks(self, group_id: int, after_xid: int, limit: int) -> list[Blocked]:
        """List who may not be in a group, in the order of their ids, after the one given."""

    async def kept_out(self, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Which of these (group, user) are users that may not be in the group. The sweep asks of chatrooms."""

    async def applications(
        self, group_ids: Sequence[int], after_id: int, limit: int, now: int
    ) -> list[GroupRequest]:
        """List who asks at `now` to be let into one of the groups, oldest first, after the request given."""

    async def invitations(self, user_id: int, after_id: int, limit: int, now: int) -> list[GroupRequest]:
        """List by whom a user is asked at `now` to come into which groups, oldest first, after the one given."""
