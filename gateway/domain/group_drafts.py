"""Drafts that change a group beyond who is in it: who may speak, who may come, who decides, and what it is called.

Each is judged by `judged`, the group's `facts_version`, and answered `Stale` where that has moved on. Users for whom
nothing would change are answered, not refused.
"""

from __future__ import annotations

import enum

import msgspec


class RequestKind(enum.IntEnum):
    """What is open between a group and a user: one who asks to be let in, or one who is asked to come."""

    APPLICATION = 1
    INVITATION = 2


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be changed of a group, member by member as in `Group`; None: it stays as it is."""

    name: str | None = None
    description: str | None = None
    avatar: str | None = None
    ext: str | None = None
    apply_approval: int | None = None
    invite_confirm: bool | None = None
    member_invitation: bool | None = None
    ban_all_until: int | None = None
    history_visible: bool | None = None
    read_ack: bool | None = None
    announcement: str | None = None
    members_max: int | None = None
    disabled: bool | None = None
    type: int | None = None

    @property
    def changes(self) -> dict[str, str | int]:
        """The members that are to be changed, by name."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class GroupChange(msgspec.Struct, frozen=True, kw_only=True):
    """What every draft of this module says."""

    app: int
    group_id: int
    group_xid: int
    judged: int
    at: int

    @property
    def rows(self) -> int:
        """How many rows this changes at the most: what a batch is cut by."""
        return 3

    @property
    def size(self) -> int:
        """Roughly how many bytes this adds."""
        return 300

    @property
    def parties(self) -> set[int]:
        """The group."""
        return {self.group_xid}


class UsersChange(GroupChange, frozen=True, kw_only=True):
    """A change for each of some users; `create` lets unknown ones come into being where the change may make them."""

    user_xids: tuple[int, ...]
    create: bool = True

    @property
    def rows(self) -> int:
        """A row of the change's own, and for who is put out a stay and an entry."""
        return 3 + 4 * len(self.user_xids)

    @property
    def size(self) -> int:
        """Roughly how many bytes this adds."""
        return 300 * (1 + len(self.user_xids))

    @property
    def parties(self) -> set[int]:
        """The group and those named."""
        return {self.group_xid, *self.user_xids}


class BanDraft(UsersChange, frozen=True, kw_only=True):
    """Members may not speak before `until` (ms since 1970; 0: they may at once).

    `sparing`: whoever asks may not do so to administrators, who are refused one by one.
    """

    until: int
    sparing: bool = False


class BlockDraft(UsersChange, frozen=True, kw_only=True):
    """Users may not be in the group (`blocked`), and those who are in it are kicked; or may be again."""

    blocked: bool
    sparing: bool = False


class RoleDraft(UsersChange, frozen=True, kw_only=True):
    """Members become administrators of the group, or plain members again."""

    admin: bool


class TrustDraft(UsersChange, frozen=True, kw_only=True):
    """Members may speak also while all are banned, or no longer."""

    trusted: bool


class TransferDraft(GroupChange, frozen=True, kw_only=True):
    """A member becomes the owner, and the owner a plain member."""

    heir_xid: int

    @property
    def parties(self) -> set[int]:
        """The group and its new owner."""
        return {self.group_xid, self.heir_xid}


class SettingsDraft(GroupChange, frozen=True, kw_only=True):
    """The group is called otherwise, or other things are allowed in it."""

    settings: GroupSettings

    @property
    def size(self) -> int:
        """Roughly how many bytes this adds."""
        return 300 + sum(2 * len(value) for value in self.settings.changes.values() if isinstance(value, str))


class RequestDraft(UsersChange, frozen=True, kw_only=True):
    """Applications of users, or invitations to them by `inviter_xid`, that are open until `expires_at`."""

    kind: RequestKind
    inviter_xid: int
    reason: str
    expires_at: int

    @property
    def size(self) -> int:
        """Roughly how many bytes this adds."""
        return (300 + 2 * len(self.reason)) * (1 + len(self.user_xids))


class HandleDraft(GroupChange, frozen=True, kw_only=True):
    """An open application, or invitation by `inviter_xid`, is answered: the user joins or not."""

    kind: RequestKind
    user_xid: int
    inviter_xid: int
    approved: bool

    @property
    def rows(self) -> int:
        """Those of one who joins, and the request's own."""
        return 8

    @property
    def parties(self) -> set[int]:
        """The group and the user."""
        return {self.group_xid, self.user_xid}


GroupDraft = (
    BanDraft
    | BlockDraft
    | RoleDraft
    | TrustDraft
    | TransferDraft
    | SettingsDraft
    | RequestDraft
    | HandleDraft
)
