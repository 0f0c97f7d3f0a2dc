"""Who asks, by the four headers of every native call (lanying.md, Principals)."""

from __future__ import annotations

from gateway.core.principal import Principal
from gateway.core.service import Core
from gateway.edge.facades.native.envelope import Asked

APP_ID = "app_id"
ACCESS_TOKEN = "access-token"  # noqa: S105 - a header's name
USER_ID = "user_id"
GROUP_ID = "group_id"


def recognised(core: Core, asked: Asked) -> Principal | None:
    """Who a request speaks for, where that is known at once; None where `principal_of` has to be awaited.

    For the hot calls: what need not wait need not be a coroutine.
    """
    found = asked.headers.get
    return core.directory.recognise(found(APP_ID), found(ACCESS_TOKEN), found(USER_ID), found(GROUP_ID))


async def principal_of(core: Core, asked: Asked) -> Principal:
    """Who a request speaks for; raises what `Directory.principal` raises."""
    found = asked.headers.get
    return await core.directory.principal(found(APP_ID), found(ACCESS_TOKEN), found(USER_ID), found(GROUP_ID))


def app_of(asked: Asked) -> str | None:
    """The app that a call without a token is about."""
    return asked.headers.get(APP_ID)
