"""Which call answers which verb and path, where a dialect looks at paths itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

Call = TypeVar("Call")

OPEN = "*"
"""A segment of a pattern that is open."""


class Routes(Generic[Call]):
    """Calls by verb and pattern; a pattern is segments between slashes."""

    def __init__(self, routes: Iterable[tuple[str, str, Call]]) -> None:
        self._calls: dict[tuple[str, ...], dict[str, Call]] = {}
        for verb, path, call in routes:
            self._calls.setdefault(tuple(path.split("/")), {})[verb] = call

    def find(self, verb: str, segments: Sequence[str]) -> tuple[Call, list[str]] | bool:
        """The call, and the segments that its pattern leaves open; else whether there is such a path for another verb.

        A path that is named whole goes before one that is open there.
        """
        patterns = sorted(self._matching(segments), key=lambda pattern: pattern.count(OPEN))
        for pattern in patterns:
            call = self._calls[pattern].get(verb)
            if call is not None:
                return call, [said for said, named in zip(segments, pattern, strict=True) if named == OPEN]
        return bool(patterns)

    def _matching(self, segments: Sequence[str]) -> list[tuple[str, ...]]:
        return [
            pattern
            for pattern in self._calls
            if len(pattern) == len(segments)
            and all(named in {OPEN, said} for named, said in zip(pattern, segments, strict=True))
        ]
