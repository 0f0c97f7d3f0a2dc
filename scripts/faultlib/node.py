"""One node of a fault run: the gateway itself, with a clock that can be moved and a bus that can be made worse.

The gateway has no switches for this. What `Chaos` (in `services.py`) says is put around it from outside, in this
process only, before the command line is started.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

from scripts.faultlib.services import Chaos

_LOOK_S = 0.1


class Orders:
    """What the file says now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = 0.0
        self._chaos = Chaos()

    def __call__(self) -> Chaos:
        """Read the file, not more often than ten times a second."""
        now = time.monotonic()
        if now - self._looked > _LOOK_S:
            self._looked = now
            self._chaos = msgspec.json.decode(self._path.read_bytes(), type=Chaos)
        return self._chaos


def move_clock(orders: Orders) -> None:
    """Let the wall clock of the gateway be wrong by what the orders say."""
    from gateway import clock  # noqa: PLC0415 - before anybody else has it

    right = clock.now_ms
    clock.now_ms = lambda: right() + orders().clock_ms


def worsen_bus(orders: Orders) -> None:
    """Let hints be lost, repeated and held back on their way out."""
    from gateway.bus.redis import RedisBus  # noqa: PLC0415 - after the clock was moved

    publish: Callable[..., None] = RedisBus.publish
    held: list[Any] = []
    chance = random.Random()

    def worse(bus: Any, hints: Sequence[Any], notes: Sequence[Any] = ()) -> None:  # noqa: ANN401
        chaos = orders()
        if not (chaos.drop or chaos.repeat or chaos.hold):
            publish(bus, hints, notes)
            return
        going = [hint for hint in hints if chance.random() >= chaos.drop]
        late = [hint for hint in going if chance.random() < chaos.hold]
        going = [hint for hint in going if hint not in late]
        going += [hint for hint in going if chance.random() < chaos.repeat]
        publish(bus, [*going, *held], notes)
        held[:] = late

    RedisBus.publish = worse  # type: ignore[method-assign, assignment]


def sabotage(what: str) -> None:
    """Break the gateway, to show that a fault run sees it."""
    if what == "fetch":
        # A gap is skipped, not fetched.
        from gateway.wire.session import Session  # noqa: PLC0415 - only where it is broken

        offer = Session.offer

        def skip(session: Any, timeline_id: int, run: Any, now: int) -> Any:  # noqa: ANN401
            track = session.tracks.get(timeline_id)
            if track is not None and run.first > track.sent + 1 and track.settled:
                track.sent = track.head = run.first - 1
            return offer(session, timeline_id, run, now)

        Session.offer = skip  # type: ignore[method-assign, assignment]
    elif what == "early":
        # A send is answered before its commit, which fails now and then.
        from gateway.domain.drafts import Appended, MessageDraft  # noqa: PLC0415 - as above
        from gateway.store.postgres.engine import PostgresStore  # noqa: PLC0415 - as above

        append = PostgresStore.append
        chance = random.Random()

        async def early(store: Any, batch: Sequence[Any]) -> Any:  # noqa: ANN401
            plain = all(isinstance(draft, MessageDraft) and len(draft.targets) == 1 for draft in batch)
            if plain and chance.random() < 0.01:  # noqa: PLR2004 - one in a hundred
                first = await store.reserve(1_000)
                return [Appended(first + index, [(0, 1)], 0, []) for index in range(len(batch))]
            return await append(store, batch)

        PostgresStore.append = early  # type: ignore[method-assign, assignment]
    elif what == "attach":
        # What a connection writes is believed, also after it was replaced.
        from gateway.domain.positions import Ack  # noqa: PLC0415 - as above
        from gateway.store.postgres.engine import PostgresStore  # noqa: PLC0415 - as above

        advance = PostgresStore.advance

        async def believe(store: Any, acks: Sequence[Ack]) -> Any:  # noqa: ANN401
            return await advance(store, [msgspec.structs.replace(ack, attach_no=0) for ack in acks])

        PostgresStore.advance = believe  # type: ignore[method-assign, assignment]
    elif what:
        raise SystemExit(f"there is no sabotage called {what}")


def main() -> None:
    """Put the orders around the gateway, and be its command line."""
    orders = Orders(Path(sys.argv.pop(1)))
    move_clock(orders)
    worsen_bus(orders)
    sabotage(orders().sabotage)
    from gateway.cli import main as gateway  # noqa: PLC0415 - after all of it was put in place

    gateway()


if __name__ == "__main__":
    main()
