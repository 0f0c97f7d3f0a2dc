"""Recent lists as they were last read, so that only what has changed since is read again.

A list of 100 conversations takes SQLite 200 µs, and between two questions of a user mostly nothing of it changes, or
one conversation. How what is remembered stays what the tables say, `Changing` tells.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter

import msgspec

from gateway.store.base import Recent
from gateway.store.sqlite.changing import Changing
from gateway.store.sqlite.touched import Touched

OUTDATED_MAX = 64
"""So many conversations of a list are read anew by themselves; past it all of it is."""

_last = attrgetter("last")


class Row(Recent, frozen=True, array_like=True, gc=False):
    """A conversation of a list, and its other side. Nothing of it is to be seen where `unread` is -1."""

    opposite_id: int


class Found(msgspec.Struct, frozen=True):
    """What was read at one moment: conversations, newest first, and the groups that the user is in.

    Where only some conversations were asked about, it is those of them that are there, and the groups among them.
    """

    rows: list[Row]
    groups: list[int]

    @property
    def listed(self) -> list[Recent]:
        """The conversations of which something is to be seen."""
        return _shown(self.rows)


class _List:
    """What is remembered of one user: all rows by the other side, the groups, and what of them is believed no more."""

    __slots__ = ("groups", "listed", "outdated", "rows")

    def __init__(self, found: Found) -> None:
        self.rows = {row.opposite_id: row for row in found.rows}
        self.groups: set[int] = set()
        self.outdated: set[int] = set()
        self.listed = found.listed

    @property
    def size(self) -> int:
        """What it counts for."""
        return 1 + len(self.rows) + len(self.groups)


class Look(msgspec.Struct):
    """A reading that is under way: of all conversations (`only` None), or of some."""

    user_id: int
    since: int
    known: _List | None = None
    only: Collection[int] | None = None


class Recents:
    """Remembers lists of at most `rows_max` conversations in all; each list has at most `recent_max`."""

    def __init__(self, changing: Changing, rows_max: int, recent_max: int) -> None:
        self._changing = changing
        self._lock = changing.lock
        self._rows_max = rows_max
        self._recent_max = recent_max
        self._lists: OrderedDict[int, _List] = OrderedDict()
        self._rows = 0
        # Whose lists hold a group and believe what they know of it.
        self._watching: dict[int, set[int]] = {}
        changing.memories.append(self)

    def __len__(self) -> int:
        return self._rows

    # -- reading ----------------------------------------------------------------------------------------

    def known(self, user_id: int) -> list[Recent] | None:
        """The list of a user, if all of it is remembered as it is now. It is not to be changed."""
        with self._lock:
            found = self._lists.get(user_id)
            if found is None or found.outdated:
                return None
            self._lists.move_to_end(user_id)
            return found.listed

    @contextmanager
    def looking(self, user_id: int, *, whole: bool = False) -> Iterator[Look]:
        """Begin to read a list: all of it, or, unless the `whole` is wanted, what is believed no more."""
        with self._changing.reading() as since:
            with self._lock:
                known = None if whole else self._lists.get(user_id)
                only = None if known is None else tuple(known.outdated)
            yield Look(user_id, since, known, only)

    def settle(self, look: Look, found: Found) -> list[Recent] | None:
        """Take what was read, remember it if nothing of it has changed meanwhile, and return the list.

        None: what was read of some conversations does not go with the others any more, and all have to be read.
        """
        with self._lock:
            known = look.known
            if known is None:
                if self._changing.stands(look.since, (look.user_id, *found.groups)):
                    self._keep(look.user_id, _List(found), found.groups)
                return found.listed
            if self._lists.get(look.user_id) is not known:
                return None
            if not self._changing.stands(look.since, (look.user_id, *known.groups)):
                return None
            assert look.only is not None, "it goes with what is known"
            return self._merge(look.user_id, known, look.only, found)

    def _merge(self, user_id: int, known: _List, only: Collection[int], found: Found) -> list[Recent] | None:
        """Put some conversations in the places of what was known of them."""
        rows = known.rows
        new = {row.opposite_id: row for row in found.rows}
        if len(rows) >= self._recent_max and any(
            one in rows and (one not in new or new[one].last < rows[one].last) for one in only
        ):
            # What comes next, and was cut off so far, is not known.
            self._forget(user_id)
            return None
        self._rows -= known.size
        for one in only:
            rows.pop(one, None)
            self._part(user_id, known, one)
        rows.update(new)
        for group in found.groups:
            self._watch(user_id, known, group)
        known.outdated.clear()
        merged = sorted(rows.values(), key=_last, reverse=True)
        for row in merged[self._recent_max :]:
            del rows[row.opposite_id]
        known.listed = _shown(merged[: self._recent_max])
        self._rows += known.size
        self._lists.move_to_end(user_id)
        self._make_room()
        return known.listed

    def _keep(self, user_id: int, kept: _List, groups: Iterable[int]) -> None:
        self._forget(user_id)
        self._lists[user_id] = kept
        for group in groups:
            self._watch(user_id, kept, group)
        self._rows += kept.size
        self._make_room()

    def _make_room(self) -> None:
        while self._rows > self._rows_max:
            self._forget(next(iter(self._lists)))

    def _forget(self, user_id: int) -> None:
        gone = self._lists.pop(user_id, None)
        if gone is not None:
            self._rows -= gone.size
            for group in tuple(gone.groups):
                self._part(user_id, gone, group)

    def _watch(self, user_id: int, kept: _List, group: int) -> None:
        kept.groups.add(group)
        self._watching.setdefault(group, set()).add(user_id)

    def _part(self, user_id: int, kept: _List, group: int) -> None:
        kept.groups.discard(group)
        watching = self._watching.get(group)
        if watching is not None:
            watching.discard(user_id)
            if not watching:
                del self._watching[group]

    # -- the writer -------------------------------------------------------------------------------------

    def outdate(self, touched: Touched) -> None:
        """Have what a transaction touches read anew."""
        if touched.everything:
            self._lists.clear()
            self._watching.clear()
            self._rows = 0
        elif self._lists:
            # Whoever reads a group anew watches it anew: those who do not need not be told again.
            told = [(user, group) for group in touched.groups for user in self._watching.pop(group, ())]
            for user_id, opposite_id in (*touched.pairs, *told):
                found = self._lists.get(user_id)
                if found is not None:
                    found.outdated.add(opposite_id)
                    if len(found.outdated) > OUTDATED_MAX:
                        self._forget(user_id)


def _shown(rows: Iterable[Row]) -> list[Recent]:
    return [row for row in rows if row.unread >= 0]
