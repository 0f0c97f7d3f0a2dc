"""Whom a flush of acks or READs tells."""

from __future__ import annotations

from gateway.domain.model import Status
from gateway.domain.positions import StatusChange
from gateway.domain.receipts import newest_changes


def change(sender: int, conversation: int, msg_id: int) -> StatusChange:
    return StatusChange(
        sender_id=sender,
        conversation_xid=conversation,
        msg_id=msg_id,
        status=Status.READ,
        by_xid=6,
        by_sn=1,
    )


def test_each_sender_is_told_once_of_a_conversation() -> None:
    """The newest message says it of the older ones, in whatever order they come; others are told of their own."""
    newest, elsewhere, another = change(1, 7, 30), change(1, 8, 10), change(2, 7, 20)
    told = newest_changes([change(1, 7, 20), newest, elsewhere, change(1, 7, 10), another])
    assert told == [newest, elsewhere, another]
