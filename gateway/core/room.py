"""Whether what is to be stored fits into what its app may store, asked before anybody comes into being by it."""

from __future__ import annotations

from gateway.domain import rules
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import ROW_BYTES
from gateway.domain.model import App
from gateway.store.base import Store


async def check_room(store: Store, app: App, messages: int, *texts: str) -> None:
    """Refuse so many messages with these texts if there is no room for them (`STORAGE_FULL`).

    What others store meanwhile may still leave none: the store has the last word.
    """
    most = app.limits.storage_bytes_max
    if most and await store.stored_bytes(app.id) + rules.size_of(*texts) + ROW_BYTES * messages > most:
        raise Problem(Kind.STORAGE_FULL, "the app stores as much as it may")
