"""The tables (design §9), as numbered migrations applied at start; a newer schema is refused.

Numbers written in more than one place: `kind` of a timeline is `Scope`, `kind` of an entry is `EntryKind`;
`message.flags` is 1 for a notice; a message is `shown` until it is recalled, and then it has no body.
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
)
