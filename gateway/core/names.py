"""Users by what they are called: a name of their own, or the digits of their id."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.core.cache import Cache
from gateway.core.known import Change, Known
from gateway.domain.limits import Limits
from gateway.domain.model import App, State, User
from gateway.domain.naming import may_be_called, number_of
from gateway.store.base import Store


class Names:
    """Finds users by their names, and remembers whose each is, for as long as the user is known (`Known`)."""

    def __init__(self, store: Store, limits: Limits, clock_ms: Callable[[], int], known: Known) -> None:
        self._store = store
        self._limits = limits
        self._now = clock_ms
        self._known = known
        # A name may come to be another's: the user who has this id says whether it still is the one called so.
        self._xids: Cache[tuple[int, str], int] = known.cache()
        known.listen(self._forget)

    async def find(
        self, app: App, names: Sequence[str], *, make: bool, literal: bool = False
    ) -> list[User | None]:
        """Return the users called so, in the order named: None where nobody is, or nobody any more.

        Digits that are an id name whoever has it, and nobody else, unless names are `literal`. With `make` an open app
        gets the users that it has not yet. The reserved user is found by no name, and a name that cannot be is
        nobody's.
        """
        found: dict[str, User] = {}
        missing: list[str] = []
        for name in dict.fromkeys(names):
            user = self._remembered(app, name, literal=literal)
            if user is not None:
                found[name] = user
            elif may_be_called(name, self._limits):
                missing.append(name)
        if missing:
            numbers = {} if literal else {name: xid for name in missing if (xid := number_of(name))}
            found |= await self._read(app, missing, numbers, make=make and not app.registered)
        return [self._alive(app, found.get(name)) for name in names]

    def _alive(self, app: App, user: User | None) -> User | None:
        if user is None or user.state is State.DELETED or user.id == app.system_id:
            return None
        return user

    def _remembered(self, app: App, name: str, *, literal: bool) -> User | None:
        xid = 0 if literal else number_of(name)
        if xid:
            return self._known.known_user(app, xid)
        xid = self._xids.get((app.id, name)) or 0
        user = self._known.known_user(app, xid) if xid else None
        return user if user is not None and user.name == name else None

    async def _read(
        self, app: App, names: Sequence[str], numbers: dict[str, int], *, make: bool
    ) -> dict[str, User]:
        texts = [name for name in names if name not in numbers]
        while True:
            changes = self._known.changes
            found = await self._numbered(app, numbers, make=make) if numbers else {}
            if texts and make:
                found |= await self._store.ensure_named(app.id, texts, self._now())
            elif texts:
                found |= await self._store.users_named(app.id, texts)
            if changes == self._known.changes:
                break  # Else whom the change froze would get in.
        for name, user in found.items():
            self._known.note_user(app, user)
            if name not in numbers:
                self._xids.put((app.id, name), user.xid)
        return found

    async def _numbered(self, app: App, numbers: dict[str, int], *, make: bool) -> dict[str, User]:
        xids = list(numbers.values())
        if make:
            users = dict(zip(xids, await self._store.ensure_users(app.id, xids, self._now()), strict=True))
        else:
            users = await self._store.find_users(app.id, xids)
        return {name: user for name, xid in numbers.items() if isinstance(user := users.get(xid), User)}

    def _forget(self, forget: Change) -> None:
        if forget is None:
            self._xids.clear()
