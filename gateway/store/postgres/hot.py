"""The one statement that judges, numbers and keeps a run of plain message drafts: one round trip, one commit.

Its parts run in the order of the locks (design §4): transaction keys, then the heads of all parties, and behind a
barrier that has read every one of them the message ids. What it judges before is read from its snapshot; whether that
still holds under the locks is told by the heads that move. If one does not, there is no answer to keep, and the
statement fails as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.domain.drafts import Answer, Appended, MessageDraft, Stale
from gateway.domain.model import ROW_BYTES, EntryKind, Scope, State
from gateway.store import refusals
from gateway.store.hours import HOUR_MS
from gateway.store.postgres.hours import covering
from gateway.store.rows import LISTED, PASSING, RECEIVERS, flags_of
from gateway.store.run import stored_bytes

# The verdict on a target, and how many of them there is room for beside the target's number.
_SENDER_NOT_USER, _SENDER_UNKNOWN, _SENDER_FROZEN = 1, 2, 3
_NOT_USER, _UNKNOWN, _BLOCKED, _NO_GROUP, _STALE, _FULL = 4, 5, 6, 7, 8, 9
_VERDICTS = 16
_KEPT, _OPEN = 0, -1

# How many rows an array has is not known when the statement is planned, and a guess of ten makes the parts be joined
# by nested loops; generate_series is taken for a thousand. For the same reason what is filtered by is a boolean, which
# is taken for a half and not for a few in a thousand. A lookup that ends at the first row stays an index search for
# each, whatever the planner thinks of the size of a table.
HOT = f"""
WITH drafts AS MATERIALIZED (
    SELECT * FROM ROWS FROM (
        generate_series(1, $4::integer), unnest($5::bigint[]), unnest($6::bigint[]), unnest($7::bigint[]),
        unnest($8::bigint[]), unnest($9::boolean[]), unnest($10::boolean[]), unnest($11::boolean[]),
        unnest($12::integer[]), unnest($13::integer[]), unnest($14::bigint[]), unnest($15::bigint[]),
        unnest($16::text[]), unnest($17::text[]), unnest($18::bigint[]), unnest($19::bigint[]),
        unnest($20::bigint[]), unnest($21::text[]), unnest($22::text[]), unnest($23::text[]), unnest($24::text[]),
        unnest($29::boolean[])
    ) AS d (i, id, app, sender_xid, sn, to_group, copied, make, ctype, flags, at, expires_at, key, digest,
        first_k, targets, size, content, attachment, config, ext, unjudged)
), asked AS MATERIALIZED (
    SELECT * FROM ROWS FROM (
        generate_series(1, $25::integer), unnest($26::integer[]), unnest($27::bigint[]), unnest($28::bigint[])
    ) AS a (k, i, xid, version)
), apps AS MATERIALIZED (
    SELECT a.id, a.system, CASE WHEN a.storage_bytes_max > 0 THEN a.storage_bytes_max - coalesce(
        (SELECT sum(u.bytes) FROM usage AS u WHERE u.app = a.id), 0) END AS room
    FROM app AS a WHERE a.id = ANY($3::bigint[])
), judged AS MATERIALIZED (
    SELECT a.k, a.i, a.xid, a.version, s.id AS sender_id, t.id AS target_id,
        CASE
        WHEN s.kind <> {Scope.USER:d} THEN {_SENDER_NOT_USER}
        WHEN s.state = {State.FROZEN:d} AND NOT d.unjudged THEN {_SENDER_FROZEN}
        WHEN s.state = {State.DELETED:d} OR s.id IS NULL AND NOT d.make THEN {_SENDER_UNKNOWN}
        WHEN d.to_group THEN CASE
            WHEN t.kind = {Scope.GROUP:d} THEN CASE WHEN t.facts_version = a.version THEN 0 ELSE {_STALE} END
            ELSE {_NO_GROUP} END
        WHEN t.kind <> {Scope.USER:d} THEN {_NOT_USER}
        WHEN t.state = {State.DELETED:d} OR t.id IS NULL AND NOT d.make THEN {_UNKNOWN}
        WHEN (d.copied OR d.flags & {LISTED | RECEIVERS} <> 0) AND NOT d.unjudged AND (
            EXISTS (SELECT 1 FROM block AS b WHERE b.usr = s.id AND b.blocked = t.id)
            OR EXISTS (SELECT 1 FROM block AS b WHERE b.usr = t.id AND b.blocked = s.id)) THEN {_BLOCKED}
        ELSE 0 END AS verdict
    FROM asked AS a JOIN drafts AS d ON d.i = a.i
    LEFT JOIN LATERAL (SELECT id, kind, state FROM timeline
        WHERE app = d.app AND xid = d.sender_xid LIMIT 1) AS s ON true
    LEFT JOIN LATERAL (SELECT id, kind, state, facts_version FROM timeline
        WHERE app = d.app AND xid = a.xid LIMIT 1) AS t ON true
), found AS MATERIALIZED (
    SELECT i, coalesce(min(k * {_VERDICTS} + verdict) FILTER (WHERE verdict > 0), 0) AS verdict,
        bool_and(verdict = 0) AS passed
    FROM judged GROUP BY i
), beyond AS MATERIALIZED (
    SELECT i, size > room AS alone FROM (
        SELECT d.i, a.room, d.size, sum(CASE WHEN d.size <= a.room THEN d.size ELSE 0 END)
            OVER (PARTITION BY d.app ORDER BY d.i) AS total
        FROM apps AS a JOIN drafts AS d ON d.app = a.id JOIN found AS f ON f.i = d.i AND f.passed
        WHERE a.room IS NOT NULL) AS counted
    WHERE size > room OR total > room
), keys AS (
    INSERT INTO dedup (app, sender_xid, key, digest, draft)
    SELECT d.app, d.sender_xid, d.key, d.digest, d.id FROM drafts AS d JOIN found AS f ON f.i = d.i
    WHERE d.key <> '' AND f.passed AND d.i NOT IN (SELECT i FROM beyond)
    ORDER BY d.app, d.sender_xid, d.key
    ON CONFLICT (app, sender_xid, key) DO NOTHING
    RETURNING draft
), kept AS MATERIALIZED (
    SELECT d.* FROM drafts AS d JOIN found AS f ON f.i = d.i
    WHERE f.passed AND d.i NOT IN (SELECT i FROM beyond)
        AND (d.key = '' OR d.id IN (SELECT draft FROM keys))
), events AS MATERIALIZED (
    SELECT j.k, false AS copy, 1 AS n, d.app, j.xid, j.version, d.at, j.target_id IS NULL AS made,
        CASE WHEN d.to_group THEN {Scope.GROUP:d} ELSE {Scope.USER:d} END AS kind
    FROM judged AS j JOIN kept AS d ON d.i = j.i
    UNION ALL
    -- Who gets no entry is locked all the same: whoever is of a conversation is locked by whatever comes into it.
    -- But for `system`, whose notices would all wait for each other: what is between it and somebody locks that one.
    SELECT j.k, true, d.copied::integer, d.app, d.sender_xid, 0, d.at, j.sender_id IS NULL, {Scope.USER:d}
    FROM judged AS j JOIN kept AS d ON d.i = j.i LEFT JOIN apps AS a ON a.id = d.app
    WHERE (d.to_group OR j.xid <> d.sender_xid) AND (d.copied OR j.sender_id IS DISTINCT FROM a.system)
), parties AS MATERIALIZED (
    SELECT app, xid, kind, sum(n) AS n, max(version) AS version FROM events GROUP BY app, xid, kind
), heads AS (
    INSERT INTO timeline (app, xid, kind, head, facts_version)
    SELECT app, xid, kind, n, version FROM parties ORDER BY app, xid
    ON CONFLICT (app, xid) DO UPDATE SET head = timeline.head + excluded.head
    WHERE timeline.kind = excluded.kind AND timeline.state <> {State.DELETED:d}
        AND (timeline.kind = {Scope.USER:d} OR timeline.facts_version = excluded.facts_version)
    RETURNING id, app, xid, head
), ids AS MATERIALIZED (
    SELECT nextval('msg_id') AS first WHERE (SELECT count(*) FROM heads) > 0
), moved AS MATERIALIZED (
    SELECT e.k, e.copy, e.n, h.id,
        h.head + 1 - sum(e.n) OVER (PARTITION BY h.id ORDER BY e.k DESC, e.copy DESC) AS seq
    FROM events AS e JOIN heads AS h ON h.app = e.app AND h.xid = e.xid
), landed AS MATERIALIZED (
    SELECT j.k, ids.first + j.k - 1 AS msg_id, r.id AS target, r.seq,
        coalesce(c.id, j.sender_id, r.id) AS sender, CASE WHEN c.n = 1 THEN c.seq ELSE 0 END AS copied_at,
        d.to_group, d.sn, d.ctype, d.flags, d.at, d.expires_at, d.id AS body
    FROM ids CROSS JOIN judged AS j JOIN kept AS d ON d.i = j.i
    JOIN moved AS r ON r.k = j.k AND NOT r.copy LEFT JOIN moved AS c ON c.k = j.k AND c.copy
), made_users AS (
    INSERT INTO "user" (id, app, created_at)
    SELECT h.id, h.app, min(e.at) FROM events AS e JOIN heads AS h ON h.app = e.app AND h.xid = e.xid
    WHERE e.made GROUP BY h.id, h.app ORDER BY h.id
    ON CONFLICT (id) DO NOTHING
), bodies AS (
    INSERT INTO body (id, refs, size, content, attachment, config, ext)
    SELECT id, targets, size - {ROW_BYTES} * targets, content, attachment, config, ext FROM kept
), messages AS (
    INSERT INTO message (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, body, shown, expires_at)
    SELECT msg_id, target, CASE WHEN to_group THEN 0 ELSE sender END, sender, sn, seq, ctype,
        CASE WHEN target = sender THEN flags & ~{RECEIVERS} ELSE flags END, at, body,
        CASE WHEN flags & {PASSING} = 0 THEN 1 ELSE 0 END, expires_at FROM landed
), hours AS (
    {covering(f"SELECT at / {HOUR_MS} AS hour, min(msg_id) AS first, max(msg_id) AS last FROM landed GROUP BY 1")}
), entries AS (
    INSERT INTO entry (t, seq, kind, msg_id, data)
    SELECT m.id, m.seq, {EntryKind.MESSAGE:d}, ids.first + m.k - 1, '' FROM ids CROSS JOIN moved AS m WHERE m.n = 1
), conversations AS (
    INSERT INTO conversation (usr, opp, last)
    SELECT usr, opp, max(msg_id) FROM (
        SELECT target AS usr, sender AS opp, msg_id FROM landed WHERE NOT to_group
        UNION ALL SELECT sender, target, msg_id FROM landed
            WHERE copied_at > 0 OR NOT to_group AND flags & {LISTED} <> 0) AS told
    GROUP BY usr, opp ORDER BY usr, opp
    ON CONFLICT (usr, opp) DO UPDATE SET last = greatest(conversation.last, excluded.last)
), newest_ids AS (
    INSERT INTO newest (grp, msg_id)
    SELECT target, max(msg_id) FROM landed WHERE to_group GROUP BY target ORDER BY target
    ON CONFLICT (grp) DO UPDATE SET msg_id = greatest(newest.msg_id, excluded.msg_id)
), answered AS (
    INSERT INTO answer (draft, first_msg_id, last_msg_id)
    SELECT d.id, ids.first + d.first_k - 1, ids.first + d.first_k + d.targets - 2
    FROM ids CROSS JOIN kept AS d WHERE d.key <> ''
), used AS (
    INSERT INTO usage (app, slot, bytes) SELECT app, $2::integer, sum(size) FROM kept GROUP BY app ORDER BY app
    ON CONFLICT (app, slot) DO UPDATE SET bytes = usage.bytes + excluded.bytes
), told AS MATERIALIZED (
    SELECT CASE WHEN (SELECT count(*) FROM heads) = (SELECT count(*) FROM parties) THEN convert_to(concat_ws(' ',
        coalesce((SELECT first FROM ids), 0),
        (SELECT string_agg((CASE WHEN f.verdict > 0 THEN f.verdict WHEN f.i IN (SELECT i FROM kept) THEN {_KEPT}
            WHEN f.i IN (SELECT i FROM beyond WHERE alone) THEN {_FULL} ELSE {_OPEN} END)::text, ' ' ORDER BY f.i)
            FROM found AS f),
        (SELECT string_agg(concat_ws(' ', target, seq, sender, copied_at), ' ' ORDER BY k) FROM landed)
    ), 'UTF8') END AS answers
), noted AS (
    INSERT INTO batch (key, answers) SELECT $1::text, answers FROM told WHERE EXISTS (SELECT 1 FROM kept)
)
SELECT answers FROM told
"""


class Question(msgspec.Struct, frozen=True):
    """What `HOT` is asked about a run of drafts, without its key: the same however often it is asked."""

    drafts: Sequence[MessageDraft]
    params: Sequence[Any]


def ask(drafts: Sequence[MessageDraft], draft_ids: Sequence[int], slot: int) -> Question:
    """Put a run of drafts into columns. No two of them have a key in common."""
    firsts: list[int] = []
    owners: list[int] = []
    xids: list[int] = []
    versions: list[int] = []
    for number, draft in enumerate(drafts, 1):
        firsts.append(len(xids) + 1)
        xids += draft.targets
        count = len(draft.targets)
        owners += [number] * count
        versions += draft.judged or [0] * count
    return Question(
        drafts,
        (
            slot,
            list({draft.app for draft in drafts}),
            len(drafts),
            draft_ids,
            [draft.app for draft in drafts],
            [draft.sender_xid for draft in drafts],
            [draft.sender_sn for draft in drafts],
            [draft.scope is Scope.GROUP for draft in drafts],
            [draft.copied and draft.scope is Scope.USER for draft in drafts],
            [draft.create for draft in drafts],
            [draft.ctype for draft in drafts],
            [flags_of(draft) for draft in drafts],
            [draft.at for draft in drafts],
            [draft.expires_at for draft in drafts],
            [draft.key for draft in drafts],
            [draft.digest for draft in drafts],
            firsts,
            [len(draft.targets) for draft in drafts],
            [stored_bytes(draft) for draft in drafts],
            [draft.content for draft in drafts],
            [draft.attachment for draft in drafts],
            [draft.config for draft in drafts],
            [draft.ext for draft in drafts],
            len(xids),
            owners,
            xids,
            versions,
            [draft.unjudged for draft in drafts],
        ),
    )


def understand(question: Question, answers: bytes) -> list[Answer | None]:
    """Read what `HOT` has answered.

    None for a draft that is to be asked again: its key is another's, or it would fit but for those before it, some of
    which may not have been kept.
    """
    numbers = [int(number) for number in answers.split()]
    next_msg_id = numbers[0]
    place = 1 + len(question.drafts)
    first_k = 1
    read: list[Answer | None] = []
    for draft, verdict in zip(question.drafts, numbers[1:place], strict=True):
        count = len(draft.targets)
        if verdict == _KEPT:
            end = place + 4 * count
            read.append(
                Appended(
                    next_msg_id,
                    list(zip(numbers[place:end:4], numbers[place + 1 : end : 4], strict=True)),
                    numbers[place + 2],
                    [seq for seq in numbers[place + 3 : end : 4] if seq],
                    draft.expires_at,
                )
            )
            place = end
        else:
            read.append(None if verdict == _OPEN else _refusal(draft, verdict, first_k))
        next_msg_id += count
        first_k += count
    if place != len(numbers):
        raise ValueError("the store has answered fewer or more drafts than it was asked for")
    return read


def _refusal(draft: MessageDraft, verdict: int, first_k: int) -> Answer:
    """Say what a verdict means; it comes with the number of the target that it was found at."""
    k, code = divmod(verdict, _VERDICTS)
    xid = draft.targets[k - first_k] if k else 0
    sentences: dict[int, Callable[[], Answer]] = {
        _SENDER_NOT_USER: lambda: refusals.sender_not_user(draft.sender_xid),
        _SENDER_UNKNOWN: lambda: refusals.sender_refused(State.DELETED, draft.sender_xid),
        _SENDER_FROZEN: lambda: refusals.sender_refused(State.FROZEN, draft.sender_xid),
        _NOT_USER: lambda: refusals.target_not_user(xid),
        _UNKNOWN: lambda: refusals.target_unknown(xid),
        _BLOCKED: lambda: refusals.between(draft.sender_xid, xid),
        _NO_GROUP: lambda: refusals.group_unknown(xid),
        _STALE: Stale,
        _FULL: refusals.storage_full,
    }
    return sentences[code]()
