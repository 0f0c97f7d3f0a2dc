"""The `gateway` command."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import typer

from gateway.config import Config, ConfigError, load_config
from gateway.control import ask
from gateway.core.operator import Order
from gateway.domain.errors import Problem
from gateway.domain.model import Scope
from gateway.greeting import first_start, greet
from gateway.store.sqlite.folder import StoreError

if TYPE_CHECKING:
    from gateway.app import Gateway

T = TypeVar("T")

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A self-hosted instant-messaging and push gateway.",
)
apps = typer.Typer(no_args_is_help=True, help="Apps (tenants) and their token keys.")
cli.add_typer(apps, name="app")
retention = typer.Typer(
    no_args_is_help=True, help="What removes old messages, and its halt when the clock jumps."
)
cli.add_typer(retention, name="retention")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration file [default: ./config.toml where there is one]."),
]
DataOption = Annotated[str | None, typer.Option("--data", help="The data folder [default: ./data].")]
AppOption = Annotated[str, typer.Option("--app", help="The app's id.")]
UserOption = Annotated[str, typer.Option("--user", help="A user's id or name.")]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="Where the gateway is [default: asked of the one that owns the data folder]."),
]

GC_THRESHOLD = 20_000
"""New objects that a collection waits for; a connection has about a hundred."""


class Stop(Exception):
    """Ends a command with one sentence and an exit code."""

    def __init__(self, sentence: str, code: int = 2) -> None:
        super().__init__(sentence)
        self.code = code


def main() -> None:
    """Run the command line; what stops a command is one sentence on stderr."""
    try:
        cli()
    except Stop as stop:
        print(f"gateway: {stop}", file=sys.stderr)
        sys.exit(stop.code)
    except BrokenPipeError:
        # Whoever read our output has gone, as in `gateway listen … | head -1`; Python's own flush would fail too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _config(
    config: Path | None, data: str | None, host: str | None = None, port: int | None = None
) -> Config:
    try:
        loaded = load_config(config, os.environ)
    except ConfigError as error:
        raise Stop(str(error)) from error
    server = loaded.server
    changed: dict[str, Any] = {"data": data, "host": host, "port": port}
    server = msgspec.structs.replace(
        server, **{key: value for key, value in changed.items() if value is not None}
    )
    return msgspec.structs.replace(loaded, server=server)


def _ask(config: Config, order: Order) -> dict[str, Any]:
    try:
        return ask(config, order)
    except Problem as problem:
        raise Stop(problem.sentence, 1) from problem
    except (StoreError, OSError) as error:
        raise Stop(str(error)) from error


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run on uvloop, which moves about twice the frames per second of CPU that asyncio's own loop does."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


# -- serve ----------------------------------------------------------------------------------------------


@cli.command()
def serve(
    config: ConfigOption = None,
    data: DataOption = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port; 0 takes any free one [default: 8080].")
    ] = None,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C; a second signal stops it at once."""
    loaded = _config(config, data, host, port)
    logging.basicConfig(
        level=loaded.log.level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    _run(lambda: _serve(loaded))


def _allow_files(config: Config) -> None:
    """Take as many open files as the system lets us have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with suppress(OSError, ValueError):  # Some systems have a lower ceiling than they say.
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed < config.limits.connections_max:
        logging.getLogger(__name__).info(
            "the system allows %d open files, so fewer connections than limits.connections_max = %d",
            allowed,
            config.limits.connections_max,
        )


async def _serve(config: Config) -> None:
    # aiohttp's server is imported by the one command that serves: the others start faster without it.
    from gateway.app import Gateway, ListenError

    try:
        gateway = await Gateway.start(config)
    except (ListenError, StoreError) as error:
        raise Stop(str(error)) from error
    except OSError as error:
        raise Stop(f"cannot start in {config.server.data}: {error.strerror}") from error
    try:
        await _serve_until_told(gateway, config)
    except Problem as problem:
        raise Stop(f"cannot start: {problem.sentence}") from problem
    finally:
        # Also where the first start failed: threads of the store are alive that would keep the process for ever.
        await gateway.stop()


async def _serve_until_told(gateway: Gateway, config: Config) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    first = await first_start(gateway.operator.do)
    if sys.stdout.isatty():
        await greet(gateway.operator.do, config, gateway.url, first=first)
    logging.getLogger(__name__).info("listening on %s, data in %s", gateway.url, config.server.data)
    _allow_files(config)
    # What is alive now stays: the collector need not look at it again, and need not look every 700 objects, for
    # nearly all that a request makes is freed by its count. A tenth of the CPU under load was the collector's.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)
    await stopping.wait()


# -- apps and tokens ------------------------------------------------------------------------------------


@apps.command("create")
def app_create(
    app_id: str,
    registered: Annotated[
        bool, typer.Option(help="Users must be registered before they can be named.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Make an app with a random secret."""
    _show_app(_ask(_config(config, data), Order(verb="create", app=app_id, registered=registered)))


@apps.command("list")
def app_list(config: ConfigOption = None, data: DataOption = None) -> None:
    """List the apps, oldest first."""
    for app_id in _ask(_config(config, data), Order(verb="list"))["apps"]:
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
    told = _ask(_config(config, data), Order(verb="show", app=app_id))
    if not secret:
        del told["secret"]
    if json:
        print(msgspec.json.encode(told).decode())
    else:
        _show_app(told, secret=secret)


@apps.command("rotate-secret")
def app_rotate(app_id: str, config: ConfigOption = None, data: DataOption = None) -> None:
    """Sign new tokens with a new key; tokens of the older keys stay good."""
    _show_app(_ask(_config(config, data), Order(verb="rotate", app=app_id)))


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
    """Show or set what an app may use, from now on; 0: no bound of its own."""
    given = {
        "sends_per_s": sends_per_s,
        "connections_max": connections,
        "message_bytes_max": message_bytes,
        "storage_bytes_max": storage_bytes,
    }
    limits = {name: value for name, value in given.items() if value is not None}
    told = _ask(_config(config, data), Order(verb="limits", app=app_id, limits=limits))
    _show_limits(told["limits"], connections=told["connections"], stored_bytes=told["stored_bytes"])


def _show_limits(limits: dict[str, int], **used: int) -> None:
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


# -- retention ------------------------------------------------------------------------------------------


@retention.command("show")
def retention_show(config: ConfigOption = None, data: DataOption = None) -> None:
    """Show how long messages are kept, how far removing them has got, and whether it is halted."""
    _show_retention(_ask(_config(config, data), Order(verb="retention")))


@retention.command("resume")
def retention_resume(config: ConfigOption = None, data: DataOption = None) -> None:
    """Say that the clock is right as it is now: what was halted because it had jumped goes on."""
    _show_retention(_ask(_config(config, data), Order(verb="resume-retention")))


def _show_retention(told: dict[str, Any]) -> None:
    print(f"kept           {told['days']} days" if told["days"] else "kept           for ever")
    print(f"removed up to  {'message ' + str(told['swept_to']) if told['swept_to'] else 'nothing yet'}")
    print(f"last run       {_time(told['swept_at'])}")
    print(f"halted         {_time(told['halted_at']) if told['halted_at'] else 'no'}")


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat() if ms else "never"


@cli.command()
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
    print(_ask(_config(config, data), Order(verb="token", app=app, user=user, ttl_s=ttl))["token"])


# -- talking to a gateway -------------------------------------------------------------------------------


def _grant(config: Config, app: str, user: str, url: str | None) -> tuple[str, str, int]:
    """Get a token, the gateway's URL and the user's id, from the gateway that owns the folder."""
    told = _ask(config, Order(verb="token", app=app, user=user))
    found = url or told["url"] or f"http://{config.server.host}:{config.server.port}"
    return told["token"], found, told["xid"]


@cli.command()
def listen(
    app: AppOption,
    user: UserOption,
    device_sn: Annotated[
        int, typer.Option("--device-sn", help="The device; 0: the gateway assigns one.")
    ] = 0,
    url: UrlOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Be a device: print every frame, ack it, come back after a break and resume where it stopped."""
    token, found, _ = _grant(_config(config, data), app, user, url)
    try:
        _run(lambda: _listen(found, app, token, device_sn))
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


@cli.command()
def send(
    text: str,
    app: AppOption,
    to: Annotated[str, typer.Option("--to", help="The receiver: a user's id or name.")] = "",
    group: Annotated[int, typer.Option("--group", help="The receiving group's id.")] = 0,
    sender: Annotated[
        str, typer.Option("--from", help="The sender's id or name [default: the app's administrator].")
    ] = "",
    transaction_id: Annotated[int, typer.Option(help="Executes once, however often it is sent.")] = 0,
    url: UrlOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Send a text and print its message id, once it is committed."""
    if bool(to) == bool(group):
        raise Stop("give --to or --group, one of the two")
    loaded = _config(config, data)
    target = group or _ask(loaded, Order(verb="find", app=app, user=to))["xid"]
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


@cli.command()
def check(config: ConfigOption = None, data: DataOption = None) -> None:
    """Verify the laws of the store, read-only, beside a running gateway or without one."""
    from gateway.store.sqlite.check import check_store

    loaded = _config(config, data)
    broken = check_store(Path(loaded.server.data))
    for sentence in broken:
        print(sentence)
    if broken:
        raise Stop(f"the store breaks its laws: {len(broken)} findings", 1)
    print("the store keeps all its laws")


@cli.command()
def export(
    app: AppOption,
    out: Annotated[Path, typer.Option("--out", help="The file to make; - is standard output.")],
    user: Annotated[
        str, typer.Option("--user", help="A user's id or name [default: everything of the app].")
    ] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write everything held about an app or one of its users, as lines of JSON; reads only, of one moment."""
    from gateway.store.sqlite.export import ExportError, export_lines

    loaded = _config(config, data)
    lines = export_lines(Path(loaded.server.data), app, user)
    try:
        if str(out) == "-":
            for line in lines:
                print(line)
        else:
            print(f"{_write_lines(out, lines)} lines in {out}")
    except ExportError as error:
        raise Stop(str(error), 1) from error


def _write_lines(out: Path, lines: Iterator[str]) -> int:
    """Write a new file that only its owner may read; it appears under its name when it is whole."""
    if out.exists():
        raise Stop(f"there is a file {out} already")
    part = out.with_name(f"{out.name}.part")
    count = 0
    try:
        with os.fdopen(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            for line in lines:
                file.write(f"{line}\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        part.rename(out)
    except OSError as error:
        raise Stop(f"cannot write {out}: {error.strerror}", 1) from error
    finally:
        part.unlink(missing_ok=True)
    return count


@cli.command()
def erase(
    app: AppOption,
    user: UserOption,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Erase a user: name, password, profile, devices and texts; the id stays taken. It cannot be undone."""
    order = Order(verb="erase", app=app, user=user)
    loaded = _config(config, data)
    told = _ask(loaded, order)
    # By id from here on: the name is gone with the first answer.
    again = msgspec.structs.replace(order, user=str(told["xid"]))
    while not told["finished"]:
        told = _ask(loaded, again)
    print(f"user {told['xid']} is erased, with {told['done']} texts")


@cli.command()
def demo(
    config: ConfigOption = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="The folder to make the temporary one in [default: the system's]."),
    ] = None,
) -> None:
    """Show, in a temporary folder and with a real server, that nothing is lost: narrated, under 15 seconds."""
    from gateway.demo import run_demo

    if data is not None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    sys.exit(run_demo(config, data))
