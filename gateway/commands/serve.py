"""`gateway serve`."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.options import ConfigOption, DataOption, Stop, configured, run
from gateway.config import Config
from gateway.domain.errors import Problem
from gateway.greeting import first_start, greet
from gateway.listening import ListenError
from gateway.store.errors import StoreError
from gateway.workers import Leash, Report, WorkersError, supervise

if TYPE_CHECKING:
    from gateway.app import Gateway

GC_THRESHOLD = 20_000
"""New objects that a collection waits for; a connection has about a hundred."""


def serve(
    config: ConfigOption = None,
    data: DataOption = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port; 0 takes any free one [default: 8080].")
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1, max=256, help="How many processes share the port; more than 1 on PostgreSQL only."
        ),
    ] = 1,
    worker: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C. A second signal stops it at once.

    With several workers SIGHUP replaces them one after the other, while the others serve.
    """
    leash = None if worker is None else Leash.parse(worker)
    who = "supervisor " if workers > 1 else f"worker {leash.number} " if leash else ""
    try:
        loaded = configured(config, data, host, port)
        logging.basicConfig(
            level=loaded.log.level.upper(),
            format=f"%(asctime)s %(levelname)s {who}%(name)s: %(message)s",
            stream=sys.stderr,
        )
        if workers > 1:
            sys.exit(run(lambda: _supervise(loaded, _told(config, data), workers)))
        run(lambda: _serve(loaded, leash))
    except Stop as stop:
        if leash is None:
            raise
        # The supervisor says it, once for all.
        leash.report(Report(str(stop), stop.code))
        sys.exit(stop.code)


def _told(config: Path | None, data: str | None) -> list[str]:
    """The options that workers get too, besides the address."""
    told = {"--config": config, "--data": data}
    return [str(part) for name, value in told.items() if value is not None for part in (name, value)]


async def _supervise(config: Config, options: list[str], workers: int) -> int:
    try:
        return await supervise(config, options, workers)
    except WorkersError as error:
        raise Stop(str(error), error.code) from error
    except ListenError as error:
        raise Stop(str(error)) from error


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


async def _serve(config: Config, leash: Leash | None) -> None:
    # aiohttp's server is imported by the one command that serves: the others start faster without it.
    from gateway.app import Gateway

    # Before anything else: who is told to stop while it starts ends as well-behaved as one that serves.
    stopping = _heed_signals()
    try:
        gateway = await Gateway.start(config, worker=leash.number if leash else 0)
    except (ListenError, StoreError) as error:
        raise Stop(str(error)) from error
    except OSError as error:
        raise Stop(f"cannot start in {config.server.data}: {error.strerror}") from error
    try:
        await _serve_until_told(gateway, config, leash, stopping)
    except Problem as problem:
        raise Stop(f"cannot start: {problem.sentence}") from problem
    finally:
        # Also where the first start failed: threads of the store are alive that would keep the process for ever.
        await gateway.stop()


def _heed_signals() -> asyncio.Event:
    """Return what the first SIGTERM or Ctrl-C sets; the second one ends the process at once."""
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return stopping


async def _serve_until_told(
    gateway: Gateway, config: Config, leash: Leash | None, stopping: asyncio.Event
) -> None:
    if leash is None or leash.first:
        first = await first_start(gateway.operator.do)
        if sys.stdout.isatty():
            await greet(gateway.operator.do, config, gateway.url, first=first)
    where = "PostgreSQL" if config.store.url else config.server.data
    logging.getLogger(__name__).info("listening on %s, data in %s", gateway.url, where)
    _allow_files(config)
    # What is alive now stays: the collector need not look at it again, and need not look every 700 objects, for
    # nearly all that a request makes is freed by its count. A tenth of the CPU under load was the collector's.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)
    if leash is not None:
        leash.on_gone(stopping.set)
        leash.report(Report())
    await stopping.wait()
