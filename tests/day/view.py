"""What a device shows: written from the README and design §3 and §6 alone, as the developer of an app would.

A view holds the entries that came, by timeline and seq, and what was read by REST where the device said that it
needs it. Everything shown is computed from those, so that neither the order between timelines nor an entry that
comes twice can matter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from tests.day.room import ROOM, Room

Frame = dict[str, Any]
Item = dict[str, Any]
"""A message as history pages and `message` frames have it."""

USER = "user"

CHANGES = frozenset({"APPEND", "REPLACE"})
"""What changes another message and is none of its own: history pages and counts leave it out."""

STATUSES = ("UNREAD", "DELIVERED", "READ")


@dataclasses.dataclass(frozen=True, order=True)
class Shown:
    """One message on the screen."""

    msg_id: int
    sender: tuple[int, int]
    target: int
    ctype: str
    texts: tuple[str, str, str, str]
    at: int
    expires_at: int
    """When it hides by itself, for no frame will tell; 0: never."""

    @classmethod
    def of(cls, item: Item) -> Shown:
        sender = (item["from_xid"]["uid"], item["from_xid"]["device_sn"])
        texts = (item["content"], item["attachment"], item["config"], item["ext"])
        times = (item["timestamp"], item.get("expires_at", 0))
        return cls(item["msg_id"], sender, item["to_xid"]["uid"], item["ctype"], texts, *times)

    def is_due(self, now_ms: int) -> bool:
        return 0 < self.expires_at <= now_ms


@dataclasses.dataclass(frozen=True)
class State:
    """What a user sees: messages by conversation, oldest first, where there are any; members by group."""

    conversations: dict[int, list[Shown]]
    groups: dict[int, frozenset[int]]


@dataclasses.dataclass(frozen=True)
class Window:
    """An open stay as a view knows it.

    `from_seq` is where it starts in the group's timeline and `joined` the seq of the user's timeline that said so.
    Both are 0 for a stay that began before anything the view holds.
    """

    from_seq: int = 0
    joined: int = 0


@dataclasses.dataclass(frozen=True)
class Roster:
    """The members of a group as they were read when its timeline was held up to `seq`."""

    members: frozenset[int]
    seq: int


class View:
    """The state of one device of user `uid`, which hides what is due by `clock_ms`.

    `again`: whether what lies above the cursors of a `welcome` comes again and so is forgotten. The gateway's own
    client keeps repeats to itself: behind it nothing is.
    `lines`: entries by timeline and seq. `held`: how far each timeline has come, gaps included; what a `hello` says.
    `missing`: timelines of which something lies behind that no frame will bring, so that REST has to be asked.
    """

    def __init__(self, uid: int, clock_ms: Callable[[], int], *, again: bool = True) -> None:
        self.uid = uid
        self._now = clock_ms
        self._again = again
        self._clear("")

    def _clear(self, epoch: str) -> None:
        self.epoch = epoch
        self.live = False
        self.lines: dict[str, dict[int, Frame]] = {}
        self._told: dict[tuple[str, int], Frame] = {}
        self.held: dict[str, int] = {}
        self.missing: set[str] = set()
        self.unheard_of: set[int] = set()
        """Groups of this connection whose members nobody has read yet."""
        self._followed: set[int] = set()
        self._lost: dict[str, int] = {}
        self._starts: dict[str, int] = {}
        self._rosters: dict[int, tuple[int, Roster]] = {}
        self._history: dict[int, tuple[Window, dict[int, Shown]]] = {}
        self._absent: set[int] = set()
        self._statuses: dict[tuple[int, int], int] = {}
        self.rooms: dict[int, Room] = {}

    # -- what comes -------------------------------------------------------------------------------------

    def apply(self, frame: Frame) -> None:
        """Take the next frame of the connection."""
        match frame["op"]:
            case "welcome":
                self._welcome(frame)
            case "live":
                self.live = True
            case "receipt":
                self._receipt(frame)
            case "ok" if "timeline" in frame:
                self.enter(int(frame["timeline"].removeprefix(ROOM)), frame["seq"])
            case "group" if "timeline" not in frame:
                # Whoever is put out while joining has not been in it.
                self.rooms.setdefault(frame["group_id"], Room()).inside = False
            case "gap" if not frame["timeline"].startswith(ROOM):
                self._gap(frame)
            case _ if "timeline" in frame:
                self._entry(frame)
            case _:
                pass

    def enter(self, room: int, seq: int) -> None:
        """Note that a chatroom's entries come from after `seq` on."""
        self.rooms.setdefault(room, Room()).enter(seq)

    def _welcome(self, frame: Frame) -> None:
        self.live = False
        if frame["epoch"] != self.epoch:
            # Of another store nothing held counts any more.
            self._clear(frame["epoch"])
        if self._again:
            # The gateway's own client goes into its chatrooms again by itself.
            for room in self.rooms.values():
                room.inside = False
        self._followed = {int(name[2:]) for name in frame["cursors"] if name != USER}
        self._starts = frame["cursors"]
        for timeline, start in frame["cursors"].items():
            line = self.lines.setdefault(timeline, {})
            if self.held.get(timeline, 0) < start:
                self._miss(timeline, start)
            if self._again:
                self.lines[timeline] = {seq: entry for seq, entry in line.items() if seq <= start}
                self.held[timeline] = 0
            self.held[timeline] = max(start, self.held.get(timeline, 0))
        self.unheard_of |= self._followed - set(self._rosters)

    def _entry(self, frame: Frame) -> None:
        timeline = frame["timeline"]
        room = self.rooms.get(int(timeline.removeprefix(ROOM))) if timeline.startswith(ROOM) else None
        if room is not None:
            room.apply(frame)
        if frame["op"] == "gap":
            return
        seq = frame["seq"]
        before = self._told.setdefault((timeline, seq), frame)
        if before != frame:
            # Every seq yields one frame, for ever; only a text can go.
            assert before["op"] == "message", (before, frame)
            assert frame["op"] == "gone", (before, frame)
            assert before["message"]["msg_id"] == frame["msg_id"], (before, frame)
        if room is not None:
            return
        self.lines.setdefault(timeline, {})[seq] = frame
        self.held[timeline] = seq
        if frame["op"] == "group" and timeline == USER and frame["action"] == "joined":
            self.unheard_of.add(frame["group_id"])

    def _gap(self, frame: Frame) -> None:
        assert frame["reason"] != "lost", frame
        self.held[frame["timeline"]] = frame["to"]
        self._miss(frame["timeline"], frame["to"])

    def _miss(self, timeline: str, to: int) -> None:
        """Note that entries up to `to` will not come, which may have told of messages, groups and members."""
        self._lost[timeline] = to
        self.missing.add(timeline)
        self.unheard_of |= self._followed if timeline == USER else {int(timeline[2:])}

    def _receipt(self, frame: Frame) -> None:
        if frame["uid"] != self.uid:
            self.status(frame["conversation_id"], frame["msg_id"], frame["status"])

    # -- what is read by REST ---------------------------------------------------------------------------

    def status(self, conversation: int, msg_id: int, status: str) -> None:
        """Note how far an own message has got, and with it every older one of the conversation to one user."""
        for reached in range(1, STATUSES.index(status) + 1):
            place = (conversation, reached)
            self._statuses[place] = max(self._statuses.get(place, 0), msg_id)

    def history(self, conversation: int, found: Iterable[Item]) -> None:
        """Take a whole conversation that was read after every frame applied so far was committed.

        What is held of it and not among those has gone meanwhile, and what told so may never come.
        """
        read = {item["msg_id"]: Shown.of(item) for item in found}
        self._history[conversation] = (self.windows.get(conversation, Window()), read)
        self._absent |= {
            entry["message"]["msg_id"]
            for line in self.lines.values()
            for entry in line.values()
            if entry["op"] == "message" and entry["message"]["conversation_id"] == conversation
        } - set(read)

    def roster(self, group: int, members: Iterable[int]) -> None:
        """Take the members of a group, read after every frame applied so far was committed."""
        seq = self.held.get(f"g:{group}", 0)
        self._rosters[group] = (self._from_seq(group), Roster(frozenset(members), seq))

    def _from_seq(self, group: int) -> int:
        return self.windows.get(group, Window()).from_seq

    # -- what is shown ----------------------------------------------------------------------------------

    @property
    def windows(self) -> dict[int, Window]:
        """The groups one is in, and since when."""
        windows = {group: Window() for group in self._followed}
        for seq, entry in self._from(USER, self._lost.get(USER, 0) + 1):
            if entry["op"] == "group":
                if entry["action"] == "joined":
                    windows[entry["group_id"]] = Window(entry["from_seq"], seq)
                else:
                    windows.pop(entry["group_id"], None)
        # The group's own timeline may tell of an end before the user's does.
        return {group: window for group, window in windows.items() if not self._ended(group, window)}

    def _ended(self, group: int, window: Window) -> bool:
        # What lies before the start of this connection, which the `welcome` named, ended an earlier stay.
        after = max(window.from_seq, self._starts.get(f"g:{group}", -1) + 1)
        return any(
            entry["action"] == "destroyed" or (entry["action"] != "joined" and self.uid in entry["user_ids"])
            for _, entry in self._from(f"g:{group}", after)
            if entry["op"] == "group"
        )

    def _from(self, timeline: str, seq: int) -> list[tuple[int, Frame]]:
        return sorted((at, entry) for at, entry in self.lines.get(timeline, {}).items() if at >= seq)

    @property
    def state(self) -> State:
        return State(self.conversations, {group: self.members(group) for group in self.windows})

    @property
    def conversations(self) -> dict[int, list[Shown]]:
        """The messages shown of each conversation, oldest first, where there are any."""
        now = self._now()
        windows = self.windows
        found: dict[int, dict[int, Shown]] = {}
        for conversation, (window, read) in self._history.items():
            if windows.get(conversation, Window()) == window:
                found.setdefault(conversation, {}).update(read)
        wiped = set(self._absent)
        deleted: dict[int, int] = {}
        for timeline, line in self.lines.items():
            for seq, entry in line.items():
                match entry["op"]:
                    case "message" if self._in_window(timeline, seq, entry, windows):
                        message = Shown.of(entry["message"])
                        found.setdefault(entry["message"]["conversation_id"], {})[message.msg_id] = message
                    case "recalled" | "gone":
                        wiped.add(entry["msg_id"])
                    case "deleted" if seq > self._since(entry["conversation_id"], windows):
                        conversation = entry["conversation_id"]
                        deleted[conversation] = max(deleted.get(conversation, 0), entry["msg_id"])
                    case _:
                        pass
        conversations = {
            conversation: [
                messages[msg_id]
                for msg_id in sorted(messages)
                if msg_id not in wiped
                and msg_id > deleted.get(conversation, 0)
                and not messages[msg_id].is_due(now)
            ]
            for conversation, messages in found.items()
            if conversation in windows or conversation not in self._groups
        }
        return {conversation: shown for conversation, shown in conversations.items() if shown}

    def shown_of_room(self, room: int) -> list[Shown]:
        """The messages shown of a chatroom, oldest first."""
        shown = [Shown.of(item) for item in self.rooms[room].items if item["ctype"] not in CHANGES]
        return [message for message in shown if not message.is_due(self._now())]

    def _since(self, conversation: int, windows: dict[int, Window]) -> int:
        """From where on in the user's timeline a deletion counts: it is part of a stay, and of what was read anew."""
        return max(windows.get(conversation, Window()).joined, self._lost.get(USER, 0))

    def _in_window(self, timeline: str, seq: int, entry: Frame, windows: dict[int, Window]) -> bool:
        """Whether a message is shown by itself, in the open stay; what came of a closed one is kept, and not shown."""
        if entry["message"]["ctype"] in CHANGES:
            return False
        if timeline != USER:
            window = windows.get(int(timeline[2:]))
            return window is not None and seq >= window.from_seq
        window = windows.get(entry["message"]["conversation_id"])
        return window is None or seq > window.joined

    @property
    def _groups(self) -> set[int]:
        """Whatever this view has ever known to be a group."""
        named = {entry["group_id"] for _, entry in self._from(USER, 0) if entry["op"] == "group"}
        return named | self._followed | {int(name[2:]) for name in self.lines if name != USER}

    def members(self, group: int) -> frozenset[int]:
        """Who is in a group: as it was read, and then as its timeline told."""
        since, roster = self._rosters[group]
        members = set(roster.members)
        assert since == self._from_seq(group), f"members of group {group} were read in an earlier stay"
        for _, entry in self._from(f"g:{group}", roster.seq + 1):
            if entry["op"] == "group":
                if entry["action"] == "joined":
                    members.update(entry["user_ids"])
                else:
                    members.difference_update(entry["user_ids"])
        return frozenset(members)

    @property
    def statuses(self) -> dict[int, str]:
        """How far own messages to other users have got, as far as receipts and REST told."""
        return {
            shown.msg_id: STATUSES[self._reached(conversation, shown.msg_id)]
            for conversation, messages in self.conversations.items()
            for shown in messages
            if shown.sender[0] == self.uid and shown.target == conversation != self.uid
            if conversation not in self._groups
        }

    def _reached(self, conversation: int, msg_id: int) -> int:
        return max(
            (reached for reached in (1, 2) if self._statuses.get((conversation, reached), 0) >= msg_id),
            default=0,
        )
