"""Who is in which group, as this process last read it. Facts may be old: whoever uses them says by which version."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.bus.base import ForgetGroup
from gateway.core.cache import Cache
from gateway.core.known import Change, Known
from gateway.domain.drafts import (
    Answer,
    Draft,
    JobKind,
    MembershipDraft,
    Refused,
    Stale,
    StepDraft,
    Stepped,
)
from gateway.domain.group_drafts import GroupChange
from gateway.domain.limits import Limits
from gateway.domain.model import App, Facts, Scope
from gateway.domain.rules import silence
from gateway.store.base import Store

_NOTHING = None, None


class _Mark:
    """A group that stands, with nothing changed in it since this was made."""

    __slots__ = ("group_id", "version")

    def __init__(self, group_id: int, version: int) -> None:
        self.group_id = group_id
        self.version = version


class FactsBook:
    """Remembers facts of members, at most `Limits.cached_facts_max`.

    That somebody may speak in a group may be remembered: the store refuses what was judged by an older version, as
    stale. That somebody may not is read anew each time, for a refusal never meets the store.

    What is not stored meets no version. It passes by facts (`open_to`) of a group in which nothing has changed since,
    as far as this process can know: it hears of every change that goes by its own writer (`heed`), and of those by
    other nodes' as soon as the bus carries them. As the bus may lose them, where others write too such facts are
    believed for `sweep_ms` at most.
    """

    def __init__(self, store: Store, limits: Limits, known: Known) -> None:
        self._store = store
        self._known = known
        self._members: Cache[tuple[int, int, int], tuple[Facts, _Mark | None]] = Cache(
            limits.cached_facts_max
        )
        # Facts are current as long as the group still has the mark that they were noted with.
        self._marks: Cache[tuple[int, int], _Mark] = known.cache()
        # How often something has changed: what was being read just then may be older than the change.
        self._changes = 0
        known.listen(self._forget)

    async def of(self, app: App, group_xids: Sequence[int], user_xid: int, now: int) -> list[Facts | None]:
        """Return the facts of a user and each of the groups, at `now`; None where there is no such group."""
        known: list[Facts | None] = []
        for group_xid in group_xids:
            found = self._members.get((app.id, group_xid, user_xid))
            if found is None:
                return await self._read(app, group_xids, user_xid, now)
            known.append(found[0])
        return known

    async def _read(self, app: App, group_xids: Sequence[int], user_xid: int, now: int) -> list[Facts | None]:
        changes = self._changes
        read = await self._store.facts(app.id, group_xids, user_xid)
        for group_xid, facts in zip(group_xids, read, strict=True):
            if facts is None:
                continue
            mark = self._mark(app.id, group_xid, facts) if changes == self._changes else None
            if facts.member and silence(facts, now) is None:
                self._members.put((app.id, group_xid, user_xid), (facts, mark))
        return read

    def _mark(self, app: int, group_xid: int, facts: Facts) -> _Mark:
        mark = self._marks.get((app, group_xid))
        if mark is None or mark.version != facts.version:
            mark = _Mark(facts.group_id, facts.version)
            self._marks.put((app, group_xid), mark)
        return mark

    def standing(self, app: App, group_xids: Sequence[int]) -> list[int] | None:
        """Return the ids of groups, where all of them are known to stand now."""
        ids = []
        for group_xid in group_xids:
            mark = self._marks.get((app.id, group_xid))
            if mark is None:
                return None
            ids.append(mark.group_id)
        return ids

    def versions(self, app: App, group_xids: Sequence[int]) -> tuple[int, ...] | None:
        """Return the versions of groups, where all of them are known to stand: whoever speaks, it is judged by them."""
        marks = [self._marks.get((app.id, group_xid)) for group_xid in group_xids]
        known = tuple(mark.version for mark in marks if mark is not None)
        return known if len(known) == len(marks) else None

    def versions_for(self, app: App, group_xids: Sequence[int], user_xid: int) -> tuple[int, ...] | None:
        """Return the versions of groups by which a user may speak in all of them, where that is known.

        They may be old: what is judged by them meets them again in the store. Until they are, who may speak stays one
        who may, for a ban ends by itself but does not begin so.
        """
        found = [self._members.get((app.id, group_xid, user_xid)) for group_xid in group_xids]
        known = tuple(facts.version for facts, _ in filter(None, found))
        return known if len(known) == len(found) else None

    def open_to(self, app: App, group_xids: Sequence[int], user_xid: int, now: int) -> list[int] | None:
        """Return the ids of groups, where a user is known to be one who may speak in all of them now."""
        ids = []
        for group_xid in group_xids:
            facts, mark = self._members.get((app.id, group_xid, user_xid)) or _NOTHING
            if facts is None or mark is None or self._marks.get((app.id, group_xid)) is not mark:
                return None
            if silence(facts, now) is not None:
                return None
            ids.append(facts.group_id)
        return ids

    def heed(self, draft: Draft, answer: Answer | None) -> None:
        """Know that facts have changed, or may have (no answer: nobody knows): of a group, or of many."""
        if isinstance(draft, MembershipDraft | GroupChange):
            self._changed(draft.app, draft.group_xid)
            if not isinstance(answer, Refused | Stale):
                self._known.group_changed(draft.app, draft.group_xid)
        elif isinstance(draft, StepDraft) and not (
            isinstance(answer, Stepped) and answer.job.kind is JobKind.BROADCAST
        ):
            # Whoever is erased leaves groups by the page, and chatrooms end with their owner.
            self._changes += 1
            self._marks.clear()
            for place in answer.placed if isinstance(answer, Stepped) else ():
                if place.scope is Scope.GROUP:
                    self._known.group_changed(draft.app, place.owner_xid)

    def _changed(self, app: int, group_xid: int) -> None:
        self._changes += 1
        self._marks.forget((app, group_xid))

    def _forget(self, forget: Change) -> None:
        if forget is None:
            # The store has become another one, whose versions say something else.
            self._changes += 1
            self._marks.clear()
            self._members.clear()
        elif isinstance(forget, ForgetGroup):
            self._changed(forget.app, forget.group_xid)

    def forget(self, app: int, group_xids: Sequence[int], user_xid: int) -> None:
        """Read these anew when they are next asked for; what is known of other members stays."""
        for group_xid in group_xids:
            self._members.forget((app, group_xid, user_xid))

    def overtaken(self, app: int, group_xids: Sequence[int], user_xid: int) -> None:
        """Read these anew when they are next asked for: the store has called them stale, so the groups have changed."""
        self.forget(app, group_xids, user_xid)
        for group_xid in group_xids:
            self._marks.forget((app, group_xid))
