"""Which bus a configuration means."""

from __future__ import annotations

import logging

from gateway.bus.base import Bus
from gateway.bus.memory import MemoryBus
from gateway.config import Config
from gateway.store.errors import StoreError

log = logging.getLogger(__name__)


def make_bus(config: Config) -> Bus:
    """The bus that the configuration names, not connected yet. Raises `StoreError` where it can be of no use."""
    if not config.bus.url:
        if config.store.url:
            log.info(
                "there is no [bus] url: what other nodes of this database commit comes to devices here every %g s",
                config.limits.sweep_ms / 1000,
            )
        return MemoryBus()
    if not config.store.url:
        raise StoreError(
            "[bus] url is set, but the store is SQLite, which one process owns:"
            ' set [store] url = "postgresql://…" too, or take the bus away'
        )
    # The driver is imported by who needs it.
    from gateway.bus.options import BusOptions
    from gateway.bus.redis import RedisBus

    try:
        options = BusOptions(url=config.bus.url, tls_ca=config.bus.tls_ca, prefix=config.bus.prefix)
        return RedisBus(options, config.limits)
    except ValueError as error:
        raise StoreError(f"[bus] url: {error}") from error
