"""Which call answers which verb and path of the dialect (agora.md)."""

from __future__ import annotations

from gateway.edge.facades.agora import messages, tokens
from gateway.edge.facades.agora.dispatch import Route

ROUTES: tuple[Route, ...] = (
    ("POST", "token", tokens.token),
    ("POST", "messages/users", messages.to_users),
    ("POST", "messages/chatgroups", messages.to_groups),
    ("POST", "messages/chatrooms", messages.to_rooms),
)
