"""`gateway app …` and `gateway token`: tenants, their keys and limits, and who may speak in them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from gateway.commands.agora import app_agora
from gateway.commands.netease import app_netease
from gateway.commands.options import AppOption, ConfigOption, DataOption, Stop, carry_out, configured
from gateway.core.operator import Ask

apps = typer.Typer(no_args_is_help=True, help="Apps (tenants): keys, limits, and names in dialects.")


@apps.command("create")
def app_create(
    app_id: str,
    registered: Annotated[
        bool, typer.Option("--registered", help="Users must be registered before they can be named.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make an app with a random secret."""
    _show_app(carry_out(configured(config, data), Ask(verb="create", app=app_id, registered=registered)))


@apps.command("list")
def app_list(config: ConfigOption = None, data: DataOption = None) -> None:
    """List the apps, oldest first."""
    for app_id in carry_out(configured(config, data), Ask(verb="list"))["apps"]:
        print(app_id)


@apps.command("show")
def app_show(
    app_id: str,
    secret: Annotated[
        bool, typer.Option("--secret", help="Show the key that new tokens are signed with, in base64.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show an app's settings and the ids of its keys."""
    told = carry_out(configured(config, data), Ask(verb="show", app=app_id))
    if not secret:
        del told["secret"]
    if json:
        print(msgspec.json.encode(told).decode())
    else:
        _show_app(told, secret=secret)


@apps.command("rotate-secret")
def app_rotate(app_id: str, config: ConfigOption = None, data: DataOption = None) -> None:
    """Sign new tokens with a new key. Tokens of the older keys stay good."""
    _show_app(carry_out(configured(config, data), Ask(verb="rotate", app=app_id)))


@apps.command("limits")
def app_limits(
    app_id: str,
    sends_per_s: Annotated[int | None, typer.Option(min=0, help="Messages a second, one per target.")] = None,
    connections: Annotated[int | None, typer.Option(min=0, help="Devices connected to one node.")] = None,
    message_bytes: Annotated[int | None, typer.Option(min=0, help="The four texts of a message.")] = None,
    storage_bytes: Annotated[
        int | None, typer.Option(min=0, help="All texts stored, and 300 for each message.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Show what an app may use, or set it.

    0 is no bound of its own. It holds from now on, on nodes that share a PostgreSQL within seconds.
    """
    given = {
        "sends_per_s": sends_per_s,
        "connections_max": connections,
        "message_bytes_max": message_bytes,
        "storage_bytes_max": storage_bytes,
    }
    limits = {name: value for name, value in given.items() if value is not None}
    told = carry_out(configured(config, data), Ask(verb="limits", app=app_id, limits=limits))
    _show_limits(told["limits"], connections=told["connections"], stored_bytes=told["stored_bytes"])


apps.command("agora")(app_agora)
apps.command("netease")(app_netease)


def _show_limits(limits: dict[str, int], **used: int | None) -> None:
    def line(name: str, bound: int, now: int | None) -> None:
        print(f"{name:14} {bound or 'no bound of its own'}" + ("" if now is None else f", now {now}"))

    line("sends per s", limits["sends_per_s"], None)
    line("connections", limits["connections_max"], used.get("connections"))
    line("message bytes", limits["message_bytes_max"], None)
    line("storage bytes", limits["storage_bytes_max"], used.get("stored_bytes"))


def _show_app(told: dict[str, Any], *, secret: bool = False) -> None:
    print(f"app_id         {told['app_id']}")
    print(f"users          {'registered' if told['registered'] else 'open'}")
    print(f"recall window  {told['recall_window_ms'] // 1000} s")
    _show_limits(told["limits"])
    print(f"signing key    {told['kid']}")
    print(f"good keys      {' '.join(told['kids'])}")
    if secret:
        print(f"secret         {told['secret']}")


def token(
    app: AppOption,
    user: Annotated[
        str, typer.Option("--user", help="The user's id or name; made where it is not there yet.")
    ] = "",
    admin: Annotated[bool, typer.Option("--admin", help="A token of the app's administrator.")] = False,
    ttl: Annotated[
        int | None, typer.Option("--ttl", help="Seconds until it expires [default: 30 days].")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Print a token, and nothing else."""
    if bool(user) == admin:
        raise Stop("give --user or --admin, one of the two")
    print(carry_out(configured(config, data), Ask(verb="token", app=app, user=user, ttl_s=ttl))["token"])
