"""What an operator asks of a store, whether its gateway runs or not: apps, keys, limits, tokens, names."""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from gateway.core.directory import Directory
from gateway.core.retention import Retention
from gateway.domain.drafts import Job
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.model import App, User
from gateway.store.base import Store


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request of an operator, as it comes over the control socket."""

    verb: str
    app: str = ""
    user: str = ""
    ttl_s: int | None = None
    registered: bool = False
    limits: dict[str, int] = {}
    dialect: str = ""
    name: str = ""
    secret: str = ""


Erase = Callable[[App, User], Coroutine[Any, Any, Job]]
"""Erases a user: the job as far as it has got after a while, the same one however often it is asked for."""


class Operator:
    """Carries out the asks. Every answer is a plain object; what is refused is a `Problem`."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        retention: Retention,
        url: Callable[[], str],
        erase: Erase,
        connections_of: Callable[[int], int | None] = lambda _app: 0,
    ) -> None:
        self._store = store
        self._directory = directory
        self._retention = retention
        self._url = url
        self._connections_of = connections_of
        self._erase = erase
        self._verbs: dict[str, Callable[[Ask], Coroutine[Any, Any, dict[str, Any]]]] = {
            "create": self._create,
            "list": self._list,
            "show": self._show,
            "rotate": self._rotate,
            "limits": self._limit,
            "token": self._token,
            "called": self._called,
            "call": self._call,
            "add-credential": self._add_credential,
            "drop-credential": self._drop_credential,
            "drop-older-credentials": self._drop_older_credentials,
            "find": self._find,
            "erase": self._erase_user,
            "retention": self._retention_standing,
            "resume-retention": self._resume_retention,
        }

    async def do(self, asked: Ask) -> dict[str, Any]:
        """Carry out one ask."""
        carry_out = self._verbs.get(asked.verb)
        if carry_out is None:
            raise bad("verb", f"there is no verb {asked.verb}")
        return await carry_out(asked)

    async def _create(self, asked: Ask) -> dict[str, Any]:
        return _told(await self._directory.create_app(asked.app, registered=asked.registered))

    async def _list(self, _: Ask) -> dict[str, Any]:
        return {"apps": [app.app_id for app in await self._store.apps()]}

    async def _show(self, asked: Ask) -> dict[str, Any]:
        return _told(await self._app(asked.app))

    async def _rotate(self, asked: Ask) -> dict[str, Any]:
        return _told(await self._directory.rotate_secret(asked.app))

    async def _limit(self, asked: Ask) -> dict[str, Any]:
        """Set limits of an app, where some are given, and tell all of them with what is in use."""
        changes = asked.limits
        app = await (self._directory.set_limits(asked.app, changes) if changes else self._app(asked.app))
        return {
            "limits": msgspec.structs.asdict(app.limits),
            "stored_bytes": await self._store.stored_bytes(app.id),
            "connections": self._connections_of(app.id),
        }

    async def _token(self, asked: Ask) -> dict[str, Any]:
        grant = await self._directory.token_for(asked.app, asked.user or None, asked.ttl_s)
        return {"token": grant.token, "xid": grant.xid, "expires_ms": grant.expires_ms, "url": self._url()}

    async def _called(self, asked: Ask) -> dict[str, Any]:
        """Tell what dialects call an app, and the names of its backends; their secrets are told once, when made."""
        told: dict[str, Any] = msgspec.to_builtins(await self._directory.credentials.called(asked.app))
        return told

    async def _call(self, asked: Ask) -> dict[str, Any]:
        await self._directory.credentials.call(asked.app, asked.dialect, asked.name)
        return {}

    async def _add_credential(self, asked: Ask) -> dict[str, Any]:
        name, secret = await self._directory.credentials.add(
            asked.app, asked.dialect, asked.name, asked.secret
        )
        return {"name": name, "secret": secret}

    async def _drop_credential(self, asked: Ask) -> dict[str, Any]:
        await self._directory.credentials.drop(asked.app, asked.dialect, asked.name)
        return {}

    async def _drop_older_credentials(self, asked: Ask) -> dict[str, Any]:
        await self._directory.credentials.drop_older(asked.app, asked.dialect, asked.name)
        return {}

    async def _find(self, asked: Ask) -> dict[str, Any]:
        return {"xid": await self._xid(asked)}

    async def _erase_user(self, asked: Ask) -> dict[str, Any]:
        app = await self._app(asked.app)
        xid = await self._xid(asked)
        found = await self._store.user(app.id, xid)
        if isinstance(found, Kind):
            raise Problem(Kind.USER_UNKNOWN, f"there is no user {asked.user}")
        job = await self._erase(app, found)
        return {"xid": xid, "done": job.done, "finished": job.finished}

    async def _retention_standing(self, _: Ask) -> dict[str, Any]:
        return msgspec.structs.asdict(await self._retention.standing())

    async def _resume_retention(self, asked: Ask) -> dict[str, Any]:
        await self._retention.resume()
        return await self._retention_standing(asked)

    async def _app(self, app_id: str) -> App:
        app = await self._store.app(app_id)
        if app is None:
            raise Problem(Kind.APP_UNKNOWN, f"there is no app {app_id}")
        return app

    async def _xid(self, asked: Ask) -> int:
        user = asked.user
        if user.isascii() and user.isdigit():
            return int(user)
        found = await self._store.user_named((await self._app(asked.app)).id, user)
        if found is None:
            raise Problem(Kind.USER_UNKNOWN, f"there is no user {user}")
        return found.xid


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
