"""Accounts (netease.md, Siblings)."""

from __future__ import annotations

import msgspec

from gateway.domain.model import State
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.names import called

_ACCOUNT = "account_id"


class Configuration(msgspec.Struct):
    """Whether an account may act."""

    enabled: bool


class Shown(msgspec.Struct):
    """An account as it is shown."""

    account_id: str
    configuration: Configuration


async def one(at: At) -> Shown:
    """`GET /accounts/{id}`."""
    user = await at.account(at.segment(), _ACCOUNT)
    return Shown(called(at.app, user.xid, user.name), Configuration(user.state is State.NORMAL))
