"""Appending a batch on SQLite: everything here runs on the writer's thread, inside one transaction.

Message drafts of a batch are read, judged and numbered together and written with one statement per table
(design §4, "The batch is the unit all the way"). Rarer drafts take their turn between them, one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from gateway.domain.drafts import (
    Answer,
    DeleteDraft,
    Draft,
    ImportDraft,
    Imported,
    JobDraft,
    MessageDraft,
    StepDraft,
)
from gateway.domain.group_drafts import GroupChange
from gateway.domain.limits import Limits
from gateway.domain.model import EntryKind, Scope
from gateway.store.hours import HOUR_MS
from gateway.store.related import Related
from gateway.store.run import Brought, Moving, Named, Run, blockable, entries_of, receiving
from gateway.store.sqlite import jobs
from gateway.store.sqlite.blocks import ANY_BLOCK, blocked_pairs
from gateway.store.sqlite.book import Book
from gateway.store.sqlite.changes import append_change
from gateway.store.sqlite.changing import Changing
from gateway.store.sqlite.directed import members_among
from gateway.store.sqlite.group_changes import append_group_change
from gateway.store.sqlite.hours import cover
from gateway.store.sqlite.lane import one, rows
from gateway.store.sqlite.many import Many
from gateway.store.sqlite.newest import Newest
from gateway.store.sqlite.related import find_related, mark
from gateway.store.sqlite.rooms import trim
from gateway.store.sqlite.texts import count
from gateway.store.sqlite.touched import Touched
from gateway.store.sqlite.users import find_users_named, make_named

LAST_NUMBER = "SELECT key FROM dedup WHERE key < ':' ORDER BY key DESC LIMIT 1"
"""The last key of the table that is a number: a colon comes after all digits, and before all letters."""

# One statement for all of it: each return from C may cost this thread a wait for the busy one.
_NEXT = f"""
SELECT next_msg_id, (SELECT coalesce(max(id), 0) + 1 FROM body), ({LAST_NUMBER}), {ANY_BLOCK},
    (SELECT json_group_array(json_array(a.id, a.storage_bytes_max - a.stored_bytes))
    FROM json_each(?1) AS j CROSS JOIN app AS a ON a.id = j.value WHERE a.storage_bytes_max > 0),
    (SELECT last FROM hour WHERE hour = ?2)
