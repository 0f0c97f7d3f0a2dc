"""The query of a request, as aiohttp reads it."""

from __future__ import annotations

from urllib.parse import parse_qsl


def read_query(raw: str) -> dict[str, str]:
    """Decode a query: of a repeated name the first value, of a name without one the empty text."""
    found: dict[str, str] = {}
    if "%" in raw or "+" in raw:
        for name, value in parse_qsl(raw, keep_blank_values=True):
            found.setdefault(name, value)
        return found
    # Nearly all are numbers under plain names, where nothing stands for anything else.
    for part in raw.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.setdefault(name, value)
    return found
