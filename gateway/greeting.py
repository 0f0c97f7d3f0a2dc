"""What a newcomer meets: the app and users of a first start, and the lines to paste."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway.config import Config
from gateway.core.operator import Ask
from gateway.domain.errors import Problem

DEMO_APP = "demo"
DEMO_USERS = ("alice", "bob")

Do = Callable[[Ask], Coroutine[Any, Any, dict[str, Any]]]
"""Has an operator's ask carried out."""


async def first_start(do: Do) -> bool:
    """Make the app and the users that a newcomer meets, in a folder that has no other app yet.

    Each step may have been the last of a start that was killed, so each is made sure of anew.
    """
    apps = (await do(Ask(verb="list")))["apps"]
    if apps not in ([], [DEMO_APP]):
        return False
    if not apps:
        try:
            await do(Ask(verb="create", app=DEMO_APP))
        except Problem:
            # Another node of the same new database may have been faster.
            if DEMO_APP not in (await do(Ask(verb="list")))["apps"]:
                raise
    for user in DEMO_USERS:
        await do(Ask(verb="token", app=DEMO_APP, user=user))
    return not apps


async def greet(do: Do, config: Config, url: str, *, first: bool) -> None:
    """Print what a newcomer needs, ready to paste. Only ever to a terminal: it holds a token."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\n[bold]The gateway listens on {url}[/bold]")
    if not first and DEMO_APP not in (await do(Ask(verb="list")))["apps"]:
        return
    grants = [await do(Ask(verb="token", app=DEMO_APP, user=user)) for user in DEMO_USERS]
    command = _command(config)
    # What is to be pasted is printed as it is: to rich, a path may look like markup.
    print(f"\nListen as bob, in a second terminal:\n\n  {command('listen')} --app {DEMO_APP} --user bob")
    print(
        f"\nSend to bob, in a third:\n\n  {command('send')} --app {DEMO_APP} --from alice --to bob 'Hello, Bob!'"
    )
    body = f'{{"type":1,"targets":[{grants[1]["xid"]}],"content_type":0,"content":"Hello by REST"}}'
    print("\nor, as a backend does, with alice's token:\n")
    print(
        f"  curl -s {url}/message/send -H 'app_id: {DEMO_APP}' -H 'access-token: {grants[0]['token']}' -d '{body}'\n"
    )
    for name, grant in zip(DEMO_USERS, grants, strict=True):
        print(f"  {name} is user {grant['xid']}, with the token {grant['token']}\n")


def _command(config: Config) -> Callable[[str], str]:
    """Say how this very program is called again from here, with the same data."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py" or not os.access(program, os.X_OK):
        shown = f"{shlex.quote(sys.executable)} -m gateway"
    elif shutil.which(program.name) == str(program):
        shown = program.name
    else:
        # Always with a folder before it: without one the shell would look elsewhere.
        shown = shlex.quote(f"{os.path.relpath(program.parent)}/{program.name}")
    data = "" if config.server.data == Config().server.data else f" --data {shlex.quote(config.server.data)}"
    return lambda name: f"{shown} {name}{data}"