FROM meta
"""
_LAST_BATCH = """
UPDATE meta SET last_batch = ?, next_msg_id = max(next_msg_id, ?) RETURNING next_msg_id, swept_to
"""
_NEXT_ID = "UPDATE meta SET next_msg_id = ?"
_KEYS = Many(
    """SELECT json_group_array(json_array(d.sender, d.key, d.digest, d.first_msg_id, d.last_msg_id))
    FROM (VALUES""",
    "(?, ?)",
    ") AS j CROSS JOIN dedup AS d ON d.key = j.column2 AND d.sender = j.column1",
)
_MAKE_USERS = Many("INSERT INTO user (id, app, created_at) VALUES", "(?, ?, ?)")
# Makes new timelines and moves those that are there: as an `UPDATE … FROM` the rows would be laid out in a table of
# their own first, which costs half as much again.
_HEADS = Many(
    "INSERT INTO timeline (id, app, xid, kind, head, last) VALUES",
    "(?, ?, ?, ?, ?, ?)",
    "ON CONFLICT (id) DO UPDATE SET head = excluded.head, last = excluded.last",
)
# ROLLBACK: a row that is refused undoes the whole transaction, as its batch is then undone anyway. Of a statement that
# may have to be undone by itself SQLite first copies each page that it is going to change to a file.
_BODIES = Many(
    "INSERT OR ROLLBACK INTO body (id, refs, size, content, attachment, config, ext) VALUES",
    "(?, ?, ?, ?, ?, ?, ?)",
)
_MESSAGES = Many(
    """INSERT OR ROLLBACK INTO message (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, body, shown)
    VALUES""",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
)
_ENTRIES = Many(
    "INSERT OR ROLLBACK INTO entry (t, seq, kind, msg_id, data) VALUES",
    f"(?, ?, {EntryKind.MESSAGE:d}, ?, '')",
)
_DEDUP = Many(
    "INSERT OR ROLLBACK INTO dedup (key, sender, digest, first_msg_id, last_msg_id) VALUES", "(?, ?, ?, ?, ?)"
)
_HIDDEN = Many("INSERT INTO hidden (msg_id, usr) VALUES", "(?, ?)", "ON CONFLICT (msg_id, usr) DO NOTHING")
_IMPORTED = Many("INSERT INTO imported (msg_id, shown_at, place) VALUES", "(?, ?, ?)")


def append_batch(
    conn: sqlite3.Connection,
    batch: Sequence[Draft],
    batch_key: str,
    limits: Limits,
    newest: Newest,
    book: Book,
    changing: Changing,
    answers: list[Answer],
) -> None:
    """Commit a batch under `batch_key`. Raises what SQLite raises; nothing of the batch is kept then.

    All `answers` are there before COMMIT, so that they are known even where its outcome has to be looked for.
    """
    conn.execute("BEGIN IMMEDIATE")
    try:
        appending = _Batch(conn, limits, newest, book)
        answers += appending.append(batch)
        next_msg_id, swept_to = one(conn, _LAST_BATCH, (batch_key, appending.next_msg_id))
        told = newest.tell(conn, appending.brought, next_msg_id, swept_to)
        with changing.committing(appending.touched):
            conn.execute("COMMIT")
            # With it: what is newest of a list is read there.
            newest.note(told, appending.brought, next_msg_id)
    except BaseException:
        book.forget()
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise
    book.shrink()


class _Batch:
    """The drafts of one batch.

    `brought` are the newest messages of conversations by those appended so far, `touched` is what they change.
    `next_msg_id` is kept in the table only when somebody looks there (0: it is), which at the end of a batch goes with
    what else it notes.
    """

    def __init__(self, conn: sqlite3.Connection, limits: Limits, newest: Newest, book: Book) -> None:
        self._conn = conn
        self._limits = limits
        self._newest = newest
        self._book = book
        self.brought: Brought = {}
        self.touched = Touched()
        self.next_msg_id = 0

    def append(self, batch: Sequence[Draft]) -> list[Answer]:
        """Append every draft, and answer per draft."""
        answers: list[Answer] = []
        run: list[MessageDraft] = []
        for draft in batch:
            if isinstance(draft, MessageDraft):
                run.append(draft)
                continue
            if run:
                answers += self._messages(run)
                run = []
            # Whatever else there is moves timelines by itself.
            self._book.forget()
            answers.append(self._other(draft))
        if run:
            answers += self._messages(run)
        return answers

    def _messages(self, drafts: Sequence[MessageDraft]) -> list[Answer]:
        self._keep_next_id()
        run = _Run(self._conn, drafts, self._limits, self._book)
        answers = run.append()
        self.next_msg_id = run.next_msg_id
        self._note(run)
        return answers

    def _import(self, draft: ImportDraft) -> Answer:
        if not draft.names:
            return self._bring(draft)
        conn, message = self._conn, draft.message
        conn.execute("SAVEPOINT import")
        if message.create:
            found = make_named(conn, message.app, draft.names, message.at)
        else:
            found = find_users_named(conn, message.app, draft.names)
        answer = self._bring(draft.called({name: user.xid for name, user in found.items()}))
        if not isinstance(answer, Imported):
            conn.execute("ROLLBACK TO import")
            # It may have noted who is not there any more.
            self._book.forget()
        conn.execute("RELEASE import")
        return answer

    def _bring(self, draft: ImportDraft) -> Answer:
        run = _Run(self._conn, [draft.message], self._limits, self._book)
        answer = run.bring(draft)
        self.next_msg_id = run.next_msg_id
        self._note(run)
        return answer

    def _note(self, run: _Run) -> None:
        """Note what a run has brought."""
        if self.brought:
            for usr, brought in run.conversations.items():
                self.brought.setdefault(usr, {}).update(brought)
        else:
            self.brought = run.conversations
        self.touched.messages += run.messages

    def _keep_next_id(self) -> None:
        if self.next_msg_id:
            self._conn.execute(_NEXT_ID, (self.next_msg_id,))
            self.next_msg_id = 0

    def _other(self, draft: Draft) -> Answer:
        answer = self._append(draft)
        self.touched.note(self._conn, draft, answer)
        return answer

    def _append(self, draft: Draft) -> Answer:
        conn, limits = self._conn, self._limits
        self._keep_next_id()
        match draft:
            case MessageDraft():
                return self._messages([draft])[0]
            case ImportDraft():
                return self._import(draft)
            case GroupChange():
                return append_group_change(conn, draft, limits)
            case JobDraft():
                return jobs.start(conn, draft, limits)
            case StepDraft():
                return jobs.step(conn, draft, limits, self._other)
            case DeleteDraft(scope=Scope.USER):
                # What is hidden is all up to the newest one.
                self._newest.settle(conn, [(draft.user_id, draft.opposite_id)], self.brought)
                return append_change(conn, draft, limits)
            case _:
                return append_change(conn, draft, limits)


class _Run:
    """Message drafts that stand side by side in a batch, on their way into the tables."""

    def __init__(
        self, conn: sqlite3.Connection, drafts: Sequence[MessageDraft], limits: Limits, book: Book
    ) -> None:
        self._conn = conn
        self._drafts = drafts
        self._history_max = limits.room_history_max
        apps = list({draft.app for draft in drafts})
        # Mostly one, and what is of it is known to lie where it does.
        self._hours = {draft.at // HOUR_MS for draft in drafts}
        next_msg_id, next_body_id, last_key, any_block, room, self._covered = one(
            conn, _NEXT, (rows(apps), max(self._hours))
        )
        parties = book.read(conn, drafts)
        directed = receiving(drafts, parties)
        self._related = Related(find_related(conn, drafts, limits.related_max), limits.related_max)
        self._run = Run(
            parties=parties,
            known=self._read_keys(parties, last_key or ""),
            members=members_among(conn, directed) if directed else (),
            blocked=blocked_pairs(conn, blockable(drafts, parties)) if any_block else (),
            room=dict(msgspec.json.decode(room)),
            related=self._related,
            next_msg_id=next_msg_id,
            next_body_id=next_body_id,
        )
        self._made: list[tuple[int, int, int]] = []
        self._next_id = 0

    @property
    def conversations(self) -> Brought:
        """The conversations of two users that messages were appended to, with the newest of them."""
        return self._run.conversations

    @property
    def messages(self) -> Sequence[tuple[int, ...]]:
        """The messages that were appended, as rows of their table."""
        return self._run.messages

    @property
    def next_msg_id(self) -> int:
        """The id of the message after those that were appended."""
        return self._run.next_msg_id

    def append(self) -> list[Answer]:
        """Judge and number every draft, write all rows, and answer per draft."""
        answers = [self._append(draft) for draft in self._drafts]
        if self._run.bodies:
            self._write()
        return answers

    def bring(self, draft: ImportDraft) -> Answer:
        """Judge an import as what it brings, and write its rows."""
        refused = self._run.judge(draft.message, *self._run.find(draft.message))
        if refused is not None:
            return refused
        self._make(draft.message)
        answer = self._run.bring(draft)
        self._write()
        _IMPORTED.run(self._conn, self._run.imported)
        return answer

    def _read_keys(
        self, parties: Mapping[Named, Moving], last_key: str
    ) -> dict[tuple[int, str], tuple[str, int, int]]:
        """Read what keys were used for. No number above the last was: few are looked up that count or tell the time."""
        # The table is in the order of UTF-8's bytes, which is that of code points, by which Python compares.
        wanted = [
            (sender.id, draft.key)
            for draft in self._drafts
            if draft.key
            and not last_key < draft.key < ":"
            and (sender := parties.get((draft.app, draft.sender_xid)))
        ]
        if not wanted:
            return {}
        return {
            (sender_id, key): (digest, first, last)
            for sender_id, key, digest, first, last in _KEYS.read(self._conn, wanted)
        }

    def _append(self, draft: MessageDraft) -> Answer:
        run = self._run
        sender, targets = run.find(draft)
        refusal = run.judge(draft, sender, targets)
        if refusal is not None:
            return refusal
        if sender is None or None in targets:
            self._make(draft)
            sender, targets = run.find(draft)
        return run.number(draft, cast("Moving", sender), cast("Sequence[Moving]", targets))

    def _make(self, draft: MessageDraft) -> None:
        """Let those come into being whom a draft names for the first time."""
        for app, xid in self._run.unknown(draft):
            if not self._next_id:
                self._next_id = one(self._conn, "SELECT coalesce(max(id), 0) + 1 FROM timeline")[0]
            self._run.add(Moving(app, xid, self._next_id))
            self._made.append((self._next_id, app, draft.at))
            self._next_id += 1

    def _write(self) -> None:
        conn, run = self._conn, self._run
        moved = run.moved()
        if self._made:
            _MAKE_USERS.run(conn, self._made)
        _BODIES.run(conn, run.bodies)
        _MESSAGES.run(conn, run.messages)
        last = run.next_msg_id - 1
        if len(self._hours) > 1 or self._covered is None or self._covered < last:
            cover(conn, self._hours, run.messages[0][0], last)
        mark(conn, self._related.marks)
        if run.hidden:
            _HIDDEN.run(conn, run.hidden)
        # In the order of the tree: the next place is mostly near the last one.
        _ENTRIES.run(conn, entries_of(moved))
        # In the order of the tree, too: by key.
        _DEDUP.run(conn, sorted(run.keys))
        _HEADS.run(
            conn, [(party.id, party.app, party.xid, party.kind, party.head, party.last) for party, _ in moved]
        )
        count(conn, run.stored)
        passed = run.trimmable(self._history_max)
        if passed:
            trim(conn, passed, self._history_max)
