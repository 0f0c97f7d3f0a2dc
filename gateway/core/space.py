"""Whether what is to be stored fits into what its app may store, asked before anybody comes into being by it."""

from __future__ import annotations

from gateway.domain import rules
from gateway.domain.errors import storage_full
from gateway.domain.model import ROW_BYTES, App
from gateway.store.base import Store


async def check_space(
    store: Store, app: App, count: int, content: str, attachment: str, ext: str, config: str
) -> None:
    """Refuse so many messages with these texts if there is no room for them (`STORAGE_FULL`).

    What others store meanwhile may still leave none: the store has the last word.
    """
    most = app.limits.storage_bytes_max
    if not most:
        return
    size = rules.together(content, attachment, ext, config) + ROW_BYTES * count
    if await store.stored_bytes(app.id) + size > most:
        raise storage_full()
