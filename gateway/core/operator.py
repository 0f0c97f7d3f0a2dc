"""What an operator asks of a store, whether its gateway runs or not: apps, keys, limits, tokens, names."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.core.directory import Directory
from gateway.core.retention import Retention, Standing
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.model import App
from gateway.store.base import Store


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One request of an operator, as it comes over the control socket."""

    verb: str
    app: str = ""
    user: str = ""
    ttl_s: int | None = None
    registered: bool = False
    limits: dict[str, int] = {}


class Operator:
    """Carries out the orders. Every answer is a plain object; what is refused is a `Problem`."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        retention: Retention,
        url: Callable[[], str],
        connections_of: Callable[[int], int] = lambda _app: 0,
    ) -> None:
        self._store = store
        self._directory = directory
        self._retention = retention
        self._url = url
        self._connections_of = connections_of

    async def do(self, order: Order) -> dict[str, Any]:
        """Carry out one order."""
        match order.verb:
            case "create":
                return _told(await self._directory.create_app(order.app, registered=order.registered))
            case "list":
                return {"apps": [app.app_id for app in await self._store.apps()]}
            case "show":
                return _told(await self._app(order.app))
            case "rotate":
                return _told(await self._directory.rotate_secret(order.app))
            case "limits":
                return await self._limit(order.app, order.limits)
            case "token":
                grant = await self._directory.token_for(order.app, order.user or None, order.ttl_s)
                return {
                    "token": grant.token,
                    "xid": grant.xid,
                    "expires_ms": grant.expires_ms,
                    "url": self._url(),
                }
            case "retention" | "resume-retention":
                if order.verb == "resume-retention":
                    await self._retention.resume()
                return _standing(await self._retention.standing())
            case "find":
                return {"xid": await self._find(order.app, order.user)}
            case _:
                raise bad("verb", f"there is no order {order.verb}")

    async def _app(self, app_id: str) -> App:
        app = await self._store.app(app_id)
        if app is None:
            raise Problem(Kind.APP_UNKNOWN, f"there is no app {app_id}")
        return app

    async def _limit(self, app_id: str, changes: dict[str, int]) -> dict[str, Any]:
        """Set limits of an app, where some are given, and tell all of them with what is in use."""
        app = await (self._directory.set_limits(app_id, changes) if changes else self._app(app_id))
        return {
            "limits": msgspec.structs.asdict(app.limits),
            "stored_bytes": await self._store.stored_bytes(app.id),
            "connections": self._connections_of(app.id),
        }

    async def _find(self, app_id: str, user: str) -> int:
        if user.isascii() and user.isdigit():
            return int(user)
        found = await self._store.user_named((await self._app(app_id)).id, user)
        if found is None:
            raise Problem(Kind.USER_UNKNOWN, f"there is no user {user}")
        return found.xid


def _standing(standing: Standing) -> dict[str, Any]:
    return msgspec.structs.asdict(standing)


def _told(app: App) -> dict[str, Any]:
    return {
        "app_id": app.app_id,
        "registered": app.registered,
        "recall_window_ms": app.recall_window_ms,
        "limits": msgspec.structs.asdict(app.limits),
        "kid": app.signing_kid,
        "kids": sorted(app.keys),
        "secret": base64.b64encode(app.keys[app.signing_kid]).decode(),
    }
