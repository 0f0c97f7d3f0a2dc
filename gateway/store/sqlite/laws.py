"""The laws of the store (design §3, §9) as questions to SQLite: each selects one sentence per breach, and nothing else.

They look at sets, never at one row after the other from Python, so that millions of rows are read in seconds.
What retention has removed is told by a timeline's floor, and is no breach.
"""

from __future__ import annotations

from gateway.domain.drafts import JobKind
from gateway.domain.model import FOLDED, PLATFORM_MAX, ROOM, EntryKind, Scope, State
from gateway.store.sqlite.group_laws import group_laws
from gateway.store.sqlite.messages import GONE, RECALLED, UNCOPIED
from gateway.store.sqlite.texts import ROW_BYTES

_USER, _GROUP = int(Scope.USER), int(Scope.GROUP)
_MESSAGE, _RECALLED = int(EntryKind.MESSAGE), int(EntryKind.RECALLED)
_FOLDED = ", ".join(str(int(ctype)) for ctype in sorted(FOLDED))
_KINDS = ", ".join(f"'{kind}'" for kind in JobKind)
_MEMBERSHIP, _DELETED = int(EntryKind.MEMBERSHIP), int(EntryKind.DELETED)


def _who(column: str) -> str:
    """Name a user or group by the id of its timeline, for a sentence: worked out for breaches only."""
    return f"""coalesce((SELECT CASE n.kind WHEN {_GROUP} THEN 'group ' ELSE 'user ' END || n.xid || ' of app ' ||
        coalesce((SELECT app_id FROM app WHERE id = n.app), n.app) FROM timeline AS n WHERE n.id = {column}),
        'nobody (timeline ' || {column} || ')')"""


def _trimmed(timeline: str, msg_id: str) -> str:
    """Say whether a message is one that a chatroom has let go of: ids rise with seqs, and the newest one stays."""
    return f"""(EXISTS (SELECT 1 FROM grp AS r WHERE r.id = {timeline} AND r.type = {ROOM}) AND {msg_id} < coalesce((
        SELECT x.msg_id FROM entry AS x WHERE x.t = {timeline} AND x.kind = {_MESSAGE} ORDER BY x.seq LIMIT 1), 0))"""


# What is folded into a message that is recalled goes silently with it.
_SILENT = f"""(m.related > 0 AND (m.related <= (SELECT swept_to FROM meta)
    OR EXISTS (SELECT 1 FROM message AS b WHERE b.msg_id = m.related AND b.flags & {RECALLED})))"""

# The newest message of a group that went to some members only, of each of those and of its sender.
_DIRECTED = """directed AS (
    SELECT usr, grp, max(msg_id) AS last FROM (
        SELECT target AS usr, peer AS grp, msg_id FROM message WHERE peer <> 0 AND peer <> sender
        UNION ALL SELECT sender, peer, msg_id FROM message WHERE peer <> 0 AND peer <> sender)
    GROUP BY usr, grp)"""
_NEWEST = "max(t.last, coalesce(d.last, 0), (SELECT swept_to FROM meta))"

