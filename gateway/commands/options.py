"""What commands share: their options, the one sentence that ends them, and how they ask the gateway."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from gateway.config import Config, ConfigError, load_config
from gateway.control import ask
from gateway.core.operator import Ask
from gateway.domain.errors import Problem
from gateway.store.errors import StoreError

T = TypeVar("T")

SECRET_VARIABLE = "GATEWAY_SECRET"  # noqa: S105 - where a secret is, not one
"""Where a secret of one's own comes from: what stands in a command line others can read."""

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


class Stop(Exception):
    """Ends a command with one sentence and an exit code."""

    def __init__(self, sentence: str, code: int = 2) -> None:
        super().__init__(sentence)
        self.code = code


def configured(
    config: Path | None, data: str | None, host: str | None = None, port: int | None = None
) -> Config:
    """The configuration with what the options say over it. Raises `Stop`."""
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


def own_secret(prompt: str) -> str:
    """A secret from the environment, or typed unseen. Raises `Stop` where there is neither."""
    secret = os.environ.get(SECRET_VARIABLE, "").strip()
    if not secret and sys.stdin.isatty():
        secret = typer.prompt(prompt, hide_input=True).strip()
    if not secret:
        raise Stop(f"set {SECRET_VARIABLE}, or run this where it can ask")
    return secret


def carry_out(config: Config, asked: Ask) -> dict[str, Any]:
    """Have an ask carried out by the gateway that owns the folder, or here. Raises `Stop`."""
    return stopping(lambda: ask(config, asked))


def stopping(work: Callable[[], T]) -> T:
    """Do something with the store; what keeps it from being done is a `Stop`."""
    try:
        return work()
    except Problem as problem:
        raise Stop(problem.sentence, 1) from problem
    except (StoreError, OSError) as error:
        raise Stop(str(error)) from error


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run on uvloop, which moves about twice the frames per second of CPU that asyncio's own loop does."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())
