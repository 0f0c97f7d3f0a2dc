"""Messages that need more than the one statement (`hot.py`), one draft at a time inside a transaction.

Keys, then the heads of all whom it names, then whatever it is judged by, then its ids: what is judged is read once
nobody else can change it (design §4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from gateway.domain.drafts import Answer, ImportDraft, MessageDraft
from gateway.domain.limits import Limits
from gateway.domain.model import EntryKind
from gateway.store.postgres.blocks import blocked_pairs
from gateway.store.postgres.directed import members_among
from gateway.store.postgres.heads import keep_made, lock_named
from gateway.store.postgres.hours import cover
from gateway.store.postgres.keys import find_keys
from gateway.store.postgres.lane import Conn, OvertakenError
from gateway.store.postgres.related import find_related, mark
from gateway.store.postgres.rooms import trim
from gateway.store.postgres.texts import count
from gateway.store.postgres.users import find_users_named, make_named
from gateway.store.related import Related
from gateway.store.run import Moving, Named, Run, blockable, entries_of, known_as, named, receiving

_BEGIN = """
SELECT nextval('draft_id'), t.xid, CASE WHEN a.storage_bytes_max > 0 THEN a.storage_bytes_max - coalesce(
    (SELECT sum(u.bytes) FROM usage AS u WHERE u.app = a.id), 0)::bigint END
