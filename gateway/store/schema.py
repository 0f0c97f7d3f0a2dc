"""The tables (design §9), as numbered migrations applied at start; a newer schema is refused.

Numbers written in more than one place: `kind` of a timeline is `Scope`, its `state` is `State`, `kind` of an entry
is `EntryKind`; `message.flags` is 1 for a notice (the others: `rows.py`). A message is `shown` until its
text is gone; one that appends to another or replaces it is never shown by itself.
"""

from __future__ import annotations

SQLITE_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        epoch TEXT NOT NULL,
        next_msg_id INTEGER NOT NULL,
        last_batch TEXT NOT NULL,
        probes INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE app (
        id INTEGER PRIMARY KEY,
        app_id TEXT NOT NULL UNIQUE,
        system INTEGER NOT NULL,
        registered INTEGER NOT NULL,
        recall_window_ms INTEGER NOT NULL,
        next_xid INTEGER NOT NULL,
        signing_kid TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE app_key (
        app INTEGER NOT NULL REFERENCES app (id),
        kid TEXT NOT NULL,
        secret BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        PRIMARY KEY (app, kid)
    ) STRICT, WITHOUT ROWID;
    -- Also the table of xids: whatever an app knows by a number has its row here, entries or none.
    CREATE TABLE timeline (
        id INTEGER PRIMARY KEY,
        app INTEGER NOT NULL REFERENCES app (id),
        xid INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        head INTEGER NOT NULL DEFAULT 0,
        floor INTEGER NOT NULL DEFAULT 0,
        last INTEGER NOT NULL DEFAULT 0,
        facts_version INTEGER NOT NULL DEFAULT 0,
        UNIQUE (app, xid)
    ) STRICT;
    CREATE TABLE user (
        id INTEGER PRIMARY KEY REFERENCES timeline (id),
        app INTEGER NOT NULL,
        name TEXT,
        password TEXT NOT NULL DEFAULT '',
        delivered INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL,
        UNIQUE (app, name)
    ) STRICT;
    CREATE TABLE grp (
        id INTEGER PRIMARY KEY REFERENCES timeline (id),
        owner INTEGER NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        avatar TEXT NOT NULL,
        type INTEGER NOT NULL,
        members INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        destroyed_at INTEGER
    ) STRICT;
    CREATE TABLE stay (
        id INTEGER PRIMARY KEY,
        grp INTEGER NOT NULL,
        usr INTEGER NOT NULL,
        from_seq INTEGER NOT NULL,
        to_seq INTEGER,
        from_msg INTEGER NOT NULL,
        to_msg INTEGER,
        read INTEGER NOT NULL,
        deleted INTEGER NOT NULL,
        delivered INTEGER NOT NULL,
        joined_at INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX stay_open ON stay (usr, grp) WHERE to_seq IS NULL;
    -- to_seq, and shown below: an index that holds all a query asks for spares the row behind it.
    CREATE INDEX stay_read ON stay (grp, read DESC, from_seq, usr, to_seq);
    CREATE INDEX stay_delivered ON stay (grp, delivered DESC, from_seq, usr, to_seq);
    CREATE TABLE device (
        usr INTEGER NOT NULL,
        sn INTEGER NOT NULL,
        seen_at INTEGER NOT NULL,
        PRIMARY KEY (usr, sn)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE cursor (
        usr INTEGER NOT NULL,
        sn INTEGER NOT NULL,
        t INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (usr, sn, t)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE body (
        id INTEGER PRIMARY KEY,
        refs INTEGER NOT NULL,
        -- Bytes of the four texts: a page is cut by it without reading them.
        size INTEGER NOT NULL,
        content TEXT NOT NULL,
        attachment TEXT NOT NULL,
        config TEXT NOT NULL,
        ext TEXT NOT NULL
    ) STRICT;
    CREATE TABLE message (
        msg_id INTEGER PRIMARY KEY,
        target INTEGER NOT NULL,
        peer INTEGER NOT NULL,
        sender INTEGER NOT NULL,
        device_sn INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        ctype INTEGER NOT NULL,
        flags INTEGER NOT NULL,
        at INTEGER NOT NULL,
        body INTEGER,
        shown INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX message_shown ON message (target, peer, msg_id, sender, flags, shown) WHERE shown = 1;
    CREATE TABLE entry (
        t INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        msg_id INTEGER NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (t, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE conversation (
        usr INTEGER NOT NULL,
        opp INTEGER NOT NULL,
        last INTEGER NOT NULL,
        read INTEGER NOT NULL DEFAULT 0,
        deleted INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (usr, opp)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX conversation_recent ON conversation (usr, last DESC) WHERE last > deleted;
    CREATE TABLE dedup (
        sender INTEGER NOT NULL,
        key TEXT NOT NULL,
        digest TEXT NOT NULL,
        first_msg_id INTEGER NOT NULL,
        last_msg_id INTEGER NOT NULL,
        PRIMARY KEY (sender, key)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- What one tenant may use; 0: no bound of its own. stored_bytes: of its texts, and 300 for each message.
    ALTER TABLE app ADD COLUMN sends_per_s INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE app ADD COLUMN connections_max INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE app ADD COLUMN message_bytes_max INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE app ADD COLUMN storage_bytes_max INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE app ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE app SET stored_bytes =
        (SELECT 300 * count(*) FROM message AS m JOIN timeline AS t ON t.id = m.target WHERE t.app = app.id)
        + coalesce((SELECT sum(size) FROM (
            SELECT max(b.size) AS size FROM message AS m JOIN body AS b ON b.id = m.body
            JOIN timeline AS t ON t.id = m.target WHERE t.app = app.id GROUP BY m.body)), 0);
    ALTER TABLE timeline ADD COLUMN state INTEGER NOT NULL DEFAULT 0;
    -- Tokens issued before valid_from_ms are no longer good.
    ALTER TABLE user ADD COLUMN valid_from_ms INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE user ADD COLUMN nickname TEXT NOT NULL DEFAULT '';
    ALTER TABLE user ADD COLUMN avatar TEXT NOT NULL DEFAULT '';
    ALTER TABLE user ADD COLUMN description TEXT NOT NULL DEFAULT '';
    ALTER TABLE user ADD COLUMN public_info TEXT NOT NULL DEFAULT '';
    ALTER TABLE user ADD COLUMN private_info TEXT NOT NULL DEFAULT '';
    ALTER TABLE device ADD COLUMN platform INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE device ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';
    CREATE TABLE block (
        usr INTEGER NOT NULL,
        blocked INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (usr, blocked)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX block_by ON block (blocked, usr);
    ALTER TABLE grp ADD COLUMN ext TEXT NOT NULL DEFAULT '';
    ALTER TABLE grp ADD COLUMN apply_approval INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE grp ADD COLUMN invite_confirm INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE grp ADD COLUMN member_invitation INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE grp ADD COLUMN ban_all_until INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE grp ADD COLUMN history_visible INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE grp ADD COLUMN read_ack INTEGER NOT NULL DEFAULT 1;
    -- Until now every member of a public group invited, and of a private one the owner alone; nobody applied.
    UPDATE grp SET member_invitation = (type = 1), apply_approval = (type <> 1);
    -- Any number was taken for a type; what was not public was private, and none was a chatroom.
    UPDATE grp SET type = 0 WHERE type <> 1;
    ALTER TABLE grp ADD COLUMN app INTEGER NOT NULL DEFAULT 0;
    UPDATE grp SET app = (SELECT app FROM timeline AS t WHERE t.id = grp.id);
    CREATE INDEX grp_type ON grp (app, type, id) WHERE destroyed_at IS NULL;
    CREATE INDEX grp_room ON grp (owner) WHERE type = 2 AND destroyed_at IS NULL;
    ALTER TABLE stay ADD COLUMN admin INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX stay_admin ON stay (grp, usr) WHERE admin = 1;
    CREATE TABLE ban (
        grp INTEGER NOT NULL,
        usr INTEGER NOT NULL,
        until INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (grp, usr)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX ban_usr ON ban (usr);
    CREATE TABLE grp_block (
        grp INTEGER NOT NULL,
        usr INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (grp, usr)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX grp_block_usr ON grp_block (usr);
    -- Who asks to be let into a group (kind 1), and who is asked to come (kind 2). One that is answered goes.
    CREATE TABLE request (
        id INTEGER PRIMARY KEY,
        grp INTEGER NOT NULL,
        usr INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        inviter INTEGER NOT NULL,
        reason TEXT NOT NULL,
        state INTEGER NOT NULL,
        at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX request_open ON request (grp, usr, kind) WHERE state = 0;
    CREATE INDEX request_grp ON request (grp, kind, id);
    CREATE INDEX request_usr ON request (usr, kind, id);
    CREATE INDEX request_by ON request (inviter) WHERE kind = 2;
    ALTER TABLE message ADD COLUMN related INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE message ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX message_related ON message (related, msg_id) WHERE related > 0;
    CREATE INDEX message_expiry ON message (expires_at, msg_id) WHERE expires_at > 0 AND body IS NOT NULL;
    -- Only what went to some members of a group stands in these two, so that no other send pays for them.
    CREATE INDEX message_to ON message (target, peer, msg_id, sender) WHERE peer <> 0 AND peer <> sender;
    CREATE INDEX message_by ON message (sender, peer, msg_id, target, shown) WHERE peer <> 0 AND peer <> sender;
    CREATE INDEX stay_closed ON stay (usr, grp) WHERE to_seq IS NOT NULL;
    -- The entry of a recall says all there is to say, for its message may be removed before it.
    UPDATE entry SET data = (
        SELECT json_object(
            'conversation_xid', CASE WHEN t.kind = 2 OR m.sender = entry.t THEN t.xid ELSE s.xid END,
            'msg_id', m.msg_id)
        FROM message AS m JOIN timeline AS t ON t.id = m.target JOIN timeline AS s ON s.id = m.sender
        WHERE m.msg_id = entry.msg_id)
    WHERE kind = 2 AND EXISTS (SELECT 1 FROM message AS m WHERE m.msg_id = entry.msg_id);
    CREATE INDEX dedup_last ON dedup (last_msg_id);
    -- Retention has removed every message up to swept_to; it last ran at swept_at, and stopped itself at halted_at.
    ALTER TABLE meta ADD COLUMN swept_to INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE meta ADD COLUMN swept_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE meta ADD COLUMN halted_at INTEGER NOT NULL DEFAULT 0;
    -- Work that does not fit a batch. progress is where the next page starts, ends_at the last of all pages.
    CREATE TABLE job (
        id INTEGER PRIMARY KEY,
        app INTEGER NOT NULL,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        digest TEXT NOT NULL,
        data TEXT NOT NULL,
        progress INTEGER NOT NULL,
        ends_at INTEGER NOT NULL,
        done INTEGER NOT NULL,
        finished INTEGER NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX job_open ON job (id) WHERE finished = 0;
    CREATE UNIQUE INDEX job_key ON job (app, kind, key) WHERE key <> '';
    """,
    """
    -- conversation.last knows of every message up to told_to, and may be behind of those above (newest.py).
    ALTER TABLE meta ADD COLUMN told_to INTEGER NOT NULL DEFAULT 0;
    UPDATE meta SET told_to = next_msg_id - 1;
    """,
    """
    -- By key first: keys that count, or tell the time, come side by side whoever sends, and a batch writes the few
    -- pages that they stand in. By sender first it was a page for each. Those of deleted users (state 2) go at once,
    -- for an erasure that is under way comes by the transactions of those messages only that it has still to look at.
    CREATE TABLE dedup_by_key (
        key TEXT NOT NULL,
        sender INTEGER NOT NULL,
        digest TEXT NOT NULL,
        first_msg_id INTEGER NOT NULL,
        last_msg_id INTEGER NOT NULL,
        PRIMARY KEY (key, sender)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO dedup_by_key (key, sender, digest, first_msg_id, last_msg_id)
    SELECT d.key, d.sender, d.digest, d.first_msg_id, d.last_msg_id FROM dedup AS d
    LEFT JOIN timeline AS t ON t.id = d.sender WHERE t.state IS NOT 2 ORDER BY d.key, d.sender;
    DROP TABLE dedup;
    ALTER TABLE dedup_by_key RENAME TO dedup;
    CREATE INDEX dedup_last ON dedup (last_msg_id);
    """,
    """
    -- Who is in whose address book; a contact stands both ways. metadata: what apps keep with a user, as one object.
    CREATE TABLE contact (
        usr INTEGER NOT NULL,
        contact INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (usr, contact)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE user ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
    -- members_max 0: as many as any group may have. Whoever is trusted speaks also where all are banned.
    ALTER TABLE grp ADD COLUMN announcement TEXT NOT NULL DEFAULT '';
    ALTER TABLE grp ADD COLUMN members_max INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE grp ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE stay ADD COLUMN trusted INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX stay_trusted ON stay (grp, usr) WHERE trusted = 1;
    -- Whom an app lists as members of a chatroom; who hears it is who is connected.
    CREATE TABLE listed (
        grp INTEGER NOT NULL,
        usr INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (grp, usr)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX listed_usr ON listed (usr, grp);
    -- What a dialect calls an app, and by what a backend of that dialect proves to be the app's. A name has several
    -- secrets while they are changed.
    CREATE TABLE alias (
        dialect TEXT NOT NULL,
        name TEXT NOT NULL,
        app INTEGER NOT NULL REFERENCES app (id),
        PRIMARY KEY (dialect, name),
        UNIQUE (app, dialect)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE credential (
        app INTEGER NOT NULL REFERENCES app (id),
        dialect TEXT NOT NULL,
        name TEXT NOT NULL,
        secret TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (app, dialect, name, secret)
    ) STRICT, WITHOUT ROWID;
    -- at: when it was uploaded; 0: it is to be removed. thumb is Thumb, its bytes are not counted.
    CREATE TABLE file (
        uuid TEXT PRIMARY KEY,
        app INTEGER NOT NULL,
        name TEXT NOT NULL,
        type TEXT NOT NULL,
        size INTEGER NOT NULL,
        secret_digest BLOB NOT NULL,
        restricted INTEGER NOT NULL,
        thumb_width INTEGER NOT NULL,
        thumb_height INTEGER NOT NULL,
        uploader INTEGER NOT NULL,
        at INTEGER NOT NULL,
        thumb INTEGER NOT NULL DEFAULT 0,
        thumb_size INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX file_at ON file (at);
    CREATE INDEX file_by ON file (uploader) WHERE uploader > 0;
    -- Whose history pages leave out a message of a group; `message.flags` says where to look.
    CREATE TABLE hidden (
        msg_id INTEGER NOT NULL,
        usr INTEGER NOT NULL,
        PRIMARY KEY (msg_id, usr)
    ) STRICT, WITHOUT ROWID;
    -- Messages that were sent elsewhere: when, and where the head of their group's timeline was when they came (0: to a
    -- user). They have no seq of their own; `message.at` is when they came.
    CREATE TABLE imported (
        msg_id INTEGER PRIMARY KEY,
        shown_at INTEGER NOT NULL,
        place INTEGER NOT NULL
    ) STRICT;
    -- A conversation whose newest message is not above `off` is not on the recent list; its history is as it was.
    ALTER TABLE conversation ADD COLUMN off INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE stay ADD COLUMN off INTEGER NOT NULL DEFAULT 0;
    DROP INDEX conversation_recent;
    CREATE INDEX conversation_recent ON conversation (usr, last DESC) WHERE last > deleted AND last > off;
    -- All messages that were sent in an hour (of 3,600,000 ms since 1970) lie from first to last, among others perhaps.
    CREATE TABLE hour (hour INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
    INSERT INTO hour (hour, first, last) SELECT at / 3600000, min(msg_id), max(msg_id) FROM message GROUP BY 1;
    """,
    """
    -- What is folded into a message is found by itself: answers to it are there by `related`, too, and without number.
    CREATE INDEX message_folded ON message (related, msg_id) WHERE related > 0 AND ctype IN (11, 12);
    """,
)
