"""What rows of the tables mean, the same on every engine: flags of a message, and how a row becomes a `Message`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.domain.model import Gone, GroupRequest, Message, Scope

NOTICE, RECALLED, UNCOPIED, EXPIRED, ERASED = 1, 2, 4, 8, 16
"""`message.flags`: a system notification · its text is gone by a recall · the sender's timeline has no entry of it ·
its text is gone by its time · with its sender."""

GONE = RECALLED | EXPIRED | ERASED
"""Any of these: the message has no body, and is not shown."""

ROW_BYTES = 300
"""What a message counts for beside its texts in what an app stores: roughly what its rows take."""


def to_message(row: Sequence[Any]) -> Message:
    """Build a message of its columns.

    They are msg_id, kind of the target, xid of the sender, device_sn, xid of the target, ctype, content, attachment,
    config, ext, at, flags, seq, related, expires_at and the xid of the group it was directed in (0: none); the texts
    are None where they are gone.
    """
    flags = row[11]
    return Message(
        msg_id=row[0],
        scope=Scope(row[1]),
        sender_xid=row[2],
        sender_sn=row[3],
        target_xid=row[4],
        ctype=row[5],
        content=row[6] or "",
        attachment=row[7] or "",
        config=row[8] or "",
        ext=row[9] or "",
        at=row[10],
        notice=bool(flags & NOTICE),
        gone=_gone(flags) if flags & GONE else None,
        seq=row[12],
        related=row[13],
        expires_at=row[14],
        group_xid=row[15],
    )


def _gone(flags: int) -> Gone:
    if flags & RECALLED:
        return Gone.RECALLED
    return Gone.ERASED if flags & ERASED else Gone.EXPIRED


def to_request(row: Sequence[Any]) -> GroupRequest:
    """Build a request of its id, the xids of group, user and inviter, its reason, at and expires_at."""
    return GroupRequest(
        id=row[0],
        group_xid=row[1],
        user_xid=row[2],
        inviter_xid=row[3],
        reason=row[4],
        at=row[5],
        expires_at=row[6],
    )
