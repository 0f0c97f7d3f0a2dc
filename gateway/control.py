"""How commands reach a store: through the gateway that owns its folder, or by themselves (design §5).

One line of JSON goes in, one comes out, over `<data>/control.sock` (0600: whoever may read the store may also ask).
Where no gateway runs, a command takes the folder's lock and does the same work itself; on PostgreSQL it always does,
as one more of those who share the database.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from pathlib import Path
from typing import Any

import msgspec

from gateway.clock import now_ms, ticks_ms
from gateway.config import Config
from gateway.core.directory import Directory
from gateway.core.erasing import erase_draft
from gateway.core.operator import Ask, Operator
from gateway.core.retention import Retention
from gateway.domain.drafts import Job, JobDraft, Refused, Started, StepDraft, Stepped
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import App, User
from gateway.store.base import Store
from gateway.store.errors import StoreError
from gateway.stores import open_store

log = logging.getLogger(__name__)

NAME = "control.sock"
LINE_BYTES_MAX = 64 * 1024
ANSWER_TIMEOUT_S = 30.0


class Reply(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What comes back: `data`, or the kind and sentence of a problem."""

    data: dict[str, Any] = {}
    kind: Kind | None = None
    sentence: str = ""


_asks = msgspec.json.Decoder(Ask)
_replies = msgspec.json.Decoder(Reply)


class ControlServer:
    """Answers an operator's asks while a gateway runs."""

    def __init__(self, folder: Path, operator: Operator) -> None:
        self._folder = folder
        self._operator = operator
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; the folder's lock is ours, so a socket file that is there is a dead one."""
        path = self._folder / NAME
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            _in_folder(self._folder, lambda: listener.bind(NAME))
        finally:
            os.umask(mask)
        self._server = await asyncio.start_unix_server(self._answer, sock=listener, limit=LINE_BYTES_MAX)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reply = await self._do(await reader.readline())
                writer.write(msgspec.json.encode(reply) + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, ConnectionError) as error:
            log.warning("an ask on the control socket failed: %s", error)
        finally:
            writer.close()

    async def _do(self, line: bytes) -> Reply:
        try:
            return Reply(data=await self._operator.do(_asks.decode(line)))
        except Problem as problem:
            return Reply(kind=problem.kind, sentence=problem.sentence)
        except msgspec.DecodeError as error:
            return Reply(kind=Kind.BAD_PARAMETER, sentence=str(error))

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            (self._folder / NAME).unlink(missing_ok=True)


def ask(config: Config, asked: Ask) -> dict[str, Any]:
    """Have an ask carried out, by the gateway that owns the folder or here. Raises `Problem` or `StoreError`."""
    told = None if config.store.url else ask_running(Path(config.server.data), asked)
    return _opened(asyncio.run(_do_here(config, asked))) if told is None else told


def ask_running(folder: Path, asked: Ask) -> dict[str, Any] | None:
    """Have an ask carried out by the gateway that owns the folder; None where none runs. Raises `Problem`."""
    line = _ask_running(folder, msgspec.json.encode(asked) + b"\n")
    return _opened(_replies.decode(line)) if line else None


def _opened(reply: Reply) -> dict[str, Any]:
    if reply.kind is not None:
        raise Problem(reply.kind, reply.sentence)
    return reply.data


def _ask_running(folder: Path, line: bytes) -> bytes:
    """Ask the running gateway; empty where none runs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(ANSWER_TIMEOUT_S)
        try:
            _in_folder(folder, lambda: peer.connect(NAME))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return b""
        peer.sendall(line)
        with peer.makefile("rb") as answers:
            return answers.readline(LINE_BYTES_MAX * 16)


async def _do_here(config: Config, asked: Ask) -> Reply:
    store = await open_store(config)
    directory = Directory(store, config.limits, now_ms, secrets.token_bytes)
    retention = Retention(
        store,
        config.limits,
        now_ms,
        ticks_ms,
        days=config.retention.days,
        clock_step_max_s=config.retention.clock_step_max_s,
    )

    async def erase(app: App, user: User) -> Job:
        return await _erase_here(store, erase_draft(app, user, now_ms()))

    def connections_of(_app: int) -> int | None:
        # How many devices a node has only that node knows; where the folder is ours there is none.
        return None if store.shared else 0

    try:
        operator = Operator(store, directory, retention, lambda: "", erase, connections_of)
        return Reply(data=await operator.do(asked))
    except Problem as problem:
        return Reply(kind=problem.kind, sentence=problem.sentence)
    finally:
        directory.close()
        await store.close()


async def _erase_here(store: Store, draft: JobDraft) -> Job:
    """Do a job to its end; where other nodes go on with it too, each page is still done once. Raises `Problem`."""
    [told] = await store.append([draft])
    if isinstance(told, Refused):
        raise Problem(told.kind, told.sentence)
    assert isinstance(told, Started), told
    job = told.job
    while not job.finished:
        [stepped] = await store.append([StepDraft(app=job.app, job_id=job.id, at=now_ms(), rows=0, size=0)])
        if isinstance(stepped, Refused):
            raise Problem(stepped.kind, stepped.sentence)
        assert isinstance(stepped, Stepped), stepped
        job = stepped.job
    return job


def renew_epoch(config: Config) -> str:
    """Begin another epoch of the store, and return it. Raises `Problem` or `StoreError`.

    On SQLite only while no gateway runs, which the folder's lock says: its devices would go on by the old one. Nodes on
    PostgreSQL see it with their next beat.
    """
    if not config.store.url and not (Path(config.server.data) / "gateway.db").exists():
        raise StoreError(f"there is no store at {Path(config.server.data) / 'gateway.db'}")

    async def renew() -> str:
        store = await open_store(config)
        try:
            return await store.renew_epoch()
        finally:
            await store.close()

    return asyncio.run(renew())


def _in_folder(folder: Path, act: Any) -> None:  # noqa: ANN401 - any call
    """Act inside a folder: the path of a UNIX socket has room for about 100 bytes, a folder's may have more."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        act()
    finally:
        os.chdir(before)
