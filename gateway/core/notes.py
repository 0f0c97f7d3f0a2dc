"""What nodes tell each other that is stored nowhere: frames for devices, ends of connections, facts that changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from gateway.bus.base import Bus, Note, Shut, Tell, TellFollowers
from gateway.core.connection import Connection
from gateway.core.hub import Hub
from gateway.wire.close import Close
from gateway.wire.frames import Told

N = TypeVar("N", bound=Note)
log = logging.getLogger(__name__)


class Notes:
    """Does here what is told, and has the other nodes do it there; of these each hears it at most once.

    What is about devices is known here; other nouns say by `on` what they do with their notes.
    """

    def __init__(self, bus: Bus, hub: Hub) -> None:
        self._bus = bus
        self._hub = hub
        self._heard: dict[type[Any], Callable[[Any], None]] = {
            Tell: self._hear_tell,
            TellFollowers: self._hear_tell_followers,
            Shut: self.shut_here,
        }

    def on(self, kind: type[N], hear: Callable[[N], None]) -> None:
        """Say who hears this kind of note."""
        self._heard[kind] = hear

    @property
    def reaching(self) -> bool:
        """Whether there are other nodes, and they hear what is said now, as far as is known."""
        return not self._bus.alone and self._bus.connected

    def publish(self, *notes: Note) -> None:
        """Have the other nodes, where there are any, hear notes."""
        if notes and not self._bus.alone:
            self._bus.publish((), notes)

    def hear(self, notes: Sequence[Note]) -> None:
        """Take what other nodes have published. One note's trouble is not another's."""
        for note in notes:
            hear = self._heard.get(type(note))
            try:
                if hear is not None:
                    hear(note)
            except Exception:
                log.exception("a note of kind %s failed", type(note).__name__)

    # -- frames outside timelines -----------------------------------------------------------------------

    def may_reach(self, timeline_id: int) -> bool:
        """Whether somebody may follow a timeline, here or elsewhere: nothing is made for nobody."""
        return not self._bus.alone or self._hub.follows(timeline_id)

    def tell(self, user_id: int, told: Told, *, but: int = 0) -> None:
        """Write a frame outside timelines to a user's devices, except device `but`; it may be lost."""
        self.tell_each([(user_id, told, but)])

    def tell_each(self, telling: Iterable[tuple[int, Told, int]]) -> None:
        """Tell many users at once, each as `tell` does: (user, what, except which device)."""
        notes = []
        for user_id, told, but in telling:
            self._hub.tell(user_id, told, but=but)
            if not self._bus.alone:
                notes.append(Tell(user_id=user_id, op=told.op, members=told.members, but=but))
        self.publish(*notes)

    def tell_followers(self, timeline_id: int, told: Told, *, but: Connection | None = None) -> None:
        """Write a frame outside timelines to whoever has all of this one; it may be lost."""
        self._hub.tell_followers(timeline_id, told, but=but)
        if not self._bus.alone:
            self.publish(TellFollowers(timeline_id=timeline_id, op=told.op, members=told.members))

    def _hear_tell(self, note: Tell) -> None:
        self._hub.tell(note.user_id, Told(note.op, **note.members), but=note.but)

    def _hear_tell_followers(self, note: TellFollowers) -> None:
        self._hub.tell_followers(note.timeline_id, Told(note.op, **note.members))

    # -- ends of connections ----------------------------------------------------------------------------

    def shut(self, shut: Shut) -> None:
        """End connections of a user, here and elsewhere."""
        self.shut_here(shut)
        self.publish(shut)

    def shut_here(self, shut: Shut) -> None:
        """End connections of a user on this node."""
        for connection in list(self._hub.devices_of(shut.user_id).values()):
            # One that has no number yet is newer than whatever has replaced another.
            older = not shut.below or 0 < connection.attach_no < shut.below
            if older and shut.device_sn in {0, connection.device_sn}:
                self._hub.close(connection, Close(shut.code), shut.reason)
