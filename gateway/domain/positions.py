"""Where devices and readers stand (design §3, Positions): what is told the store of it, and what it answers.

Times are milliseconds since 1970; parties are named by the store's own `id`, and by `xid` where somebody is told.
"""

from __future__ import annotations

import msgspec

from gateway.domain.model import Scope, Status


class Attach(msgspec.Struct, frozen=True):
    """A device has connected to a node, kept or not. An older connection of it, wherever it is, is replaced by this."""

    user_id: int
    device_sn: int
    node: int


class Attachment(msgspec.Struct, frozen=True):
    """One connection of a device: what `Attach` was answered with. Numbers rise with every attaching."""

    user_id: int
    device_sn: int
    attach_no: int


class Stay(msgspec.Struct, frozen=True):
    """An open membership as attaching needs it."""

    group_id: int
    group_xid: int
    from_seq: int
    delivered: int


class Standing(msgspec.Struct, frozen=True):
    """What a device finds when it attaches: one snapshot of its user's stays and own timeline.

    `cursor` is the device's of that timeline; -1 where none is stored. `head` is -1 where there is no such user.
    """

    head: int
    delivered: int
    kept: bool
    cursor: int
    stays: list[Stay]


class Bearing(msgspec.Struct, frozen=True):
    """Where one followed timeline stands for one device; `cursor` is -1 where none is stored."""

    timeline_id: int
    head: int
    floor: int
    cursor: int


class Keep(msgspec.Struct, frozen=True):
    """Makes a device kept: its row, and a cursor for every timeline it follows (design §3, Device).

    `cursors` are set as they are, also downwards. `spared` are devices that are connected and may not be
    evicted. `platform` and `user_agent` are what the device says of itself; nothing said changes nothing.
    `attach_no` is its connection's (0: of no connection, which is always believed).
    """

    user_id: int
    device_sn: int
    at: int
    cursors: dict[int, int]
    spared: tuple[int, ...]
    platform: int = 0
    user_agent: str = ""
    attach_no: int = 0


class Ack(msgspec.Struct, frozen=True):
    """A device holds every entry of a timeline up to `seq`.

    `at` is when that was said, 0 where the device was noted as seen shortly before. `attach_no` is its connection's (0:
    of no connection, which is always believed).
    """

    user_id: int
    user_xid: int
    device_sn: int
    timeline_id: int
    seq: int
    at: int = 0
    attach_no: int = 0


class ReadMark(msgspec.Struct, frozen=True):
    """A user has read a conversation up to `msg_id` (0: its newest at commit)."""

    user_id: int
    user_xid: int
    opposite_id: int
    opposite_xid: int
    scope: Scope
    msg_id: int
    device_sn: int = 0


class StatusChange(msgspec.Struct, frozen=True):
    """`msg_id` is the newest message of `sender_id` in a conversation whose computed status became `status`.

    Device `by_sn` of user `by_xid` caused it (0: no device); `conversation_xid` is as the sender sees it.
    """

    sender_id: int
    conversation_xid: int
    msg_id: int
    status: Status
    by_xid: int
    by_sn: int


class Advanced(msgspec.Struct, frozen=True):
    """A flush of acks is committed: whose messages became DELIVERED.

    What the connections in `replaced` have acked was not kept: they are no longer their device's.
    """

    changes: list[StatusChange]
    replaced: list[Attachment] = []


class ReadDone(msgspec.Struct, frozen=True):
    """A READ is committed: `msg_id` is the position now; `moved` whether this moved it; `changes` whom to tell."""

    msg_id: int
    moved: bool
    changes: list[StatusChange]
