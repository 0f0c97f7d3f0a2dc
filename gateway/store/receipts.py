"""What a flush of acks comes to, the same on every engine: who moves how far, whom a receipt names (design §3, §4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.domain.model import Status
from gateway.domain.positions import Ack, Attachment, Keep, StatusChange

Written = TypeVar("Written", Ack, Keep)

RECEIPT_RANGE = 1_000
"""Receipts are looked for in this many newest entries of a range (design §4); older ones are implied or left out."""

Move = tuple[int, int, Ack]
"""(*delivered* before, after, by which ack) of one member of a group."""


def sort_out(
    written: Sequence[Written], holds: Callable[[Attachment], bool]
) -> tuple[list[Written], list[Attachment]]:
    """Part what connections that are their device's have written from which are no longer."""
    held: list[Written] = []
    replaced: dict[Attachment, None] = {}
    for one in written:
        connection = Attachment(one.user_id, one.device_sn, one.attach_no)
        if not connection.attach_no or holds(connection):
            held.append(one)
        else:
            replaced[connection] = None
    return held, list(replaced)


def furthest(acks: Sequence[Ack]) -> tuple[dict[int, Ack], dict[tuple[int, int], Ack]]:
    """Find the furthest ack of each user's own timeline, and of each (group, user)."""
    own: dict[int, Ack] = {}
    group: dict[tuple[int, int], Ack] = {}
    for ack in acks:
        if ack.timeline_id == ack.user_id:
            if ack.user_id not in own or own[ack.user_id].seq < ack.seq:
                own[ack.user_id] = ack
        else:
            pair = (ack.timeline_id, ack.user_id)
            if pair not in group or group[pair].seq < ack.seq:
                group[pair] = ack
    return own, group


def ranges(moves: Sequence[Move]) -> list[tuple[int, int, int]]:
    """Cut what the members of one group came to have by this flush into ranges (after, to, alone).

    `alone` is the only member who came to have the range, whose own messages it does not count for; 0: several did.
    However many acked, what they have in common is one range.
    """
    least = max(to for _, to, _ in moves) - RECEIPT_RANGE
    first, last, by = moves[0]
    if all(before == first and to == last for before, to, _ in moves):
        # Nearly always: who got the same messages together acks them together.
        return [(max(first, least), last, 0 if len(moves) > 1 else by.user_id)]
    edges: dict[int, list[int]] = {}
    for before, to, ack in moves:
        edges.setdefault(before, []).append(ack.user_id)
        edges.setdefault(to, []).append(-ack.user_id)
    inside: set[int] = set()
    cut: list[tuple[int, int, int]] = []
    after = 0
    for edge in sorted(edges):
        if inside and edge > least:
            alone = next(iter(inside)) if len(inside) == 1 else 0
            if cut and cut[-1][1:] == (after, alone):
                cut[-1] = (cut[-1][0], edge, alone)
            else:
                cut.append((max(after, least), edge, alone))
        for user_id in edges[edge]:
            if user_id > 0:
                inside.add(user_id)
            else:
                inside.discard(-user_id)
        after = edge
    return cut


def delivered_by(ack: Ack, sender: int, grp_xid: int, msg_id: int) -> StatusChange:
    """Tell that an ack of a user's own timeline delivers; `grp_xid` is 0 for what was not sent in a group."""
    return StatusChange(
        sender, grp_xid or ack.user_xid, msg_id, Status.DELIVERED, ack.user_xid, ack.device_sn
    )


def delivered_in_group(
    moves: Sequence[Move], grp_xid: int, sender: int, msg_id: int, seq: int
) -> StatusChange:
    """Tell that one of a group's moves delivers: the first that covers the message and is not its sender's."""
    covering = (ack for before, to, ack in moves if before < seq <= to and ack.user_id != sender)
    by = next(covering, moves[0][2])
    return StatusChange(sender, grp_xid, msg_id, Status.DELIVERED, by.user_xid, by.device_sn)
