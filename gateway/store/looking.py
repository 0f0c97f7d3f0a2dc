"""What looking for messages in a conversation comes to, the same on every engine."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.store.base import Fold, Folds, Sighted, Sought


def to_sighted(sought: Sought, msg_ids: list[int], examined: int, least: int, greatest: int) -> Sighted:
    """Say what was found among so many that were examined, from the least to the greatest."""
    if len(msg_ids) == sought.limit:
        return Sighted(msg_ids, msg_ids[-1])
    if examined < sought.scan:
        return Sighted(msg_ids, 0)
    return Sighted(msg_ids, least if sought.descending else greatest)


def to_folds(told: Iterable[tuple[int, Fold]], count: int) -> Folds:
    """Put together what was folded into so many messages, told by rising id."""
    folds: dict[int, list[Fold]] = {}
    for msg_id, fold in told:
        folds.setdefault(msg_id, []).append(fold)
    return Folds(folds, count)
