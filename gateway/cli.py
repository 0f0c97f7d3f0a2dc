"""The `gateway` command: its root, and `demo`. The other commands lie in `gateway.commands`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.apps import apps, token
from gateway.commands.keeping import check, epoch, erase, export, retention
from gateway.commands.options import ConfigOption, Stop
from gateway.commands.serve import serve
from gateway.commands.talking import listen, send

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain: the other mode reads what stands in brackets, such as our defaults, as its markup.
    rich_markup_mode=None,
    help="A self-hosted instant-messaging and push gateway.",
)
for command in (serve, token, listen, send, check, export, erase):
    cli.command()(command)
cli.add_typer(apps, name="app")
cli.add_typer(retention, name="retention")
cli.add_typer(epoch, name="epoch")


@cli.command()
def demo(
    config: ConfigOption = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="The folder to make the temporary one in [default: the system's]."),
    ] = None,
) -> None:
    """Show with a real server that nothing is lost. In a temporary folder, narrated, in under 15 seconds."""
    from gateway.demo import run_demo

    if data is not None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    sys.exit(run_demo(config, data))


def main() -> None:
    """Run the command line; what stops a command is one sentence on stderr."""
    try:
        try:
            cli()
        finally:
            # Not at the very end, where a reader that has gone could not be heeded any more.
            sys.stdout.flush()
    except Stop as stop:
        print(f"gateway: {stop}", file=sys.stderr)
        sys.exit(stop.code)
    except BrokenPipeError:
        # Whoever read our output has gone, as in `gateway listen … | head -1`; Python's own flush would fail too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
