"""Whom a flush of acks or READs tells (design §4): each sender once of a conversation."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.domain.positions import StatusChange


def newest_changes(changes: Iterable[StatusChange]) -> list[StatusChange]:
    """Keep of each sender's conversation the change that names the newest message: it implies the older ones."""
    newest: dict[tuple[int, int], StatusChange] = {}
    for change in changes:
        place = (change.sender_id, change.conversation_xid)
        told = newest.get(place)
        if told is None or told.msg_id < change.msg_id:
            newest[place] = change
    return list(newest.values())
