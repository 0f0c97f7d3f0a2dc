"""Which call answers which verb and path of the dialect, behind `/im/` (netease.md)."""

from __future__ import annotations

from gateway.edge.facades.netease import (
    accounts,
    batch,
    history,
    modifications,
    recalls,
    receipts,
    sending,
    team_members,
    teams,
)
from gateway.edge.facades.netease.dispatch import Route

ROUTES: tuple[Route, ...] = (
    # Conversations and messages.
    ("POST", "v2/conversations/messages", batch.send),
    ("POST", "v2/conversations/*/messages", sending.send),
    ("DELETE", "v2/conversations/*/messages", recalls.clear),
    ("DELETE", "v2/conversations/*/messages/*", recalls.recall),
    ("POST", "v2/messages/actions/modifyMsg", modifications.modify),
    ("POST", "v2/messages/actions/p2p_read_receipt", receipts.to_user),
    ("POST", "v2/messages/actions/team_read_receipt", receipts.to_team),
    ("GET", "v2/messages/actions/team_read_receipt", receipts.of_team),
    ("GET", "v2.1/conversations/*/messages", history.page),
    ("GET", "v2.1/conversations/*/messages/*", history.one),
    ("POST", "v2.1/conversations/*/batch_messages", history.batch),
    ("GET", "v2.1/messages/actions/thread_messages", history.thread),
    # Accounts.
    ("POST", "v2/accounts", accounts.create),
    ("GET", "v2/accounts/*", accounts.one),
    ("PATCH", "v2/accounts/*", accounts.change),
    ("PATCH", "v2/accounts/*/actions/disable", accounts.disable),
    ("PATCH", "v2/accounts/*/actions/refresh_token", accounts.refresh_token),
    ("POST", "v2/accounts/*/actions/kick", accounts.kick),
    # Teams and their members.
    ("POST", "v2.1/teams", teams.create),
    ("GET", "v2.1/teams/*", teams.one),
    ("PATCH", "v2.1/teams/*", teams.change),
    ("PUT", "v2.1/teams/*", teams.change),
    ("DELETE", "v2.1/teams/*", teams.destroy),
    ("POST", "v2/team_members", team_members.invite),
    ("DELETE", "v2/team_members/actions/kick_member", team_members.kick),
    ("DELETE", "v2/team_members/actions/leave", team_members.leave),
    ("PATCH", "v2/team_members/actions/batch_mute", team_members.mute),
)
