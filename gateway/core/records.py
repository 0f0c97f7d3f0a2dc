"""Messages of an app as they were sent, by time or by id: what an administrator may know of them all."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gateway.domain.limits import Limits
from gateway.domain.model import App, Message
from gateway.store.base import Record, Store


class Records:
    """Reads what an app has sent: of much, page by page, so that there is never more than one in memory."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def message(self, app: App, msg_id: int) -> Message | None:
        """One message of an app, whatever has become of it; its text is as it was sent, and empty once it is gone."""
        return await self._store.message(app.id, msg_id)

    async def read(self, app: App, from_ms: int, to_ms: int) -> AsyncIterator[Record]:
        """Each message that was sent from one time on and before another, by rising id, as it is when it is read.

        What is recalled, expired or erased by then is left out, and what was folded into others, sent to chatrooms, or
        imported. A time that has not passed yet may bring more.
        """
        async for page in self._pages(app, from_ms, to_ms, self._limits.record_page_bytes_max):
            for record in page:
                yield record

    async def any(self, app: App, from_ms: int, to_ms: int) -> bool:
        """Whether `read` has any."""
        # Of one the text is read, and of no other.
        async for page in self._pages(app, from_ms, to_ms, 0):
            if page:
                return True
        return False

    async def _pages(self, app: App, from_ms: int, to_ms: int, bytes_max: int) -> AsyncIterator[list[Record]]:
        after, more = 0, True
        while more:
            page = await self._store.hour(
                app.id, from_ms, to_ms, after, self._limits.record_page_max, bytes_max
            )
            yield page.records
            after, more = page.after, page.after > 0
