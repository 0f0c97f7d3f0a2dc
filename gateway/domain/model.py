"""The nouns of the gateway (design §3) as plain values: no behaviour, no I/O, no clock.

`xid` is the number an app knows a user or group by; `id` is the store's own number of the same row and never
leaves the gateway. Times are milliseconds since 1970; `seq` counts in one timeline, `msg_id` in one store.
"""

from __future__ import annotations

import enum

import msgspec

SAFE_MAX = 2**53 - 1
"""Greatest user, group and message id: JavaScript reads it exactly (lanying.md, Everywhere)."""

INT64_MAX = 2**63 - 1
FOREVER = SAFE_MAX
"""A time (ms) that does not come: until when who is banned for good is banned."""

DEVICE_SN_MAX = 2**31 - 1
PLATFORM_MAX = 6
"""What a device runs on: 0 unknown, 1 iOS, 2 Android, 3 Windows, 4 macOS, 5 Linux, 6 web (vendors.md §1.4)."""

GIVEN_XID_FIRST = 10**12
"""Ids the server gives count up from here; the first of each app is its reserved user `system`."""

SYSTEM_NAME = "system"

ROOM = 2
"""The `type` of a group that is a chatroom: it has no members, and its followers are who is connected (design §3)."""


class Scope(enum.IntEnum):
    """What a timeline belongs to, and what all targets of one draft are (`type` of the native dialect)."""

    USER = 1
    GROUP = 2


class Side(enum.IntEnum):
    """In whose timeline and history a message between users is; not `BOTH`: it is one-sided."""

    BOTH = 0
    SENDER = 1
    RECEIVER = 2


class Ctype(enum.IntEnum):
    """Content types that one can send here (seed 001 §5.6)."""

    TEXT = 0
    IMAGE = 1
    AUDIO = 2
    VIDEO = 3
    FILE = 4
    LOCATION = 5
    COMMAND = 6
    FORWARD = 7
    APPEND = 11
    REPLACE = 12


class Request(enum.IntEnum):
    """Content types that ask for something to be done to a message, and are no message themselves."""

    READ_ACK = 9
    RECALL = 10


RELATING = int(Request.READ_ACK)
"""From this content type on a send is about another message."""

FOLDED = frozenset({Ctype.APPEND, Ctype.REPLACE})
"""Messages that clients fold into the one they relate to: in no history and no count, and without a status."""


class Status(enum.IntEnum):
    """How far a message has got. It never goes back (design promise 4)."""

    UNREAD = 0
    DELIVERED = 1
    READ = 2


class EntryKind(enum.IntEnum):
    """What one seq of a timeline holds."""

    MESSAGE = 1
    RECALLED = 2
    MEMBERSHIP = 3
    DELETED = 4


class State(enum.IntEnum):
    """Whether a user may act. A deleted one is nobody any more, but its id stays taken."""

    NORMAL = 0
    FROZEN = 1
    DELETED = 2


class Gone(enum.Enum):
    """Why a message's text is no more (`reason` of a `gone` frame, design §6)."""

    RECALLED = "recalled"
    EXPIRED = "expired"
    ERASED = "erased"


class Action(enum.Enum):
    """What a membership entry says; creation is `joined` too (design §6)."""

    JOINED = "joined"
    LEFT = "left"
    KICKED = "kicked"
    DESTROYED = "destroyed"


ROW_BYTES = 300
"""What a message counts for beside its texts in what an app stores: roughly what its rows take."""


class AppLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one tenant may use; 0: no bound of its own. `message_bytes_max` is of the four texts together."""

    sends_per_s: int = 0
    connections_max: int = 0
    message_bytes_max: int = 0
    storage_bytes_max: int = 0


class App(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant. `keys` are its token secrets by `kid`; new tokens are signed with that of `signing_kid`."""

    id: int
    app_id: str
    system_id: int
    system_xid: int
    registered: bool
    recall_window_ms: int
    signing_kid: str
    keys: dict[str, bytes]
    limits: AppLimits = AppLimits()


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """That a backend of a dialect can prove by this name to be an app's, since `at` (ms); its secret is not told."""

    dialect: str
    name: str
    at: int


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user of an app. `password` is a scrypt record, empty where none was set.

    Tokens issued before `valid_from_ms` are no longer good; `created_at` is ms since 1970.
    """

    id: int
    xid: int
    name: str
    password: str
    state: State = State.NORMAL
    valid_from_ms: int = 0
    created_at: int = 0


class Account(msgspec.Struct, frozen=True):
    """A user that is to be made: its name, its password (for the store: the record of it), its nickname, its state.

    Where no `state` is told whoever is new may act, and who is there already stays as they are.
    """

    name: str
    password: str
    nickname: str = ""
    state: State | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a user tells of itself. `private_info` is for the user and for administrators."""

    nickname: str = ""
    avatar: str = ""
    description: str = ""
    public_info: str = ""
    private_info: str = ""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device of a user, as its owner sees it. `platform`: 0 unknown, 1 iOS … 6 web (vendors.md §1.4)."""

    device_sn: int
    platform: int = 0
    user_agent: str = ""
    online: bool = False


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group, as its members see it. `facts_version` rises with every change of who may do what.

    `apply_approval`: 0 whoever applies is in, 1 the owner or an admin decides, 2 nobody may. `invite_confirm`: who is
    invited decides. `member_invitation`: members may invite. `ban_all_until` (ms, 0: no): only owner and admins
    speak. `history_visible`: who joins may page back to before. `read_ack`: reads are told to senders.
    `members_max` 0: as many as any may have. `disabled`: nobody speaks, whoever it is.
    """

    id: int
    xid: int
    name: str
    description: str
    avatar: str
    type: int
    owner_xid: int
    members: int
    facts_version: int
    created_at: int
    updated_at: int
    ext: str = ""
    apply_approval: int = 0
    invite_confirm: bool = False
    member_invitation: bool = False
    ban_all_until: int = 0
    history_visible: bool = False
    read_ack: bool = True
    announcement: str = ""
    members_max: int = 0
    disabled: bool = False


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member of a group with an open stay."""

    xid: int
    joined_at: int


class Banned(msgspec.Struct, frozen=True, kw_only=True):
    """A user who may not speak in a group before `until` (ms); `joined_at` 0: is not in it now."""

    xid: int
    until: int
    joined_at: int


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """A user who may not be in a group, since `at` (ms)."""

    xid: int
    at: int


class GroupRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An open application or invitation (`inviter_xid`, 0: an application), until `expires_at` (ms)."""

    id: int
    group_xid: int
    user_xid: int
    inviter_xid: int
    reason: str
    at: int
    expires_at: int


