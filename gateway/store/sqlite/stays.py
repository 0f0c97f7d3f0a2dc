"""How far the other members of a group have got: asked by statuses and by receipts (design §3, Status)."""

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
    """
    return f"""coalesce((SELECT 1 FROM stay AS o
        WHERE o.grp = {group} AND o.{position} >= {value} AND {around("o", place)} AND o.usr <> {but}
        ORDER BY o.{position} DESC, o.from_seq LIMIT 1), 0)"""


def place_of(message: str) -> Place:
    """Put together the SQL of the place of a message of a group, imported or not."""
    first = f"""iif({message}.flags & {IMPORTED},
        (SELECT place FROM imported WHERE msg_id = {message}.msg_id), {message}.seq)"""
    return first, f"{first} + ({message}.flags & {IMPORTED} > 0)"
