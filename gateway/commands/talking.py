"""`gateway listen` and `gateway send`: a device and a backend of the command line's."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import msgspec
import typer

from gateway.commands.options import (
    AppOption,
    ConfigOption,
    DataOption,
    Stop,
    UrlOption,
    UserOption,
    carry_out,
    configured,
    run,
)
from gateway.config import Config
from gateway.core.operator import Ask
from gateway.domain.model import Scope


def _grant(config: Config, app: str, user: str, url: str | None) -> tuple[str, str, int]:
    """Get a token, the gateway's URL and the user's id, from the gateway that owns the folder."""
    told = carry_out(config, Ask(verb="token", app=app, user=user))
    found = url or told["url"] or f"http://{config.server.host}:{config.server.port}"
    return told["token"], found, told["xid"]


def listen(
    app: AppOption,
    user: UserOption,
    device_sn: Annotated[
        int,
        typer.Option(
            "--device-sn", help="The device [default: the gateway assigns one].", show_default=False
        ),
    ] = 0,
    url: UrlOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Be a device that prints every frame. It acks them, comes back after a break and resumes where it stopped."""
    # A shell without job control, such as a script's, starts what stands before an & with Ctrl-C ignored. Whoever
    # sends the signal to us all the same wants an end; `serve` heeds it there too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        token, found, _ = _grant(configured(config, data), app, user, url)
        run(lambda: _listen(found, app, token, device_sn))
    except KeyboardInterrupt:
        return


async def _listen(url: str, app: str, token: str, device_sn: int) -> None:
    from gateway.client.device import Device
    from gateway.client.errors import ClosedError

    async with Device(url, app, token, device_sn=device_sn) as device:
        try:
            async for frame in device:
                print(msgspec.json.encode(frame).decode(), flush=True)
        except ClosedError as closed:
            raise Stop(str(closed), 1) from closed


def send(
    text: str,
    app: AppOption,
    to: Annotated[str, typer.Option("--to", help="The receiver: a user's id or name.")] = "",
    group: Annotated[int, typer.Option("--group", help="The receiving group's id.", show_default=False)] = 0,
    sender: Annotated[
        str, typer.Option("--from", help="The sender's id or name [default: the app's administrator].")
    ] = "",
    transaction_id: Annotated[
        int, typer.Option(help="Executes once, however often it is sent.", show_default=False)
    ] = 0,
    url: UrlOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Send a text and print its message id, once it is committed."""
    if bool(to) == bool(group):
        raise Stop("give --to or --group, one of the two")
    loaded = configured(config, data)
    target = group or carry_out(loaded, Ask(verb="find", app=app, user=to))["xid"]
    token, found, _ = _grant(loaded, app, sender, url)
    print(
        asyncio.run(
            _send(found, app, token, Scope.GROUP if group else Scope.USER, target, text, transaction_id)
        )
    )


async def _send(
    url: str, app: str, token: str, scope: Scope, target: int, text: str, transaction_id: int
) -> int:
    import aiohttp

    from gateway.client.errors import RestError
    from gateway.client.rest import Rest

    try:
        async with aiohttp.ClientSession() as session:
            rest = Rest(url, app, token, session)
            return (await rest.send(scope, [target], text, transaction_id=transaction_id))[0]
    except RestError as error:
        raise Stop(str(error), 1) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Stop(f"no gateway answers at {url}: {error}", 1) from error
