"""Who may send to whom, and whose state may change, judged by what the ids were found to name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.domain import errors
from gateway.domain.drafts import Refused
from gateway.domain.errors import Kind, reused
from gateway.domain.model import Scope, State

Pair = tuple[int, int]
Found = Mapping[int, tuple[int, int, int]]
"""What ids name, users or not: (id, scope, state) by xid."""


def conflict(key: str, what: str) -> Refused:
    """The refusal of a transaction key that was used for something else."""
    problem = reused(key, what)
    return Refused(problem.kind, problem.sentence)


def sender_not_user(xid: int) -> Refused:
    """The refusal of a sender that is a group."""
    return Refused(Kind.BAD_PARAMETER, f"from_user_id: {xid} is a group, not a user")


def sender_refused(state: int, xid: int) -> Refused:
    """The refusal of a sender who may not act."""
    if state == State.FROZEN:
        return Refused(Kind.FROZEN, f"from_user_id: user {xid} is frozen")
    return Refused(Kind.USER_UNKNOWN, f"from_user_id: there is no user {xid}")


def target_missing() -> Refused:
    """The refusal of what goes to nobody."""
    return Refused(Kind.BAD_PARAMETER, "targets: nobody is named")


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
    problem = errors.storage_full()
    return Refused(problem.kind, problem.sentence)


def judge_parties(
    found: Found, sender_xid: int, target_xids: Sequence[int], *, create: bool, frozen: bool
) -> Refused | tuple[dict[int, Kind], dict[int, Pair]]:
    """Judge who would send to whom as a batch does, target by target: why some are refused, and the ids of the others.

    A sender who is refused is refused for all. Between the pairs of ids no block may stand. `create`: who does not
    exist yet may be named; its id is 0, and it has no blocks. `frozen`: the sender may be.
    """
    unknown = (0, Scope.USER, State.NORMAL if create else State.DELETED)
    sender_id, kind, state = found.get(sender_xid, unknown)
    if kind != Scope.USER:
        return sender_not_user(sender_xid)
    if state != State.NORMAL and not (frozen and state == State.FROZEN):
        return sender_refused(state, sender_xid)
    whys: dict[int, Kind] = {}
    pairs: dict[int, Pair] = {}
    for xid in target_xids:
        target_id, kind, state = found.get(xid, unknown)
        if kind != Scope.USER:
            whys[xid] = Kind.BAD_PARAMETER
        elif state == State.DELETED:
            whys[xid] = Kind.USER_UNKNOWN
        else:
            pairs[xid] = sender_id, target_id
    return whys, pairs


def for_all(
    judged: Refused | Mapping[int, Kind], sender_xid: int, target_xids: Sequence[int]
) -> Refused | None:
    """Refuse what goes to all or nobody by the first target that is refused, told by why each is."""
    if isinstance(judged, Refused):
        return judged
    refused = next((xid for xid in target_xids if xid in judged), 0)
    if not refused:
        return None
    why = judged[refused]
    if why is Kind.BLOCKED:
        return between(sender_xid, refused)
    return target_unknown(refused) if why is Kind.USER_UNKNOWN else target_not_user(refused)


def judge_state(found: Found, xids: Sequence[int], *, create: bool) -> Refused | None:
    """Say whom a change of state is refused for, if anybody."""
    for xid in xids:
        user_id, kind, before = found.get(xid, (0, Scope.USER, State.NORMAL))
        if kind != Scope.USER:
            return Refused(Kind.BAD_PARAMETER, f"{xid} is a group, not a user")
        if before == State.DELETED or (not user_id and not create):
            return Refused(Kind.USER_UNKNOWN, f"there is no user {xid}")
    return None
