"""Message drafts that stand side by side in a batch: judged and numbered in memory, the same on every engine.

An engine reads what they name, inside its transaction, and writes the rows that come of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from gateway.domain.drafts import (
    Answer,
    Appended,
    ImportDraft,
    Imported,
    MessageDraft,
    Repeated,
    Stale,
    asks_same,
)
from gateway.domain.model import INT64_MAX, ROW_BYTES, Scope, State
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
from gateway.store.rows import IMPORTED, ONE_SIDED, SENDERS, SETTLED, flags_of

Named = tuple[int, int]
"""Whom a draft names: (app, xid)."""

Pair = tuple[int, int]

Brought = dict[int, dict[int, int]]
"""The newest message of each conversation that one was appended to: by whose it is, and with whom."""

# Looked up once: a member of an enum takes longer to find than all else in a line that runs for every message.
_USER, _GROUP = Scope.USER, Scope.GROUP
_DELETED, _FROZEN = State.DELETED, State.FROZEN


class Moving:
    """A party of a run, whose head and newest message move as drafts are numbered."""

    # No Struct, which takes five times as long to have a member set.
    __slots__ = ("app", "head", "id", "kind", "last", "state", "version", "xid")

    def __init__(
        self,
        app: int,
        xid: int,
        id: int,  # noqa: A002 - the column's name
        kind: int = _USER,
        head: int = 0,
        version: int = 0,
        last: int = 0,
        state: int = 0,
    ) -> None:
        self.app = app
        self.xid = xid
        self.id = id
        self.kind = kind
        self.head = head
        self.version = version
        self.last = last
        self.state = state


class Run:
    """A run of drafts, and the rows that come of those that are numbered.

    `parties` are those that exist. `known` has, by (sender's id, key), what the key was used for; `members` are those
    of the (user, group) named that are memberships, `blocked` the pairs named that have a block between them. `room`
    is what is left to the apps that may not store all they like.

    A draft is judged and numbered by its sender and targets, which are looked up once (`find`): that is what most of
    its time went to.
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
        # By the timeline's id: whose it is, and the messages that it gets entries of, which end at the head.
        self._moved: dict[int, tuple[Moving, list[int]]] = {}
        self.bodies: list[tuple[int, int, int, str, str, str, str]] = []
        self.messages: list[tuple[int, ...]] = []
        self.conversations: Brought = {}
        self.keys: list[tuple[str, int, str, int, int]] = []
        self.hidden: list[Pair] = []
        self.imported: list[tuple[int, int, int]] = []
        self.stored: dict[int, int] = {}

    def find(self, draft: MessageDraft) -> tuple[Moving | None, Sequence[Moving | None]]:
        """Look up the sender and the targets of a draft; None: there is none."""
        app, targets, found = draft.app, draft.targets, self._parties.get
        sender = found((app, draft.sender_xid))
        # A list of several takes as long to begin as one of one takes to be made.
        return sender, [found((app, targets[0]))] if len(targets) == 1 else [
            found((app, xid)) for xid in targets
        ]

    def judge(
        self, draft: MessageDraft, sender: Moving | None, targets: Sequence[Moving | None]
    ) -> Answer | None:
        """Answer a draft that adds nothing: repeated, stale or refused. Dedup comes before every refusal."""
        if sender and draft.key and (known := self._known.get((sender.id, draft.key))):
            return known_as(draft, *known)
        if not targets:
            return target_missing()
        if sender is None:
            if not draft.create:
                return sender_refused(_DELETED, draft.sender_xid)
        elif sender.kind != _USER:
            return sender_not_user(draft.sender_xid)
        elif sender.state and not (draft.unjudged and sender.state == _FROZEN):
            return sender_refused(sender.state, draft.sender_xid)
        refusal = self._judge_targets(draft, sender, targets)
        if refusal is not None:
            return refusal
        if self._room and stored_bytes(draft) > self._room.get(draft.app, INT64_MAX):
            return storage_full()
        # Last, for it counts what it lets pass.
        return self.related.judge(draft, self._place(draft, sender, targets[0])) if draft.related else None

    def _judge_targets(
        self, draft: MessageDraft, sender: Moving | None, targets: Sequence[Moving | None]
    ) -> Answer | None:
        if draft.group_xid:
            return self._judge_receivers(draft, targets)
        if draft.scope is not _USER:
            return _judge_groups(draft, targets)
        for index, party in enumerate(targets):
            if party is None:
                if not draft.create:
                    return target_unknown(draft.targets[index])
            elif party.kind != _USER:
                return target_not_user(party.xid)
            elif party.state == _DELETED:
                return target_unknown(party.xid)
            elif self._blocked and draft.stoppable and sender and (sender.id, party.id) in self._blocked:
                return between(draft.sender_xid, party.xid)
        return None

    def _judge_receivers(self, draft: MessageDraft, targets: Sequence[Moving | None]) -> Answer | None:
        """Judge the members whom alone a message of a group goes to."""
        group = self._parties.get((draft.app, draft.group_xid))
        if not group or group.kind != _GROUP:
            return group_unknown(draft.group_xid)
        if group.version != draft.judged[0]:
            return Stale()
        for party, xid in zip(targets, draft.targets, strict=True):
            if not party or (party.id, group.id) not in self._members:
                return not_a_member(xid, draft.group_xid)
        return None

    def _place(self, draft: MessageDraft, sender: Moving | None, target: Moving | None) -> Place | None:
        """Where the message of a draft with one target lies, if all parties are there: its target, peer and sender."""
        if not sender or not target:
            return None
        return target.id, self._peer(draft, sender.id), sender.id

    def _peer(self, draft: MessageDraft, sender_id: int) -> int:
        if draft.group_xid:
            return self._parties[draft.app, draft.group_xid].id
        return sender_id if draft.scope is _USER else 0

    def unknown(self, draft: MessageDraft) -> list[Named]:
        """Whom a draft that was let pass names for the first time: they are to be made before it is numbered."""
        app, parties = draft.app, self._parties
        named = [(app, xid) for xid in (draft.sender_xid, *draft.targets) if (app, xid) not in parties]
        return list(dict.fromkeys(named))

    def add(self, made: Moving) -> None:
        """Note a user that was made: it is to be written, with entries or without."""
        self._parties[made.app, made.xid] = made
        self._moved[made.id] = made, []

    def number(self, draft: MessageDraft, sender: Moving, targets: Sequence[Moving]) -> Appended:
        """Give a draft its ids and seqs, and note its rows."""
        if draft.related:
            draft = self.related.sided(draft)
        app, sender_id, count = draft.app, sender.id, len(targets)
        body_id = self._next_body_id
        self._next_body_id += 1
        stored = stored_bytes(draft)
        self.bodies.append(
            (
                body_id, count, stored - ROW_BYTES * count,
                draft.content, draft.attachment, draft.config, draft.ext,
            )
        )  # fmt: skip
        self.stored[app] = self.stored.get(app, 0) + stored
        if app in self._room:
            self._room[app] -= stored
        first = msg_id = self.next_msg_id
        plain = draft.copied and not (
            draft.notice or draft.hide_from or draft.uncounted or draft.passing or draft.side
        )
        flags = 0 if plain else flags_of(draft)
        one_sided = flags & ONE_SIDED
        peer = self._peer(draft, sender_id)
        told = draft.copied and draft.scope is _USER
        sn, ctype, at = draft.sender_sn, draft.ctype, draft.at
        between_users = peer == sender_id
        received: list[Pair] = []
        copies: list[int] = []
        for target in targets:
            # What one says to oneself has but one side.
            kept = flags & ~ONE_SIDED if one_sided and target is sender else flags
            target_id, seq = target.id, 0 if kept & SENDERS else self._enter(target, msg_id)
            received.append((target_id, seq))
            self.messages.append((msg_id, target_id, peer, sender_id, sn, seq, ctype, kept, at, body_id))
            if between_users and seq:
                self._bring(target_id, sender_id, msg_id)
            if told and target is not sender:
                copies.append(self._enter(sender, msg_id))
                if between_users:
                    self._bring(sender_id, target_id, msg_id)
            elif draft.listed and between_users:
                self._bring(sender_id, target_id, msg_id)
            msg_id += 1
        self.next_msg_id = msg_id
        if draft.hide_from:
            self._hide(draft, range(first, msg_id))
        lasting = not (draft.related or draft.expires_at or draft.passing)
        expires_at = 0 if lasting else self.related.number(draft, first)
        if draft.key:
            self.keys.append((draft.key, sender_id, draft.digest, first, msg_id - 1))
            self._known[sender_id, draft.key] = (draft.digest, first, msg_id - 1)
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
        self._moved[target.id] = target, []
        if peer:
            self._bring(target.id, sender.id, msg_id)
            if message.copied:
                self._bring(sender.id, target.id, msg_id)
        return Imported(msg_id)

    def _hide(self, draft: MessageDraft, msg_ids: range) -> None:
        """Note from whose history pages messages are kept; of who is not there nothing is noted."""
        for xid in draft.hide_from:
            user = self._parties.get((draft.app, xid))
            if user and user.kind == _USER:
                self.hidden += [(msg_id, user.id) for msg_id in msg_ids]

    def _enter(self, party: Moving, msg_id: int) -> int:
        """Let a timeline have an entry of a message; return its seq."""
        moved = self._moved.get(party.id)
        if moved is None:
            self._moved[party.id] = party, [msg_id]
        else:
            moved[1].append(msg_id)
        party.last = msg_id
        seq = party.head = party.head + 1
        return seq

    def _bring(self, usr: int, opp: int, msg_id: int) -> None:
        theirs = self.conversations.get(usr)
        if theirs is None:
            self.conversations[usr] = {opp: msg_id}
        else:
            theirs[opp] = msg_id

    def moved(self) -> list[tuple[Moving, list[int]]]:
        """The timelines that were made or moved, in the order of their ids, with the messages that they got."""
        return [self._moved[timeline_id] for timeline_id in sorted(self._moved)]

    def trimmable(self, keep: int) -> list[int]:
        """Name the groups whose heads have passed a multiple of `keep`: most batches name none."""
        return [
            party.id
            for party, _ in self._moved.values()
            if party.kind == _GROUP and party.head % keep < len(self.messages)
        ]


def entries_of(moved: Iterable[tuple[Moving, list[int]]]) -> list[tuple[int, int, int]]:
    """The entries of timelines that have moved, in the order of their table: timeline, seq and message."""
    return [
        (party.id, seq, msg_id)
        for party, came in moved
        for seq, msg_id in enumerate(came, party.head - len(came) + 1)
    ]


def _judge_groups(draft: MessageDraft, targets: Sequence[Moving | None]) -> Answer | None:
    for index, party in enumerate(targets):
        if not party or party.kind != _GROUP:
            return group_unknown(draft.targets[index])
        if party.version != draft.judged[index]:
            return Stale()
    return None


def named(drafts: Iterable[MessageDraft]) -> set[Named]:
    """Whom drafts name."""
    found: set[Named] = set()
    for draft in drafts:
        app = draft.app
        found.add((app, draft.sender_xid))
        for xid in draft.targets:
            found.add((app, xid))
        if draft.group_xid or draft.hide_from:
            found.update([(app, xid) for xid in (draft.group_xid, *draft.hide_from) if xid])
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
    if asks_same(draft.digest, digest):
        return Repeated(first_msg_id, last_msg_id)
    return conflict(draft.key, "message")


def stored_bytes(draft: MessageDraft) -> int:
    """What a draft counts for with its app once it is stored."""
    # Put together first: three of the four are mostly empty, and this is asked for every send.
    text = draft.content + draft.attachment + draft.config + draft.ext
    return (len(text) if text.isascii() else len(text.encode())) + ROW_BYTES * len(draft.targets)
