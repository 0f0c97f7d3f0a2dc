"""The laws of users and jobs (design §3, §9), and names for the sentences of all: each law is a question to the store.

It selects one sentence per breach, and nothing else. Every engine asks these in the same words; the others are asked in
each engine's own, since they are about most rows of the store.
"""

from __future__ import annotations

from gateway.domain.drafts import JobKind
from gateway.domain.model import PLATFORM_MAX, ROOM, EntryKind, Scope, State

_USER, _GROUP = int(Scope.USER), int(Scope.GROUP)
_MESSAGE = int(EntryKind.MESSAGE)
_KINDS = ", ".join(f"'{kind}'" for kind in JobKind)


def who(column: str) -> str:
    """Name a user or group by the id of its timeline, for a sentence: worked out for breaches only."""
    return f"""coalesce((SELECT CASE named.kind WHEN {_GROUP} THEN 'group ' ELSE 'user ' END || named.xid
        || ' of app ' || coalesce((SELECT app_id FROM app WHERE id = named.app), CAST(named.app AS TEXT))
        FROM timeline AS named WHERE named.id = {column}), 'nobody (timeline ' || {column} || ')')"""


def trimmed(timeline: str, msg_id: str) -> str:
    """Say whether a message is one that a chatroom has let go of: ids rise with seqs, and the newest one stays."""
    return f"""(EXISTS (SELECT 1 FROM grp AS r WHERE r.id = {timeline} AND r.type = {ROOM}) AND {msg_id} < coalesce((
        SELECT x.msg_id FROM entry AS x WHERE x.t = {timeline} AND x.kind = {_MESSAGE} ORDER BY x.seq LIMIT 1), 0))"""


ACCOUNT_LAWS: tuple[str, ...] = (
    f"""
    SELECT {who("t.id")} || ' has state ' || t.state || CASE
        WHEN t.state NOT BETWEEN {State.NORMAL:d} AND {State.DELETED:d} THEN ', which there is not'
        ELSE ', which is for users only' END
    FROM timeline AS t LEFT JOIN app AS a ON a.system = t.id
    WHERE t.state NOT BETWEEN {State.NORMAL:d} AND {State.DELETED:d}
        OR t.state <> {State.NORMAL:d} AND (t.kind <> {_USER} OR a.id IS NOT NULL)
    """,
    f"""
    SELECT {who("u.id")} || ' is deleted and still has ' || CASE WHEN u.name IS NOT NULL OR u.password <> ''
        THEN 'a name or a password' ELSE 'a profile' END FROM "user" AS u
    JOIN timeline AS t ON t.id = u.id
    WHERE t.state = {State.DELETED:d} AND (u.name IS NOT NULL OR u.password <> ''
        OR u.nickname || u.avatar || u.description || u.public_info || u.private_info <> '')
    """,
    f"""
    SELECT {who("u.id")} || ' has tokens from ' || u.valid_from_ms || ' on, which is no whole second' FROM "user" AS u
    WHERE u.valid_from_ms < 0 OR u.valid_from_ms % 1000 <> 0
    """,
    f"""
    SELECT 'device ' || d.sn || ' of ' || {who("d.usr")} || CASE WHEN d.platform BETWEEN 0 AND {PLATFORM_MAX}
        THEN ' is kept, and there is nobody to use it' ELSE ' is on platform ' || d.platform END
    FROM device AS d LEFT JOIN timeline AS t ON t.id = d.usr LEFT JOIN app AS a ON a.system = d.usr
    WHERE d.platform NOT BETWEEN 0 AND {PLATFORM_MAX} OR coalesce(t.kind <> {_USER}, true) OR a.id IS NOT NULL
    """,
    f"""
    SELECT {who("k.usr")} || ' cannot have blocked ' || {who("k.blocked")} FROM block AS k
    LEFT JOIN timeline AS u ON u.id = k.usr LEFT JOIN timeline AS b ON b.id = k.blocked
    LEFT JOIN app AS a ON a.system IN (k.usr, k.blocked)
    WHERE k.usr = k.blocked OR a.id IS NOT NULL
        OR NOT coalesce(u.kind = {_USER} AND b.kind = {_USER} AND u.app = b.app, false)
    """,
)

JOB_LAWS: tuple[str, ...] = (
    f"""
    SELECT 'job ' || j.id || CASE
        WHEN j.kind NOT IN ({_KINDS}) THEN ' is of the unknown kind ' || j.kind
        WHEN a.id IS NULL THEN ' is of an app that does not exist'
        WHEN j.finished <> 0 AND j.data <> '' THEN ' is finished and still has its text'
        ELSE ' has got to ' || j.progress || ', where no job can be' END
    FROM job AS j LEFT JOIN app AS a ON a.id = j.app
    WHERE j.kind NOT IN ({_KINDS}) OR a.id IS NULL OR (j.finished <> 0 AND j.data <> '') OR j.progress < 0 OR j.done < 0
    """,
)