class Facts(msgspec.Struct, frozen=True):
    """What judging a group draft needs to know of one (group, user): read together, true for `version`.

    `banned_until` (of this user) and `ban_all_until` (of all but owner and admins) are ms since 1970, 0: no ban.
    Who is `trusted` speaks also while all are banned, and where the group is `disabled` nobody does.
    """

    group_id: int
    version: int
    owner: bool
    member: bool
    admin: bool = False
    type: int = 0
    banned_until: int = 0
    ban_all_until: int = 0
    trusted: bool = False
    disabled: bool = False


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One stored message, to one target. `notice`: a system notification, in the receiver's timeline only.

    `gone`: why its text is no more, in which case the four strings are empty. `related` is the message that it appends
    to, replaces or, by its `ctype`, answers; `expires_at` when its text goes (ms); 0: none. `group_xid` (0: none): it
    went to `target_xid` alone, but lies in that group's conversation. `uncounted`: it is no unread one; `passing`:
    devices get it, and nobody sees it who looks back; `side`: whose it is, between users.
    """

    msg_id: int
    scope: Scope
    sender_xid: int
    sender_sn: int
    target_xid: int
    ctype: int
    content: str
    attachment: str
    config: str
    ext: str
    at: int
    notice: bool = False
    gone: Gone | None = None
    seq: int = 0
    related: int = 0
    expires_at: int = 0
    group_xid: int = 0
    uncounted: bool = False
    passing: bool = False
    side: Side = Side.BOTH

    def told_to(self, user_xid: int) -> bool:
        """Whether a message between users is in this one's history: of a one-sided one the other learns nothing."""
        return (user_xid == self.sender_xid and self.side is not Side.RECEIVER) or (
            user_xid == self.target_xid and self.side is not Side.SENDER
        )

    def conversation_for(self, asker_xid: int) -> int:
        """Return the id of the conversation this message lies in, as the asker sees it (= `opposite_id`)."""
        if self.group_xid:
            return self.group_xid
        if self.scope is Scope.GROUP or self.sender_xid == asker_xid:
            return self.target_xid
        return self.sender_xid


class HistoryItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message of a page with its status as the asker sees it (design §3, Status).

    `target_xid` is the user or the group it went to; the group too where it went to some of its members only. Members
    are in the order of the columns that an engine reads: there may be 100 of these to an answer, and nothing is made
    on the way to them.
    """

    msg_id: int
    sender_xid: int
    sender_sn: int
    target_xid: int
    ctype: int
    content: str
    attachment: str
    config: str
    ext: str
    at: int
    notice: bool
    expires_at: int
    status: Status


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A change of who is in a group. `from_seq` is where a joiner's stay starts (0 for the other actions)."""

    action: Action
    group_id: int
    group_xid: int
    user_xids: tuple[int, ...]
    from_seq: int = 0


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """A message was taken back; the conversation is as the owner of the timeline sees it.

    It says all there is to say, for the message itself may be removed before it (retention).
    """

    conversation_xid: int
    msg_id: int


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """A user's deletion of a conversation: everything up to `msg_id` is hidden from that user."""

    conversation_xid: int
    msg_id: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One seq of a timeline. Exactly one of the four is set."""

    seq: int
    kind: EntryKind
    message: Message | None = None
    recalled: Recalled | None = None
    membership: Membership | None = None
    deleted: Deleted | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of one timeline from one snapshot, rising from the seq asked for, with its floor and head.

    Dense unless the store is damaged or the seq asked for is at or below the floor.
    """

    entries: list[Entry]
    floor: int
    head: int
