"""Who may send to whom, and whose state may change, judged by what the ids were found to name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind
from gateway.domain.model import Scope, State

Pair = tuple[int, int]
Found = Mapping[int, tuple[int, int, int]]
"""What ids name, users or not: (id, scope, state) by xid."""


def between(sender_xid: int, target_xid: int) -> Refused:
    """The refusal of a target; whose the block is, is nobody else's business."""
    return Refused(Kind.BLOCKED, f"targets: there is a block between {sender_xid} and {target_xid}")


def sender_refused(state: int, xid: int) -> Refused:
    """The refusal of a sender who may not act."""
    if state == State.FROZEN:
        return Refused(Kind.FROZEN, f"from_user_id: user {xid} is frozen")
    return Refused(Kind.USER_UNKNOWN, f"from_user_id: there is no user {xid}")


def judge_parties(
    found: Found, sender_xid: int, target_xids: Sequence[int], *, create: bool
) -> Refused | list[Pair]:
    """Judge who would send to whom as a batch does; return the pairs of ids between which no block may stand.

    `create`: who does not exist yet may be named; its id is 0, and it has no blocks.
    """
    unknown = (0, Scope.USER, State.NORMAL if create else State.DELETED)
    sender_id, kind, state = found.get(sender_xid, unknown)
    if kind != Scope.USER:
        return Refused(Kind.BAD_PARAMETER, f"from_user_id: {sender_xid} is a group, not a user")
    if state != State.NORMAL:
        return sender_refused(state, sender_xid)
    pairs = []
    for xid in target_xids:
        target_id, kind, state = found.get(xid, unknown)
        if kind != Scope.USER:
            return Refused(Kind.BAD_PARAMETER, f"targets: {xid} is a group, not a user")
        if state == State.DELETED:
            return Refused(Kind.USER_UNKNOWN, f"targets: there is no user {xid}")
        pairs.append((sender_id, target_id))
    return pairs


def judge_blocks(
    sender_xid: int, target_xids: Sequence[int], pairs: Sequence[Pair], blocked: AbstractSet[Pair]
) -> Refused | None:
    """Refuse the first target with a block between; `pairs` are those of `judge_parties`, for the same targets."""
    for xid, pair in zip(target_xids, pairs, strict=True):
        if pair in blocked:
            return between(sender_xid, xid)
    return None


def judge_state(found: Found, xids: Sequence[int], *, create: bool) -> Refused | None:
    """Say whom a change of state is refused for, if anybody."""
    for xid in xids:
        user_id, kind, before = found.get(xid, (0, Scope.USER, State.NORMAL))
        if kind != Scope.USER:
            return Refused(Kind.BAD_PARAMETER, f"{xid} is a group, not a user")
        if before == State.DELETED or (not user_id and not create):
            return Refused(Kind.USER_UNKNOWN, f"there is no user {xid}")
    return None
