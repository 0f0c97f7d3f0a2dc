"""Who is in which group, as this process last read it. Facts may be old: whoever uses them says by which version."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.cache import Cache
from gateway.domain.limits import Limits
from gateway.domain.model import App, Facts
from gateway.domain.rules import silence
from gateway.store.base import Store


class FactsBook:
    """Remembers facts of members, at most `Limits.cached_facts_max`.

    That somebody may speak in a group may be remembered: the store refuses what was judged by an older version, as
    stale. That somebody may not is read anew each time, for a refusal never meets the store.
    """

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._members: Cache[tuple[int, int, int], Facts] = Cache(limits.cached_facts_max)

    async def of(self, app: App, group_xids: Sequence[int], user_xid: int, now: int) -> list[Facts | None]:
        """Return the facts of a user and each of the groups, at `now`; None where there is no such group."""
        known = [self._members.get((app.id, group_xid, user_xid)) for group_xid in group_xids]
        if None not in known:
            return list(known)
        read = await self._store.facts(app.id, group_xids, user_xid)
        for group_xid, facts in zip(group_xids, read, strict=True):
            if facts is not None and facts.member and silence(facts, now) is None:
                self._members.put((app.id, group_xid, user_xid), facts)
        return read

    def forget_all(self) -> None:
        """Read everything anew: the store has become another one, whose versions say something else."""
        self._members.clear()

    def forget(self, app: App, group_xids: Sequence[int], user_xid: int) -> None:
        """Read these anew when they are next asked for: the store has called them stale."""
        for group_xid in group_xids:
            self._members.forget((app.id, group_xid, user_xid))
