"""Message drafts that stand side by side in a batch: judged and numbered in memory, the same on every engine.

An engine reads what they name, inside its transaction, and writes the rows that come of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from gateway.domain.drafts import Answer, Appended, ImportDraft, Imported, MessageDraft, Repeated, Stale
from gateway.domain.model import INT64_MAX, Scope, State
from gateway.store.refusals import (
    between,
    conflict,
    group_unknown,
    not_a_member,
    sender_not_user,
    sender_refused,
    storage_full,
    target_missing,
    target_not_user,
    target_unknown,
)
from gateway.store.related import Place, Related
from gateway.store.rows import IMPORTED, ROW_BYTES, SETTLED, flags_of

Named = tuple[int, int]
"""Whom a draft names: (app, xid)."""

Pair = tuple[int, int]


class Moving(msgspec.Struct):
    """A party of a run, whose head and newest message move as drafts are numbered."""

    id: int
    kind: int
    head: int
    version: int
    last: int
    state: int


class Run:
    """A run of drafts, and the rows that come of those that are numbered.

    `parties` are those that exist. `known` has, by (sender's id, key), what the key was used for; `members` are those
    of the (user, group) named that are memberships, `blocked` the pairs named that have a block between them. `room`
    is what is left to the apps that may not store all they like.
    """

    def __init__(
        self,
        *,
        parties: dict[Named, Moving],
        known: dict[tuple[int, str], tuple[str, int, int]],
        members: Collection[Pair],
        blocked: Collection[Pair],
        room: dict[int, int],
        related: Related,
        next_msg_id: int,
        next_body_id: int,
    ) -> None:
        self._parties = parties
        self._known = known
        self._members = members
        self._blocked = blocked
        self._room = room
        self.related = related
        self.next_msg_id = next_msg_id
        self._next_body_id = next_body_id
        self.moved: dict[int, Moving] = {}
        self.bodies: list[tuple[int, int, int, str, str, str, str]] = []
        self.messages: list[tuple[int, ...]] = []
        self.entries: list[tuple[int, int, int]] = []
        self.conversations: dict[Pair, int] = {}
        self.keys: list[tuple[str, int, str, int, int]] = []
        self.hidden: list[Pair] = []
        self.imported: list[tuple[int, int, int]] = []
        self.stored: dict[int, int] = {}

    def judge(self, draft: MessageDraft) -> Answer | None:
        """Answer a draft that adds nothing: repeated, stale or refused. Dedup comes before every refusal."""
        sender = self._parties.get((draft.app, draft.sender_xid))
        if sender and draft.key and (known := self._known.get((sender.id, draft.key))):
            return known_as(draft, *known)
        if not draft.targets:
            return target_missing()
        if sender and sender.kind != Scope.USER:
            return sender_not_user(draft.sender_xid)
        if not sender and not draft.create:
            return sender_refused(State.DELETED, draft.sender_xid)
        if sender and sender.state and not (draft.unjudged and sender.state == State.FROZEN):
            return sender_refused(sender.state, draft.sender_xid)
        for index, xid in enumerate(draft.targets):
            if (answer := self._judge_target(draft, index, xid)) is not None:
                return answer
        if self._room and stored_bytes(draft) > self._room.get(draft.app, INT64_MAX):
            return storage_full()
        # Last, for it counts what it lets pass.
        return self.related.judge(draft, self._place(draft)) if draft.related else None

    def _judge_target(self, draft: MessageDraft, index: int, xid: int) -> Answer | None:
        if draft.group_xid:
            return self._judge_receiver(draft, xid)
        party = self._parties.get((draft.app, xid))
        if draft.scope is Scope.USER:
            if party and party.kind != Scope.USER:
                return target_not_user(xid)
            if (party and party.state == State.DELETED) or (not party and not draft.create):
                return target_unknown(xid)
            if self._blocked and party and draft.stoppable:
                sender = self._parties.get((draft.app, draft.sender_xid))
                if sender and (sender.id, party.id) in self._blocked:
                    return between(draft.sender_xid, xid)
        elif not party or party.kind != Scope.GROUP:
            return group_unknown(xid)
        elif party.version != draft.judged[index]:
            return Stale()
        return None

    def _judge_receiver(self, draft: MessageDraft, xid: int) -> Answer | None:
        """Judge one of the members whom alone a message of a group goes to."""
        group = self._parties.get((draft.app, draft.group_xid))
        if not group or group.kind != Scope.GROUP:
            return group_unknown(draft.group_xid)
        if group.version != draft.judged[0]:
            return Stale()
        party = self._parties.get((draft.app, xid))
        if not party or (party.id, group.id) not in self._members:
            return not_a_member(xid, draft.group_xid)
        return None

    def _place(self, draft: MessageDraft) -> Place | None:
        """Where the message of a draft with one target lies, if all parties are there: its target, peer and sender."""
        sender = self._parties.get((draft.app, draft.sender_xid))
        target = self._parties.get((draft.app, draft.targets[0]))
        if not sender or not target:
            return None
        return target.id, self._peer(draft, sender.id), sender.id

    def _peer(self, draft: MessageDraft, sender_id: int) -> int:
        if draft.group_xid:
            return self._parties[draft.app, draft.group_xid].id
        return sender_id if draft.scope is Scope.USER else 0

    def unknown(self, draft: MessageDraft) -> list[Named]:
        """Whom a draft that was let pass names for the first time: they are to be made before it is numbered."""
        app, parties = draft.app, self._parties
        # Mostly nobody is, which costs no more than a look for each.
        named = [(app, xid) for xid in (draft.sender_xid, *draft.targets) if (app, xid) not in parties]
        return list(dict.fromkeys(named)) if named else named

    def add(self, party: Named, made: Moving) -> None:
        """Note a user that was made: it is to be written, with entries or without."""
        self._parties[party] = made
        self.moved[made.id] = made

    def number(self, draft: MessageDraft) -> Appended:
        """Give a draft its ids and seqs, and note its rows."""
        sender = self._parties[draft.app, draft.sender_xid]
        sender_id = sender.id
        body_id = self._next_body_id
        self._next_body_id += 1
        stored = stored_bytes(draft)
        size = stored - ROW_BYTES * len(draft.targets)
        texts = (draft.content, draft.attachment, draft.config, draft.ext)
        self.bodies.append((body_id, len(draft.targets), size, *texts))
        self.stored[draft.app] = self.stored.get(draft.app, 0) + stored
        if draft.app in self._room:
            self._room[draft.app] -= stored
        first = self.next_msg_id
        plain = draft.copied and not (draft.notice or draft.hide_from)
        flags = 0 if plain else flags_of(draft)
        peer = self._peer(draft, sender_id)
        told = draft.scope is Scope.USER and draft.copied
        received: list[Pair] = []
        copies: list[int] = []
        for msg_id, xid in enumerate(draft.targets, first):
            target = self._parties[draft.app, xid]
            target_id = target.id
            seq = target.head = target.head + 1
            target.last = msg_id
            self.moved[target_id] = target
            received.append((target_id, seq))
            self.entries.append((target_id, seq, msg_id))
            self.messages.append(
                (
                    msg_id, target_id, peer, sender_id, draft.sender_sn, seq, draft.ctype, flags,
                    draft.at, body_id,
                )
            )  # fmt: skip
            if peer == sender_id:
                self.conversations[target_id, sender_id] = msg_id
            if told and target_id != sender_id:
                copy = sender.head = sender.head + 1
                sender.last = msg_id
                self.moved[sender_id] = sender
                copies.append(copy)
                self.entries.append((sender_id, copy, msg_id))
                if peer == sender_id:
                    self.conversations[sender_id, target_id] = msg_id
            elif draft.listed and peer == sender_id:
                self.conversations[sender_id, target_id] = msg_id
        self.next_msg_id = first + len(draft.targets)
        if draft.hide_from:
            self._hide(draft, range(first, self.next_msg_id))
        lasting = not (draft.related or draft.expires_at)
        expires_at = 0 if lasting else self.related.number(draft, first)
        if draft.key:
            last = self.next_msg_id - 1
            self.keys.append((draft.key, sender_id, draft.digest, first, last))
            self._known[sender_id, draft.key] = (draft.digest, first, last)
        return Appended(first, received, sender_id, copies, expires_at)

    def bring(self, draft: ImportDraft) -> Imported:
        """Give an imported message its id, and note its rows. It stands in no timeline: no head moves."""
        message = draft.message
        sender, target = (self._parties[message.app, xid] for xid in (message.sender_xid, message.targets[0]))
        msg_id, body_id, stored = self.next_msg_id, self._next_body_id, stored_bytes(message)
        self.next_msg_id += 1
        self._next_body_id += 1
        texts = (message.content, message.attachment, message.config, message.ext)
        self.bodies.append((body_id, 1, stored - ROW_BYTES, *texts))
        self.stored[message.app] = stored
        peer = self._peer(message, sender.id)
        flags = flags_of(message) | IMPORTED | (SETTLED if draft.settled else 0)
        self.messages.append(
            (
                msg_id,
                target.id,
                peer,
                sender.id,
                message.sender_sn,
                0,
                message.ctype,
                flags,
                message.at,
                body_id,
            )
        )
        self.imported.append((msg_id, draft.shown_at, 0 if peer else target.head))
        target.last = msg_id
        self.moved[target.id] = target
        if peer:
            self.conversations[target.id, sender.id] = msg_id
            if message.copied:
                self.conversations[sender.id, target.id] = msg_id
        return Imported(msg_id)

    def _hide(self, draft: MessageDraft, msg_ids: range) -> None:
        """Note from whose history pages messages are kept; of who is not there nothing is noted."""
        for xid in draft.hide_from:
            user = self._parties.get((draft.app, xid))
            if user and user.kind == Scope.USER:
                self.hidden += [(msg_id, user.id) for msg_id in msg_ids]

    def heads(self) -> list[tuple[int, int, int, int, int, int]]:
        """The timelines that were made or moved, in their order: id, app, xid, kind, head, last."""
        moved = self.moved
        return sorted(
            (party.id, app, xid, party.kind, party.head, party.last)
            for (app, xid), party in self._parties.items()
            if party.id in moved
        )

    def trimmable(self, keep: int) -> list[int]:
        """Name the groups whose heads have passed a multiple of `keep`: most batches name none."""
        return [
            party.id
            for party in self.moved.values()
            if party.kind == Scope.GROUP and party.head % keep < len(self.messages)
        ]


def named(drafts: Sequence[MessageDraft]) -> set[Named]:
    """Whom drafts name."""
    found = {(draft.app, draft.sender_xid) for draft in drafts}
    found.update([(draft.app, xid) for draft in drafts for xid in draft.targets])
    for draft in drafts:
        if draft.group_xid or draft.hide_from:
            found.update([(draft.app, xid) for xid in (draft.group_xid, *draft.hide_from) if xid])
    return found


def blockable(drafts: Sequence[MessageDraft], parties: Mapping[Named, Moving]) -> set[Pair]:
    """The pairs of users a block between whom would stop a draft."""
    return {
        (sender.id, target.id)
        for draft in drafts
        if draft.scope is Scope.USER and draft.stoppable
        if (sender := parties.get((draft.app, draft.sender_xid)))
        for xid in draft.targets
        if (target := parties.get((draft.app, xid)))
    }


def receiving(drafts: Sequence[MessageDraft], parties: Mapping[Named, Moving]) -> set[Pair]:
    """The (user, group) that have to be memberships, for messages of groups that go to some members."""
    return {
        (receiver.id, group.id)
        for draft in drafts
        if draft.group_xid and (group := parties.get((draft.app, draft.group_xid)))
        for xid in draft.targets
        if (receiver := parties.get((draft.app, xid)))
    }


def known_as(draft: MessageDraft, digest: str, first_msg_id: int, last_msg_id: int) -> Answer:
    """Answer a draft by what its key was used for before."""
    if draft.digest == digest:
        return Repeated(first_msg_id, last_msg_id)
    return conflict(draft.key, "message")


def stored_bytes(draft: MessageDraft) -> int:
    """What a draft counts for with its app once it is stored."""
    # Put together first: three of the four are mostly empty, and this is asked for every send.
    text = draft.content + draft.attachment + draft.config + draft.ext
    return (len(text) if text.isascii() else len(text.encode())) + ROW_BYTES * len(draft.targets)
