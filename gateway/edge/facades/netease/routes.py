"""Which call answers which verb and path of the dialect, behind `/im/` (netease.md)."""

from __future__ import annotations

from gateway.edge.facades.netease import accounts
from gateway.edge.facades.netease.dispatch import Route

ROUTES: tuple[Route, ...] = (("GET", "v2/accounts/*", accounts.one),)
