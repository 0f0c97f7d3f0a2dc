"""Appending a batch on SQLite: everything here runs on the writer's thread, inside one transaction.

Message drafts of a batch are read, judged and numbered together and written with one statement per table
(design §4, "The batch is the unit all the way"). Rarer drafts take their turn between them, one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from gateway.domain.drafts import (
    Answer,
    Appended,
    Draft,
    JobDraft,
    MessageDraft,
    Refused,
    Repeated,
    Stale,
    StepDraft,
)
from gateway.domain.errors import Kind
from gateway.domain.group_drafts import GroupChange
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX, EntryKind, Scope, State
from gateway.store.refusals import between, sender_refused
from gateway.store.rows import NOTICE, ROW_BYTES, UNCOPIED
from gateway.store.sqlite import jobs
from gateway.store.sqlite.blocks import ANY_BLOCK, blocked_pairs
from gateway.store.sqlite.changes import append_change
from gateway.store.sqlite.directed import members_among
from gateway.store.sqlite.group_changes import append_group_change
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.related import Related
from gateway.store.sqlite.rooms import trim
from gateway.store.sqlite.texts import count

# One statement for all of it: each return from C may cost this thread a wait for the busy one.
_NEXT = f"""
SELECT next_msg_id, (SELECT coalesce(max(id), 0) + 1 FROM body), {ANY_BLOCK},
    (SELECT json_group_array(json_array(a.id, a.storage_bytes_max - a.stored_bytes))
    FROM json_each(?) AS j CROSS JOIN app AS a ON a.id = j.value WHERE a.storage_bytes_max > 0)
FROM meta
"""
_PARTIES = """
SELECT json_group_array(json_array(t.app, t.xid, t.id, t.kind, t.head, t.facts_version, t.last, t.state))
FROM json_each(?) AS j
CROSS JOIN timeline AS t ON t.app = json_extract(j.value, '$[0]') AND t.xid = json_extract(j.value, '$[1]')
"""
_KEYS = """
SELECT json_group_array(json_array(d.sender, d.key, d.digest, d.first_msg_id, d.last_msg_id))
FROM json_each(?) AS j
CROSS JOIN dedup AS d ON d.sender = json_extract(j.value, '$[0]') AND d.key = json_extract(j.value, '$[1]')
"""
_MAKE_TIMELINES = """
INSERT INTO timeline (id, app, xid, kind)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), 1 FROM json_each(?)
"""
_MAKE_USERS = """
INSERT INTO user (id, app, created_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[3]') FROM json_each(?)
"""
_HEADS = """
UPDATE timeline SET head = j.head, last = j.last
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS head,
             json_extract(value, '$[2]') AS last FROM json_each(?)) AS j
WHERE timeline.id = j.id
"""
_BODIES = """
INSERT INTO body (id, refs, size, content, attachment, config, ext)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]') FROM json_each(?)
"""
_MESSAGES = """
INSERT INTO message (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, body, shown)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]'), json_extract(value, '$[7]'), json_extract(value, '$[8]'),
       json_extract(value, '$[9]'), 1 FROM json_each(?)
"""
_ENTRIES = f"""
INSERT INTO entry (t, seq, kind, msg_id, data)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), {EntryKind.MESSAGE:d},
       json_extract(value, '$[2]'), '' FROM json_each(?)
