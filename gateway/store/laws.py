"""Laws that every engine asks in the same words (design §3, §9), and names for the sentences of all.

Each law is a question to the store that selects one sentence per breach, and nothing else. The others are asked in each
engine's own words, for its tables or its planner.
"""

from __future__ import annotations

from gateway.domain.drafts import JobKind
from gateway.domain.model import PLATFORM_MAX, ROOM, EntryKind, Scope, State
from gateway.store.hours import HOUR_MS
from gateway.store.rows import (
    FOLDED_TYPES,
    GONE,
    HIDING,
    IMPORTED,
    LISTED,
    ONE_SIDED,
    PASSING,
    RECEIVERS,
    SENDERS,
    SETTLED,
    UNCOPIED,
    is_folded,
)

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


# Dense between floor and head; the head is the greatest seq, or the floor where nothing is left.
DENSE_LAW = f"""
WITH found AS (SELECT t, count(*) AS n, min(seq) AS low, max(seq) AS high FROM entry GROUP BY t)
SELECT CASE
    WHEN t.floor < 0 OR t.head < t.floor THEN 'the timeline of ' || {who("t.id")} || ' has its head ' || t.head
        || ' below its floor ' || t.floor
    WHEN f.high > t.head THEN 'the timeline of ' || {who("t.id")} || ' has an entry at seq ' || f.high
        || ', above its head ' || t.head
    WHEN f.low <= t.floor THEN 'the timeline of ' || {who("t.id")} || ' has an entry at seq ' || f.low
        || ', not above its floor ' || t.floor
    ELSE 'the timeline of ' || {who("t.id")} || ' misses ' || (t.head - t.floor - coalesce(f.n, 0))
        || ' of its ' || (t.head - t.floor) || ' entries, the first at seq ' || (
            SELECT min(b.seq) + 1 FROM (
                SELECT t.floor AS seq UNION ALL SELECT o.seq FROM entry AS o WHERE o.t = t.id) AS b
            WHERE NOT EXISTS (SELECT 1 FROM entry AS a WHERE a.t = t.id AND a.seq = b.seq + 1)) END
FROM timeline AS t LEFT JOIN found AS f ON f.t = t.id
WHERE t.floor < 0 OR t.head < t.floor OR f.high > t.head OR f.low <= t.floor
    OR t.head - t.floor <> coalesce(f.n, 0)
"""

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
        THEN 'a name or a password' WHEN u.metadata <> '{{}}' THEN 'metadata' ELSE 'a profile' END FROM "user" AS u
    JOIN timeline AS t ON t.id = u.id
    WHERE t.state = {State.DELETED:d} AND (u.name IS NOT NULL OR u.password <> '' OR u.metadata <> '{{}}'
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
    f"""
    SELECT {who("c.usr")} || CASE WHEN b.usr IS NULL THEN ' knows ' || {who("c.contact")} || ', and is not known'
        ELSE ' cannot know ' || {who("c.contact")} END
    FROM contact AS c LEFT JOIN contact AS b ON b.usr = c.contact AND b.contact = c.usr
    LEFT JOIN timeline AS u ON u.id = c.usr LEFT JOIN timeline AS o ON o.id = c.contact
    WHERE b.usr IS NULL OR c.usr = c.contact OR NOT coalesce(u.kind = {_USER} AND o.kind = {_USER} AND u.app = o.app
        AND u.state <> {State.DELETED:d} AND o.state <> {State.DELETED:d}, false)
    """,
    f"""
    SELECT {who("l.usr")} || ' cannot be listed in ' || {who("l.grp")} FROM listed AS l
    LEFT JOIN grp AS g ON g.id = l.grp AND g.type = {ROOM} AND g.destroyed_at IS NULL
    LEFT JOIN timeline AS u ON u.id = l.usr
    WHERE NOT coalesce(u.kind = {_USER} AND u.app = g.app AND u.state <> {State.DELETED:d}, false)
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

COMMON_LAWS: tuple[str, ...] = (
    "SELECT 'the table meta has ' || count(*) || ' rows instead of one' FROM meta HAVING count(*) <> 1",
    f"""
    SELECT 'message ' || m.msg_id || ' is of type ' || m.ctype || ' and relates to none'
    FROM message AS m WHERE m.ctype IN ({FOLDED_TYPES}) AND m.related <= 0
    """,
    # Between users a conversation is named by both, in a group by the group, whoever of it a message went to.
    f"""
    SELECT 'message ' || m.msg_id || ' cannot answer message ' || m.related || CASE
        WHEN b.msg_id IS NULL THEN ', which does not exist'
        WHEN {is_folded("b")} OR b.flags & {PASSING} <> 0 THEN ', which nobody is shown'
        ELSE ', which does not lie before it in the same conversation' END
    FROM message AS m LEFT JOIN message AS b ON b.msg_id = m.related
    WHERE m.related > 0 AND NOT {is_folded("m")} AND CASE
        WHEN b.msg_id IS NULL THEN m.related > (SELECT swept_to FROM meta) AND NOT {trimmed("m.target", "m.related")}
        ELSE {is_folded("b")} OR b.flags & {PASSING} <> 0 OR b.msg_id >= m.msg_id OR NOT CASE m.peer
            WHEN m.sender THEN b.peer = b.sender AND (b.target = m.target AND b.sender = m.sender
                OR b.target = m.sender AND b.sender = m.target)
            ELSE b.peer <> b.sender
                AND CASE b.peer WHEN 0 THEN b.target ELSE b.peer END = CASE m.peer WHEN 0 THEN m.target ELSE m.peer END
            END END
    """,
    f"""
    SELECT 'message ' || m.msg_id || ' is one side''s alone, ' || CASE
        WHEN m.flags & {ONE_SIDED} = {ONE_SIDED} THEN 'and the other''s, too'
        WHEN m.peer <> m.sender OR m.target = m.sender THEN 'and lies between no two users'
        ELSE 'its receiver''s, and its sender has it' END
    FROM message AS m WHERE m.flags & {ONE_SIDED} <> 0 AND (m.flags & {ONE_SIDED} = {ONE_SIDED}
        OR m.peer <> m.sender OR m.target = m.sender OR m.flags & {RECEIVERS} <> 0
        AND m.flags & {UNCOPIED | LISTED} <> {UNCOPIED})
    """,
    f"""
    SELECT 'message ' || m.msg_id || CASE
        WHEN s.id IS NULL THEN ' has no sender'
        WHEN t.id IS NULL THEN ' has no target'
        WHEN s.app <> t.app THEN ' goes from one app to another'
        WHEN s.kind <> {_USER} THEN ' was sent by a group'
        ELSE ' does not fit its conversation' END
    FROM message AS m LEFT JOIN timeline AS s ON s.id = m.sender LEFT JOIN timeline AS t ON t.id = m.target
    WHERE NOT coalesce(s.app = t.app AND s.kind = {_USER}
        AND (m.peer = CASE t.kind WHEN {_USER} THEN m.sender ELSE 0 END OR t.kind = {_USER} AND EXISTS (
            SELECT 1 FROM timeline AS p WHERE p.id = m.peer AND p.kind = {_GROUP} AND p.app = t.app)), false)
    """,
    f"""
    SELECT 'message ' || m.msg_id || ' does not lie where those of its hour do' FROM message AS m
    LEFT JOIN hour AS h ON h.hour = m.at / {HOUR_MS}
    WHERE m.flags & {IMPORTED} = 0 AND NOT coalesce(m.msg_id BETWEEN h.first AND h.last, false)
    """,
    f"""
    SELECT 'message ' || m.msg_id || CASE
        WHEN m.flags & {IMPORTED} = 0 THEN CASE WHEN m.flags & {SETTLED} <> 0 THEN ' is read by everybody'
            WHEN i.msg_id IS NOT NULL THEN ' was sent elsewhere'
            WHEN m.seq > 0 THEN ' has the seq ' || m.seq ELSE ' has no seq' END || CASE
            WHEN m.flags & {SENDERS} <> 0 AND m.seq > 0 THEN ', and is its sender''s alone'
            ELSE ', and was not imported' END
        WHEN m.seq <> 0 THEN ' was imported, and has the seq ' || m.seq
        WHEN i.msg_id IS NULL THEN ' was imported, and nothing says when it was sent'
        ELSE ' was imported at a place of ' || {who("m.target")} || ' that there is not: ' || i.place END
    FROM message AS m LEFT JOIN imported AS i ON i.msg_id = m.msg_id LEFT JOIN timeline AS t ON t.id = m.target
    WHERE CASE WHEN m.flags & {IMPORTED} = 0 THEN (m.seq > 0) = (m.flags & {SENDERS} <> 0) OR i.msg_id IS NOT NULL
            OR m.flags & {SETTLED} <> 0
        ELSE NOT coalesce(m.seq = 0 AND i.place BETWEEN 0 AND t.head AND (i.place > 0) = (t.kind = {_GROUP}), false) END
    UNION ALL
    SELECT 'message ' || i.msg_id || ' was imported, and does not exist' FROM imported AS i
    WHERE NOT EXISTS (SELECT 1 FROM message AS m WHERE m.msg_id = i.msg_id)
    """,
    f"""
    SELECT 'message ' || h.msg_id || ' is hidden from ' || {who("h.usr")} || CASE
        WHEN m.msg_id IS NULL THEN ', and does not exist'
        WHEN m.flags & {HIDING} = 0 THEN ', and does not say so'
        ELSE ', which cannot be' END
    FROM hidden AS h LEFT JOIN message AS m ON m.msg_id = h.msg_id LEFT JOIN timeline AS t ON t.id = m.target
    LEFT JOIN timeline AS u ON u.id = h.usr
    WHERE NOT coalesce(m.flags & {HIDING} <> 0 AND m.flags & {GONE} = 0 AND m.peer = 0 AND u.kind = {_USER}
        AND u.app = t.app, false)
    """,
    """
    SELECT 'message ' || m.msg_id || ' names text ' || m.body || ', which does not exist' FROM message AS m
    WHERE m.body IS NOT NULL AND NOT EXISTS (SELECT 1 FROM body AS b WHERE b.id = m.body)
    """,
    f"""
    SELECT 'the conversation of ' || {who("usr")} || ' with ' || {who("opp")} || ' is '
        || CASE WHEN read NOT BETWEEN 0 AND last THEN 'read up to ' || read
           WHEN deleted NOT BETWEEN 0 AND last THEN 'deleted up to ' || deleted ELSE 'off the list up to ' || off END
        || ', and its newest message is ' || last
    FROM conversation
    WHERE read NOT BETWEEN 0 AND last OR deleted NOT BETWEEN 0 AND last OR off NOT BETWEEN 0 AND last
    """,
    f"""
    SELECT {who("s.usr")} || ' cannot have a stay in ' || {who("s.grp")} FROM stay AS s
    LEFT JOIN timeline AS u ON u.id = s.usr LEFT JOIN timeline AS g ON g.id = s.grp
    WHERE NOT coalesce(u.kind = {_USER} AND g.kind = {_GROUP} AND u.app = g.app, false)
        OR EXISTS (SELECT 1 FROM grp AS r WHERE r.id = s.grp AND r.type = {ROOM})
    """,
    f"""
    SELECT {who("usr")} || ' has ' || count(*) || ' open stays in ' || {who("grp")} FROM stay
    WHERE to_seq IS NULL GROUP BY usr, grp HAVING count(*) > 1
    """,
    f"""
    WITH inside AS (SELECT grp, count(*) AS n FROM stay WHERE to_seq IS NULL GROUP BY grp)
    SELECT {who("g.id")} || CASE WHEN g.members <> coalesce(i.n, 0)
        THEN ' counts ' || g.members || ' members, and ' || coalesce(i.n, 0) || ' are in it'
        ELSE ' is destroyed and still has members' END
    FROM grp AS g LEFT JOIN inside AS i ON i.grp = g.id
    WHERE g.members <> coalesce(i.n, 0) OR (g.destroyed_at IS NOT NULL AND i.n > 0)
    """,
    f"""
    SELECT 'device ' || c.sn || ' of ' || {who("c.usr")} || CASE
        WHEN d.sn IS NULL THEN ' has a cursor, and is not kept'
        WHEN t.id IS NULL THEN ' has a cursor in timeline ' || c.t || ', which does not exist'
        WHEN r.id IS NOT NULL THEN ' has a cursor in the chatroom ' || t.xid
        ELSE ' has its cursor of ' || {who("c.t")} || ' at seq ' || c.seq || ', and the head is ' || t.head END
    FROM cursor AS c LEFT JOIN device AS d ON d.usr = c.usr AND d.sn = c.sn LEFT JOIN timeline AS t ON t.id = c.t
    LEFT JOIN grp AS r ON r.id = c.t AND r.type = {ROOM}
    WHERE d.sn IS NULL OR NOT coalesce(c.seq BETWEEN 0 AND t.head, false) OR r.id IS NOT NULL
    """,
)
"""Of messages, conversations and devices: those that every engine asks in the same words."""
