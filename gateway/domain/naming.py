"""Names that are ids: whoever is called by digits alone is the user of that number."""

from __future__ import annotations

import re

from gateway.domain.model import SAFE_MAX

_NUMBER = re.compile(r"[1-9][0-9]{0,15}")


def number_of(name: str) -> int:
    """The id that a name is; 0 where it is a name like any other."""
    return int(name) if _NUMBER.fullmatch(name) and int(name) <= SAFE_MAX else 0
