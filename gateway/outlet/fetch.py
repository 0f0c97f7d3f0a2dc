"""Fetches files from public addresses (`Fetcher`), with aiohttp's client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import aiohttp
from yarl import URL

from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.outlet.base import Fetched, Fetcher

REDIRECTS_MAX = 5
CHUNK_BYTES = 64 * 1024

_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRY_AFTER_MS = 1_000
_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that is given to anybody on the internet; of the rest some leads to IPv4, in ways of a network's own."""
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""Behind these are IPv4 addresses, the last 32 bits of each (RFC 6052)."""


class PublicFetcher(Fetcher):
    """`is_public` judges an address at the moment when it is connected to; a test may know better."""

    def __init__(self, limits: Limits, is_public: Callable[[str], bool] | None = None) -> None:
        self._limits = limits
        self._is_public = is_public or is_public_address
        self._fetches = 0

    @asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[Fetched]:
        """Fetch a file."""
        if self._fetches >= self._limits.fetches_max:
            raise Problem(
                Kind.OVERLOADED, "too many files are fetched at once", retry_after_ms=_RETRY_AFTER_MS
            )
        self._fetches += 1
        patience = asyncio.timeout(self._limits.fetch_timeout_ms / 1000)
        try:
            async with (
                patience,
                self._session() as session,
                _got(session, _read_url(url)) as response,
            ):
                yield Fetched(response.url.name, response.content_type, _chunks(response))
        except TimeoutError as error:
            if not patience.expired():
                raise
            raise bad("url", "it could not be fetched in time") from error
        finally:
            self._fetches -= 1

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(socket_factory=self._socket, force_close=True)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # What is packed is kept as it is: nobody knows how much it would be.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "gateway"},
            timeout=aiohttp.ClientTimeout(total=None),
        )

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Make the socket for one address, if it may be connected to: what its name says later is not asked again."""
        family, kind, protocol, _, where = address
        if not self._is_public(where[0]):
            raise OSError(f"{where[0]} is not public")
        return socket.socket(family, kind, protocol)


@asynccontextmanager
async def _got(session: aiohttp.ClientSession, url: URL) -> AsyncIterator[aiohttp.ClientResponse]:
    """Follow redirects to what is there."""
    for _ in range(REDIRECTS_MAX + 1):
        async with await _asked(session, url) as response:
            if response.status == _OK:
                yield response
                return
            if response.status not in _REDIRECTS or "Location" not in response.headers:
                raise bad("url", f"it was answered with HTTP status {response.status}")
            url = _read_url(response.headers["Location"], url)
    raise bad("url", f"it is redirected more than {REDIRECTS_MAX} times")


async def _asked(session: aiohttp.ClientSession, url: URL) -> aiohttp.ClientResponse:
    try:
        return await session.get(url, allow_redirects=False)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise bad("url", "it could not be fetched") from error


def _read_url(text: str, base: URL | None = None) -> URL:
    try:
        url = URL(text) if base is None else base.join(URL(text))
    except ValueError as error:
        raise bad("url", "it is no URL") from error
    if url.scheme not in {"http", "https"} or not url.host or url.user is not None:
        raise bad("url", "it must be of http or https, with a host and without a user")
    return url


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            yield chunk
    except (aiohttp.ClientError, OSError) as error:
        raise bad("url", "it could not be fetched") from error


def is_public_address(text: str) -> bool:
    """Whether an address is one of the whole internet's: no private one, none of a machine or its link, no group's.

    An IPv6 address that leads to an IPv4 address is judged by that one; a tunnel is not public.
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _TRANSLATED:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            address = inner
        elif address not in _UNICAST or address.sixtofour is not None or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast
