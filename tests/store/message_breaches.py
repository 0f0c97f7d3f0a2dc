"""How the laws about messages and their texts are broken by hand: part of `breaches.py`."""

from __future__ import annotations

MESSAGE_BREACHES: dict[str, tuple[str, ...]] = {
    "recalled text": (
        "UPDATE message SET body = 1 WHERE msg_id = 1; INSERT INTO body VALUES(1,1,0,'','','','')",
        "message 1 is gone but still has its text",
    ),
    "recalled shown": (
        "UPDATE message SET shown = 1 WHERE msg_id = 1",
        "message 1 is gone but still shown",
    ),
    "no text": (
        "UPDATE message SET body = NULL WHERE msg_id = 4; DELETE FROM body WHERE id = 3",
        "message 4 has no text and is not gone",
        "app demo counts 2735 bytes, and 2730 are stored",
    ),
    "hidden": (
        "UPDATE message SET shown = 0 WHERE msg_id = 4",
        "message 4 is hidden and not gone",
    ),
    "folded and shown": (
        "UPDATE message SET related = 2, ctype = 11 WHERE msg_id = 6",
        "message 6 is shown, and is folded into message 2",
    ),
    "folded into none": (
        "UPDATE message SET ctype = 12 WHERE msg_id = 4",
        "message 4 is of type 12 and relates to none",
    ),
    "passing and shown": (
        "UPDATE message SET flags = flags | 1024 WHERE msg_id = 4",
        "message 4 is shown, and only passes",
    ),
    "an answer to what is not there": (
        "UPDATE message SET related = 99 WHERE msg_id = 4",
        "message 4 cannot answer message 99, which does not exist",
    ),
    "an answer to what was said elsewhere": (
        "UPDATE message SET related = 3 WHERE msg_id = 4",
        "message 4 cannot answer message 3, which does not lie before it in the same conversation",
    ),
    "an answer to what was said in another group": (
        "UPDATE message SET related = 4 WHERE msg_id = 7",
        "message 7 cannot answer message 4, which does not lie before it in the same conversation",
    ),
    "an answer to a later message": (
        "UPDATE message SET related = 6 WHERE msg_id = 4",
        "message 4 cannot answer message 6, which does not lie before it in the same conversation",
    ),
    "an answer to what is folded": (
        """
        UPDATE message SET ctype = 11, related = 7, shown = 0, sender = 2 WHERE msg_id = 8;
        UPDATE message SET related = 8 WHERE msg_id = 9
        """,
        "message 9 cannot answer message 8, which nobody is shown",
    ),
    "an answer to what only passes": (
        "UPDATE message SET flags = 1024, shown = 0 WHERE msg_id = 7; UPDATE message SET related = 7 WHERE msg_id = 9",
        "message 9 cannot answer message 7, which nobody is shown",
    ),
    "of either side alone": (
        "UPDATE message SET flags = 2048 + 4096 WHERE msg_id = 5",
        "message 5 is one side's alone, and the other's, too",
        "message 5 has the seq 2, and is its sender's alone",
    ),
    "one side's alone in a group": (
        "UPDATE message SET flags = 2048 + 4 WHERE msg_id = 8",
        "message 8 is one side's alone, and lies between no two users",
    ),
    "one side's alone to oneself": (
        "UPDATE message SET flags = 2048 + 4 WHERE msg_id = 5",
        "message 5 is one side's alone, and lies between no two users",
    ),
    "its receiver's alone, and its sender's": (
        "UPDATE message SET flags = 2048 WHERE msg_id = 4",
        "message 4 is one side's alone, its receiver's, and its sender has it",
    ),
    "its sender's alone, and sent": (
        "UPDATE message SET flags = 4096 WHERE msg_id = 2",
        "message 2 has the seq 2, and is its sender's alone",
    ),
    "without seq": (
        "UPDATE message SET seq = 0 WHERE msg_id = 5",
        "message 5 has no seq, and was not imported",
        "the entry at seq 2 of {c} holds message 5, which does not belong there",
    ),
    "folded into what is not there": (
        "UPDATE message SET related = 99, ctype = 11, shown = 0 WHERE msg_id = 4",
        "message 4 cannot be folded into message 99, which does not exist",
    ),
    "folded into another's message": (
        "UPDATE message SET related = 2, ctype = 11, shown = 0 WHERE msg_id = 4",
        "message 4 cannot be folded into message 2, which is not its sender's in the same conversation",
    ),
    "folded into a later message": (
        "UPDATE message SET related = 6, ctype = 11, shown = 0 WHERE msg_id = 2",
        "message 2 cannot be folded into message 6, which is not its sender's in the same conversation",
    ),
    "folded into what is folded": (
        """
        UPDATE message SET related = 2, ctype = 11, shown = 0 WHERE msg_id = 6;
        UPDATE message SET related = 1, ctype = 11, shown = 0 WHERE msg_id = 2
        """,
        "message 6 cannot be folded into message 2, which is not its sender's in the same conversation",
        "message 2 cannot be folded into message 1, which is recalled: its text is still there",
    ),
    "a text left of what is recalled": (
        "UPDATE message SET related = 1, ctype = 11, shown = 0 WHERE msg_id = 6",
        "message 6 cannot be folded into message 1, which is recalled: its text is still there",
    ),
    "a message to some of no group": (
        "UPDATE message SET peer = 1 WHERE msg_id = 5",
        "message 5 does not fit its conversation",
        "the conversation of {c} with {c} has no message",
    ),
    "no sender": (
        "UPDATE message SET sender = 98 WHERE msg_id = 7",
        "message 7 has no sender",
    ),
    "sent by group": (
        "UPDATE message SET sender = 5 WHERE msg_id = 7",
        "message 7 was sent by a group",
    ),
    "a message in the wrong conversation": (
        "UPDATE message SET peer = 3 WHERE msg_id = 5",
        "message 5 does not fit its conversation",
        "the conversation of {c} with {c} has no message",
    ),
    "refs": (
        "UPDATE body SET refs = 3 WHERE id = 2",
        "text 2 counts 3 messages, and 2 have it",
    ),
    "unused": (
        "INSERT INTO body VALUES(77,0,0,'','','','')",
        "text 77 counts 0 messages, and 0 have it",
    ),
    "a message outside its hour": (
        "UPDATE message SET at = at + 3600000 WHERE msg_id = 4",
        "message 4 does not lie where those of its hour do",
    ),
    "missing body": (
        "DELETE FROM body WHERE id = 3",
        "message 4 names text 3, which does not exist",
        "app demo counts 2735 bytes, and 2730 are stored",
    ),
    "hidden and not there": (
        "INSERT INTO hidden (msg_id, usr) VALUES (99, 3)",
        "message 99 is hidden from {b}, and does not exist",
    ),
    "hidden and not said to be": (
        "INSERT INTO hidden (msg_id, usr) VALUES (8, 3)",
        "message 8 is hidden from {b}, and does not say so",
    ),
    "hidden between two": (
        "UPDATE message SET flags = flags | 64 WHERE msg_id = 2; INSERT INTO hidden (msg_id, usr) VALUES (2, 3)",
        "message 2 is hidden from {b}, which cannot be",
    ),
    "hidden from a group": (
        "UPDATE message SET flags = flags | 64 WHERE msg_id = 8; INSERT INTO hidden (msg_id, usr) VALUES (8, 5)",
        "message 8 is hidden from {g}, which cannot be",
    ),
    "no seq": (
        "UPDATE message SET seq = 0 WHERE msg_id = 9",
        "the entry at seq 5 of {g} holds message 9, which does not belong there",
        "message 9 has no seq, and was not imported",
    ),
    "sent elsewhere and not imported": (
        "INSERT INTO imported (msg_id, shown_at, place) VALUES (9, 1, 5)",
        "message 9 was sent elsewhere, and was not imported",
    ),
    "read by everybody and not imported": (
        "UPDATE message SET flags = flags | 256 WHERE msg_id = 9",
        "message 9 is read by everybody, and was not imported",
    ),
    "an import with a seq": (
        "UPDATE message SET flags = flags | 128 WHERE msg_id = 9",
        "the entry at seq 5 of {g} holds message 9, which does not belong there",
        "message 9 was imported, and has the seq 5",
    ),
    "an import of no time": (
        "UPDATE message SET flags = 128, seq = 0 WHERE msg_id = 9",
        "the entry at seq 5 of {g} holds message 9, which does not belong there",
        "message 9 was imported, and nothing says when it was sent",
    ),
    "an import at no place": (
        """
        UPDATE message SET flags = 128, seq = 0 WHERE msg_id = 9;
        INSERT INTO imported (msg_id, shown_at, place) VALUES (9, 1, 7)
        """,
        "the entry at seq 5 of {g} holds message 9, which does not belong there",
        "message 9 was imported at a place of {g} that there is not: 7",
    ),
    "an import of nothing": (
        "INSERT INTO imported (msg_id, shown_at, place) VALUES (99, 1, 0)",
        "message 99 was imported, and does not exist",
    ),
}
