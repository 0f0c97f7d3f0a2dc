"""Pages of conversations between two users as they were last read: who opens one again finds it as it was, mostly.

How what is remembered stays what the tables say, `Changing` tells. On a page there is what the two have sent to each
other, what either has read or hidden of it, and how far either's own timeline was delivered: nothing of anybody else.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.store.base import History
from gateway.store.sqlite.changing import Changing
from gateway.store.sqlite.touched import Pair, Touched

ITEM_BYTES = 600
"""What a message of a page takes beside its texts, in memory, roughly; an empty page counts as one."""

CHAR_BYTES = 2
"""What a character takes: one where a text is plain, up to four where it is not."""

Asked = tuple[int, int, int, int]
"""Who asks about a conversation with whom, from which message on, and for how many."""


class Histories:
    """Remembers pages of at most `bytes_max` in all."""

    def __init__(self, changing: Changing, bytes_max: int) -> None:
        self._changing = changing
        self._lock = changing.lock
        self._bytes_max = bytes_max
        self._pages: OrderedDict[Asked, tuple[History, int]] = OrderedDict()
        self._bytes = 0
        # The pages of two users, the lesser first, and with whom a user has any.
        self._between: dict[Pair, set[Asked]] = {}
        self._of: dict[int, set[int]] = {}
        changing.memories.append(self)

    def known(self, asked: Asked) -> History | None:
        """The page, if it is remembered as it is now. It is not to be changed."""
        with self._lock:
            found = self._pages.get(asked)
            if found is None:
                return None
            self._pages.move_to_end(asked)
            return found[0]

    def settle(self, asked: Asked, since: int, page: History, chars: int) -> None:
        """Remember what was read, of so many characters, if nothing of it has changed since the reading began."""
        with self._lock:
            if self._changing.stands(since, asked[:2]):
                self._keep(asked, page, ITEM_BYTES * (1 + len(page.items)) + CHAR_BYTES * chars)

    def _keep(self, asked: Asked, page: History, size: int) -> None:
        self._forget(asked)
        self._pages[asked] = page, size
        self._bytes += size
        one, other = asked[:2]
        self._between.setdefault(_pair(one, other), set()).add(asked)
        self._of.setdefault(one, set()).add(other)
        self._of.setdefault(other, set()).add(one)
        while self._bytes > self._bytes_max:
            self._forget(next(iter(self._pages)))

    def _forget(self, asked: Asked) -> None:
        found = self._pages.pop(asked, None)
        if found is None:
            return
        self._bytes -= found[1]
        one, other = asked[:2]
        pair = _pair(one, other)
        self._between[pair].discard(asked)
        if not self._between[pair]:
            del self._between[pair]
            self._part(one, other)
            self._part(other, one)

    def _part(self, one: int, other: int) -> None:
        if one in self._of:
            self._of[one].discard(other)
            if not self._of[one]:
                del self._of[one]

    # -- the writer -------------------------------------------------------------------------------------

    def outdate(self, touched: Touched) -> None:
        """Forget what a transaction touches."""
        if touched.everything:
            self._pages.clear()
            self._between.clear()
            self._of.clear()
            self._bytes = 0
        elif self._pages:
            # What was delivered to one is on all its pages, and on those that others have with it.
            delivered = [(one, other) for one in touched.delivered for other in self._of.get(one, ())]
            for one, other in (*touched.pairs, *delivered):
                for asked in tuple(self._between.get(_pair(one, other), ())):
                    self._forget(asked)


def _pair(one: int, other: int) -> Pair:
    return (one, other) if one < other else (other, one)