_ENTRIES = (
    # Dense between floor and head; the head is the greatest seq, or the floor where nothing is left.
    f"""
    WITH found AS (SELECT t, count(*) AS n, min(seq) AS low, max(seq) AS high FROM entry GROUP BY t)
    SELECT CASE
        WHEN t.floor < 0 OR t.head < t.floor THEN 'the timeline of ' || {_who("t.id")} || ' has its head ' || t.head
            || ' below its floor ' || t.floor
        WHEN f.high > t.head THEN 'the timeline of ' || {_who("t.id")} || ' has an entry at seq ' || f.high
            || ', above its head ' || t.head
        WHEN f.low <= t.floor THEN 'the timeline of ' || {_who("t.id")} || ' has an entry at seq ' || f.low
            || ', not above its floor ' || t.floor
        ELSE 'the timeline of ' || {_who("t.id")} || ' misses ' || (t.head - t.floor - coalesce(f.n, 0)) || ' of its '
            || (t.head - t.floor) || ' entries, the first at seq ' || (
                SELECT min(b.seq) + 1 FROM (SELECT t.floor AS seq UNION ALL SELECT seq FROM entry WHERE t = t.id) AS b
                WHERE NOT EXISTS (SELECT 1 FROM entry AS a WHERE a.t = t.id AND a.seq = b.seq + 1)) END
    FROM timeline AS t LEFT JOIN found AS f ON f.t = t.id
    WHERE t.floor < 0 OR t.head < t.floor OR f.high > t.head OR f.low <= t.floor
        OR t.head - t.floor <> coalesce(f.n, 0)
    """,
    """
    SELECT 'there are ' || count(*) || ' entries of timeline ' || t || ', which does not exist' FROM entry
    WHERE t NOT IN (SELECT id FROM timeline) GROUP BY t
    """,
    f"""
    SELECT CASE
        WHEN e.kind = {_MESSAGE} OR e.kind = {_RECALLED} AND json_valid(e.data) THEN 'the entry at seq ' || e.seq
            || ' of ' || {_who("e.t")} || ' names message ' || e.msg_id || ', which does not exist'
        WHEN e.kind IN ({_RECALLED}, {_MEMBERSHIP}, {_DELETED}) THEN 'the entry at seq ' || e.seq
            || ' of ' || {_who("e.t")} || ' cannot be read'
        ELSE 'the entry at seq ' || e.seq || ' of ' || {_who("e.t")} || ' is of the unknown kind ' || e.kind END
    FROM entry AS e
    WHERE CASE WHEN e.kind = {_MESSAGE} THEN NOT EXISTS (SELECT 1 FROM message AS m WHERE m.msg_id = e.msg_id)
        WHEN e.kind = {_RECALLED} THEN NOT json_valid(e.data) OR e.msg_id > (SELECT swept_to FROM meta)
            AND NOT EXISTS (SELECT 1 FROM message AS m WHERE m.msg_id = e.msg_id)
            AND NOT {_trimmed("e.t", "e.msg_id")}
        ELSE e.kind NOT IN ({_MEMBERSHIP}, {_DELETED}) OR NOT json_valid(e.data) END
    """,
    # A message's entry stands with its receiver at the message's seq, or is its sender's copy.
    f"""
    SELECT 'the entry at seq ' || e.seq || ' of ' || {_who("e.t")} || ' holds message ' || e.msg_id
        || ', which does not belong there'
    FROM entry AS e CROSS JOIN message AS m ON m.msg_id = e.msg_id
    WHERE e.kind = {_MESSAGE} AND NOT CASE WHEN m.target = e.t THEN m.seq = e.seq
        ELSE m.sender = e.t AND m.peer <> 0 AND m.flags & {UNCOPIED} = 0 END
    """,
    f"""
    SELECT 'message ' || m.msg_id || ' has no entry at seq ' || m.seq || ' of its receiver, ' || {_who("m.target")}
    FROM message AS m CROSS JOIN timeline AS t ON t.id = m.target
    LEFT JOIN entry AS e ON e.t = m.target AND e.seq = m.seq
    WHERE m.seq > t.floor AND (e.kind IS NOT {_MESSAGE} OR e.msg_id <> m.msg_id)
    """,
    # What a chatroom no longer shows, it does not keep either.
    f"""
    SELECT 'message ' || m.msg_id || ' lies at seq ' || m.seq || ' of the chatroom ' || t.xid
        || ', not above its floor ' || t.floor
    FROM message AS m CROSS JOIN timeline AS t ON t.id = m.target AND t.floor >= m.seq
    CROSS JOIN grp AS g ON g.id = t.id AND g.type = {ROOM}
    """,
    # A copy's seq is stored nowhere else, so copies are counted per sender first, and looked for one by one
    # only where the counts differ.
    f"""
    WITH owed AS (
        SELECT sender, count(*) AS n FROM message
        WHERE peer <> 0 AND target <> sender AND flags & {UNCOPIED} = 0 GROUP BY sender),
    held AS (
        SELECT e.t AS sender, count(*) AS n FROM entry AS e CROSS JOIN message AS m ON m.msg_id = e.msg_id
        WHERE e.kind = {_MESSAGE} AND m.sender = e.t AND m.target <> e.t GROUP BY e.t),
    short AS MATERIALIZED (
        SELECT o.sender FROM owed AS o CROSS JOIN timeline AS t ON t.id = o.sender AND t.floor = 0
        LEFT JOIN held AS h ON h.sender = o.sender WHERE o.n <> coalesce(h.n, 0)),
    copies AS MATERIALIZED (
        SELECT e.msg_id AS msg_id, e.t AS t, count(*) AS n FROM entry AS e
        WHERE e.kind = {_MESSAGE} AND e.t IN (SELECT sender FROM short) GROUP BY e.t, e.msg_id)
    SELECT 'message ' || m.msg_id || ' has ' || coalesce(c.n, 'no') || CASE c.n WHEN 1 THEN ' entry' ELSE ' entries' END
        || ' in the timeline of its sender, ' || {_who("m.sender")}
    FROM message AS m LEFT JOIN copies AS c ON c.msg_id = m.msg_id AND c.t = m.sender
    WHERE m.sender IN (SELECT sender FROM short) AND m.peer <> 0 AND m.target <> m.sender
        AND m.flags & {UNCOPIED} = 0 AND c.n IS NOT 1
    """,
    # Ids rise with seq inside a conversation. Here they do so in the whole timeline, which needs no sorting to
    # see.
    f"""
    WITH suspect AS MATERIALIZED (
        SELECT DISTINCT t FROM (
            SELECT t, msg_id, lag(msg_id) OVER (PARTITION BY t ORDER BY seq) AS before FROM entry
            WHERE kind = {_MESSAGE}) WHERE msg_id <= before)
    SELECT 'message ' || msg_id || ' at seq ' || seq || ' of ' || {_who("t")} || ' follows message ' || before
        || ' of the same conversation: ids must rise'
    FROM (
        SELECT e.t AS t, e.seq AS seq, e.msg_id AS msg_id, lag(e.msg_id) OVER (
            PARTITION BY e.t, CASE WHEN m.target = e.t OR m.peer <> m.sender THEN m.peer ELSE m.target END
            ORDER BY e.seq) AS before
        FROM suspect AS s CROSS JOIN entry AS e ON e.t = s.t CROSS JOIN message AS m ON m.msg_id = e.msg_id
        WHERE e.kind = {_MESSAGE})
    WHERE msg_id <= before
    """,
    f"""
    SELECT 'the entry at seq ' || e.seq || ' of ' || {_who("e.t")} || ' recalls message ' || e.msg_id
        || ', which is not recalled'
    FROM entry AS e CROSS JOIN message AS m ON m.msg_id = e.msg_id
    WHERE e.kind = {_RECALLED} AND m.flags & {RECALLED} = 0
    """,
    f"""
    SELECT 'message ' || m.msg_id || ' is recalled, but the timeline of ' || {_who("m.target")} || ' does not say so'
    FROM message AS m CROSS JOIN timeline AS t ON t.id = m.target
    WHERE m.flags & {RECALLED} AND t.floor = 0 AND NOT {_SILENT}
        AND (m.target, m.msg_id) NOT IN (SELECT t, msg_id FROM entry WHERE kind = {_RECALLED})
    UNION ALL
    SELECT 'message ' || m.msg_id || ' is recalled, but the timeline of ' || {_who("m.sender")} || ' does not say so'
    FROM message AS m CROSS JOIN timeline AS t ON t.id = m.sender
    WHERE m.flags & {RECALLED} AND t.floor = 0 AND NOT {_SILENT}
        AND m.peer <> 0 AND m.target <> m.sender AND m.flags & {UNCOPIED} = 0
        AND (m.sender, m.msg_id) NOT IN (SELECT t, msg_id FROM entry WHERE kind = {_RECALLED})
    """,
    f"""
    SELECT 'the reserved user system of app ' || a.app_id || ' has entries' FROM app AS a
    CROSS JOIN timeline AS t ON t.id = a.system WHERE t.head > 0 OR t.kind <> {_USER}
    """,
)

