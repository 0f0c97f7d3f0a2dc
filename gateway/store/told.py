"""How operators are told of breaches and failures, the same on every engine."""

from __future__ import annotations

from collections.abc import Sequence

TOLD_MAX = 20
"""So many breaches of one law are told one by one; a damaged store must not fill the operator's screen."""


def tell_breaches(found: Sequence[object]) -> list[str]:
    """Put the sentences about breaches of one law, of which at most `TOLD_MAX + 1` were read, into lines."""
    # Names come from the store, and may hold anything.
    told = [" ".join(str(sentence).split()) for sentence in found]
    if len(told) > TOLD_MAX:
        told[TOLD_MAX:] = [f"and more like: {told[TOLD_MAX]}"]
    return told


def one_line(error: BaseException) -> str:
    """Put an error, which may say nothing, into one line."""
    return " ".join(str(error).split()) or type(error).__name__
