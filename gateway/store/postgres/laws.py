"""The laws of the store (design §3, §9) as questions to PostgreSQL: each selects one sentence per breach, nothing else.

They look at sets, never at one row after the other from Python, so that millions of rows are read in seconds.
What retention has removed is told by a timeline's floor, and is no breach.
"""

from __future__ import annotations

from gateway.domain.model import ROW_BYTES, EntryKind, Scope
from gateway.store.files import FILE_LAWS
from gateway.store.group_laws import GROUP_LAWS
from gateway.store.laws import ACCOUNT_LAWS, COMMON_LAWS, JOB_LAWS, trimmed, who
from gateway.store.postgres.entry_laws import ENTRY_LAWS
from gateway.store.postgres.schema import DRAFT_ID_BLOCK, MSG_ID_BLOCK
from gateway.store.rows import (
    GONE,
    IN_RECEIVERS_LIST,
    IN_SENDERS_LIST,
    PASSING,
    RECALLED,
    is_folded,
)

_USER, _GROUP = int(Scope.USER), int(Scope.GROUP)
_MEMBERSHIP = int(EntryKind.MEMBERSHIP)


# The newest message of a group that went to some members only, of each of those and of its sender.
_DIRECTED = """directed AS (
    SELECT usr, grp, max(msg_id) AS last FROM (
        SELECT target AS usr, peer AS grp, msg_id FROM message WHERE peer <> 0 AND peer <> sender
        UNION ALL SELECT sender, peer, msg_id FROM message WHERE peer <> 0 AND peer <> sender) AS told
    GROUP BY usr, grp)"""
_NEWEST = "greatest(n.msg_id, d.last, (SELECT swept_to FROM meta))"

_COUNTER = (
    f"""(SELECT last_value + CASE WHEN is_called THEN {MSG_ID_BLOCK} ELSE 0 END AS next_msg_id FROM msg_id)"""
)
"""The first message id that was never given: ids are drawn in blocks."""


def _sender(row: str) -> str:
    """Name the sender of a transaction, which may be nobody yet."""
    return f"""'user ' || {row}.sender_xid || ' of app ' ||
        coalesce((SELECT app_id FROM app WHERE id = {row}.app), CAST({row}.app AS TEXT))"""


