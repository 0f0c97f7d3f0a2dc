"""What goes to whom once a batch is committed (design §4): this node's sessions, and hints to the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import pairwise

from gateway.core.hub import Hub
from gateway.domain.drafts import (
    Answer,
    Appended,
    Changed,
    Draft,
    Imported,
    MessageDraft,
    Placed,
    Refused,
    Repeated,
    Stale,
    Started,
    Stepped,
)
from gateway.domain.model import Entry, EntryKind, Message

log = logging.getLogger(__name__)


def announce(hub: Hub, batch: Sequence[Draft], answers: Sequence[Answer]) -> None:
    """Dispatch a committed batch to this node's sessions, joined per timeline, and hint it to the other nodes.

    Entries are built only for timelines that somebody follows: here, or maybe on another node.
    """
    wanted = hub.follows if hub.alone else _everywhere
    entries: dict[int, list[Entry]] = {}
    heads: dict[int, int] = {}
    for draft, answer in zip(batch, answers, strict=True):
        match answer:
            case Appended():
                received = answer.received
                # Mostly one user and one sender, neither of whom anybody follows here: then there is no more to do.
                if (
                    len(received) > 1
                    or wanted(received[0][0])
                    or (answer.copies and wanted(answer.sender_id))
                ):
                    assert isinstance(draft, MessageDraft), "only message drafts are answered so"
                    _collect(wanted, draft, answer, entries, heads)
            case Changed(placed):
                _place(wanted, placed, entries, heads)
            case Stepped(_, sent, placed):
                for message, appended in sent:
                    _collect(wanted, message, appended, entries, heads)
                _place(wanted, placed, entries, heads)
            case Imported() | Started() | Repeated() | Stale() | Refused():
                pass
    newest = {
        timeline_id: _put_in_order(run)
        for timeline_id, run in entries.items()
        if len(run) > 1 and not _is_in_order(run)
    }
    if newest:
        heads |= {timeline_id: run[-1].seq for timeline_id, run in newest.items()}
    if heads:
        hub.publish(heads, entries | newest if newest else entries)
    hub.dispatch_all(entries)


def _is_in_order(run: Sequence[Entry]) -> bool:
    return all(entry.seq + 1 == following.seq for entry, following in pairwise(run))


def _put_in_order(run: list[Entry]) -> list[Entry]:
    """Sort entries that were committed in several steps, between which other nodes commit; return the last of them.

    That is those of which none is missing, as a hint has them.
    """
    run.sort(key=lambda entry: entry.seq)
    first = len(run) - 1
    while first and run[first - 1].seq + 1 == run[first].seq:
        first -= 1
    return run[first:]


def _everywhere(_: int) -> bool:
    """Whether a timeline may be followed on another node: any may."""
    return True


def _place(
    wanted: Callable[[int], bool],
    placed: Sequence[Placed],
    entries: dict[int, list[Entry]],
    heads: dict[int, int],
) -> None:
    for place in placed:
        heads[place.timeline_id] = place.entry.seq
        if wanted(place.timeline_id):
            entries.setdefault(place.timeline_id, []).append(place.entry)


def _collect(
    wanted: Callable[[int], bool],
    draft: MessageDraft,
    answer: Appended,
    entries: dict[int, list[Entry]],
    heads: dict[int, int],
) -> None:
    sender_followed = bool(answer.copies) and wanted(answer.sender_id)
    copies = iter(answer.copies)
    for index, (timeline_id, seq) in enumerate(answer.received):
        # What is its sender's alone has no entry with its receiver.
        if seq:
            heads[timeline_id] = seq
        copy = next(copies, 0) if timeline_id != answer.sender_id else 0
        if copy:
            heads[answer.sender_id] = copy
        followed = bool(seq) and wanted(timeline_id)
        if not followed and not sender_followed:
            continue
        message = Message(
            msg_id=answer.first_msg_id + index,
            scope=draft.scope,
            sender_xid=draft.sender_xid,
            sender_sn=draft.sender_sn,
            target_xid=draft.targets[index],
            ctype=draft.ctype,
            content=draft.content,
            attachment=draft.attachment,
            config=draft.config,
            ext=draft.ext,
            at=draft.at,
            notice=draft.notice,
            seq=seq,
            related=draft.related,
            expires_at=answer.expires_at,
            group_xid=draft.group_xid,
        )
        if followed:
            entry = Entry(seq=seq, kind=EntryKind.MESSAGE, message=message)
            entries.setdefault(timeline_id, []).append(entry)
        if copy and sender_followed:
            entry = Entry(seq=copy, kind=EntryKind.MESSAGE, message=message)
            entries.setdefault(answer.sender_id, []).append(entry)
