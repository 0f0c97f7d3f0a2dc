"""How each law of a store on PostgreSQL is broken by hand: as on SQLite, but for what other tables hold there."""

from __future__ import annotations

import re

from tests.store.breaches import BREACHES

_NEEDLESS = {"a key of no app", "an index that misses rows"}
"""PostgreSQL keeps these by itself."""

_OTHERS: dict[str, tuple[str, ...]] = {
    "ids above their counter": (
        "ALTER SEQUENCE msg_id RESTART WITH 9",
        "message 9 lies above the counter of ids, which is at 9",
    ),
    "drafts above their counter": (
        "ALTER SEQUENCE draft_id RESTART WITH 8",
        "text 8 lies above the counter of drafts, which is at 8",
    ),
    "an answer above the counter of drafts": (
        "UPDATE answer SET draft = 100; UPDATE dedup SET draft = 100",
        "the answer of draft 100 lies above the counter of drafts, which is at 100",
    ),
    "a group moved to another app": (
        "INSERT INTO app SELECT 2, 'two', 1, 0, 0, 0, '', 0, 0, 0, 0, 0; UPDATE timeline SET app = 2 WHERE id = 5",
        *(
            sentence.replace("listed with the groups of app 1", "a group of app 1")
            for sentence in BREACHES["a group moved to another app"][1:]
        ),
        BREACHES["a group moved to another app"][-1],
    ),
    "a transaction answered too far": (
        "UPDATE answer SET last_msg_id = 10",
        "transaction 7 of {a} was answered by messages 1 to 10, which were never given",
    ),
    "a transaction without answer": (
        "DELETE FROM answer",
        "transaction 7 of {a} has no answer",
    ),
    "an answer without transaction": (
        "DELETE FROM dedup",
        "messages 1 to 1 answer draft 1, which no transaction names",
    ),
    "a draft of two transactions": (
        "INSERT INTO dedup SELECT app, sender_xid, '8', digest, draft FROM dedup",
        "draft 1 is named by 2 transactions, one of {a}",
    ),
    "a transaction of nobody": (
        "UPDATE dedup SET sender_xid = 99",
        "transaction 7 has no sender: there is no user 99 of app demo",
    ),
    "group last": (
        "UPDATE newest SET msg_id = 10 WHERE grp = 5",
        "the newest message of {g} is 9, not 10",
    ),
    "group last of nothing that was removed": (
        "INSERT INTO newest VALUES (6, 3)",
        "the newest message of group 1000000000002 of app demo is none, not 3",
    ),
    "no group last": (
        "DELETE FROM newest",
        "the newest message of {g} is 9, not 0",
        "the stay of {c} in {g} from message 1 to 8 does not fit the newest message, 0",
        "the stay of {c} in {g} from message 10 does not fit the newest message, 0",
        "{b} has read {g} up to 9, and its newest message is 0",
        "{c} has read {g} up to 9, and its newest message is 0",
    ),
    "group last of a user": (
        "INSERT INTO newest VALUES (3, 1)",
        "a newest message is told of {b}, which is no group",
    ),
    "a chatroom that keeps what it let go": (
        """
        DELETE FROM stay WHERE grp = 6; UPDATE grp SET type = 2 WHERE id = 6;
        UPDATE timeline SET floor = 1 WHERE id = 6; INSERT INTO newest VALUES (6, 10);
        DELETE FROM entry WHERE t = 6 AND seq = 1;
        INSERT INTO message VALUES (10, 6, 0, 4, 0, 1, 0, 2, 1700000000000, NULL, 0, 0, 0);
        ALTER SEQUENCE msg_id RESTART WITH 11; UPDATE usage SET bytes = bytes + 300
        """,
        *BREACHES["a chatroom that keeps what it let go"][1:],
    ),
    "a timeline of no app": (
        """
        INSERT INTO timeline (id, app, xid, kind) VALUES (9, 9, 1, 1);
        INSERT INTO user VALUES (9, 9, NULL, '', 0, 1)
        """,
        "user 1 of app 9 is of app 9, which does not exist",
    ),
    "a user without timeline": (
        "INSERT INTO user VALUES (9, 1, NULL, '', 0, 1)",
        "nobody (timeline 9) is a user without a timeline",
    ),
    "bytes of no app": (
        "INSERT INTO usage VALUES (9, 3, 7)",
        "app 9 counts 7 bytes, and 0 are stored",
    ),
    "bytes that nobody counts": (
        "DELETE FROM usage",
        "app demo counts 0 bytes, and 2735 are stored",
    ),
    "bytes counted in many places": (
        "INSERT INTO usage VALUES (1, 3, 7), (1, 4, -8)",
        "app demo counts 2734 bytes, and 2735 are stored",
    ),
    "removed messages that are there": (
        "UPDATE meta SET swept_to = 1; UPDATE answer SET last_msg_id = 2",
        "message 1 is still there, and retention has removed all up to 1",
    ),
    "a request of somebody of another app": (
        BREACHES["a request of somebody of another app"][0].replace("0, 0, 0, 0, 0, 0;", "0, 0, 0, 0, 0;"),
        *BREACHES["a request of somebody of another app"][1:],
    ),
    "a connection of system": (
        "INSERT INTO node VALUES (1, now()); INSERT INTO attached VALUES (1, 1, 0, 1)",
        "device 1 of {s} is connected, and there is nobody to use it",
    ),
    "a connection to no node": (
        "INSERT INTO node VALUES (1, now()); INSERT INTO attached VALUES (2, 1, 0, 3)",
        "device 1 of {a} is connected to node 3, which does not exist",
    ),
    "a connection that was never numbered": (
        "INSERT INTO node VALUES (1, now()); INSERT INTO attached VALUES (2, 1, 7, 1)",
        "device 1 of {a} is connected under number 7, and the counter is at 1",
    ),
}

POSTGRES_BREACHES: dict[str, tuple[str, ...]] = {
    **{name: told for name, told in BREACHES.items() if name not in _NEEDLESS},
    **_OTHERS,
}
"""What is done to the store, and what is told of it; timelines are named by the letters of NAMES."""

for _name, (_script, *_sentences) in POSTGRES_BREACHES.items():
    # `user` is a word of PostgreSQL's own.
    POSTGRES_BREACHES[_name] = (re.sub(r"(UPDATE|FROM|INTO) user\b", r'\1 "user"', _script), *_sentences)
