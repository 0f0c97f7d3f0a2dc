"""How work gets to a connection of PostgreSQL, and what becomes of its errors."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import asyncpg

from gateway.domain.drafts import Answer, Refused
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits

log = logging.getLogger(__name__)

T = TypeVar("T")


class Conn(Protocol):
    """What the parts of the store use of a connection (asyncpg has no types of its own)."""

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement; return its status."""

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        """Return all rows, each a tuple that also knows its columns by name."""

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """Return the first row, or None."""

    async def fetchval(self, query: str, *args: Any) -> Any:
        """Return the first column of the first row, or None."""

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False
    ) -> AbstractAsyncContextManager[Any]:
        """Begin a transaction for a block, or a savepoint inside one."""


BAD_DATA = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    UnicodeError,
    OverflowError,
)
"""The caller's data cannot be kept as it is."""


class OvertakenError(Exception):
    """What was judged did not hold any more under the locks."""


AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, OvertakenError)
"""The transaction was undone because of another one: run it again, at once."""

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg says where the server's goodbye meets a statement on its way.
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)
"""The connection is gone, or the server is about to be: whether a commit under way was kept is not known."""


class Lanes(ABC):
    """How a part of the store port gets its work to a connection: the engine says, and adds the parts together.

    `work` gets a connection and may be run several times, each time from the start: it keeps nothing outside its
    transaction.
    """

    _limits: Limits

    @abstractmethod
    async def _read(self, work: Callable[[Conn], Awaitable[T]]) -> T:
        """Read for a caller, who can come back: raises `OVERLOADED` where too many wait.

        No transaction is begun: one statement is one snapshot; who needs one of several begins a transaction that is
        REPEATABLE READ and read only.
        """

    @abstractmethod
    async def _look(self, work: Callable[[Conn], Awaitable[T]]) -> T:
        """Read what devices, tokens and this node itself need; otherwise as `_read`."""

    @abstractmethod
    async def _write(self, work: Callable[[Conn], Awaitable[T]]) -> T:
        """Run `work` as one transaction (READ COMMITTED).

        Where its outcome is not known it is run again, so it must come to the same whether it ran once or twice.
        Whatever PostgreSQL refuses is a `Problem`, and all is undone.
        """

    @abstractmethod
    async def _keyed(self, work: Callable[[Conn, str, bool], Awaitable[T]]) -> T:
        """Run `work` under a batch key, which it commits with what it does, until its outcome is known.

        It is told whether it is run for the first time: if not, an earlier run may have committed, or may yet, and
        what that has answered stands under the key. No transaction is begun.
        """

    @abstractmethod
    async def _once(self, work: Callable[[Conn], Awaitable[Answer]]) -> Answer:
        """Run `work` as one transaction that counts once, whatever happens to the connection.

        Its answer is kept under a batch key (design §4). One that says that nothing was done (`Refused`, `Stale`)
        undoes all that `work` has done.
        """


def refuse(error: Exception) -> Refused:
    """Refuse what cannot be kept. A number given twice is never the caller's own: the tables are wrong."""
    if isinstance(error, asyncpg.UniqueViolationError):
        log.error("a call meets a damaged store, see `gateway check`: %s", error)
        return Refused(Kind.INTERNAL, "the store is damaged here")
    return Refused(Kind.BAD_PARAMETER, f"the store cannot keep this: {error}")


async def known_answers(conn: Conn, key: str) -> bytes | None:
    """What was answered under a batch key; None: nothing is committed under it (yet)."""
    found: bytes | None = await conn.fetchval("SELECT answers FROM batch WHERE key = $1", key)
    return found
