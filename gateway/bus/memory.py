"""The embedded bus: nodes of one process. With one node, which is the default, nobody else is there to hear."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.bus.base import EVERYBODY, Hint, Note
from gateway.bus.counts import Counts


class MemoryHub:
    """What the nodes of one process share."""

    def __init__(self) -> None:
        self.nodes: list[MemoryBus] = []


class MemoryBus:
    """One node's end of a `MemoryHub`; see `Bus` for what it promises."""

    connected = True

    def __init__(self, shared: MemoryHub | None = None) -> None:
        self._shared = shared or MemoryHub()
        self._shared.nodes.append(self)
        # Nothing goes over a wire, so that there is nothing to count.
        self.counts = Counts()
        self._topics: set[int] = {EVERYBODY}
        self._on_hints: Callable[[Sequence[Hint]], None] | None = None
        self._on_notes: Callable[[Sequence[Note]], None] | None = None

    @property
    def alone(self) -> bool:
        """Whether there is no other node."""
        return len(self._shared.nodes) < 2  # noqa: PLR2004 - this one and another

    def listen(
        self,
        on_hints: Callable[[Sequence[Hint]], None],
        on_notes: Callable[[Sequence[Note]], None],
        on_connect: Callable[[], None],
        epoch: Callable[[], str] = str,  # noqa: ARG002 - nodes of one process share a store
    ) -> None:
        """Say who hears; memory is connected from the start."""
        self._on_hints, self._on_notes = on_hints, on_notes
        on_connect()

    async def start(self) -> None:
        """Connect."""

    def publish(self, hints: Sequence[Hint], notes: Sequence[Note] = ()) -> None:
        """Hand them to every other node that has subscribed."""
        for node in list(self._shared.nodes):
            if node is not self:
                node.hear(hints, notes)

    def hear(self, hints: Sequence[Hint], notes: Sequence[Note] = ()) -> None:
        """Take what another node published."""
        wanted = [hint for hint in hints if hint.timeline_id in self._topics]
        if wanted and self._on_hints:
            self._on_hints(wanted)
        noted = [note for note in notes if note.topic in self._topics]
        if noted and self._on_notes:
            self._on_notes(noted)

    async def subscribe(self, timeline_id: int) -> None:
        """Hear this timeline."""
        self._topics.add(timeline_id)

    def unsubscribe(self, timeline_id: int) -> None:
        """Hear it no more."""
        self._topics.discard(timeline_id)

    async def close(self) -> None:
        """Leave."""
        if self in self._shared.nodes:
            self._shared.nodes.remove(self)
