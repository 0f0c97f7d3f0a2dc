"""Appending a batch on SQLite: everything here runs on the writer's thread, inside one transaction.

Message drafts of a batch are read, judged and numbered together and written with one statement per table
(design §4, "The batch is the unit all the way"). Rarer drafts take their turn between them, one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from gateway.domain.drafts import Answer, Appended, Draft, JobDraft, MessageDraft, StepDraft
from gateway.domain.group_drafts import GroupChange
from gateway.domain.limits import Limits
from gateway.domain.model import EntryKind, Scope, State
from gateway.store.related import Related
from gateway.store.run import Moving, Named, Run, blockable, named, receiving
from gateway.store.sqlite import jobs
from gateway.store.sqlite.blocks import ANY_BLOCK, blocked_pairs
from gateway.store.sqlite.changes import append_change
from gateway.store.sqlite.directed import members_among
from gateway.store.sqlite.group_changes import append_group_change
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.related import find_related, mark
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
        apps = list({draft.app for draft in drafts})
        next_msg_id, next_body_id, any_block, room = one(conn, _NEXT, (rows(apps),))
        parties = {
            (app, xid): Moving(*party)
            for app, xid, *party in table(conn, _PARTIES, (rows(list(named(drafts))),))
        }
        directed = receiving(drafts, parties)
        self._related = Related(find_related(conn, drafts, limits.related_max), limits.related_max)
        self._run = Run(
            parties=parties,
            known=self._read_keys(parties),
            members=members_among(conn, directed) if directed else (),
            blocked=blocked_pairs(conn, blockable(drafts, parties)) if any_block else (),
            room=dict(msgspec.json.decode(room)),
            related=self._related,
            next_msg_id=next_msg_id,
            next_body_id=next_body_id,
        )
        self._made: list[tuple[int, int, int, int]] = []
        self._next_id = 0

    def append(self) -> list[Answer]:
        """Judge and number every draft, write all rows, and answer per draft."""
        answers = [self._run.judge(draft) or self._number(draft) for draft in self._drafts]
        if self._run.bodies:
            self._write()
        return answers

    def _read_keys(self, parties: Mapping[Named, Moving]) -> dict[tuple[int, str], tuple[str, int, int]]:
        wanted = [
            (sender.id, draft.key)
            for draft in self._drafts
            if draft.key and (sender := parties.get((draft.app, draft.sender_xid)))
        ]
        if not wanted:
            return {}
        return {
            (sender_id, key): (digest, first, last)
            for sender_id, key, digest, first, last in table(self._conn, _KEYS, (rows(wanted),))
        }

    def _number(self, draft: MessageDraft) -> Appended:
        for party in self._run.unknown(draft):
            if not self._next_id:
                self._next_id = one(self._conn, "SELECT coalesce(max(id), 0) + 1 FROM timeline")[0]
            self._run.add(party, Moving(self._next_id, Scope.USER, 0, 0, 0, State.NORMAL))
            self._made.append((self._next_id, *party, draft.at))
            self._next_id += 1
        return self._run.number(draft)

    def _write(self) -> None:
        conn, run = self._conn, self._run
        if self._made:
            made = rows(self._made)
            conn.execute(_MAKE_TIMELINES, (made,))
            conn.execute(_MAKE_USERS, (made,))
        conn.execute(_BODIES, (rows(run.bodies),))
        conn.execute(_MESSAGES, (rows(run.messages),))
        mark(conn, self._related.marks)
        conn.execute(_ENTRIES, (rows(run.entries),))
        if run.conversations:
            pairs = [(usr, opp, last) for (usr, opp), last in run.conversations.items()]
            conn.execute(_CONVERSATIONS, (rows(pairs),))
        if run.keys:
            conn.execute(_DEDUP, (rows(run.keys),))
        moved = [(party.id, party.head, party.last) for party in run.moved.values()]
        conn.execute(_HEADS, (rows(moved),))
        count(conn, run.stored)
        conn.execute("UPDATE meta SET next_msg_id = ?", (run.next_msg_id,))
        passed = run.trimmable(self._history_max)
        if passed:
            trim(conn, passed, self._history_max)