FROM app AS a JOIN timeline AS t ON t.id = a.system WHERE a.id = $1
"""
_TAKE_KEY = """
INSERT INTO dedup (app, sender_xid, key, digest, draft) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (app, sender_xid, key) DO NOTHING RETURNING draft
"""
_PARTIES = """
SELECT app, xid, id, kind, head, facts_version, 0, state FROM timeline WHERE app = $1 AND xid = ANY ($2::bigint[])
"""
_HEADS = """
UPDATE timeline SET head = j.head FROM unnest($1::bigint[], $2::bigint[]) AS j (id, head) WHERE timeline.id = j.id
"""
_BODY = (
    "INSERT INTO body (id, refs, size, content, attachment, config, ext) VALUES ($1, $2, $3, $4, $5, $6, $7)"
)
_MESSAGES = """
INSERT INTO message (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, body, shown)
SELECT j.*, 1 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::integer[], $8::integer[], $9::bigint[], $10::bigint[]) AS j
"""
_ENTRIES = f"""
INSERT INTO entry (t, seq, kind, msg_id, data)
SELECT t, seq, {EntryKind.MESSAGE:d}, msg_id, ''
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS j (t, seq, msg_id)
"""
_CONVERSATIONS = """
INSERT INTO conversation (usr, opp, last)
SELECT usr, opp, last FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS j (usr, opp, last) ORDER BY usr, opp
ON CONFLICT (usr, opp) DO UPDATE SET last = greatest(conversation.last, excluded.last)
"""
_NEWEST = """
INSERT INTO newest (grp, msg_id) SELECT grp, msg_id FROM unnest($1::bigint[], $2::bigint[]) AS j (grp, msg_id)
ORDER BY grp ON CONFLICT (grp) DO UPDATE SET msg_id = greatest(newest.msg_id, excluded.msg_id)
"""
_HIDDEN = """
INSERT INTO hidden (msg_id, usr) SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT (msg_id, usr) DO NOTHING
"""
_IMPORTED = "INSERT INTO imported (msg_id, shown_at, place) VALUES ($1, $2, $3)"
_ANSWER = "INSERT INTO answer (draft, first_msg_id, last_msg_id) VALUES ($1, $2, $3)"


async def append_message(conn: Conn, draft: MessageDraft, limits: Limits) -> Answer:
    """Append one message draft. Where it is refused, the transaction is to be undone."""
    draft_id, system_xid, room = await conn.fetchrow(_BEGIN, draft.app)
    if draft.key and not await _take_key(conn, draft, draft_id):
        found = await find_keys(conn, [draft])
        if not found:
            # It was forgotten between the two, with the last of its messages.
            raise OvertakenError
        return known_as(draft, *found[0])
    run = await _open(conn, draft, limits, draft_id, system_xid, room)
    sender, targets = run.find(draft)
    refusal = run.judge(draft, sender, targets)
    if refusal is not None:
        return refusal
    run.next_msg_id = await conn.fetchval("SELECT nextval('msg_id')")
    # Whoever was missing has been made.
    answer = run.number(draft, cast("Moving", sender), cast("Sequence[Moving]", targets))
    await _write(conn, run, draft_id)
    await cover(conn, draft.at, answer.first_msg_id, run.next_msg_id - 1)
    passed = run.trimmable(limits.room_history_max)
    if passed:
        await trim(conn, passed, limits.room_history_max)
    await count(conn, run.stored)
    return answer


async def append_import(conn: Conn, draft: ImportDraft, limits: Limits) -> Answer:
    """Append one import. Where it is refused, the transaction is to be undone."""
    draft_id, system_xid, room = await conn.fetchrow(_BEGIN, draft.app)
    if draft.names:
        if draft.message.create:
            found = await make_named(conn, draft.app, draft.names, draft.at)
        else:
            found = await find_users_named(conn, draft.app, draft.names)
        draft = draft.called({name: user.xid for name, user in found.items()})
    run = await _open(conn, draft.message, limits, draft_id, system_xid, room)
    refusal = run.judge(draft.message, *run.find(draft.message))
    if refusal is not None:
        return refusal
    run.next_msg_id = await conn.fetchval("SELECT nextval('msg_id')")
    answer = run.bring(draft)
    await _write(conn, run, draft_id)
    await conn.execute(_IMPORTED, *run.imported[0])
    await count(conn, run.stored)
    return answer


async def _open(
    conn: Conn, draft: MessageDraft, limits: Limits, draft_id: int, system_xid: int, room: int | None
) -> Run:
    """Lock the heads of whom a draft names, make those who are not there, and read what it is judged by."""
    xids = {xid for _, xid in named([draft])}
    # What `system` says would wait for itself; what is between it and somebody locks that one.
    parties_xids = draft.parties
    locked = parties_xids if draft.copied or draft.sender_xid != system_xid else parties_xids - {system_xid}
    made = await lock_named(conn, draft.app, locked, make=draft.create)
    await keep_made(conn, draft.app, made, made, draft.at)
    parties: dict[Named, Moving] = {
        (party[0], party[1]): Moving(*party) for party in await conn.fetch(_PARTIES, draft.app, list(xids))
    }
    return Run(
        parties=parties,
        known={},
        members=await members_among(conn, receiving([draft], parties)),
        blocked=await blocked_pairs(conn, blockable([draft], parties)),
        room={} if room is None else {draft.app: room},
        related=Related(await find_related(conn, draft, limits.related_max), limits.related_max),
        next_msg_id=0,
        next_body_id=draft_id,
    )


async def _take_key(conn: Conn, draft: MessageDraft, draft_id: int) -> bool:
    taken = await conn.fetchval(_TAKE_KEY, draft.app, draft.sender_xid, draft.key, draft.digest, draft_id)
    return taken is not None


async def _write(conn: Conn, run: Run, draft_id: int) -> None:
    moved = run.moved()
    await conn.execute(_HEADS, [party.id for party, _ in moved], [party.head for party, _ in moved])
    [body] = run.bodies
    await conn.execute(_BODY, *body)
    await conn.execute(_MESSAGES, *_columns(run.messages))
    await mark(conn, run.related.marks)
    if run.hidden:
        await conn.execute(_HIDDEN, *_columns(run.hidden))
    entries = entries_of(moved)
    if entries:
        await conn.execute(_ENTRIES, *_columns(entries))
    if run.conversations:
        pairs = [
            (usr, opp, last) for usr, brought in run.conversations.items() for opp, last in brought.items()
        ]
        await conn.execute(_CONVERSATIONS, *_columns(pairs))
    to_groups = [(target, msg_id) for msg_id, target, peer, *_ in run.messages if not peer]
    if to_groups:
        await conn.execute(_NEWEST, *_columns(to_groups))
    for _, _, _, first_msg_id, last_msg_id in run.keys:
        await conn.execute(_ANSWER, draft_id, first_msg_id, last_msg_id)


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Turn rows, at least one, into arrays for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)]
