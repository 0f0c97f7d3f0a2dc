"""The embedded bus: nodes of one process. With one node, which is the default, nobody else is there to hear."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.bus.base import Hint


class MemoryHub:
    """What the nodes of one process share."""

    def __init__(self) -> None:
        self.nodes: list[MemoryBus] = []


class MemoryBus:
    """One node's end of a `MemoryHub`; see `Bus` for what it promises."""

    def __init__(self, shared: MemoryHub | None = None) -> None:
        self._shared = shared or MemoryHub()
        self._shared.nodes.append(self)
        self._topics: set[int] = set()
        self._on_hints: Callable[[Sequence[Hint]], None] | None = None

    def listen(self, on_hints: Callable[[Sequence[Hint]], None], on_connect: Callable[[], None]) -> None:
        """Say who hears; memory is connected from the start."""
        self._on_hints = on_hints
        on_connect()

    def publish(self, hints: Sequence[Hint]) -> None:
        """Hand the hints to every other node that has subscribed."""
        for node in self._shared.nodes:
            if node is not self:
                node.hear(hints)

    def hear(self, hints: Sequence[Hint]) -> None:
        """Take what another node published."""
        wanted = [hint for hint in hints if hint.timeline_id in self._topics]
        if wanted and self._on_hints:
            self._on_hints(wanted)

    async def subscribe(self, timeline_id: int) -> None:
        """Hear this timeline."""
        self._topics.add(timeline_id)

    def unsubscribe(self, timeline_id: int) -> None:
        """Hear it no more."""
        self._topics.discard(timeline_id)

    async def close(self) -> None:
        """Leave."""
        self._shared.nodes.remove(self)
