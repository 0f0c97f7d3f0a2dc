"""What is asked of stays in many places on PostgreSQL, as pieces of SQL."""

from __future__ import annotations

from typing import Literal

from gateway.store.rows import IMPORTED
from gateway.store.stays import Place, around


def others_reach(
    position: Literal["read", "delivered"], group: str, value: str, place: Place, but: str
) -> str:
    """Put together the SQL for: any member but `but`, with a stay around `place`, has `position` at `value` or further.

    Whoever has got furthest is looked at first, and of those who have got equally far the longest in the group: so an
    old message of a group that has grown since is found out at the first look, and not past everybody who came later.
    EXISTS would not look in this order.
    """
    return f"""((SELECT 1 FROM stay AS o
        WHERE o.grp = {group} AND o.{position} >= {value} AND {around("o", place)} AND o.usr <> {but}
        ORDER BY o.{position} DESC, o.from_seq LIMIT 1) IS NOT NULL)"""


def locked_stays(pairs: str, columns: str) -> str:
    """Put together the SQL that locks the open stays of `pairs` (usr, grp) by rising id, and reads columns of them.

    What has changed while it waited for a lock is read as it is by then; a stay that has ended is left out.
    """
    return f"""
    SELECT {columns} FROM (
        SELECT f.id FROM {pairs} AS j CROSS JOIN LATERAL (
            SELECT id FROM stay WHERE usr = j.usr AND grp = j.grp AND to_seq IS NULL LIMIT 1) AS f
        ORDER BY f.id) AS j
    CROSS JOIN LATERAL (SELECT * FROM stay WHERE id = j.id AND to_seq IS NULL FOR NO KEY UPDATE) AS s"""


def place_of(message: str) -> Place:
    """Put together the SQL of the place of a message of a group, imported or not."""
    first = f"""(CASE WHEN {message}.flags & {IMPORTED} <> 0
        THEN (SELECT place FROM imported WHERE msg_id = {message}.msg_id) ELSE {message}.seq END)"""
    return first, f"{first} + ({message}.flags & {IMPORTED} <> 0)::integer"
