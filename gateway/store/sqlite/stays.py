"""How far the other members of a group have got: asked by statuses and by receipts (design §3, Status)."""

from __future__ import annotations

from typing import Literal


def others_reach(position: Literal["read", "delivered"], group: str, value: str, seq: str, but: str) -> str:
    """Put together the SQL for: any member but `but`, with a stay around `seq`, has `position` at `value` or further.

    Whoever has got furthest is looked at first, and of those who have got equally far the longest in the group: so an
    old message of a group that has grown since is found out at the first look, and not past everybody who came later.
    """
    return f"""coalesce((SELECT 1 FROM stay AS o
        WHERE o.grp = {group} AND o.{position} >= {value} AND o.from_seq <= {seq} AND o.usr <> {but}
            AND (o.to_seq IS NULL OR o.to_seq >= {seq})
        ORDER BY o.{position} DESC, o.from_seq LIMIT 1), 0)"""
