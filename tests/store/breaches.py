"""How each law of a store is broken by hand, and what is told of it: see `test_sqlite_check.py`.

Those about timelines, entries, stays, conversations and jobs are here; the others are put together with them.
In the store that is harmed, timeline 1 is the user `system`, 2 to 4 are users 11 to 13, and 5 is a group of these
three, of which 13 was kicked and came back.
"""

from __future__ import annotations

from tests.store.group_breaches import GROUP_BREACHES
from tests.store.message_breaches import MESSAGE_BREACHES
from tests.store.user_breaches import USER_BREACHES

NAMES = {
    "a": "user 11 of app demo",
    "b": "user 12 of app demo",
    "c": "user 13 of app demo",
    "g": "group 1000000000001 of app demo",
    "s": "user 1000000000000 of app demo",
}

# What is done to the store, and what is told of it; timelines are named by the letters of NAMES.
BREACHES: dict[str, tuple[str, ...]] = {
    "floor above head": (
        "UPDATE timeline SET head = 0, floor = 1 WHERE id = 4; DELETE FROM entry WHERE t=4",
        "the timeline of {c} has its head 0 below its floor 1",
        "message 5 has no entry at seq 2 of its receiver, {c}",
    ),
    "an entry above the head": (
        """
        UPDATE timeline SET head = head - 1 WHERE id = 5;
        DELETE FROM stay WHERE from_seq=6;
        UPDATE grp SET members=2 WHERE id=5
        """,
        "the timeline of {g} has an entry at seq 6, above its head 5",
    ),
    "an entry below floor": (
        "UPDATE timeline SET floor = 1 WHERE id = 5",
        "the timeline of {g} has an entry at seq 1, not above its floor 1",
    ),
    "a hole": (
        "DELETE FROM entry WHERE t = 2 AND kind = 4",
        "the timeline of {a} misses 1 of its 7 entries, the first at seq 7",
    ),
    "two holes": (
        "DELETE FROM entry WHERE t = 2 AND kind IN (3,4)",
        "the timeline of {a} misses 2 of its 7 entries, the first at seq 5",
    ),
    "emptied too far": (
        "UPDATE timeline SET head = 9 WHERE id = 1",
        "the timeline of {s} misses 9 of its 9 entries, the first at seq 1",
        "the reserved user system of app demo has entries",
    ),
    "a head too high": (
        "UPDATE timeline SET head = head + 1 WHERE id = 5",
        "the timeline of {g} misses 1 of its 7 entries, the first at seq 7",
    ),
    "entries of no timeline": (
        "INSERT INTO entry (t, seq, kind, msg_id, data) VALUES (99, 1, 3, 0, '{}')",
        "there are 1 entries of timeline 99, which does not exist",
    ),
    "an entry without message": (
        "UPDATE entry SET msg_id = 99 WHERE t = 3 AND kind=2",
        "the entry at seq 6 of {b} names message 99, which does not exist",
        "message 1 is recalled, but the timeline of {b} does not say so",
    ),
    "an unknown kind": (
        "UPDATE entry SET kind = 9 WHERE t = 2 AND kind = 4",
        "the entry at seq 7 of {a} is of the unknown kind 9",
    ),
    "unreadable": (
        "UPDATE entry SET data = '{' WHERE t = 2 AND kind = 4",
        "the entry at seq 7 of {a} cannot be read",
    ),
    "a message row gone": (
        "DELETE FROM message WHERE msg_id = 9; DELETE FROM body WHERE id=8",
        "the entry at seq 5 of {g} names message 9, which does not exist",
        "the newest message of {g} is 8, not 9",
        "app demo counts 2735 bytes, and 2430 are stored",
    ),
    "a stranger's entry": (
        """
        UPDATE timeline SET head = head + 1 WHERE id = 4;
        INSERT INTO entry SELECT 4, head, 1, 4, '' FROM timeline WHERE id = 4
        """,
        "the entry at seq 8 of {c} holds message 4, which does not belong there",
    ),
    "a copy of a notice": (
        """
        UPDATE timeline SET head = head + 1 WHERE id = 2;
        INSERT INTO entry SELECT 2, head, 1, 6, '' FROM timeline WHERE id = 2
        """,
        "the entry at seq 8 of {a} holds message 6, which does not belong there",
    ),
    "no receivers entry": (
        "UPDATE entry SET kind = 3, msg_id=0, data='{}' WHERE t = 3 AND seq = 2",
        "message 2 has no entry at seq 2 of its receiver, {b}",
    ),
    "wrong seq": (
        "UPDATE message SET seq = 3 WHERE msg_id = 2",
        "the entry at seq 2 of {b} holds message 2, which does not belong there",
        "message 2 has no entry at seq 3 of its receiver, {b}",
    ),
    "no senders copy": (
        "UPDATE entry SET kind = 3, msg_id=0, data='{}' WHERE t = 2 AND msg_id = 2",
        "message 2 has no entries in the timeline of its sender, {a}",
    ),
    "two senders copies": (
        """
        UPDATE timeline SET head = head + 1 WHERE id = 2;
        INSERT INTO entry SELECT 2, head, 1, 3, '' FROM timeline WHERE id = 2
        """,
        "message 3 has 2 entries in the timeline of its sender, {a}",
        "message 3 at seq 8 of {a} follows message 3 of the same conversation: ids must rise",
    ),
    "falling ids": (
        "UPDATE entry SET msg_id = 2 WHERE t=2 AND seq=1; UPDATE entry SET msg_id=1 WHERE t=2 AND seq=2;",
        "message 1 at seq 2 of {a} follows message 2 of the same conversation: ids must rise",
    ),
    "recalls unrecalled": (
        "UPDATE entry SET msg_id = 2 WHERE t=2 AND kind=2",
        "the entry at seq 6 of {a} recalls message 2, which is not recalled",
        "message 1 is recalled, but the timeline of {a} does not say so",
    ),
    "recall not told": (
        "UPDATE entry SET kind = 3, data='{}' WHERE t=3 AND kind=2",
        "message 1 is recalled, but the timeline of {b} does not say so",
    ),
    "system entries": (
        "UPDATE timeline SET head = 1 WHERE id = 1; INSERT INTO entry VALUES(1,1,3,0,'{}')",
        "the reserved user system of app demo has entries",
    ),
    "no meta row": (
        "DELETE FROM meta",
        "the table meta has 0 rows instead of one",
    ),
    "ids above their counter": (
        "UPDATE meta SET next_msg_id = 9",
        "message 9 lies above the counter of ids, which is at 9",
    ),
    "a group moved to another app": (
        "INSERT INTO app SELECT 2, 'two', 1, 0, 0, 0, '', 0, 0, 0, 0, 0, 0; UPDATE timeline SET app = 2 WHERE id = 5",
        "message 7 goes from one app to another",
        "message 8 goes from one app to another",
        "message 9 goes from one app to another",
        "{a} cannot have a stay in group 1000000000001 of app two",
        "{c} cannot have a stay in group 1000000000001 of app two",
        "{b} cannot have a stay in group 1000000000001 of app two",
        "{c} cannot have a stay in group 1000000000001 of app two",
        "app demo counts 2735 bytes, and 1820 are stored",
        "app two counts 0 bytes, and 915 are stored",
        "group 1000000000001 of app two is listed with the groups of app 1",
    ),
    "a transaction answered too far": (
        "UPDATE dedup SET last_msg_id = 10",
        "transaction 7 of {a} was answered by messages 1 to 10, which were never given",
    ),
    "a transaction of nobody": (
        "UPDATE dedup SET sender = 99",
        "transaction 7 has no sender: 99 does not exist",
    ),
    "a conversation with an older last": (
        "UPDATE conversation SET last = 3 WHERE usr = 3 AND opp = 2",
        "the conversation of {b} with {a} ends with message 6, not 3",
        "the conversation of {b} with {a} is read up to 6, and its newest message is 3",
    ),
    "a conversation without row": (
        "DELETE FROM conversation WHERE usr = 4 AND opp = 2",
        "the conversation of {c} with {a} ends with message 3 and has no row",
    ),
    "a conversation without messages": (
        "INSERT INTO conversation VALUES(3,4,4,0,0,0)",
        "the conversation of {b} with {c} has no message",
    ),
    "a conversation read too far": (
        "UPDATE conversation SET read = 99 WHERE usr = 2 AND opp = 3",
        "the conversation of {a} with {b} is read up to 99, and its newest message is 4",
    ),
    "a conversation deleted below zero": (
        "UPDATE conversation SET deleted = -1 WHERE usr = 2 AND opp = 3",
        "the conversation of {a} with {b} is deleted up to -1, and its newest message is 4",
    ),
    "a conversation off the list too far": (
        "UPDATE conversation SET off = 99 WHERE usr = 2 AND opp = 3",
        "the conversation of {a} with {b} is off the list up to 99, and its newest message is 4",
    ),
    "group last": (
        "UPDATE timeline SET last = 10 WHERE id = 5",
        "the newest message of {g} is 9, not 10",
    ),
    "a timeline of no kind": (
        "UPDATE timeline SET kind = 7 WHERE id = 1",
        "the reserved user system of app demo has entries",
        "{s} has no row of its own",
    ),
    "stay of group": (
        "UPDATE stay SET usr = 6 WHERE grp = 5 AND usr=2",
        "group 1000000000002 of app demo cannot have a stay in {g}",
        "{g} is owned by {a}, who is not in it",
    ),
    "a group that is a chatroom": (
        "UPDATE grp SET type = 2 WHERE id = 5",
        "{a} cannot have a stay in {g}",
        "{b} cannot have a stay in {g}",
        "{c} cannot have a stay in {g}",
        "{c} cannot have a stay in {g}",
        "device 1 of {b} has a cursor in the chatroom 1000000000001",
    ),
    "a chatroom that keeps what it let go": (
        """
        DELETE FROM stay WHERE grp = 6; UPDATE grp SET type = 2 WHERE id = 6;
        UPDATE timeline SET floor = 1, last = 10 WHERE id = 6; DELETE FROM entry WHERE t = 6 AND seq = 1;
        INSERT INTO message VALUES (10, 6, 0, 4, 0, 1, 0, 2, 1700000000000, NULL, 0, 0, 0);
        UPDATE meta SET next_msg_id = 11; UPDATE app SET stored_bytes = stored_bytes + 300
        """,
        "message 10 lies at seq 1 of the chatroom 1000000000002, not above its floor 1",
    ),
    "a recall in a chatroom of what was never there": (
        """
        DELETE FROM stay WHERE grp = 6; UPDATE grp SET type = 2 WHERE id = 6;
        UPDATE entry SET kind = 2, msg_id = 99 WHERE t = 6 AND seq = 2
        """,
        "the entry at seq 2 of group 1000000000002 of app demo names message 99, which does not exist",
    ),
    "stay above head": (
        "UPDATE stay SET from_seq=7 WHERE grp = 5 AND from_seq=6",
        "the stay of {c} in {g} from seq 7 lies outside the timeline, whose head is 6",
        "{c} has delivered seq 5 of {g}, outside the stay",
    ),
    "stay to": (
        "UPDATE stay SET to_seq=0 WHERE grp = 5 AND to_seq=4",
        "the stay of {c} in {g} from seq 1 to 0 lies outside the timeline, whose head is 6",
    ),
    "stay to msg": (
        "UPDATE stay SET to_msg=99 WHERE grp = 5 AND to_seq=4",
        "the stay of {c} in {g} from message 1 to 99 does not fit the newest message, 9",
    ),
    "stay delivered": (
        "UPDATE stay SET delivered=7 WHERE grp = 5 AND usr=3",
        "{b} has delivered seq 7 of {g}, outside the stay",
    ),
    "stay delivered closed": (
        "UPDATE stay SET delivered=5 WHERE grp = 5 AND to_seq=4",
        "{c} has delivered seq 5 of {g}, outside the stay",
    ),
    "stay delivered below": (
        "UPDATE stay SET delivered=4 WHERE grp = 5 AND from_seq=6",
        "{c} has delivered seq 4 of {g}, outside the stay",
    ),
    "stay read": (
        "UPDATE stay SET read=10 WHERE grp = 5 AND usr=3",
        "{b} has read {g} up to 10, and its newest message is 9",
    ),
    "stay deleted": (
        "UPDATE stay SET deleted=10 WHERE grp = 5 AND usr=3",
        "{b} has deleted {g} up to 10, and its newest message is 9",
    ),
    "stay off": (
        "UPDATE stay SET off=10 WHERE grp = 5 AND usr=3",
        "{b} has {g} off the list up to 10, and its newest message is 9",
    ),
    "two open": (
        """
        DROP INDEX stay_open;
        UPDATE stay SET to_seq=NULL WHERE usr=4 AND to_seq=4;
        UPDATE grp SET members = 4 WHERE id = 5
        """,
        "the stay of {c} in {g} from message 1 to 8 does not fit the newest message, 9",
        "{c} has 2 open stays in {g}",
    ),
    "overlap": (
        "UPDATE stay SET to_seq=6 WHERE to_seq=4",
        "{c} has stays in {g} that overlap at seq 6",
    ),
    "begin": (
        "UPDATE stay SET from_seq=2 WHERE grp = 5 AND usr=3",
        "{b} has a stay in {g} that no entry at seq 2 begins",
    ),
    "end": (
        "UPDATE stay SET to_seq=3 WHERE to_seq=4",
        "{c} has a stay in {g} that no entry at seq 3 ends",
    ),
    "members": (
        "UPDATE grp SET members=2 WHERE id=5",
        "{g} counts 2 members, and 3 are in it",
    ),
    "destroyed": (
        "UPDATE grp SET destroyed_at=2 WHERE id=5",
        "{g} is destroyed and still has members",
    ),
    "user delivered": (
        "UPDATE user SET delivered=99 WHERE id=2",
        "{a} has delivered seq 99, and the head of its timeline is 7",
    ),
    "cursor": (
        "UPDATE cursor SET seq=99 WHERE t=3",
        "device 1 of {b} has its cursor of {b} at seq 99, and the head is 6",
    ),
    "cursors of no device": (
        "DELETE FROM device",
        "device 1 of {b} has a cursor, and is not kept",
        "device 1 of {b} has a cursor, and is not kept",
    ),
    "a cursor of no timeline": (
        "UPDATE cursor SET t=99 WHERE t=5",
        "device 1 of {b} has a cursor in timeline 99, which does not exist",
    ),
    "a key of no app": (
        "DELETE FROM app_key; INSERT INTO app_key VALUES(9,'k',x'00',1)",
        "row ? of table app_key names a row of table app that does not exist",
    ),
    "an index that misses rows": (
        """
        PRAGMA writable_schema=ON;
        UPDATE sqlite_schema SET sql=replace(sql,'WHERE shown = 1','WHERE shown = 1 AND flags = 9')
        WHERE name='message_shown'
        """,
        "the file is damaged: wrong # of entries in index message_shown",
    ),
    "a recall the sender is not told of": (
        "UPDATE entry SET kind = 3, msg_id = 0, data = '{}' WHERE t = 2 AND kind = 2",
        "message 1 is recalled, but the timeline of {a} does not say so",
    ),
    "a stay without its last message": (
        "UPDATE stay SET to_msg = NULL WHERE grp = 5 AND to_seq = 4",
        "the stay of {c} in {g} from message 1 does not fit the newest message, 9",
    ),
    "removed messages that are there": (
        "UPDATE meta SET swept_to = 1; UPDATE dedup SET last_msg_id = 2",
        "message 1 is still there, and retention has removed all up to 1",
    ),
    "a transaction whose messages are removed": (
        "UPDATE meta SET swept_to = 1",
        "message 1 is still there, and retention has removed all up to 1",
        "transaction 7 is remembered, and its last message, 1, was removed",
    ),
    "group last of nothing that was removed": (
        "UPDATE timeline SET last = 3 WHERE id = 6",
        "the newest message of group 1000000000002 of app demo is none, not 3",
    ),
    **MESSAGE_BREACHES,
    **GROUP_BREACHES,
    **USER_BREACHES,
    "a finished job with its text": (
        "INSERT INTO job VALUES (1, 1, 'broadcast', '', '', '{}', 0, 0, 0, 1, 0)",
        "job 1 is finished and still has its text",
    ),
    "a job that nobody can do": (
        "INSERT INTO job VALUES (1, 1, 'moving', '', '', '', 0, 0, 0, 0, 0)",
        "job 1 is of the unknown kind moving",
    ),
    "a job of no app": (
        "INSERT INTO job VALUES (1, 9, 'broadcast', '', '', '', 0, 0, 0, 1, 0)",
        "job 1 is of an app that does not exist",
    ),
    "a job below its start": (
        "INSERT INTO job VALUES (1, 1, 'broadcast', '', '', '', -1, 0, 0, 0, 0)",
        "job 1 has got to -1, where no job can be",
    ),
}
