"""Which call answers which verb and path of the dialect (agora.md)."""

from __future__ import annotations

from gateway.edge.facades.agora import channels, contacts, legacy, messages, recalls, tokens, users
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
    ("POST", "users", users.create),
    ("GET", "users", users.listed),
    ("DELETE", "users", users.delete_many),
    ("GET", "users/*", users.one),
    ("PUT", "users/*", users.change),
    ("DELETE", "users/*", users.delete),
    ("PUT", "users/*/password", users.change_password),
    ("GET", "users/*/status", users.status),
    ("POST", "users/batch/status", users.statuses),
    ("POST", "users/*/activate", users.activate),
    ("POST", "users/*/deactivate", users.deactivate),
    ("GET", "users/*/disconnect", users.disconnect),
    ("POST", "users/*/disconnect", users.disconnect),
    ("GET", "users/*/offline_msg_count", users.offline_count),
    ("GET", "users/*/offline_msg_status/*", users.offline_status),
    ("DELETE", "users/*/user_channel", channels.delete_channel),
    ("GET", "users/*/contacts/users", contacts.contacts),
    ("POST", "users/*/contacts/users/*", contacts.add_contact),
    ("DELETE", "users/*/contacts/users/*", contacts.drop_contact),
    ("GET", "users/*/blocks/users", contacts.blocks),
    ("POST", "users/*/blocks/users", contacts.block),
    ("DELETE", "users/*/blocks/users/*", contacts.unblock),
    ("GET", "metadata/user/*", contacts.metadata),
    ("PUT", "metadata/user/*", contacts.set_metadata),
    ("DELETE", "metadata/user/*", contacts.drop_metadata),
    ("POST", "metadata/user/get", contacts.metadata_of_many),
)