_MESSAGES = (
    "SELECT 'the table meta has ' || count(*) || ' rows instead of one' FROM meta HAVING count(*) <> 1",
    """
    SELECT 'message ' || msg_id || ' lies above the counter of ids, which is at ' || next_msg_id
    FROM meta CROSS JOIN message ON msg_id >= next_msg_id
    """,
    f"""
    SELECT 'message ' || msg_id || CASE
        WHEN flags & {GONE} AND body IS NOT NULL THEN ' is gone but still has its text'
        WHEN flags & {GONE} THEN ' is gone but still shown'
        WHEN body IS NULL THEN ' has no text and is not gone'
        WHEN related > 0 THEN ' is shown, and is folded into message ' || related
        ELSE ' is hidden and not gone' END
    FROM message WHERE CASE WHEN flags & {GONE} THEN body IS NOT NULL OR shown <> 0
        ELSE body IS NULL OR shown <> (related = 0) END
    """,
    f"""
    SELECT 'message ' || msg_id || CASE WHEN related > 0 THEN ' relates to another and is of type ' || ctype
        ELSE ' is of type ' || ctype || ' and relates to none' END
    FROM message WHERE (related > 0) <> (ctype IN ({_FOLDED}))
    """,
    f"""
    SELECT 'message ' || m.msg_id || ' cannot be folded into message ' || m.related || CASE
        WHEN b.msg_id IS NULL THEN ', which does not exist'
        WHEN b.flags & {RECALLED} THEN ', which is recalled: its text is still there'
        ELSE ', which is not its sender''s in the same conversation' END
    FROM message AS m LEFT JOIN message AS b ON b.msg_id = m.related
    WHERE m.related > 0 AND CASE
        WHEN b.msg_id IS NULL THEN m.related > (SELECT swept_to FROM meta) AND NOT {_trimmed("m.target", "m.related")}
        ELSE (b.target, b.peer, b.sender, b.related) <> (m.target, m.peer, m.sender, 0) OR b.msg_id >= m.msg_id
            OR b.flags & {RECALLED} AND m.body IS NOT NULL END
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
    """
    WITH used AS (SELECT body, count(*) AS n FROM message WHERE body IS NOT NULL GROUP BY body)
    SELECT 'text ' || b.id || ' counts ' || b.refs || ' messages, and ' || coalesce(u.n, 0) || ' have it'
    FROM body AS b LEFT JOIN used AS u ON u.body = b.id WHERE u.n IS NOT b.refs
    """,
    """
    SELECT 'message ' || m.msg_id || ' names text ' || m.body || ', which does not exist' FROM message AS m
    WHERE m.body IS NOT NULL AND NOT EXISTS (SELECT 1 FROM body AS b WHERE b.id = m.body)
    """,
    f"""
    SELECT 'transaction ' || d.key || ' of ' || {_who("d.sender")} || ' was answered by messages ' || d.first_msg_id
        || ' to ' || d.last_msg_id || ', which were never given'
    FROM meta CROSS JOIN dedup AS d ON d.first_msg_id < 1 OR d.last_msg_id < d.first_msg_id
        OR d.last_msg_id >= next_msg_id
    """,
    """
    SELECT 'message ' || msg_id || ' is still there, and retention has removed all up to ' || swept_to
    FROM meta CROSS JOIN message ON msg_id <= swept_to
    UNION ALL
    SELECT 'transaction ' || d.key || ' is remembered, and its last message, ' || d.last_msg_id || ', was removed'
    FROM meta CROSS JOIN dedup AS d ON d.last_msg_id <= swept_to
    """,
    """
    SELECT 'transaction ' || key || ' has no sender: ' || sender || ' does not exist' FROM dedup
    WHERE sender NOT IN (SELECT id FROM timeline)
    """,
)

_CONVERSATIONS = (
    f"""
    WITH newest AS (
        SELECT usr, opp, max(last) AS last FROM (
            SELECT target AS usr, peer AS opp, max(msg_id) AS last FROM message
            WHERE peer = sender GROUP BY target, peer
            UNION ALL
            SELECT sender, target, max(msg_id) FROM message
            WHERE peer = sender AND flags & {UNCOPIED} = 0 GROUP BY sender, target)
        GROUP BY usr, opp)
    SELECT 'the conversation of ' || {_who("n.usr")} || ' with ' || {_who("n.opp")} || ' ends with message ' || n.last
        || CASE WHEN c.last IS NULL THEN ' and has no row' ELSE ', not ' || c.last END
    FROM newest AS n LEFT JOIN conversation AS c ON c.usr = n.usr AND c.opp = n.opp WHERE c.last IS NOT n.last
    UNION ALL
    SELECT 'the conversation of ' || {_who("c.usr")} || ' with ' || {_who("c.opp")} || ' has no message'
    FROM conversation AS c LEFT JOIN newest AS n ON n.usr = c.usr AND n.opp = c.opp WHERE n.last IS NULL
    """,
    f"""
    SELECT 'the conversation of ' || {_who("usr")} || ' with ' || {_who("opp")} || ' is '
        || CASE WHEN read NOT BETWEEN 0 AND last THEN 'read up to ' || read ELSE 'deleted up to ' || deleted
        END
        || ', and its newest message is ' || last
    FROM conversation WHERE read NOT BETWEEN 0 AND last OR deleted NOT BETWEEN 0 AND last
    """,
    f"""
    WITH newest AS (SELECT target, max(msg_id) AS last FROM message WHERE peer = 0 GROUP BY target)
    SELECT 'the newest message of ' || {_who("t.id")} || ' is ' || coalesce(n.last, 'none') || ', not ' || t.last
    FROM timeline AS t LEFT JOIN newest AS n ON n.target = t.id
    WHERE t.kind = {_GROUP} AND t.last <> coalesce(n.last, 0)
        AND NOT (n.last IS NULL AND t.last <= (SELECT swept_to FROM meta))
    """,
)

_PARTIES = (
    f"""
    SELECT {_who("t.id")} || ' has no row of its own' FROM timeline AS t
    WHERE NOT CASE t.kind WHEN {_USER} THEN EXISTS (SELECT 1 FROM user AS u WHERE u.id = t.id)
        WHEN {_GROUP} THEN EXISTS (SELECT 1 FROM grp AS g WHERE g.id = t.id) ELSE false END
    """,
    f"""
    SELECT {_who("s.usr")} || ' cannot have a stay in ' || {_who("s.grp")} FROM stay AS s
    LEFT JOIN timeline AS u ON u.id = s.usr LEFT JOIN timeline AS g ON g.id = s.grp
    WHERE NOT coalesce(u.kind = {_USER} AND g.kind = {_GROUP} AND u.app = g.app, false)
        OR EXISTS (SELECT 1 FROM grp AS r WHERE r.id = s.grp AND r.type = {ROOM})
    """,
    f"""
    SELECT 'the stay of ' || {_who("s.usr")} || ' in ' || {_who("s.grp")} || ' from seq ' || s.from_seq
        || coalesce(' to ' || s.to_seq, '') || ' lies outside the timeline, whose head is ' || t.head
    FROM stay AS s CROSS JOIN timeline AS t ON t.id = s.grp
    WHERE NOT (1 <= s.from_seq AND s.from_seq <= coalesce(s.to_seq, t.head) AND coalesce(s.to_seq, 0) <= t.head)
    """,
    f"""
    WITH {_DIRECTED}
    SELECT 'the stay of ' || {_who("s.usr")} || ' in ' || {_who("s.grp")} || ' from message ' || s.from_msg
        || coalesce(' to ' || s.to_msg, '') || ' does not fit the newest message, ' || t.last
    FROM stay AS s CROSS JOIN timeline AS t ON t.id = s.grp
    LEFT JOIN directed AS d ON d.usr = s.usr AND d.grp = s.grp
    WHERE s.from_msg NOT BETWEEN 0 AND {_NEWEST} + 1 OR s.to_msg NOT BETWEEN 0 AND {_NEWEST}
        OR (s.to_seq IS NULL) <> (s.to_msg IS NULL)
    """,
    f"""
    WITH {_DIRECTED}
    SELECT {_who("s.usr")} || CASE
        WHEN s.delivered NOT BETWEEN s.from_seq - 1 AND coalesce(s.to_seq, t.head) THEN
            ' has delivered seq ' || s.delivered || ' of ' || {_who("s.grp")} || ', outside the stay'
        WHEN s.read NOT BETWEEN 0 AND {_NEWEST} THEN ' has read ' || {_who("s.grp")} || ' up to ' || s.read
            || ', and its newest message is ' || t.last
        ELSE ' has deleted ' || {_who("s.grp")} || ' up to ' || s.deleted || ', and its newest message is ' || t.last
        END
    FROM stay AS s CROSS JOIN timeline AS t ON t.id = s.grp
    LEFT JOIN directed AS d ON d.usr = s.usr AND d.grp = s.grp
    WHERE s.delivered NOT BETWEEN s.from_seq - 1 AND coalesce(s.to_seq, t.head)
        OR s.read NOT BETWEEN 0 AND {_NEWEST} OR s.deleted NOT BETWEEN 0 AND {_NEWEST}
    """,
    f"""
    SELECT {_who("usr")} || ' has ' || count(*) || ' open stays in ' || {_who("grp")} FROM stay
    WHERE to_seq IS NULL GROUP BY usr, grp HAVING count(*) > 1
    """,
    # Two open ones are told above.
    f"""
    SELECT {_who("usr")} || ' has stays in ' || {_who("grp")} || ' that overlap at seq ' || from_seq FROM (
        SELECT usr, grp, from_seq, to_seq, lag(to_seq) OVER (PARTITION BY usr, grp ORDER BY from_seq, id) AS before
        FROM stay) WHERE from_seq <= before
    """,
    f"""
    SELECT {_who("s.usr")} || ' has a stay in ' || {_who("s.grp")} || ' that no entry '
        || CASE WHEN f.kind IS NOT {_MEMBERSHIP} THEN 'at seq ' || s.from_seq || ' begins'
           ELSE 'at seq ' || s.to_seq || ' ends' END
    FROM stay AS s CROSS JOIN timeline AS t ON t.id = s.grp
    LEFT JOIN entry AS f ON f.t = s.grp AND f.seq = s.from_seq
    LEFT JOIN entry AS l ON l.t = s.grp AND l.seq = s.to_seq
    WHERE s.from_seq BETWEEN t.floor + 1 AND t.head AND f.kind IS NOT {_MEMBERSHIP}
        OR s.to_seq BETWEEN t.floor + 1 AND t.head AND l.kind IS NOT {_MEMBERSHIP}
    """,
    f"""
    WITH inside AS (SELECT grp, count(*) AS n FROM stay WHERE to_seq IS NULL GROUP BY grp)
    SELECT {_who("g.id")} || CASE WHEN g.members <> coalesce(i.n, 0)
        THEN ' counts ' || g.members || ' members, and ' || coalesce(i.n, 0) || ' are in it'
        ELSE ' is destroyed and still has members' END
    FROM grp AS g LEFT JOIN inside AS i ON i.grp = g.id
    WHERE g.members <> coalesce(i.n, 0) OR (g.destroyed_at IS NOT NULL AND i.n > 0)
    """,
    f"""
    SELECT {_who("u.id")} || ' has delivered seq ' || u.delivered || ', and the head of its timeline is ' || t.head
    FROM user AS u CROSS JOIN timeline AS t ON t.id = u.id WHERE u.delivered NOT BETWEEN 0 AND t.head
    """,
    f"""
    SELECT 'device ' || c.sn || ' of ' || {_who("c.usr")} || CASE
        WHEN d.sn IS NULL THEN ' has a cursor, and is not kept'
        WHEN t.id IS NULL THEN ' has a cursor in timeline ' || c.t || ', which does not exist'
        WHEN r.id IS NOT NULL THEN ' has a cursor in the chatroom ' || t.xid
        ELSE ' has its cursor of ' || {_who("c.t")} || ' at seq ' || c.seq || ', and the head is ' || t.head END
    FROM cursor AS c LEFT JOIN device AS d ON d.usr = c.usr AND d.sn = c.sn LEFT JOIN timeline AS t ON t.id = c.t
    LEFT JOIN grp AS r ON r.id = c.t AND r.type = {ROOM}
    WHERE d.sn IS NULL OR NOT coalesce(c.seq BETWEEN 0 AND t.head, false) OR r.id IS NOT NULL
    """,
    f"""
    WITH held AS (
        SELECT t.app AS app, {ROW_BYTES} * count(*) AS size FROM message AS m JOIN timeline AS t ON t.id = m.target
        GROUP BY t.app
        UNION ALL
        SELECT app, sum(size) FROM (
            SELECT t.app AS app, max(b.size) AS size FROM message AS m JOIN body AS b ON b.id = m.body
            JOIN timeline AS t ON t.id = m.target GROUP BY m.body) GROUP BY app)
    SELECT 'app ' || a.app_id || ' counts ' || a.stored_bytes || ' bytes, and ' || coalesce(sum(h.size), 0)
        || ' are stored'
    FROM app AS a LEFT JOIN held AS h ON h.app = a.id GROUP BY a.id
    HAVING a.stored_bytes <> coalesce(sum(h.size), 0)
    """,
)

_ACCOUNTS = (
    f"""
    SELECT {_who("t.id")} || ' has state ' || t.state || CASE
        WHEN t.state NOT BETWEEN {State.NORMAL:d} AND {State.DELETED:d} THEN ', which there is not'
        ELSE ', which is for users only' END
    FROM timeline AS t LEFT JOIN app AS a ON a.system = t.id
    WHERE t.state NOT BETWEEN {State.NORMAL:d} AND {State.DELETED:d}
        OR t.state <> {State.NORMAL:d} AND (t.kind <> {_USER} OR a.id IS NOT NULL)
    """,
    f"""
    SELECT {_who("u.id")} || ' is deleted and still has ' || CASE WHEN u.name IS NOT NULL OR u.password <> ''
        THEN 'a name or a password' ELSE 'a profile' END FROM user AS u
    CROSS JOIN timeline AS t ON t.id = u.id
    WHERE t.state = {State.DELETED:d} AND (u.name IS NOT NULL OR u.password <> ''
        OR u.nickname || u.avatar || u.description || u.public_info || u.private_info <> '')
    """,
    f"""
    SELECT {_who("u.id")} || ' has tokens from ' || u.valid_from_ms || ' on, which is no whole second' FROM user AS u
    WHERE u.valid_from_ms < 0 OR u.valid_from_ms % 1000
    """,
    f"""
    SELECT 'device ' || d.sn || ' of ' || {_who("d.usr")} || CASE WHEN d.platform BETWEEN 0 AND {PLATFORM_MAX}
        THEN ' is kept, and there is nobody to use it' ELSE ' is on platform ' || d.platform END
    FROM device AS d LEFT JOIN timeline AS t ON t.id = d.usr LEFT JOIN app AS a ON a.system = d.usr
    WHERE d.platform NOT BETWEEN 0 AND {PLATFORM_MAX} OR t.kind IS NOT {_USER} OR a.id IS NOT NULL
    """,
    f"""
    SELECT {_who("k.usr")} || ' cannot have blocked ' || {_who("k.blocked")} FROM block AS k
    LEFT JOIN timeline AS u ON u.id = k.usr LEFT JOIN timeline AS b ON b.id = k.blocked
    LEFT JOIN app AS a ON a.system IN (k.usr, k.blocked)
    WHERE k.usr = k.blocked OR a.id IS NOT NULL
        OR NOT coalesce(u.kind = {_USER} AND b.kind = {_USER} AND u.app = b.app, false)
    """,
)

_JOBS = (
    f"""
    SELECT 'job ' || j.id || CASE
        WHEN j.kind NOT IN ({_KINDS}) THEN ' is of the unknown kind ' || j.kind
        WHEN a.id IS NULL THEN ' is of an app that does not exist'
        WHEN j.finished THEN ' is finished and still has its text'
        ELSE ' has got to ' || j.progress || ', where no job can be' END
    FROM job AS j LEFT JOIN app AS a ON a.id = j.app
    WHERE j.kind NOT IN ({_KINDS}) OR a.id IS NULL OR (j.finished AND j.data <> '') OR j.progress < 0 OR j.done < 0
    """,
)

LAWS: tuple[str, ...] = (
    *_ENTRIES,
    *_MESSAGES,
    *_CONVERSATIONS,
    *_PARTIES,
    *_ACCOUNTS,
    *_JOBS,
    *group_laws(_who),
)
"""Every law; a store that keeps them all answers each with nothing."""