"""
_CONVERSATIONS = """
INSERT INTO conversation (usr, opp, last)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?)
WHERE true
ON CONFLICT (usr, opp) DO UPDATE SET last = excluded.last
"""
_DEDUP = """
INSERT INTO dedup (sender, key, digest, first_msg_id, last_msg_id)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]') FROM json_each(?)
"""

# A party of the batch: what `_PARTIES` reads, with head and last moving as drafts are numbered.
_ID, _KIND, _HEAD, _VERSION, _LAST, _STATE = range(6)
_Party = list[int]


def append_batch(
    conn: sqlite3.Connection, batch: Sequence[Draft], batch_key: str, limits: Limits, answers: list[Answer]
) -> None:
    """Commit a batch under `batch_key`. Raises what SQLite raises; nothing of the batch is kept then.

    All `answers` are there before COMMIT, so that they are known even where its outcome has to be looked for.
    """
    conn.execute("BEGIN IMMEDIATE")
    try:
        answers += _append_all(conn, batch, limits)
        conn.execute("UPDATE meta SET last_batch = ?", (batch_key,))
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise


def _append_all(conn: sqlite3.Connection, batch: Sequence[Draft], limits: Limits) -> list[Answer]:
    answers: list[Answer] = []
    run: list[MessageDraft] = []
    for draft in batch:
        if isinstance(draft, MessageDraft):
            run.append(draft)
            continue
        if run:
            answers += _Run(conn, run, limits).append()
            run = []
        if isinstance(draft, GroupChange):
            answers.append(append_group_change(conn, draft, limits))
        elif isinstance(draft, JobDraft):
            answers.append(jobs.start(conn, draft, limits))
        elif isinstance(draft, StepDraft):
            answers.append(
                jobs.step(conn, draft, limits, lambda message: _Run(conn, [message], limits).append()[0])
            )
        else:
            answers.append(append_change(conn, draft, limits))
    if run:
        answers += _Run(conn, run, limits).append()
    return answers


class _Run:
    """Message drafts that stand side by side in a batch, on their way into the tables."""

    def __init__(self, conn: sqlite3.Connection, drafts: Sequence[MessageDraft], limits: Limits) -> None:
        self._conn = conn
        self._drafts = drafts
        self._history_max = limits.room_history_max
        self._related = Related(conn, drafts, limits.related_max)
        self._members: set[tuple[int, int]] = set()
        self._parties: dict[tuple[int, int], _Party] = {}
        self._known: dict[tuple[int, str], tuple[str, int, int]] = {}
        self._blocked: set[tuple[int, int]] = set()
        self._made: list[tuple[int, int, int, int]] = []
        self._moved: dict[int, _Party] = {}
        self._bodies: list[tuple[int, int, int, str, str, str, str]] = []
        self._messages: list[tuple[int, ...]] = []
        self._entries: list[tuple[int, int, int]] = []
        self._conversations: dict[tuple[int, int], int] = {}
        self._dedup: list[tuple[int, str, str, int, int]] = []
        self._stored: dict[int, int] = {}
        self._next_msg_id: int
        self._next_body_id: int
        self._any_block: int
        apps = list({draft.app for draft in drafts})
        self._next_msg_id, self._next_body_id, self._any_block, room = one(conn, _NEXT, (rows(apps),))
        # What is left to the apps that may not store all they like.
        self._room: dict[int, int] = dict(msgspec.json.decode(room))
        self._next_id = 0

    def append(self) -> list[Answer]:
        """Judge and number every draft, write all rows, and answer per draft."""
        self._read_parties()
        self._read_keys()
        self._read_blocks()
        answers = [self._judge(draft) or self._number(draft) for draft in self._drafts]
        self._write()
        return answers

    def _read_parties(self) -> None:
        wanted = {(draft.app, draft.sender_xid) for draft in self._drafts}
        for draft in self._drafts:
            wanted.update((draft.app, xid) for xid in draft.targets)
        directed = [draft for draft in self._drafts if draft.group_xid]
        wanted.update((draft.app, draft.group_xid) for draft in directed)
        for app, xid, *party in table(self._conn, _PARTIES, (rows(list(wanted)),)):
            self._parties[app, xid] = party
        if directed:
            self._members = members_among(
                self._conn,
                {
                    (receiver[_ID], group[_ID])
                    for draft in directed
                    if (group := self._parties.get((draft.app, draft.group_xid)))
                    for xid in draft.targets
                    if (receiver := self._parties.get((draft.app, xid)))
                },
            )

    def _read_keys(self) -> None:
        wanted = [
            (sender[_ID], draft.key)
            for draft in self._drafts
            if draft.key and (sender := self._parties.get((draft.app, draft.sender_xid)))
        ]
        if wanted:
            for sender_id, key, digest, first, last in table(self._conn, _KEYS, (rows(wanted),)):
                self._known[sender_id, key] = (digest, first, last)

    def _read_blocks(self) -> None:
        """Read which P2P pairs have a block between them. Notices pass, and what `system` sends."""
        if self._any_block:
            self._blocked = blocked_pairs(
                self._conn,
                {
                    (sender[_ID], target[_ID])
                    for draft in self._drafts
                    if draft.scope is Scope.USER and draft.copied
                    if (sender := self._parties.get((draft.app, draft.sender_xid)))
                    for xid in draft.targets
                    if (target := self._parties.get((draft.app, xid)))
                },
            )

    def _judge(self, draft: MessageDraft) -> Answer | None:
        """Answer a draft that adds nothing: repeated, stale or refused. Dedup comes before every refusal."""
        sender = self._parties.get((draft.app, draft.sender_xid))
        if sender and draft.key and (known := self._known.get((sender[_ID], draft.key))):
            if known[0] == draft.digest:
                return Repeated(known[1], known[2])
            return Refused(
                Kind.TRANSACTION_CONFLICT, f"transaction_id {draft.key} was used for another message"
            )
        if sender and sender[_KIND] != Scope.USER:
            return Refused(Kind.BAD_PARAMETER, f"from_user_id: {draft.sender_xid} is a group, not a user")
        if not sender and not draft.create:
            return Refused(Kind.USER_UNKNOWN, f"from_user_id: there is no user {draft.sender_xid}")
        if sender and sender[_STATE]:
            return sender_refused(sender[_STATE], draft.sender_xid)
        for index, xid in enumerate(draft.targets):
            if (answer := self._judge_target(draft, index, xid)) is not None:
                return answer
        if self._room and _stored(draft) > self._room.get(draft.app, INT64_MAX):
            return Refused(Kind.STORAGE_FULL, "the app stores as much as it may")
        # Last, for it counts what it lets pass.
        return self._related.judge(draft, self._place(draft)) if draft.related else None

    def _judge_target(self, draft: MessageDraft, index: int, xid: int) -> Answer | None:
        if draft.group_xid:
            return self._judge_receiver(draft, xid)
        party = self._parties.get((draft.app, xid))
        if draft.scope is Scope.USER:
            if party and party[_KIND] != Scope.USER:
                return Refused(Kind.BAD_PARAMETER, f"targets: {xid} is a group, not a user")
            if (party and party[_STATE] == State.DELETED) or (not party and not draft.create):
                return Refused(Kind.USER_UNKNOWN, f"targets: there is no user {xid}")
            if self._blocked and party and draft.copied:
                sender = self._parties.get((draft.app, draft.sender_xid))
                if sender and (sender[_ID], party[_ID]) in self._blocked:
                    return between(draft.sender_xid, xid)
        elif not party or party[_KIND] != Scope.GROUP:
            return Refused(Kind.GROUP_UNKNOWN, f"targets: there is no group {xid}")
        elif party[_VERSION] != draft.judged[index]:
            return Stale()
        return None

    def _judge_receiver(self, draft: MessageDraft, xid: int) -> Answer | None:
        """Judge one of the members whom alone a message of a group goes to."""
        group = self._parties.get((draft.app, draft.group_xid))
        if not group or group[_KIND] != Scope.GROUP:
            return Refused(Kind.GROUP_UNKNOWN, f"targets: there is no group {draft.group_xid}")
        if group[_VERSION] != draft.judged[0]:
            return Stale()
        party = self._parties.get((draft.app, xid))
        if not party or (party[_ID], group[_ID]) not in self._members:
            return Refused(Kind.NOT_A_MEMBER, f"targets: {xid} is not a member of group {draft.group_xid}")
        return None

    def _place(self, draft: MessageDraft) -> tuple[int, int, int] | None:
        """Where the message of a draft with one target lies, if all parties are there: its target, peer and sender."""
        sender = self._parties.get((draft.app, draft.sender_xid))
        target = self._parties.get((draft.app, draft.targets[0]))
        if not sender or not target:
            return None
        return target[_ID], self._peer(draft, sender[_ID]), sender[_ID]

    def _peer(self, draft: MessageDraft, sender_id: int) -> int:
        if draft.group_xid:
            return self._parties[draft.app, draft.group_xid][_ID]
        return sender_id if draft.scope is Scope.USER else 0

    def _party(self, draft: MessageDraft, xid: int) -> _Party:
        party = self._parties.get((draft.app, xid))
        if party is None:
            if not self._next_id:
                self._next_id = one(self._conn, "SELECT coalesce(max(id), 0) + 1 FROM timeline")[0]
            party = [self._next_id, Scope.USER, 0, 0, 0, State.NORMAL]
            self._made.append((self._next_id, draft.app, xid, draft.at))
            self._next_id += 1
            self._parties[draft.app, xid] = party
        return party

    def _number(self, draft: MessageDraft) -> Appended:
        sender = self._party(draft, draft.sender_xid)
        sender_id = sender[_ID]
        body_id = self._next_body_id
        self._next_body_id += 1
        stored = _stored(draft)
        size = stored - ROW_BYTES * len(draft.targets)
        texts = (draft.content, draft.attachment, draft.config, draft.ext)
        self._bodies.append((body_id, len(draft.targets), size, *texts))
        self._stored[draft.app] = self._stored.get(draft.app, 0) + stored
        if draft.app in self._room:
            self._room[draft.app] -= stored
        first = self._next_msg_id
        flags = (NOTICE if draft.notice else 0) | (0 if draft.copied else UNCOPIED)
        peer = self._peer(draft, sender_id)
        told = draft.scope is Scope.USER and draft.copied
        received: list[tuple[int, int]] = []
        copies: list[int] = []
        for msg_id, xid in enumerate(draft.targets, first):
            target = self._party(draft, xid)
            target_id = target[_ID]
            seq = target[_HEAD] = target[_HEAD] + 1
            target[_LAST] = msg_id
            self._moved[target_id] = target
            received.append((target_id, seq))
            self._entries.append((target_id, seq, msg_id))
            self._messages.append(
                (
                    msg_id, target_id, peer, sender_id, draft.sender_sn, seq, draft.ctype, flags,
                    draft.at, body_id,
                )
            )  # fmt: skip
            if peer == sender_id:
                self._conversations[target_id, sender_id] = msg_id
            if told and target_id != sender_id:
                copy = sender[_HEAD] = sender[_HEAD] + 1
                sender[_LAST] = msg_id
                self._moved[sender_id] = sender
                copies.append(copy)
                self._entries.append((sender_id, copy, msg_id))
                if peer == sender_id:
                    self._conversations[sender_id, target_id] = msg_id
        self._next_msg_id = first + len(draft.targets)
        plain = not (draft.related or draft.expires_at)
        expires_at = 0 if plain else self._related.number(draft, first)
        if draft.key:
            last = self._next_msg_id - 1
            self._dedup.append((sender_id, draft.key, draft.digest, first, last))
            self._known[sender_id, draft.key] = (draft.digest, first, last)
        return Appended(first, received, sender_id, copies, expires_at)

    def _write(self) -> None:
        conn = self._conn
        if not self._bodies:
            return
        if self._made:
            made = rows(self._made)
            conn.execute(_MAKE_TIMELINES, (made,))
            conn.execute(_MAKE_USERS, (made,))
        conn.execute(_BODIES, (rows(self._bodies),))
        conn.execute(_MESSAGES, (rows(self._messages),))
        self._related.write()
        conn.execute(_ENTRIES, (rows(self._entries),))
        if self._conversations:
            pairs = [(usr, opp, last) for (usr, opp), last in self._conversations.items()]
            conn.execute(_CONVERSATIONS, (rows(pairs),))
        if self._dedup:
            conn.execute(_DEDUP, (rows(self._dedup),))
        moved = [(party[_ID], party[_HEAD], party[_LAST]) for party in self._moved.values()]
        conn.execute(_HEADS, (rows(moved),))
        count(conn, self._stored)
        conn.execute("UPDATE meta SET next_msg_id = ?", (self._next_msg_id,))
        # Whatever passes a multiple of what a chatroom keeps is looked at, so that most batches ask nothing.
        passed = [
            party[_ID]
            for party in self._moved.values()
            if party[_KIND] == Scope.GROUP and party[_HEAD] % self._history_max < len(self._messages)
        ]
        if passed:
            trim(conn, passed, self._history_max)


def _stored(draft: MessageDraft) -> int:
    """What a draft counts for with its app once it is stored (`app.stored_bytes`)."""
    texts = (draft.content, draft.attachment, draft.config, draft.ext)
    size = sum(len(text) if text.isascii() else len(text.encode()) for text in texts)
    return size + ROW_BYTES * len(draft.targets)
