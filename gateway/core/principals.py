"""Whom requests speak for, found once: a token is verified by the first request that brings it, and not by each."""

from __future__ import annotations

from collections import OrderedDict

from gateway.core.known import Known, Tenant
from gateway.core.principal import Principal
from gateway.domain.limits import Limits

_Headers = tuple[str | None, str | None, str | None]
"""App, token and whom it acts for, as they came."""

_HEADER_CHARS_MAX = 20
"""An id has 16 digits. Longer headers can mean one too (by zeros), and as keys would have no bound."""


class _Found:
    """A principal, the app it was found by, and until when its token is good."""

    __slots__ = ("exp_ms", "principal", "tenant")

    def __init__(self, principal: Principal, tenant: Tenant, exp_ms: int) -> None:
        self.principal = principal
        self.tenant = tenant
        self.exp_ms = exp_ms


class Principals:
    """Remembers principals by the headers that named them, at most `Limits.cached_principals_max`.

    One is believed until its token expires, and only as long as its app and its user are known as the very ones that
    it was found by: whoever has these forgotten (`Known`) has nothing to say here. No refusal is remembered, so that
    forged tokens push nobody out.
    """

    def __init__(self, known: Known, limits: Limits) -> None:
        self._known = known
        self._most = limits.cached_principals_max
        self._found: OrderedDict[_Headers, _Found] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def find(self, headers: _Headers, now_ms: int) -> Principal | None:
        """Whom these headers speak for at a time, if that is known."""
        found = self._found.get(headers)
        if found is None:
            return None
        if not self._stands(found.principal, found.tenant) or found.exp_ms <= now_ms:
            del self._found[headers]
            return None
        self._found.move_to_end(headers)
        return found.principal

    def _stands(self, principal: Principal, tenant: Tenant) -> bool:
        known, user = self._known, principal.user
        return known.known_tenant(principal.app.app_id) is tenant and (
            user is tenant.system or known.known_user(principal.app, user.xid) is user
        )

    def keep(self, headers: _Headers, principal: Principal, tenant: Tenant, exp_ms: int) -> None:
        """Remember whom headers speak for. What was overtaken by a change is found out when it is looked for."""
        _, _, user_header = headers
        if user_header and len(user_header) > _HEADER_CHARS_MAX:
            return
        self._found[headers] = _Found(principal, tenant, exp_ms)
        if len(self._found) > self._most:
            self._found.popitem(last=False)