_MESSAGES = (
    f"""
    SELECT 'message ' || m.msg_id || ' lies above the counter of ids, which is at ' || c.next_msg_id
    FROM {_COUNTER} AS c JOIN message AS m ON m.msg_id >= c.next_msg_id
    """,
    f"""
    SELECT 'message ' || msg_id || CASE
        WHEN flags & {GONE} <> 0 AND body IS NOT NULL THEN ' is gone but still has its text'
        WHEN flags & {GONE} <> 0 THEN ' is gone but still shown'
        WHEN body IS NULL THEN ' has no text and is not gone'
        WHEN {is_folded("message")} THEN ' is shown, and is folded into message ' || related
        WHEN flags & {PASSING} <> 0 THEN ' is shown, and only passes'
        ELSE ' is hidden and not gone' END
    FROM message WHERE CASE WHEN flags & {GONE} <> 0 THEN body IS NOT NULL OR shown <> 0
        ELSE body IS NULL OR (shown <> 0) <> (NOT {is_folded("message")} AND flags & {PASSING} = 0) END
    """,
    f"""
    SELECT 'message ' || m.msg_id || ' cannot be folded into message ' || m.related || CASE
        WHEN b.msg_id IS NULL THEN ', which does not exist'
        WHEN b.flags & {RECALLED} <> 0 THEN ', which is recalled: its text is still there'
        ELSE ', which is not its sender''s in the same conversation' END
    FROM message AS m LEFT JOIN message AS b ON b.msg_id = m.related
    WHERE {is_folded("m")} AND CASE
        WHEN b.msg_id IS NULL THEN m.related > (SELECT swept_to FROM meta) AND NOT {trimmed("m.target", "m.related")}
        ELSE (b.target, b.peer, b.sender) <> (m.target, m.peer, m.sender) OR {is_folded("b")} OR b.msg_id >= m.msg_id
            OR b.flags & {RECALLED} <> 0 AND m.body IS NOT NULL END
    """,
    """
    WITH used AS (SELECT body, count(*) AS n FROM message WHERE body IS NOT NULL GROUP BY body)
    SELECT 'text ' || b.id || ' counts ' || b.refs || ' messages, and ' || coalesce(u.n, 0) || ' have it'
    FROM body AS b LEFT JOIN used AS u ON u.body = b.id WHERE u.n IS DISTINCT FROM b.refs
    """,
    # What a transaction key has answered stands beside it; whoever removes its messages removes both.
    f"""
    SELECT 'transaction ' || d.key || ' of ' || {_sender("d")} || CASE
        WHEN a.draft IS NULL THEN ' has no answer'
        ELSE ' was answered by messages ' || a.first_msg_id || ' to ' || a.last_msg_id || ', which were never given' END
    FROM {_COUNTER} AS c CROSS JOIN dedup AS d LEFT JOIN answer AS a ON a.draft = d.draft
    WHERE a.draft IS NULL OR a.first_msg_id < 1 OR a.last_msg_id < a.first_msg_id OR a.last_msg_id >= c.next_msg_id
    """,
    """
    SELECT 'messages ' || a.first_msg_id || ' to ' || a.last_msg_id || ' answer draft ' || a.draft
        || ', which no transaction names'
    FROM answer AS a WHERE NOT EXISTS (SELECT 1 FROM dedup AS d WHERE d.draft = a.draft)
    """,
    f"""
    SELECT 'draft ' || d.draft || ' is named by ' || count(*) || ' transactions, one of ' || min({_sender("d")})
    FROM dedup AS d GROUP BY d.draft HAVING count(*) > 1
    """,
    """
    SELECT 'message ' || m.msg_id || ' is still there, and retention has removed all up to ' || t.swept_to
    FROM meta AS t JOIN message AS m ON m.msg_id <= t.swept_to
    UNION ALL
    SELECT 'transaction ' || d.key || ' is remembered, and its last message, ' || a.last_msg_id || ', was removed'
    FROM meta AS t JOIN answer AS a ON a.last_msg_id <= t.swept_to JOIN dedup AS d ON d.draft = a.draft
    """,
    f"""
    SELECT 'transaction ' || d.key || ' has no sender: there is no ' || {_sender("d")} FROM dedup AS d
    WHERE NOT EXISTS (SELECT 1 FROM timeline AS t WHERE t.app = d.app AND t.xid = d.sender_xid)
    """,
    # Drafts are numbered before they are kept, and a text has the number of its draft.
    f"""
    SELECT n.what || n.draft || ' lies above the counter of drafts, which is at ' || c.next
    FROM (SELECT last_value + CASE WHEN is_called THEN {DRAFT_ID_BLOCK} ELSE 0 END AS next FROM draft_id) AS c
    JOIN (SELECT 'text ' AS what, id AS draft FROM body UNION ALL SELECT 'the answer of draft ', draft FROM answer) AS n
    ON n.draft >= c.next
    """,
)

_CONVERSATIONS = (
    f"""
    WITH newest AS (
        SELECT usr, opp, max(last) AS last FROM (
            SELECT target AS usr, peer AS opp, max(msg_id) AS last FROM message
            WHERE peer = sender AND {IN_RECEIVERS_LIST} GROUP BY target, peer
            UNION ALL
            SELECT sender, target, max(msg_id) FROM message
            WHERE peer = sender AND {IN_SENDERS_LIST} GROUP BY sender, target) AS told
        GROUP BY usr, opp)
    SELECT 'the conversation of ' || {who("n.usr")} || ' with ' || {who("n.opp")} || ' ends with message ' || n.last
        || CASE WHEN c.last IS NULL THEN ' and has no row' ELSE ', not ' || c.last END
    FROM newest AS n LEFT JOIN conversation AS c ON c.usr = n.usr AND c.opp = n.opp WHERE c.last IS DISTINCT FROM n.last
    UNION ALL
    SELECT 'the conversation of ' || {who("c.usr")} || ' with ' || {who("c.opp")} || ' has no message'
    FROM conversation AS c LEFT JOIN newest AS n ON n.usr = c.usr AND n.opp = c.opp WHERE n.last IS NULL
    """,
    f"""
    WITH last AS (SELECT target, max(msg_id) AS last FROM message WHERE peer = 0 GROUP BY target)
    SELECT 'the newest message of ' || {who("t.id")} || ' is ' || coalesce(CAST(m.last AS TEXT), 'none') || ', not '
        || coalesce(n.msg_id, 0)
    FROM timeline AS t LEFT JOIN newest AS n ON n.grp = t.id LEFT JOIN last AS m ON m.target = t.id
    WHERE t.kind = {_GROUP} AND coalesce(n.msg_id, 0) <> coalesce(m.last, 0)
        AND NOT (m.last IS NULL AND n.msg_id <= (SELECT swept_to FROM meta))
    UNION ALL
    SELECT 'a newest message is told of ' || {who("n.grp")} || ', which is no group' FROM newest AS n
    WHERE NOT EXISTS (SELECT 1 FROM grp AS g WHERE g.id = n.grp)
    """,
)

