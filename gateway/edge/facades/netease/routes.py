"""Which call answers which verb and path of the dialect, behind `/im/` (netease.md)."""

from __future__ import annotations

from gateway.edge.facades.netease import accounts
from gateway.edge.facades.netease.dispatch import Route

ROUTES: tuple[Route, ...] = (
    ("POST", "v2/accounts", accounts.create),
    ("GET", "v2/accounts/*", accounts.one),
    ("PATCH", "v2/accounts/*", accounts.change),
    ("PATCH", "v2/accounts/*/actions/disable", accounts.disable),
    ("PATCH", "v2/accounts/*/actions/refresh_token", accounts.refresh_token),
    ("POST", "v2/accounts/*/actions/kick", accounts.kick),
)
