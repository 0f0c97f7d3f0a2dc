"""`gateway check`, `export`, `erase`, `retention …` and `epoch …`: what is kept, and what is not any more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gateway.commands.options import (
    AppOption,
    ConfigOption,
    DataOption,
    Stop,
    UserOption,
    carry_out,
    configured,
    stopping,
)
from gateway.control import renew_epoch
from gateway.core.operator import Ask

retention = typer.Typer(
    no_args_is_help=True, help="What removes old messages, and its halt when the clock jumps."
)

epoch = typer.Typer(
    no_args_is_help=True, help="What devices know the store by, to be renewed after a restore."
)


@epoch.command("renew")
def epoch_renew(config: ConfigOption = None, data: DataOption = None) -> None:
    """Say that the store has gone back in time. Devices then get again what it holds, and ids are never reused."""
    print(stopping(lambda: renew_epoch(configured(config, data))))


@retention.command("show")
def retention_show(config: ConfigOption = None, data: DataOption = None) -> None:
    """Show how long messages are kept. Also how far removing them has got, and whether it is halted."""
    _show_retention(carry_out(configured(config, data), Ask(verb="retention")))


@retention.command("resume")
def retention_resume(config: ConfigOption = None, data: DataOption = None) -> None:
    """Say that the clock is right as it is now. What was halted because it had jumped goes on."""
    _show_retention(carry_out(configured(config, data), Ask(verb="resume-retention")))


def _show_retention(told: dict[str, Any]) -> None:
    print(f"kept           {told['days']} days" if told["days"] else "kept           for ever")
    print(f"removed up to  {'message ' + str(told['swept_to']) if told['swept_to'] else 'nothing yet'}")
    print(f"last run       {_time(told['swept_at'])}")
    print(f"halted         {_time(told['halted_at']) if told['halted_at'] else 'no'}")


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat() if ms else "never"


def check(config: ConfigOption = None, data: DataOption = None) -> None:
    """Verify the laws of the store, and look for the bytes of files. It only reads, beside a gateway or without one."""
    from gateway.blobstores import check_files
    from gateway.stores import check_store

    loaded = configured(config, data)
    # Of a store that cannot be read nothing more is asked.
    broken = check_store(loaded) or check_files(loaded)
    for sentence in broken:
        print(sentence)
    if broken:
        raise Stop(f"the store breaks its laws: {len(broken)} findings", 1)
    print("the store keeps all its laws")


def export(
    app: AppOption,
    out: Annotated[Path, typer.Option("--out", help="The file to make; - is standard output.")],
    user: Annotated[
        str, typer.Option("--user", help="A user's id or name [default: everything of the app].")
    ] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write everything held about an app or a user as lines of JSON. It only reads, as of one moment."""
    from gateway.store.errors import ExportError
    from gateway.stores import export_lines

    lines = export_lines(configured(config, data), app, user)
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


def erase(
    app: AppOption,
    user: UserOption,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Erase a user, which cannot be undone. Name, password, profile, devices and texts go; the id stays taken."""
    asked = Ask(verb="erase", app=app, user=user)
    loaded = configured(config, data)
    told = carry_out(loaded, asked)
    # By id from here on: the name is gone with the first answer.
    again = msgspec.structs.replace(asked, user=str(told["xid"]))
    while not told["finished"]:
        told = carry_out(loaded, again)
    print(f"user {told['xid']} is erased, with {told['done']} texts")
