"""Who may reach whom by what is not stored, as this process knows it: such sends cost the store nothing."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.bus.base import ForgetGroup
from gateway.core.cache import Cache
from gateway.core.known import Change, Known
from gateway.domain.model import App
from gateway.store.base import Party


class _User:
    """A user that is there, and whether it `sends`: it is not frozen."""

    __slots__ = ("party", "sends")

    def __init__(self, party: Party, *, sends: bool) -> None:
        self.party = party
        self.sends = sends


class Reach:
    """Remembers whom the store has let pass, at most `Limits.cached_facts_max` users and pairs of them.

    Only a yes is remembered. It counts until its sender or target is forgotten (`Known`): frozen, deleted, or by a
    block that it sets or takes back.
    """

    def __init__(self, known: Known) -> None:
        self._users: Cache[tuple[int, int], _User] = known.cache()
        # By sender and target: they are as they were when the store saw no block between them.
        self._pairs: Cache[tuple[int, int, int], tuple[_User, _User]] = known.cache()
        self.changes = 0
        """How often something was forgotten: what was being read just then may be older than the change."""
        known.listen(self._forget)

    def find(
        self, app: App, sender_xid: int, target_xids: Sequence[int], *, blocks: bool, frozen: bool = False
    ) -> list[Party] | None:
        """Sender and targets, in this order, where all of these are known to be reached; `blocks` may stop it.

        `frozen`: the sender need not be one who may send.
        """
        sender = self._users.get((app.id, sender_xid))
        if sender is None or not (sender.sends or frozen):
            return None
        parties = [sender.party]
        for xid in target_xids:
            target = self._users.get((app.id, xid))
            if target is None:
                return None
            if blocks:
                pair = self._pairs.get((app.id, sender_xid, xid))
                if pair is None or pair[0] is not sender or pair[1] is not target:
                    return None
            parties.append(target.party)
        return parties

    def note(
        self, app: App, parties: Sequence[Party | None], changes: int, *, blocks: bool, frozen: bool = False
    ) -> None:
        """Remember that the store lets the first of these reach the others, unless something has changed since.

        `frozen`: it would also where the first may not send.
        """
        sender_party, *targets = parties
        if changes != self.changes or sender_party is None:
            return
        sender = self._user(app, sender_party, sends=not frozen)
        for party in targets:
            if party is not None:
                target = self._user(app, party, sends=False)
                if blocks:
                    self._pairs.put((app.id, sender_party.xid, party.xid), (sender, target))

    def _user(self, app: App, party: Party, *, sends: bool) -> _User:
        user = self._users.get((app.id, party.xid))
        if user is None:
            user = _User(party, sends=sends)
            self._users.put((app.id, party.xid), user)
        elif sends:
            user.sends = True
        return user

    def _forget(self, forget: Change) -> None:
        if isinstance(forget, ForgetGroup):
            return
        self.changes += 1
        if forget is None:
            self._users.clear()
            self._pairs.clear()
        elif forget.xid:
            self._users.forget((forget.app, forget.xid))
