"""What dialects call apps, and the secrets by which their backends prove who they are: what the operator sets.

A dialect is a word (`agora`); a name in it is an app's, or a backend's. Several secrets are good for a backend's name,
so that one can be changed for another without a moment at which neither is good.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence

import msgspec

from gateway.core.known import CALLED, Known
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.model import App, Credential
from gateway.store.base import Store

_DIALECT = re.compile(r"[a-z][a-z-]{0,31}")
_SECRET = re.compile(r"[!-~]{1,256}")
_NAME_BYTES = 12
_SECRET_BYTES = 33


class Called(msgspec.Struct, frozen=True):
    """What an app is called by dialects, and what proves who its backends are; no secrets."""

    aliases: dict[str, str]
    credentials: Sequence[Credential]


class Credentials:
    """Names apps in dialects, and gives their backends secrets. Each method raises `APP_UNKNOWN`."""

    def __init__(
        self, store: Store, known: Known, clock_ms: Callable[[], int], randomness: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._known = known
        self._clock_ms = clock_ms
        self._randomness = randomness

    async def called(self, app_id: str) -> Called:
        """What an app is called, and which credentials there are."""
        app = await self._app(app_id)
        return Called(await self._store.aliases(app.id), await self._store.credentials(app.id))

    async def call(self, app_id: str, dialect: str, name: str) -> None:
        """Call an app so in a dialect from now on, and no longer otherwise; `BAD_PARAMETER` where another is."""
        _check(dialect, name)
        app = await self._app(app_id)
        if not await self._store.set_alias(app.id, dialect, name):
            raise bad("name", f"another app is called {name} already")
        self._known.app_changed(app)

    async def add(self, app_id: str, dialect: str, name: str = "", secret: str = "") -> tuple[str, str]:
        """Make a secret good for a name too, from now on; what is empty is drawn. Returns the name and the secret.

        Raises:
            Problem: `BAD_PARAMETER` for what may not be, or where the app has as many as it may.
        """
        # The first character of a name is a letter or digit, whatever is drawn.
        name = name or f"id{self._draw(_NAME_BYTES)}"
        secret = secret or self._draw(_SECRET_BYTES)
        _check(dialect, name)
        if not _SECRET.fullmatch(secret):
            raise bad("secret", "it must be 1 to 256 printable characters of ASCII, without spaces")
        app = await self._app(app_id)
        if not await self._store.add_credential(app.id, dialect, name, secret, self._clock_ms()):
            raise bad("name", "the app has as many credentials as it may; drop one of them first")
        self._known.app_changed(app)
        return name, secret

    async def drop(self, app_id: str, dialect: str, name: str) -> None:
        """Let no secret be good for a name any more, from now on. Raises `BAD_PARAMETER` where none is."""
        app = await self._held(app_id, dialect, name)
        await self._store.drop_credentials(app.id, dialect, name)
        self._known.app_changed(app)

    async def drop_older(self, app_id: str, dialect: str, name: str) -> None:
        """Let only the newest secret be good for a name from now on. Raises `BAD_PARAMETER` where none is."""
        app = await self._held(app_id, dialect, name)
        await self._store.drop_older_credentials(app.id, dialect, name)
        self._known.app_changed(app)

    async def _held(self, app_id: str, dialect: str, name: str) -> App:
        """The app, which has a credential of this name."""
        app = await self._app(app_id)
        held = {(known.dialect, known.name) for known in await self._store.credentials(app.id)}
        if (dialect, name) not in held:
            raise bad("name", f"there is no credential {name}")
        return app

    async def _app(self, app_id: str) -> App:
        app = await self._store.app(app_id)
        if app is None:
            raise Problem(Kind.APP_UNKNOWN, f"there is no app {app_id}")
        return app

    def _draw(self, count: int) -> str:
        return urlsafe_b64encode(self._randomness(count)).decode()


def _check(dialect: str, name: str) -> None:
    if not _DIALECT.fullmatch(dialect):
        raise bad("dialect", "it must be 1 to 32 small letters and -, the first a letter")
    if not CALLED.fullmatch(name):
        raise bad("name", "it must be 1 to 128 of letters, digits and ._/+=#-, the first a letter or digit")
