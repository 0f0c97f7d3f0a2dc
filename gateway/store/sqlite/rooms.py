"""Chatrooms on SQLite: groups whose followers are who is connected, and of whose history a bounded end is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.domain.model import ROOM, ROW_BYTES, EntryKind
from gateway.store.sqlite.lane import one, rows, table
from gateway.store.sqlite.texts import count, release

# The newest message stays with its entry, however many recalls have come since: `timeline.last` names it. There are
# never more of these than messages, so that what is kept stays bounded.
_FULL = f"""
SELECT json_group_array(json_array(id, app, floor)) FROM (
    SELECT t.id AS id, t.app AS app, t.floor AS low, min(t.head - ?2, coalesce(
        (SELECT m.seq FROM message AS m WHERE m.msg_id = t.last), t.head) - 1) AS floor
    FROM json_each(?1) AS j CROSS JOIN timeline AS t ON t.id = j.value
    CROSS JOIN grp AS g ON g.id = t.id AND g.type = {ROOM}
    WHERE t.head - t.floor > ?2)
WHERE floor > low
"""
_OLD = f"""
SELECT json_group_array(msg_id) FROM entry WHERE t = ? AND seq <= ? AND kind = {EntryKind.MESSAGE:d}
"""
# Ids of one send lie side by side, and those of two sends apart, so that the next end of a send is the end of this one.
_ANSWERED = """
SELECT json_group_array(json_array(key, sender)) FROM (
    SELECT DISTINCT d.key AS key, d.sender AS sender
    FROM (SELECT value AS msg_id, (SELECT min(last_msg_id) FROM dedup WHERE last_msg_id >= value) AS last
          FROM json_each(?)) AS p
    CROSS JOIN dedup AS d ON d.last_msg_id = p.last AND d.first_msg_id <= p.msg_id
    WHERE NOT EXISTS (SELECT 1 FROM message WHERE msg_id BETWEEN d.first_msg_id AND d.last_msg_id))
"""
_FORGET = """
DELETE FROM dedup WHERE (key, sender) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))
"""


def is_room(conn: sqlite3.Connection, group_id: int) -> bool:
    """Whether a group is a chatroom, which nobody has a stay in."""
    return bool(one(conn, f"SELECT 1 FROM grp WHERE id = ? AND type = {ROOM}", (group_id,)))


def trim(conn: sqlite3.Connection, timeline_ids: Sequence[int], keep: int) -> None:
    """Let go of all but the newest `keep` entries of those timelines that are chatrooms', and raise their floors.

    With a message goes its text, and the transaction that is answered by it and by none that is left.
    """
    for timeline_id, app, floor in table(conn, _FULL, (rows(list(timeline_ids)), keep)):
        old = table(conn, _OLD, (timeline_id, floor))
        if old:
            named = rows(old)
            release(conn, old)
            gone = conn.execute(
                "DELETE FROM message WHERE msg_id IN (SELECT value FROM json_each(?))", (named,)
            ).rowcount
            count(conn, {app: -ROW_BYTES * gone})
            conn.execute(_FORGET, (rows(table(conn, _ANSWERED, (named,))),))
        conn.execute("DELETE FROM entry WHERE t = ? AND seq <= ?", (timeline_id, floor))
        conn.execute("UPDATE timeline SET floor = ? WHERE id = ?", (floor, timeline_id))
