"""What a store refuses of a message draft, in words: the same sentences on every engine."""

from __future__ import annotations

from gateway.domain.drafts import MessageDraft, Refused
from gateway.domain.errors import Kind
from gateway.domain.model import State
from gateway.store.rows import ROW_BYTES


def conflict(key: str, what: str = "message") -> Refused:
    """The refusal of a transaction key that was used for something else."""
    return Refused(Kind.TRANSACTION_CONFLICT, f"transaction_id {key} was used for another {what}")


def sender_not_user(xid: int) -> Refused:
    """The refusal of a sender that is a group."""
    return Refused(Kind.BAD_PARAMETER, f"from_user_id: {xid} is a group, not a user")


def sender_unknown(xid: int) -> Refused:
    """The refusal of a sender that nobody is, or is any more."""
    return Refused(Kind.USER_UNKNOWN, f"from_user_id: there is no user {xid}")


def sender_refused(state: int, xid: int) -> Refused:
    """The refusal of a sender who may not act."""
    if state == State.FROZEN:
        return Refused(Kind.FROZEN, f"from_user_id: user {xid} is frozen")
    return sender_unknown(xid)


def target_not_user(xid: int) -> Refused:
    """The refusal of a target that is a group."""
    return Refused(Kind.BAD_PARAMETER, f"targets: {xid} is a group, not a user")


def target_unknown(xid: int) -> Refused:
    """The refusal of a target that nobody is, or is any more."""
    return Refused(Kind.USER_UNKNOWN, f"targets: there is no user {xid}")


def group_unknown(xid: int) -> Refused:
    """The refusal of a target that is no group."""
    return Refused(Kind.GROUP_UNKNOWN, f"targets: there is no group {xid}")


def not_a_member(xid: int, group_xid: int) -> Refused:
    """The refusal of a target that a message of a group cannot go to."""
    return Refused(Kind.NOT_A_MEMBER, f"targets: {xid} is not a member of group {group_xid}")


def between(sender_xid: int, target_xid: int) -> Refused:
    """The refusal of a target; whose the block is, is nobody else's business."""
    return Refused(Kind.BLOCKED, f"targets: there is a block between {sender_xid} and {target_xid}")


def storage_full() -> Refused:
    """The refusal of what would take an app past what it may store."""
    return Refused(Kind.STORAGE_FULL, "the app stores as much as it may")


def text_bytes(draft: MessageDraft) -> int:
    """How long the texts of a draft are, as they are stored."""
    texts = (draft.content, draft.attachment, draft.config, draft.ext)
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)


def stored_bytes(draft: MessageDraft) -> int:
    """What a draft counts for with its app once it is stored."""
    return text_bytes(draft) + ROW_BYTES * len(draft.targets)
