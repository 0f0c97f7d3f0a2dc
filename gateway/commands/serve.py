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
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.options import ConfigOption, DataOption, Stop, configured, run
from gateway.config import Config
from gateway.domain.errors import Problem
from gateway.greeting import first_start, greet
from gateway.store.errors import StoreError

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
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C. A second signal stops it at once."""
    loaded = configured(config, data, host, port)
    logging.basicConfig(
        level=loaded.log.level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    run(lambda: _serve(loaded))


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
