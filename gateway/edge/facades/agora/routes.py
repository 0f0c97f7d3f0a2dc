"""Which call answers which verb and path of the dialect (agora.md)."""

from __future__ import annotations

from gateway.edge.facades.agora import channels, imports, legacy, messages, recalls, tokens
from gateway.edge.facades.agora.dispatch import Route

ROUTES: tuple[Route, ...] = (
    ("POST", "token", tokens.token),
    ("POST", "messages/users", messages.to_users),
    ("POST", "messages/chatgroups", messages.to_groups),
    ("POST", "messages/chatrooms", messages.to_rooms),
    ("POST", "messages/chatgroups/users", legacy.to_some),
    ("POST", "messages", legacy.send),
    ("POST", "messages/msg_recall", recalls.recall),
    ("POST", "messages/recall", recalls.recall_many),
    ("POST", "messages/users/import", imports.import_to_user),
    ("POST", "messages/chatgroups/import", imports.import_to_group),
    ("DELETE", "users/*/user_channel", channels.delete_channel),
)
