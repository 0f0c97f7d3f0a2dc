"""A node that reaches PostgreSQL over a network which can be cut or held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import asyncpg

from gateway.domain.limits import Limits
from gateway.store.errors import StoreError
from gateway.store.postgres.engine import PostgresOptions, PostgresStore
from tests.patience import WAIT_S, patient
from tests.postgres import database_of
from tests.proxy import Proxy, tcp, unix
from tests.store.stage import Stage


class Far(NamedTuple):
    """A store, and the network between it and the server."""

    store: PostgresStore
    proxy: Proxy


async def opened(url: str, limits: Limits) -> PostgresStore:
    """Open a store. One that has little patience may give up a busy server, and is then opened again."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await PostgresStore.open(PostgresOptions(url=url), limits)
            except StoreError as error:
                if not isinstance(error.__cause__, TimeoutError | asyncpg.QueryCanceledError):
                    raise


@asynccontextmanager
async def beyond(stage: Stage, limits: Limits) -> AsyncIterator[Far]:
    """Open the store of a stage once more, over such a network."""
    url = urlsplit(await database_of(stage.folder))
    folder = parse_qs(url.query).get("host")
    dial = unix(f"{folder[0]}/.s.PGSQL.5432") if folder else tcp(url.hostname or "", url.port or 5432)
    async with Proxy(dial) as proxy:
        named = url._replace(
            netloc=f"{url.username}:{url.password or ''}@127.0.0.1:{proxy.port}", query="sslmode=disable"
        )
        store = await opened(named.geturl(), patient(limits))
        try:
            yield Far(store, proxy)
        finally:
            await store.close()
