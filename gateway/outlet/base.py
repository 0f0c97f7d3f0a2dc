"""What the core asks of the world outside: to fetch a file from there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class Fetched(msgspec.Struct, frozen=True):
    """A file that is coming in. `name` and `type` are what its server says, and may be empty."""

    name: str
    type: str
    chunks: AsyncIterator[bytes]


class Fetcher(Protocol):
    """Fetches files from public addresses, and from no others."""

    def fetch(self, url: str) -> AbstractAsyncContextManager[Fetched]:
        """Fetch what a URL (http or https) leads to, over redirects too; its bytes are read inside the `with`.

        No address that is private, of this machine, of its link or in any other way not public is connected to,
        whatever a name or a redirect says, and whenever it says it. All of it has `Limits.fetch_timeout_ms`.

        Raises:
            Problem: `BAD_PARAMETER` where there is nothing to be had, or not in time, also in the midst of it;
                `OVERLOADED` where `Limits.fetches_max` are under way.
        """
