"""`gateway app netease`: the AppKey by which NetEase YunXin backends find an app, and the secrets that sign."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from gateway.commands.options import (
    SECRET_VARIABLE,
    ConfigOption,
    DataOption,
    Stop,
    carry_out,
    configured,
    own_secret,
)
from gateway.config import Config
from gateway.core.operator import Ask

DIALECT = "netease"
"""The word under which the core keeps AppKeys, and their secrets."""

SECRETS_MAX = 2
"""So many are good at once: the one before and the one after a rotation."""

_KEY_BYTES = 16


def app_netease(
    app_id: str,
    generate: Annotated[
        bool, typer.Option("--generate", help="Make an AppKey and its secret, and print them, once.")
    ] = False,
    app_key: Annotated[
        str,
        typer.Option("--app-key", help=f"An AppKey of yours; its secret is asked for, or {SECRET_VARIABLE}."),
    ] = "",
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a second secret, and print it, once: both are good.")
    ] = False,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Let the newest secret alone be good from now on.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let NetEase YunXin backends find an app.

    Without options, show what there is. An app has one AppKey: another takes its place, and its secrets go with it.
    """
    if sum(map(bool, (generate, app_key, rotate, drop_old))) > 1:
        raise Stop("give one of --generate, --app-key, --rotate and --drop-old")
    loaded = configured(config, data)
    held, good = _held(loaded, app_id)
    if generate:
        if held:
            raise Stop(f"the app has the AppKey {held}; --rotate makes another secret for it")
        key = secrets.token_hex(_KEY_BYTES)
        secret = _add(loaded, app_id, key)
        _call(loaded, app_id, key)
        print(f"app key     {key}\napp secret  {secret}")
    elif app_key:
        secret = own_secret(f"Secret of {app_key}")
        _want_room(good if app_key == held else 0)
        # First what it proves itself by: at no moment is there a key without a secret.
        _add(loaded, app_id, app_key, secret)
        if held != app_key:
            _replace(loaded, app_id, held, app_key)
        _show(loaded, app_id)
    elif rotate:
        _want_key(held)
        _want_room(good)
        print(f"app secret  {_add(loaded, app_id, held)}")
    else:
        if drop_old:
            _want_key(held)
            carry_out(loaded, Ask(verb="drop-older-credentials", app=app_id, dialect=DIALECT, name=held))
        _show(loaded, app_id)


def _held(config: Config, app_id: str) -> tuple[str, int]:
    """The app's AppKey, empty where it has none, and how many secrets are good for it."""
    told = carry_out(config, Ask(verb="called", app=app_id))
    key: str = told["aliases"].get(DIALECT, "")
    good = [known for known in told["credentials"] if (known["dialect"], known["name"]) == (DIALECT, key)]
    return key, len(good)


def _want_key(held: str) -> None:
    if not held:
        raise Stop("the app has no AppKey yet; give --generate or --app-key")


def _want_room(good: int) -> None:
    if good >= SECRETS_MAX:
        raise Stop(f"{SECRETS_MAX} secrets are good already; --drop-old leaves the newest")


def _call(config: Config, app_id: str, key: str) -> None:
    carry_out(config, Ask(verb="call", app=app_id, dialect=DIALECT, name=key))


def _replace(config: Config, app_id: str, held: str, key: str) -> None:
    """Put an AppKey, which has a secret, in place of the one before; where that cannot be, its secret goes again."""
    try:
        _call(config, app_id, key)
    except Stop:
        _drop(config, app_id, key)
        raise
    if held:
        _drop(config, app_id, held)


def _drop(config: Config, app_id: str, key: str) -> None:
    carry_out(config, Ask(verb="drop-credential", app=app_id, dialect=DIALECT, name=key))


def _add(config: Config, app_id: str, key: str, secret: str = "") -> str:
    """Make a secret good for an AppKey too, which is returned; an empty one is drawn."""
    told = carry_out(config, Ask(verb="add-credential", app=app_id, dialect=DIALECT, name=key, secret=secret))
    drawn: str = told["secret"]
    return drawn


def _show(config: Config, app_id: str) -> None:
    key, good = _held(config, app_id)
    print(f"app key     {key or 'none'}")
    if key:
        print(f"secrets     {good}")
