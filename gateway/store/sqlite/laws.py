"""The laws of the store (design §3, §9) as questions to SQLite: each selects one sentence per breach, and nothing else.

They look at sets, never at one row after the other from Python, so that millions of rows are read in seconds.
What retention has removed is told by a timeline's floor, and is no breach.
"""

from __future__ import annotations

from gateway.domain.model import ROW_BYTES, EntryKind, Scope
from gateway.store.files import FILE_LAWS
from gateway.store.group_laws import GROUP_LAWS
from gateway.store.laws import ACCOUNT_LAWS, COMMON_LAWS, JOB_LAWS, trimmed, who
from gateway.store.rows import (
    GONE,
    IN_RECEIVERS_LIST,
    IN_SENDERS_LIST,
    PASSING,
    RECALLED,
    is_folded,
)
from gateway.store.sqlite.entry_laws import ENTRY_LAWS

_USER, _GROUP = int(Scope.USER), int(Scope.GROUP)
_MEMBERSHIP = int(EntryKind.MEMBERSHIP)


# The newest message of a group that went to some members only, of each of those and of its sender.
_DIRECTED = """directed AS (
    SELECT usr, grp, max(msg_id) AS last FROM (
        SELECT target AS usr, peer AS grp, msg_id FROM message WHERE peer <> 0 AND peer <> sender
        UNION ALL SELECT sender, peer, msg_id FROM message WHERE peer <> 0 AND peer <> sender)
    GROUP BY usr, grp)"""
_NEWEST = "max(t.last, coalesce(d.last, 0), (SELECT swept_to FROM meta))"

