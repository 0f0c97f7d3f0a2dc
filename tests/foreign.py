"""Programs that others have written, installed from locks of their own and run beside the tests.

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
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.servers import unmeasured

PIP: tuple[str, ...] = (
    *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"),
    *("--no-deps", "--require-hashes", "--no-compile"),
)
"""Installs what a lock names and nothing else. Of a thousand modules a few are imported: those compile themselves."""

_INSTALL_S = 300.0
_TRIES = 3
_PAUSE_S = 5.0
_RUN_S = 200.0


def installed(cache: Path, kind: str, locks: list[Path], install: Callable[[Path], None]) -> Path:
    """Where a kind of programs is installed, once for all processes of a run.

    `install` gets a new folder, in which the locks lie already.
    """
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


def install(folder: Path, *command: str | Path, env: Mapping[str, str] | None = None) -> None:
    """Run an installer in a folder to its end, and fail with what it told where it does so each time.

    A registry that is away for a moment is asked again. All tries together have as much time as one may take.
    """
    ends = time.monotonic() + _INSTALL_S
    told = ""
    for number in range(_TRIES):
        if number:
            time.sleep(_PAUSE_S)
        ended = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=max(1.0, ends - time.monotonic()),
        )
        if ended.returncode == 0:
            return
        told = ended.stdout
    raise AssertionError(f"a program could not be installed: {told[-2000:]}")


async def run_python(packages: Path, folder: Path, *command: str | Path) -> Any:
    """Run a program of Python that finds these packages; what it tells as JSON, whatever its exit code is."""
    return await run(folder, sys.executable, *command, PYTHONPATH=str(packages), PYTHONWARNINGS="ignore")


async def run(folder: Path, *command: str | Path, **env: str) -> Any:
    """Run a program in a folder; what it tells as JSON, whatever its exit code is."""
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
