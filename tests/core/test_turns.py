"""Turns that apps take."""

from __future__ import annotations

from gateway.core.turns import Turns


def test_one_of_each_app_in_turn() -> None:
    """What one app has keeps its order, and whoever comes again stands behind those who wait."""
    turns: Turns[str] = Turns()
    for one in ("a1", "a2", "a3", "b1", "c1"):
        turns.put(ord(one[0]), one)
    taken = [turns.take() for _ in range(2)]
    turns.put(ord("b"), "b2")
    while turns:
        taken.append(turns.take())
    assert taken == ["a1", "b1", "c1", "a2", "b2", "a3"]
