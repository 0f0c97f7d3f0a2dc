"""What one connection follows (design §3, Following)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from gateway.wire.frames import USER_TIMELINE
from gateway.wire.track import ROOM_PREFIX, RoomTrack, Track

T = TypeVar("T", bound=Track)


class Following:
    """Its user's timeline, to its end; groups and chatrooms, which come and go.

    A session is one, and does not have one: there are as many as connections, and another object would be felt.
    """

    __slots__ = ("_names", "_others", "_own")

    def __init__(self, user_timeline: int) -> None:
        # Of most sessions that is all, so there is no dict.
        self._own = Track(user_timeline, USER_TIMELINE, 1)
        # Groups and chatrooms by timeline; the groups by name. None while there are none, or nobody has asked: with
        # what is behind, three dicts would be half of what an idle connection costs.
        self._others: dict[int, Track] | None = None
        self._names: dict[str, Track] | None = None

    def _add(self, timeline_id: int, xid: int, from_seq: int) -> Track:
        # Thousands of sessions follow the same group: one copy of its name is enough for all of them.
        return self._put(Track(timeline_id, sys.intern(f"g:{xid}"), from_seq))

    def _put(self, track: T) -> T:
        if self._others is None:
            self._others = {}
        self._others[track.timeline_id] = track
        self._names = None
        return track

    def track(self, timeline_id: int) -> Track | None:
        """Return how this connection follows a timeline, if it does."""
        if timeline_id == self._own.timeline_id:
            return self._own
        return None if self._others is None else self._others.get(timeline_id)

    @property
    def tracks(self) -> dict[int, Track]:
        """Return all that this connection follows, by timeline."""
        return {self._own.timeline_id: self._own} | (self._others or {})

    @property
    def _persistent(self) -> Iterable[Track]:
        """All but the chatrooms."""
        return [track for track in self.tracks.values() if not isinstance(track, RoomTrack)]

    @property
    def rooms(self) -> list[RoomTrack]:
        """Return the chatrooms this connection is in."""
        return [track for track in (self._others or {}).values() if isinstance(track, RoomTrack)]

    def join(self, timeline_id: int, xid: int, joined_at: int) -> RoomTrack:
        """Enter a chatroom that is not followed yet. The caller registers the track, answers, then primes it."""
        return self._put(RoomTrack(timeline_id, sys.intern(f"{ROOM_PREFIX}{xid}"), joined_at))

    @property
    def cursors(self) -> dict[str, int]:
        """Return where each followed timeline starts on this connection, as `welcome` tells it."""
        return {track.name: track.sent for track in self._persistent}

    @property
    def starts(self) -> dict[int, int]:
        """Return the seq after which this connection began on each timeline that has a cursor."""
        return {track.timeline_id: track.start for track in self._persistent}

    def _named(self, name: str) -> Track | None:
        """Find a group by its name. What may be acked has one here: chatrooms have not."""
        if self._names is None:
            self._names = {track.name: track for track in self._persistent}
        return self._names.get(name)

    def _forget(self, track: Track) -> None:
        assert self._others is not None, "a session follows its user's timeline to its end"
        del self._others[track.timeline_id]
        self._names = None