_PARTIES = (
    f"""
    SELECT {who("t.id")} || ' has no row of its own' FROM timeline AS t
    WHERE NOT CASE t.kind WHEN {_USER} THEN EXISTS (SELECT 1 FROM "user" AS u WHERE u.id = t.id)
        WHEN {_GROUP} THEN EXISTS (SELECT 1 FROM grp AS g WHERE g.id = t.id) ELSE false END
    """,
    f"""
    SELECT {who("p.id")} || CASE WHEN t.id IS NULL THEN ' is ' || p.what || ' without a timeline'
        WHEN t.app <> p.app THEN ' is ' || p.what || ' of app ' || p.app
        ELSE ' is of app ' || t.app || ', which does not exist' END
    FROM (SELECT id, app, 'a user' AS what FROM "user" UNION ALL SELECT id, app, 'a group' FROM grp) AS p
    LEFT JOIN timeline AS t ON t.id = p.id LEFT JOIN app AS a ON a.id = t.app WHERE a.id IS NULL OR t.app <> p.app
    """,
    f"""
    SELECT 'the stay of ' || {who("s.usr")} || ' in ' || {who("s.grp")} || ' from seq ' || s.from_seq
        || coalesce(' to ' || s.to_seq, '') || ' lies outside the timeline, whose head is ' || t.head
    FROM stay AS s JOIN timeline AS t ON t.id = s.grp
    WHERE NOT (1 <= s.from_seq AND s.from_seq <= coalesce(s.to_seq, t.head) AND coalesce(s.to_seq, 0) <= t.head)
    """,
    f"""
    WITH {_DIRECTED}
    SELECT 'the stay of ' || {who("s.usr")} || ' in ' || {who("s.grp")} || ' from message ' || s.from_msg
        || coalesce(' to ' || s.to_msg, '') || ' does not fit the newest message, ' || coalesce(n.msg_id, 0)
    FROM stay AS s JOIN timeline AS t ON t.id = s.grp LEFT JOIN newest AS n ON n.grp = s.grp
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
            || ', and its newest message is ' || coalesce(n.msg_id, 0)
        WHEN s.deleted NOT BETWEEN 0 AND {_NEWEST} THEN ' has deleted ' || {who("s.grp")} || ' up to ' || s.deleted
            || ', and its newest message is ' || coalesce(n.msg_id, 0)
        ELSE ' has ' || {who("s.grp")} || ' off the list up to ' || s.off
            || ', and its newest message is ' || coalesce(n.msg_id, 0) END
    FROM stay AS s JOIN timeline AS t ON t.id = s.grp LEFT JOIN newest AS n ON n.grp = s.grp
    LEFT JOIN directed AS d ON d.usr = s.usr AND d.grp = s.grp
    WHERE s.delivered NOT BETWEEN s.from_seq - 1 AND coalesce(s.to_seq, t.head)
        OR s.read NOT BETWEEN 0 AND {_NEWEST} OR s.deleted NOT BETWEEN 0 AND {_NEWEST}
        OR s.off NOT BETWEEN 0 AND {_NEWEST}
    """,
    # Two open ones are told above.
    f"""
    SELECT {who("usr")} || ' has stays in ' || {who("grp")} || ' that overlap at seq ' || from_seq FROM (
        SELECT usr, grp, from_seq, to_seq, lag(to_seq) OVER (PARTITION BY usr, grp ORDER BY from_seq, id) AS before
        FROM stay) AS ordered WHERE from_seq <= before
    """,
    f"""
    SELECT {who("s.usr")} || ' has a stay in ' || {who("s.grp")} || ' that no entry '
        || CASE WHEN f.kind IS DISTINCT FROM {_MEMBERSHIP} THEN 'at seq ' || s.from_seq || ' begins'
           ELSE 'at seq ' || s.to_seq || ' ends' END
    FROM stay AS s JOIN timeline AS t ON t.id = s.grp
    LEFT JOIN entry AS f ON f.t = s.grp AND f.seq = s.from_seq
    LEFT JOIN entry AS l ON l.t = s.grp AND l.seq = s.to_seq
    WHERE s.from_seq BETWEEN t.floor + 1 AND t.head AND f.kind IS DISTINCT FROM {_MEMBERSHIP}
        OR s.to_seq BETWEEN t.floor + 1 AND t.head AND l.kind IS DISTINCT FROM {_MEMBERSHIP}
    """,
    f"""
    SELECT {who("u.id")} || ' has delivered seq ' || u.delivered || ', and the head of its timeline is ' || t.head
    FROM "user" AS u JOIN timeline AS t ON t.id = u.id WHERE u.delivered NOT BETWEEN 0 AND t.head
    """,
    f"""
    WITH held AS (
        SELECT app, sum(size) AS bytes FROM (
            SELECT t.app, {ROW_BYTES} * count(*) AS size FROM message AS m JOIN timeline AS t ON t.id = m.target
            GROUP BY t.app
            UNION ALL
            SELECT app, sum(size) FROM (
                SELECT t.app AS app, max(b.size) AS size FROM message AS m JOIN body AS b ON b.id = m.body
                JOIN timeline AS t ON t.id = m.target GROUP BY t.app, m.body) AS texts GROUP BY app
            UNION ALL
            SELECT app, sum(size) FROM file GROUP BY app) AS parts
        GROUP BY app),
    counted AS (SELECT app, sum(bytes) AS bytes FROM usage GROUP BY app)
    SELECT 'app ' || coalesce(a.app_id, CAST(c.app AS TEXT)) || ' counts ' || coalesce(c.bytes, 0) || ' bytes, and '
        || coalesce(h.bytes, 0) || ' are stored'
    FROM app AS a FULL JOIN counted AS c ON c.app = a.id LEFT JOIN held AS h ON h.app = a.id
    WHERE coalesce(c.bytes, 0) <> coalesce(h.bytes, 0)
    """,
)

_PRESENCE = (
    f"""
    SELECT 'device ' || h.sn || ' of ' || {who("h.usr")} || CASE
        WHEN h.no >= c.next THEN ' is connected under number ' || h.no || ', and the counter is at ' || c.next
        WHEN o.id IS NULL THEN ' is connected to node ' || h.node || ', which does not exist'
        ELSE ' is connected, and there is nobody to use it' END
    FROM (SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END AS next FROM attach_no) AS c
    CROSS JOIN attached AS h LEFT JOIN timeline AS t ON t.id = h.usr LEFT JOIN app AS a ON a.system = h.usr
    LEFT JOIN node AS o ON o.id = h.node
    WHERE h.no >= c.next OR o.id IS NULL OR t.kind IS DISTINCT FROM {_USER} OR a.id IS NOT NULL
    """,
)

LAWS: tuple[str, ...] = (
    *ENTRY_LAWS,
    *_MESSAGES,
    *_CONVERSATIONS,
    *_PARTIES,
    *COMMON_LAWS,
    *_PRESENCE,
    *ACCOUNT_LAWS,
    *JOB_LAWS,
    *GROUP_LAWS,
    *FILE_LAWS,
)
"""Every law; a store that keeps them all answers each with nothing."""
