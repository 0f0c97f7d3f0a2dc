"""What the tests of messages that are stored nowhere share: sends, and what the store is asked meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.order import Order
from gateway.core.principal import Principal
from gateway.domain.model import Scope
from gateway.store.sqlite import SqliteStore
from tests.core.stage import Stage

QUESTIONS = ("facts", "may_message", "parties", "party", "user", "ensure_users", "message", "reserve")


async def say(stage: Stage, sender: int | Principal, target: int, *, group: bool = False) -> int:
    """Send what is handed over and not stored."""
    principal = await stage.user(sender) if isinstance(sender, int) else sender
    scope = Scope.GROUP if group else Scope.USER
    order = Order(scope=scope, targets=(target,), ctype=0, content="hi", online_only=True)
    return (await stage.core.messaging.send(principal, order))[0]


class Asked:
    """Counts what the store is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        for name in QUESTIONS:
            monkeypatch.setattr(SqliteStore, name, self._counting(name, getattr(SqliteStore, name)))

    def _counting(self, name: str, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*given: Any, **named: Any) -> Any:
            self.names.append(name)
            return await original(*given, **named)

        return counted
