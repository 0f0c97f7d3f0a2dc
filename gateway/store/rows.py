"""What rows of the tables mean, the same on every engine: flags of a message, and what a row becomes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.domain.drafts import MessageDraft
from gateway.domain.model import (
    FOLDED,
    Deleted,
    Entry,
    EntryKind,
    Gone,
    GroupRequest,
    HistoryItem,
    Membership,
    Message,
    Recalled,
    Scope,
    Side,
)
from gateway.domain.positions import Standing, Stay
from gateway.store.base import History

log = logging.getLogger(__name__)

NOTICE, RECALLED, UNCOPIED, EXPIRED, ERASED, LISTED = 1, 2, 4, 8, 16, 32
HIDING, IMPORTED, SETTLED, UNCOUNTED, PASSING, RECEIVERS, SENDERS = 64, 128, 256, 512, 1024, 2048, 4096
"""`message.flags`: a system notification · its text is gone by a recall · the sender's timeline has no entry of it ·
its text is gone by its time · with its sender · it has no entry there, yet the conversation is in the sender's list ·
it is hidden from some members of its group (table `hidden`) · it was sent elsewhere (table `imported`), and has no
entry and the seq 0 · and whoever it went to has read it · it is no unread one · it is not shown, and has its text ·
between users, it is its receiver's alone · its sender's alone, and has the seq 0."""

NOT_SENDERS = NOTICE | RECEIVERS
"""Any of these: its sender does not see it."""

ONE_SIDED = SENDERS | RECEIVERS
"""Either of these: it is between two users, and one of them does not see it."""

IN_SENDERS_LIST = f"flags & {UNCOPIED | LISTED} <> {UNCOPIED}"
"""SQL for: its sender has a row of the conversation that it lies in."""

IN_RECEIVERS_LIST = f"flags & {SENDERS} = 0"
"""SQL for: so has its receiver, who is no group."""

GONE = RECALLED | EXPIRED | ERASED
"""Any of these: the message has no body, and is not shown."""

FOLDED_TYPES = ", ".join(str(int(ctype)) for ctype in sorted(FOLDED))
"""As SQL."""

# An enum's own call costs more than all else that is done with a row's number.
_KINDS = {int(kind): kind for kind in EntryKind}
_SCOPES = {int(scope): scope for scope in Scope}

_SIDES = {Side.BOTH: 0, Side.SENDER: SENDERS, Side.RECEIVER: RECEIVERS}

_membership = msgspec.json.Decoder(Membership)
_recalled = msgspec.json.Decoder(Recalled)
_deleted = msgspec.json.Decoder(Deleted)


def is_folded(message: str) -> str:
    """Put together the SQL for: a message is folded into the one it relates to. Others answer that one."""
    return f"({message}.related > 0 AND {message}.ctype IN ({FOLDED_TYPES}))"


def flags_of(draft: MessageDraft) -> int:
    """Put together the flags of the messages of a draft."""
    flags = NOTICE if draft.notice else 0
    if not draft.copied:
        flags |= UNCOPIED | LISTED if draft.listed else UNCOPIED
    if draft.hide_from:
        flags |= HIDING
    if draft.uncounted:
        flags |= UNCOUNTED
    if draft.passing:
        flags |= PASSING
    return flags | _SIDES[draft.side]


def to_message(row: Sequence[Any]) -> Message:
    """Build a message of its columns.

    They are msg_id, kind of the target, xid of the sender, device_sn, xid of the target, ctype, content, attachment,
    config, ext, at, flags, seq, related, expires_at and the xid of the group it was directed in (0: none); the texts
    are None where they are gone.
    """
    flags = row[11]
    return Message(
        msg_id=row[0],
        scope=_SCOPES[row[1]],
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
        uncounted=bool(flags & UNCOUNTED),
        passing=bool(flags & PASSING),
        side=_side(flags) if flags & ONE_SIDED else Side.BOTH,
    )


def _side(flags: int) -> Side:
    return Side.SENDER if flags & SENDERS else Side.RECEIVER


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


def to_entry(seq: int, kind: int, data: str, message: Sequence[Any]) -> Entry | None:
    """Build an entry; None where it cannot be read, which is damage like a missing one (design §3, Timeline).

    `message` are the columns that `to_message` takes, all None where there is no such message.
    """
    try:
        match _KINDS[kind]:
            case EntryKind.MESSAGE as told:
                if message[0] is None:
                    log.error("seq %d of a timeline names a message that is not there", seq)
                    return None
                return Entry(seq=seq, kind=told, message=to_message(message))
            case EntryKind.RECALLED as told:
                return Entry(seq=seq, kind=told, recalled=_recalled.decode(data))
            case EntryKind.MEMBERSHIP as told:
                return Entry(seq=seq, kind=told, membership=_membership.decode(data))
            case EntryKind.DELETED as told:
                return Entry(seq=seq, kind=told, deleted=_deleted.decode(data))
    except (ValueError, KeyError) as error:  # msgspec's errors are among them.
        log.error("seq %d of a timeline cannot be read: %r", seq, error)  # noqa: TRY400 - damage, not a bug to trace
        return None


def to_standings(rows: Iterable[Sequence[Any]], count: int) -> list[Standing]:
    """Build what so many devices find, in the order asked; those that no row is of find nobody.

    The columns are the place in that order (from 0 on), the members of a `Standing` before its stays, and those of
    one `Stay`: one row for each, and one whose group is None for who has none.
    """
    found: dict[int, Standing] = {}
    for place, head, delivered, kept, cursor, *stay in rows:
        standing = found.get(place)
        if standing is None:
            standing = found[place] = Standing(head, delivered, bool(kept), cursor, [])
        if stay[0] is not None:
            standing.stays.append(Stay(*stay))
    return [found.get(place) or Standing(-1, 0, kept=False, cursor=-1, stays=[]) for place in range(count)]


def to_history(items: list[HistoryItem], limit: int) -> History:
    """Build a page of what was found, newest first: one more than asked for tells what is next."""
    return History(items[:limit], items[limit].msg_id if len(items) > limit else 0)
