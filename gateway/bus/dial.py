"""How a node gets its two connections to Redis, in each of the ways Redis is run."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    RedisSSLContext,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from gateway.bus.options import BusOptions

FAILURES = (RedisError, OSError, TimeoutError)
"""How a connection fails, or fails to be made."""

# Bytes that nobody acknowledges are given up, so that what a dead peer never took does not lie here for long.
_UNACKNOWLEDGED_MS = 10_000
_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)


class Unreachable(Exception):
    """Nobody there could be spoken to, or nobody of use."""


class Pair(NamedTuple):
    """The two connections of a node: one to publish by, one to hear by."""

    speaker: AbstractConnection
    hearer: AbstractConnection

    async def close(self) -> None:
        """Close both, whatever state they are in."""
        for connection in self:
            await hang_up(connection)


async def hang_up(connection: AbstractConnection) -> None:
    """Close a connection without waiting for the peer."""
    with suppress(*FAILURES):
        await connection.disconnect(nowait=True)


class Dial:
    """Makes connections as the options say. What may be away is asked anew at every dialling."""

    def __init__(self, options: BusOptions, rng: Random) -> None:
        self._place = options.place
        self._rng = rng
        self._timeout_s = options.connect_timeout_ms / 1000
        # Reading the certificates takes long: once for all connections.
        self._tls = RedisSSLContext(
            cert_reqs="required", ca_certs=options.tls_ca or None, check_hostname=True
        )

    async def pair(self) -> Pair:
        """Return a pair of connections that have authenticated.

        Raises:
            Unreachable: there is no master, or nobody.
            RedisError, OSError, TimeoutError: the attempt failed.
        """
        match self._place.mode:
            case "cluster":
                return await self._members()
            case "sentinel":
                host, port = await self._master()
                return await self._two(host, port)
            case _:
                host, port = self._place.hosts[0] if self._place.hosts else ("", 0)
                return await self._two(host, port)

    async def _two(self, host: str, port: int) -> Pair:
        """Both connections to one server."""
        speaker = await self._connect(host, port)
        try:
            if self._place.mode == "sentinel":
                await self._check_master(speaker)
            return Pair(speaker, await self._connect(host, port))
        except BaseException:
            await hang_up(speaker)
            raise

    async def _members(self) -> Pair:
        """Connections to two members of a cluster, so that the beat goes the way that hints go; or both to one.

        A plain PUBLISH on any member reaches the subscribers of all.
        """
        hosts = self._rng.sample(self._place.hosts, len(self._place.hosts))
        found: list[AbstractConnection] = []
        failure: Exception = Unreachable("the URL names no member of the cluster")
        try:
            # Whoever answers is asked a second time only where nobody else does.
            while hosts and len(found) < len(Pair._fields):
                host, port = hosts.pop(0)
                try:
                    found.append(await self._connect(host, port))
                except FAILURES as error:
                    failure = error
                else:
                    if len(found) == 1:
                        hosts.append((host, port))
            if len(found) < len(Pair._fields):
                raise failure
            return Pair(*found)
        except BaseException:
            for connection in found:
                await hang_up(connection)
            raise

    async def _master(self) -> tuple[str, int]:
        """The address of the master, as the first Sentinel that answers knows it."""
        failure: Exception = Unreachable("the URL names no Sentinel")
        for host, port in self._place.hosts:
            try:
                answer = await self._ask_sentinel(host, port)
            except FAILURES as error:
                failure = error
                continue
            if answer is not None:
                return answer
            failure = Unreachable(f"the Sentinels know no master of {self._place.service}")
        raise failure

    async def _ask_sentinel(self, host: str, port: int) -> tuple[str, int] | None:
        question = ("SENTINEL", "get-master-addr-by-name", self._place.service)
        connection = await self._connect(host, port, sentinel=True)
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    answer = await ask(connection, *question)
                except AuthenticationError:
                    await self._authenticate(connection)
                    answer = await ask(connection, *question)
        finally:
            await hang_up(connection)
        return None if answer is None else (answer[0].decode(), int(answer[1]))

    async def _authenticate(self, connection: AbstractConnection) -> None:
        """Tell a Sentinel who asks: it may know a password only, and no users."""
        place = self._place
        try:
            await ask(connection, "AUTH", *filter(None, (place.username, place.password)))
        except AuthenticationWrongNumberOfArgsError:
            await ask(connection, "AUTH", place.password)

    async def _check_master(self, connection: AbstractConnection) -> None:
        """A replica would hear nobody but its own: the Sentinel's news may be older than the failover."""
        try:
            async with asyncio.timeout(self._timeout_s):
                role = await ask(connection, "ROLE")
        except NoPermissionError:
            return
        if role[0] != b"master":
            raise Unreachable("the Sentinels name a server that is no master")

    async def _connect(self, host: str, port: int, *, sentinel: bool = False) -> AbstractConnection:
        connection = self._new(host, port, sentinel=sentinel)
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.connect()  # type: ignore[no-untyped-call]
        except TimeoutError:
            await hang_up(connection)
            raise TimeoutError("it did not answer in time") from None
        except BaseException:
            await hang_up(connection)
            raise
        return connection

    def _new(self, host: str, port: int, *, sentinel: bool) -> AbstractConnection:
        """A connection that is not open yet."""
        place = self._place
        # RESP2, which all servers speak; no names and versions, which an ACL may not allow to say.
        told: dict[str, Any] = {"protocol": 2, "driver_info": None, "socket_timeout": None}
        if not sentinel:
            told |= {"db": place.db, "username": place.username or None, "password": place.password or None}
        if place.mode == "unix":
            return UnixDomainSocketConnection(path=place.path, **told)
        told |= {"host": host, "port": port}
        if _USER_TIMEOUT is not None:
            told["socket_keepalive_options"] = {_USER_TIMEOUT: _UNACKNOWLEDGED_MS}
        if not place.tls:
            return Connection(**told)
        connection = SSLConnection(**told)
        connection.ssl_context = self._tls
        return connection


async def ask(connection: AbstractConnection, *command: str | bytes) -> Any:  # noqa: ANN401 - Redis' answers are of any type
    """Send one command; return its answer. The connection stays open when the answer is an error."""
    await connection.send_command(*command, check_health=False)
    return await connection.read_response(disconnect_on_error=False)


def why(error: BaseException) -> str:
    """A failure in the words of whoever reported it."""
    kind = "" if isinstance(error, ResponseError | Unreachable) else f"{type(error).__name__}: "
    return f"{kind}{error}" if str(error) else type(error).__name__