_MESSAGES = (
    """
    SELECT 'message ' || msg_id || ' lies above the counter of ids, which is at ' || next_msg_id
    FROM meta CROSS JOIN message ON msg_id >= next_msg_id
    """,
    f"""
    SELECT 'message ' || msg_id || CASE
        WHEN flags & {GONE} AND body IS NOT NULL THEN ' is gone but still has its text'
        WHEN flags & {GONE} THEN ' is gone but still shown'
        WHEN body IS NULL THEN ' has no text and is not gone'
        WHEN {is_folded("message")} THEN ' is shown, and is folded into message ' || related
        WHEN flags & {PASSING} <> 0 THEN ' is shown, and only passes'
        ELSE ' is hidden and not gone' END
    FROM message WHERE CASE WHEN flags & {GONE} THEN body IS NOT NULL OR shown <> 0
        ELSE body IS NULL OR shown <> (NOT {is_folded("message")} AND flags & {PASSING} = 0) END
    """,
    f"""
    SELECT 'message ' || m.msg_id || ' cannot be folded into message ' || m.related || CASE
        WHEN b.msg_id IS NULL THEN ', which does not exist'
        WHEN b.flags & {RECALLED} THEN ', which is recalled: its text is still there'
        ELSE ', which is not its sender''s in the same conversation' END
    FROM message AS m LEFT JOIN message AS b ON b.msg_id = m.related
    WHERE {is_folded("m")} AND CASE
        WHEN b.msg_id IS NULL THEN m.related > (SELECT swept_to FROM meta) AND NOT {trimmed("m.target", "m.related")}
        ELSE (b.target, b.peer, b.sender) <> (m.target, m.peer, m.sender) OR {is_folded("b")} OR b.msg_id >= m.msg_id
            OR b.flags & {RECALLED} AND m.body IS NOT NULL END
    """,
    """
    WITH used AS (SELECT body, count(*) AS n FROM message WHERE body IS NOT NULL GROUP BY body)
    SELECT 'text ' || b.id || ' counts ' || b.refs || ' messages, and ' || coalesce(u.n, 0) || ' have it'
    FROM body AS b LEFT JOIN used AS u ON u.body = b.id WHERE u.n IS NOT b.refs
    """,
    f"""
    SELECT 'transaction ' || d.key || ' of ' || {who("d.sender")} || ' was answered by messages ' || d.first_msg_id
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

_TOLD = "max(iif(msg_id <= (SELECT told_to FROM meta), msg_id, 0))"

_CONVERSATIONS = (
    # A row may be behind, but by no message up to told_to.
    f"""
    WITH newest AS (
        SELECT usr, opp, max(last) AS last, coalesce(max(told), 0) AS told FROM (
            SELECT target AS usr, peer AS opp, max(msg_id) AS last, {_TOLD} AS told FROM message
            WHERE peer = sender AND {IN_RECEIVERS_LIST} GROUP BY target, peer
            UNION ALL
            SELECT sender, target, max(msg_id), {_TOLD} FROM message
            WHERE peer = sender AND {IN_SENDERS_LIST} GROUP BY sender, target)
        GROUP BY usr, opp)
    SELECT 'the conversation of ' || {who("n.usr")} || ' with ' || {who("n.opp")} || ' ends with message ' || n.last
        || CASE WHEN c.last IS NULL THEN ' and has no row' ELSE ', not ' || c.last END
    FROM newest AS n LEFT JOIN conversation AS c ON c.usr = n.usr AND c.opp = n.opp
    WHERE coalesce(c.last, 0) NOT BETWEEN n.told AND n.last
    UNION ALL
    SELECT 'the conversation of ' || {who("c.usr")} || ' with ' || {who("c.opp")} || ' has no message'
    FROM conversation AS c LEFT JOIN newest AS n ON n.usr = c.usr AND n.opp = c.opp WHERE n.last IS NULL
    """,
    f"""
    WITH newest AS (SELECT target, max(msg_id) AS last FROM message WHERE peer = 0 GROUP BY target)
    SELECT 'the newest message of ' || {who("t.id")} || ' is ' || coalesce(n.last, 'none') || ', not ' || t.last
    FROM timeline AS t LEFT JOIN newest AS n ON n.target = t.id
    WHERE t.kind = {_GROUP} AND t.last <> coalesce(n.last, 0)
        AND NOT (n.last IS NULL AND t.last <= (SELECT swept_to FROM meta))
    """,
)

_PARTIES = (
    f"""
    SELECT {who("t.id")} || ' has no row of its own' FROM timeline AS t
    WHERE NOT CASE t.kind WHEN {_USER} THEN EXISTS (SELECT 1 FROM user AS u WHERE u.id = t.id)
        WHEN {_GROUP} THEN EXISTS (SELECT 1 FROM grp AS g WHERE g.id = t.id) ELSE false END
    """,
    f"""
    SELECT 'the stay of ' || {who("s.usr")} || ' in ' || {who("s.grp")} || ' from seq ' || s.from_seq
        || coalesce(' to ' || s.to_seq, '') || ' lies outside the timeline, whose head is ' || t.head
    FROM stay AS s CROSS JOIN timeline AS t ON t.id = s.grp
    WHERE NOT (1 <= s.from_seq AND s.from_seq <= coalesce(s.to_seq, t.head) AND coalesce(s.to_seq, 0) <= t.head)
    """,
    f"""
    WITH {_DIRECTED}
    SELECT 'the stay of ' || {who("s.usr")} || ' in ' || {who("s.grp")} || ' from message ' || s.from_msg
        || coalesce(' to ' || s.to_msg, '') || ' does not fit the newest message, ' || t.last
    FROM stay AS s CROSS JOIN timeline AS t ON t.id = s.grp
    LEFT JOIN directed AS d ON d.usr = s.usr AND d.grp = s.grp
    WHERE s.from_msg NOT BETWEEN 0 AND {_NEWEST} + 1 OR s.to_msg NOT BETWEEN 0 AND {_NEWEST}
        OR (s.to_seq IS NULL) <> (s.to_msg IS NULL)
    """,
    f"""
    WITH {_DIRECTED}
    SELECT {who("s.usr")} || CASE
        WHEN s.delivered NOT BETWEEN s.from_seq - 1 AND coalesce(s.to_seq, t.head) THEN
            ' has delivered seq ' || s.delivered || ' of ' || {who("s.grp")} || ', outside the stay'
        WHEN s.read NOT BETWEEN 0 AND {_NEWEST} THEN ' has read ' || {who("s.grp")} || ' up to ' || s.read
            || ', and its newest message is ' || t.last
        WHEN s.deleted NOT BETWEEN 0 AND {_NEWEST} THEN ' has deleted ' || {who("s.grp")} || ' up to ' || s.deleted
            || ', and its newest message is ' || t.last
        ELSE ' has ' || {who("s.grp")} || ' off the list up to ' || s.off || ', and its newest message is ' || t.last
        END
    FROM stay AS s CROSS JOIN timeline AS t ON t.id = s.grp
    LEFT JOIN directed AS d ON d.usr = s.usr AND d.grp = s.grp
    WHERE s.delivered NOT BETWEEN s.from_seq - 1 AND coalesce(s.to_seq, t.head)
        OR s.read NOT BETWEEN 0 AND {_NEWEST} OR s.deleted NOT BETWEEN 0 AND {_NEWEST}
        OR s.off NOT BETWEEN 0 AND {_NEWEST}
    """,
    # Two open ones are told above.
    f"""
    SELECT {who("usr")} || ' has stays in ' || {who("grp")} || ' that overlap at seq ' || from_seq FROM (
        SELECT usr, grp, from_seq, to_seq, lag(to_seq) OVER (PARTITION BY usr, grp ORDER BY from_seq, id) AS before
        FROM stay) WHERE from_seq <= before
    """,
    f"""
    SELECT {who("s.usr")} || ' has a stay in ' || {who("s.grp")} || ' that no entry '
        || CASE WHEN f.kind IS NOT {_MEMBERSHIP} THEN 'at seq ' || s.from_seq || ' begins'
           ELSE 'at seq ' || s.to_seq || ' ends' END
    FROM stay AS s CROSS JOIN timeline AS t ON t.id = s.grp
    LEFT JOIN entry AS f ON f.t = s.grp AND f.seq = s.from_seq
    LEFT JOIN entry AS l ON l.t = s.grp AND l.seq = s.to_seq
    WHERE s.from_seq BETWEEN t.floor + 1 AND t.head AND f.kind IS NOT {_MEMBERSHIP}
        OR s.to_seq BETWEEN t.floor + 1 AND t.head AND l.kind IS NOT {_MEMBERSHIP}
    """,
    f"""
    SELECT {who("u.id")} || ' has delivered seq ' || u.delivered || ', and the head of its timeline is ' || t.head
    FROM user AS u CROSS JOIN timeline AS t ON t.id = u.id WHERE u.delivered NOT BETWEEN 0 AND t.head
    """,
    f"""
    WITH held AS (
        SELECT t.app AS app, {ROW_BYTES} * count(*) AS size FROM message AS m JOIN timeline AS t ON t.id = m.target
        GROUP BY t.app
        UNION ALL
        SELECT app, sum(size) FROM (
            SELECT t.app AS app, max(b.size) AS size FROM message AS m JOIN body AS b ON b.id = m.body
            JOIN timeline AS t ON t.id = m.target GROUP BY m.body) GROUP BY app
        UNION ALL
        SELECT app, sum(size) FROM file GROUP BY app)
    SELECT 'app ' || a.app_id || ' counts ' || a.stored_bytes || ' bytes, and ' || coalesce(sum(h.size), 0)
        || ' are stored'
    FROM app AS a LEFT JOIN held AS h ON h.app = a.id GROUP BY a.id
    HAVING a.stored_bytes <> coalesce(sum(h.size), 0)
    """,
)

LAWS: tuple[str, ...] = (
    *ENTRY_LAWS,
    *_MESSAGES,
    *_CONVERSATIONS,
    *_PARTIES,
    *COMMON_LAWS,
    *ACCOUNT_LAWS,
    *JOB_LAWS,
    *GROUP_LAWS,
    *FILE_LAWS,
)
"""Every law; a store that keeps them all answers each with nothing."""
