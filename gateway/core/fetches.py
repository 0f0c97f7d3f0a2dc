"""Pages of timelines that are read for sessions which are behind (design §4, Rules of dispatch)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from gateway.core.connection import Connection
from gateway.core.lane import Lane, Line
from gateway.core.topics import Topic, make_runs
from gateway.domain.errors import Problem
from gateway.domain.limits import Limits
from gateway.domain.model import Page
from gateway.store.base import Store
from gateway.wire.effects import Effect

log = logging.getLogger(__name__)

PAGES_MAX = 8
"""Pages of one query: whoever waits for them goes on in one turn of the loop, which must not be a long one."""


class Fetches:
    """Reads each page once for all who ask for it at the same time, and has what their sessions make of it performed.

    `pages`: how many have been read. `waiting`: who waits for which, by timeline and the seq it begins at.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        ticks_ms: Callable[[], int],
        topics: Mapping[int, Topic],
        perform: Callable[[Connection, Iterable[Effect]], None],
    ) -> None:
        self._store = store
        self._now = ticks_ms
        self._topics = topics
        self._perform = perform
        self._bytes_max = limits.replay_page_bytes_max
        self._lane: Lane[tuple[int, int], Page | None] = Lane(self._read, Line(PAGES_MAX), abreast=2)
        self.waiting: dict[tuple[int, int], list[Connection]] = {}
        self.pages = 0
        self.page_max = min(limits.replay_page_max, max(1, limits.unacked_max // 2))

    def ask(self, connection: Connection, timeline_id: int, from_seq: int) -> None:
        """Read a page once for all who ask for it at the same time."""
        waiting = self.waiting.get((timeline_id, from_seq))
        if waiting is not None:
            waiting.append(connection)
            return
        self.waiting[timeline_id, from_seq] = [connection]
        self.pages += 1
        self._lane.submit((timeline_id, from_seq)).add_done_callback(
            partial(self._take, timeline_id, from_seq)
        )

    async def _read(self, asked: list[tuple[int, int]]) -> list[Page | None]:
        """Read pages that are asked for at the same time; None is one that could not be read."""
        try:
            return [*await self._store.pages(asked, self.page_max, self._bytes_max)]
        except Problem:
            if len(asked) == 1:
                return [None]
        # What is wrong with one of them must not keep the others back.
        return [page for alone in asked for page in await self._read([alone])]

    def _take(self, timeline_id: int, from_seq: int, asked: asyncio.Future[Page | None]) -> None:
        """Give a page to all who have asked for it. No task for each: it is done in the turn that it came in."""
        page = None if asked.cancelled() or asked.exception() else asked.result()
        connections = self.waiting.pop((timeline_id, from_seq))
        if page is None:
            self._miss(connections, timeline_id, from_seq)
            return
        try:
            # Not before: whoever asked first may have gone, and the topic may be another's by now.
            topic = self._topics.get(timeline_id)
            if topic is not None and page.entries:
                topic.dispatched = max(topic.dispatched, page.entries[-1].seq)
            runs = {
                encoding: [] if topic is None else make_runs(page.entries, topic, encoding)
                for encoding in {connection.sink.encoding for connection in connections}
            }
        except Exception:
            log.exception("a page of timeline %d from seq %d on failed", timeline_id, from_seq)
            self._miss(connections, timeline_id, from_seq)
            return
        if _is_damaged(page, from_seq):
            log.error("timeline %d has lost entries at or after seq %d", timeline_id, from_seq)
        for connection in connections:
            if not connection.session.ended:
                told = runs[connection.sink.encoding]
                effects = connection.session.page(timeline_id, from_seq, told, page.floor, page.head)
                self._perform(connection, effects)

    def _miss(self, connections: Sequence[Connection], timeline_id: int, from_seq: int) -> None:
        now = self._now()
        for connection in connections:
            if not connection.session.ended:
                self._perform(connection, connection.session.page_failed(timeline_id, from_seq, now))


def _is_damaged(page: Page, from_seq: int) -> bool:
    """Whether entries above the floor are missing from a page (design §3, Timeline)."""
    first = max(from_seq, page.floor + 1)
    if not page.entries:
        return first <= page.head
    above = sum(entry.seq >= first for entry in page.entries)
    return page.entries[-1].seq - first + 1 > above
