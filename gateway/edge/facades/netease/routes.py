"""Which call answers which verb and path of the dialect, behind `/im/` (netease.md)."""

from __future__ import annotations

from gateway.edge.facades.netease import accounts, recalls, receipts
from gateway.edge.facades.netease.dispatch import Route

ROUTES: tuple[Route, ...] = (
    ("GET", "v2/accounts/*", accounts.one),
    ("DELETE", "v2/conversations/*/messages", recalls.clear),
    ("DELETE", "v2/conversations/*/messages/*", recalls.recall),
    ("POST", "v2/messages/actions/p2p_read_receipt", receipts.to_user),
)
