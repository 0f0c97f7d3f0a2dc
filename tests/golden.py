"""Whole requests with their whole answers, kept as stories beside the tests that play them, step by step.

In what is expected `$ms` stands for a time, `$count` for a number from 0 on, `$id` for an id in letters, `$number` for
one that is a number, `$uuid` for a UUID and `$text` for a text that is not empty.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from gateway.domain.model import SAFE_MAX

YEAR_2023_MS = 1_700_000_000_000

PATTERNS = {
    "$id": r"[1-9][0-9]{0,15}",
    "$uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "$text": r"(?s).+",
}


class Stories:
    """The stories of a folder, a file for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names = sorted(path.stem for path in folder.glob("*.json"))

    def steps(self, name: str) -> list[dict[str, Any]]:
        """What is asked and answered in one, in its order."""
        found: list[dict[str, Any]] = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        return found

    @property
    def all_steps(self) -> list[dict[str, Any]]:
        """Those of all stories."""
        return [step for name in self.names for step in self.steps(name)]


def fits(told: Any, expected: Any) -> bool:
    """Whether an answer is the one expected, member by member, of the very same types."""
    if expected == "$ms":
        return type(told) is int and told > YEAR_2023_MS
    if expected == "$number":
        return type(told) is int and 0 < told <= SAFE_MAX
    if expected == "$count":
        return type(told) is int and told >= 0
    if isinstance(expected, str) and expected in PATTERNS:
        return isinstance(told, str) and re.fullmatch(PATTERNS[expected], told) is not None
    if isinstance(expected, dict):
        return (
            isinstance(told, dict)
            and set(told) == set(expected)
            and all(fits(told[name], value) for name, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(told, list)
            and len(told) == len(expected)
            and all(fits(*pair) for pair in zip(told, expected, strict=True))
        )
    return type(told) is type(expected) and bool(told == expected)
