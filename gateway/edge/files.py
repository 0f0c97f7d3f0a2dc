"""How many connections the system's open files allow."""

from __future__ import annotations

import asyncio
import resource
import sys

KEPT = 64
"""Open files that connections leave to the rest: the store's, the bus's and the operator's.

Without any left a node whose bus or database breaks off could not connect again, no matter who took them all; and the
loop would close its listener without a word where the kernel refuses it a connection.
"""


def crowded(transport: asyncio.BaseTransport) -> bool:
    """Whether this connection took one of the last open files, and is to be cut.

    The kernel gives each the lowest number that is free: one near the limit means that few are left.
    """
    allowed = allowed_files()
    return bool(transport.get_extra_info("socket").fileno() >= allowed - min(KEPT, allowed // 4))


def allowed_files() -> int:
    """How many files may be open at once, now."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if allowed == resource.RLIM_INFINITY else allowed
