"""The entries that tell of changes: what they say and in whose timelines they stand, the same on every engine."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.domain.drafts import DeleteDraft, Placed, Refused
from gateway.domain.errors import Kind
from gateway.domain.model import Action, Deleted, Entry, EntryKind, Membership, Recalled, Scope
from gateway.store.judging import GroupUser
from gateway.store.rows import SENDERS, UNCOPIED

Row = tuple[int, int, int, int, str]
"""A row of `entry`: t, seq, kind, msg_id, data."""


def tell_membership(
    action: Action, group_id: int, group_xid: int, head: int, users: Sequence[GroupUser]
) -> tuple[list[Placed], list[Row]]:
    """Tell a change of who is in a group twice: at `head` of the group's timeline, and in each affected user's.

    The users' heads are moved by one. The entries come as they are answered and as they are written.
    """
    # A group's end concerns whoever is in it: its entry need not list up to 5,000 ids.
    xids = () if action is Action.DESTROYED else tuple(user.xid for user in users)
    fact = Membership(
        action=action,
        group_id=group_id,
        group_xid=group_xid,
        user_xids=xids,
        from_seq=head if action is Action.JOINED else 0,
    )
    placed = [
        Placed(group_id, Scope.GROUP, group_xid, Entry(seq=head, kind=EntryKind.MEMBERSHIP, membership=fact))
    ]
    written: list[Row] = [(group_id, head, EntryKind.MEMBERSHIP, 0, encoded(fact))]
    for user in users:
        user.head += 1
        own = msgspec.structs.replace(fact, user_xids=(user.xid,))
        entry = Entry(seq=user.head, kind=EntryKind.MEMBERSHIP, membership=own)
        placed.append(Placed(user.id, Scope.USER, user.xid, entry))
        written.append((user.id, user.head, EntryKind.MEMBERSHIP, 0, encoded(own)))
    return placed, written


class Retracted(msgspec.Struct):
    """A message that is recalled: where it lies, and as whose."""

    msg_id: int
    target_id: int
    sender_id: int
    flags: int
    scope: int
    target_xid: int
    sender_xid: int
    group_xid: int

    @property
    def told(self) -> list[tuple[int, Recalled]]:
        """Which timelines have an entry of it, the target's first, and what their owners are told."""
        theirs = self.target_xid if self.scope == Scope.GROUP else self.sender_xid
        told = [] if self.flags & SENDERS else [(self.target_id, self._fact(theirs))]
        if self.scope == Scope.USER and self.sender_id != self.target_id and not self.flags & UNCOPIED:
            told.append((self.sender_id, self._fact(self.target_xid)))
        return told

    def _fact(self, opposite_xid: int) -> Recalled:
        return Recalled(conversation_xid=self.group_xid or opposite_xid, msg_id=self.msg_id)


def message_unknown(msg_id: int) -> Refused:
    """Refuse what names no message of the app."""
    return Refused(Kind.MESSAGE_UNKNOWN, f"there is no message {msg_id}")


def not_to_be_hidden(draft: DeleteDraft, *, room: bool) -> Refused:
    """Refuse to hide the conversation of a group that the user has no stay in; in a chatroom nobody has."""
    if room:
        sentence = "conversation_id: a chatroom keeps nothing that one user could hide"
        return Refused(Kind.BAD_PARAMETER, sentence)
    return Refused(Kind.NOT_A_MEMBER, f"not a member of group {draft.opposite_xid}")


def encoded(fact: Membership | Recalled | Deleted) -> str:
    """Encode what an entry says, for its row."""
    return msgspec.json.encode(fact).decode()
