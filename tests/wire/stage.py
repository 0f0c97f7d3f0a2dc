"""What the tests of the session share: runs, entries, and sessions that are attached."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.model import Action, Membership
from gateway.wire.effects import Effect, Fetch, Run, Write
from gateway.wire.encoding import JSON
from gateway.wire.frames import frame
from gateway.wire.session import Pace, Session
from gateway.wire.track import Track

USER, GROUP, UID = 1, 2, 100
PACE = Pace(unacked_max=6, page_max=3, heartbeat_ms=30_000, idle_timeout_ms=75_000, reorder_grace_ms=20)
NEVER = 10**15
LIVE = Write(frame(JSON, "live"))


def entry(seq: int) -> bytes:
    return b"<%d>" % seq


def run(first: int, last: int, fence: Membership | None = None) -> Run:
    frames = [entry(seq) for seq in range(first, last + 1)]
    return Run(first, frames, b"".join(frames), fence)


def written(first: int, last: int) -> Write:
    return Write(run(first, last).data)


def gap(first: int, last: int, reason: str, timeline: str = "user") -> Write:
    return Write(frame(JSON, "gap", timeline=timeline, **{"from": first}, to=last, reason=reason))


def change(action: Action, *user_xids: int, from_seq: int = 0) -> Membership:
    return Membership(action=action, group_id=GROUP, group_xid=77, user_xids=user_xids, from_seq=from_seq)


def attached(
    *groups: tuple[int, int, int],
    starts: Sequence[int] = (0,),
    heads: Sequence[int] = (0,),
    user_head: int | None = None,
    expires_at: int = NEVER,
) -> tuple[Session, list[Effect]]:
    """Attach a user's timeline and groups, each with its start and its head, at time 0."""
    session = Session(UID, USER, PACE, 0, expires_at)
    session.attach(heads[0] if user_head is None else user_head, groups)
    for track, start, head in zip(list(session.tracks.values()), starts, heads, strict=True):
        assert session.prime(track.timeline_id, start, head) == []
    return session, session.start()


def in_group(head: int = 0, from_seq: int = 1) -> tuple[Session, Track]:
    """Return a session that is live in its own timeline and in a group's, with its track of the group."""
    session, effects = attached((GROUP, 77, from_seq), starts=(0, head), heads=(0, head))
    assert effects == [LIVE]
    return session, session.tracks[GROUP]


def rejoined() -> tuple[Session, list[Effect]]:
    """Return a session in whose group a page was on its way when its user was kicked and joined again."""
    session, effects = attached((GROUP, 77, 1), starts=(0, 0), heads=(0, 4))
    assert effects == [Fetch(GROUP, 1)]
    session.offer(USER, run(1, 1, change(Action.KICKED, UID)), 0)
    return session, session.offer(USER, run(2, 2, change(Action.JOINED, UID, from_seq=10)), 0)
