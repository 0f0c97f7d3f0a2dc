"""What a store should hold, in plain lists: slow, small, and without a thought of SQL."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.domain.model import Action, Side, Status


@dataclass(frozen=True)
class Manner:
    """How a message is not like most."""

    uncounted: bool = False
    passing: bool = False
    side: Side = Side.BOTH


PLAIN = Manner()


@dataclass
class Sent:
    """A message. `group`: it went to one member of this group only. `related`: what it is folded into.

    One that was imported lies between two seqs, and is never delivered.
    """

    msg_id: int
    sender: int
    target: int
    in_group: bool
    seq: float
    notice: bool
    recalled: bool = False
    group: int = 0
    copied: bool = True
    hidden: tuple[int, ...] = ()
    related: int = 0
    imported: bool = False
    settled: bool = False
    manner: Manner = PLAIN

    @property
    def side(self) -> Side:
        return self.manner.side if self.sender != self.target else Side.BOTH

    @property
    def unshown(self) -> bool:
        """Nobody who looks back sees it."""
        return bool(self.recalled or self.related or self.manner.passing)

    def seen_by(self, user: int) -> bool:
        """Whether one of the two users it lies between, or whom it was whispered to or by, has it."""
        if user == self.target:
            return self.side is not Side.SENDER
        return user == self.sender and not self.notice and self.side is not Side.RECEIVER

    @property
    def conversation(self) -> int:
        """As its sender sees it."""
        return self.group or self.target


@dataclass
class Stay:
    group: int
    user: int
    from_seq: int
    from_msg: int
    read: int
    deleted: int
    delivered: int
    off: int = 0
    to_seq: int = 0
    to_msg: int = 0

    def around(self, message: Sent) -> bool:
        if message.group:
            return (
                (self.group, self.user) == (message.group, message.target)
                and self.from_msg <= message.msg_id
                and (not self.to_seq or message.msg_id <= self.to_msg)
            )
        return (
            self.group == message.target
            and self.user != message.sender
            and self.from_seq <= message.seq
            and (not self.to_seq or message.seq <= self.to_seq)
        )


Entry = tuple[str, int]
Change = tuple[int, int, int]
"""(sender, conversation as the sender sees it, newest message whose status changed)."""


@dataclass
class Model:
    """One app. Timelines, users and groups are known by xid."""

    timelines: dict[int, list[Entry]] = field(default_factory=dict)
    messages: dict[int, Sent] = field(default_factory=dict)
    stays: list[Stay] = field(default_factory=list)
    versions: dict[int, int] = field(default_factory=dict)
    destroyed: set[int] = field(default_factory=set)
    delivered: dict[int, int] = field(default_factory=dict)
    read: dict[tuple[int, int], int] = field(default_factory=dict)
    deleted: dict[tuple[int, int], int] = field(default_factory=dict)
    off: dict[tuple[int, int], int] = field(default_factory=dict)
    keys: dict[tuple[int, str], tuple[str, int, int]] = field(default_factory=dict)
    next_msg_id: int = 1
    # Of each draft ids begin anew at a multiple of so many, and one.
    block: int = 1

    def leap(self) -> None:
        self.next_msg_id += -(self.next_msg_id - 1) % self.block

    def back(self, ago: int) -> int:
        """The message that came so many before the newest, or the first."""
        msg_ids = list(self.messages)
        return msg_ids[max(len(msg_ids) - 1 - ago, 0)] if msg_ids else 1

    def add(self, xid: int, kind: str, what: int = 0) -> int:
        self.timelines.setdefault(xid, []).append((kind, what))
        return len(self.timelines[xid])

    def head(self, xid: int) -> int:
        return len(self.timelines.get(xid, []))

    # -- drafts -----------------------------------------------------------------------------------------

    def text(
        self,
        sender: int,
        targets: tuple[int, ...],
        key: str,
        digest: str,
        *,
        notice: bool,
        judged: int = -1,
        group: int = 0,
        related: int = 0,
        copied: bool = True,
        hidden: tuple[int, ...] = (),
        manner: Manner = PLAIN,
        answers: int = 0,
    ) -> str:
        """Append a message; `judged` is a group's version, where it is to a group or to some in it (`group`)."""
        known = self.keys.get((sender, key)) if key else None
        if known is not None:
            return "Repeated" if known[0] == digest else "Refused"
        in_group = judged >= 0 and not group
        if judged >= 0 and self.versions[group or targets[0]] != judged:
            return "Stale"
        if group and any(self.stay(group, target) is None for target in targets):
            return "Refused"
        base = self.messages.get(related)
        if base is not None and (base.sender != sender or base.recalled or base.related):
            return "Refused"
        if base is not None:
            manner = replace(manner, side=base.side)
        if answers and not self.may_answer(sender, group or targets[0], self.messages.get(answers)):
            return "Refused"
        copied = copied and manner.side is not Side.RECEIVER
        first = self.next_msg_id
        self.timelines.setdefault(sender, [])
        for target in targets:
            msg_id = self.next_msg_id
            self.next_msg_id += 1
            self.timelines.setdefault(target, [])
            here = target == sender or manner.side is not Side.SENDER
            seq = self.add(target, "MESSAGE", msg_id) if here else 0
            self.messages[msg_id] = Sent(
                msg_id,
                sender,
                target,
                in_group,
                seq,
                notice,
                group=group,
                related=related,
                copied=copied,
                hidden=hidden,
                manner=manner,
            )
            if not in_group and not notice and copied and sender != target:
                self.add(sender, "MESSAGE", msg_id)
        if key:
            self.keys[sender, key] = (digest, first, self.next_msg_id - 1)
        self.leap()
        return "Appended"

    def may_answer(self, sender: int, opposite: int, answered: Sent | None) -> bool:
        """Whether a message to a user or group may answer another one: its sender sees that one there."""
        if answered is None or answered.unshown:
            return False
        group = answered.group or (answered.target if answered.in_group else 0)
        if group != (opposite if opposite in self.versions else 0):
            return False
        if answered.in_group:
            return True
        return answered.seen_by(sender) and bool(
            group or {answered.sender, answered.target} == {sender, opposite}
        )

    def bring(self, sender: int, target: int, *, settled: bool, judged: int = -1) -> str:
        """Import a message, to a user or (`judged`, its version) to a group."""
        if judged >= 0 and self.versions[target] != judged:
            return "Stale"
        msg_id = self.next_msg_id
        self.next_msg_id += 1
        for party in (sender, target):
            self.timelines.setdefault(party, [])
        self.messages[msg_id] = Sent(
            msg_id,
            sender,
            target,
            judged >= 0,
            self.head(target) + 0.5,
            notice=False,
            imported=True,
            settled=settled,
        )
        self.leap()
        return "Imported"

    def recall(self, msg_id: int) -> str:
        message = self.messages.get(msg_id)
        if message is None:
            return "Refused"
        if not message.recalled:
            message.recalled = True
            for folded in self.messages.values():
                folded.recalled = folded.recalled or folded.related == msg_id
            if message.side is not Side.SENDER:
                self.add(message.target, "RECALLED", msg_id)
            told = message.copied and not message.in_group and not message.notice
            if told and message.sender != message.target:
                self.add(message.sender, "RECALLED", msg_id)
        return "Changed"

    def delete(self, user: int, opposite: int) -> str:
        if opposite in self.versions:
            stay = self.stay(opposite, user)
            if stay is None:
                return "Refused"
            before, last = stay.deleted, self.last(user, opposite)
            stay.deleted = max(before, last)
        else:
            before, last = self.deleted.get((user, opposite), 0), self.last(user, opposite)
            self.deleted[user, opposite] = last
        if last > before:
            self.add(user, "DELETED", last)
        return "Changed"

    def change(self, group: int, action: Action, users: tuple[int, ...], judged: int) -> str:
        if group in self.destroyed:
            return "Refused"
        if self.versions[group] != judged:
            return "Stale"
        joins = action is Action.JOINED
        if action is Action.DESTROYED:
            self.destroyed.add(group)
            users = tuple(stay.user for stay in self.stays if stay.group == group and not stay.to_seq)
        else:
            users = tuple(user for user in users if (self.stay(group, user) is None) == joins)
            if not users:
                return "Changed"
        seq = self.add(group, "MEMBERSHIP")
        self.versions[group] += 1
        for user in users:
            self.add(user, "MEMBERSHIP")
            stay, last = self.stay(group, user), self.last(user, group)
            if stay is not None:
                stay.to_seq, stay.to_msg = seq, last
            else:
                self.stays.append(Stay(group, user, seq, last + 1, last, last, seq - 1))
        return "Changed"

    # -- positions --------------------------------------------------------------------------------------

    def ack(self, user: int, timeline: int, seq: int) -> None:
        if timeline == user:
            self.delivered[user] = max(self.delivered.get(user, 0), seq)
        elif (stay := self.stay(timeline, user)) is not None:
            stay.delivered = max(stay.delivered, seq)

    def mark(self, user: int, opposite: int, msg_id: int) -> int | None:
        """Move a READ position; return it, or None where it is refused."""
        last = self.last(user, opposite)
        position = min(msg_id or last, last)
        if opposite in self.versions:
            stay = self.stay(opposite, user)
            if stay is None:
                return None
            stay.read = max(stay.read, position)
            return stay.read
        self.read[user, opposite] = max(self.read.get((user, opposite), 0), position)
        return self.read[user, opposite]

    def put_off(self, user: int, opposite: int) -> bool:
        """Keep a conversation off the recent list; False where it is refused."""
        if opposite in self.versions:
            stay = self.stay(opposite, user)
            if stay is None:
                return False
            stay.off = self.last(user, opposite)
        else:
            self.off[user, opposite] = self.last(user, opposite)
        return True

    # -- what is seen of it -----------------------------------------------------------------------------

    def stay(self, group: int, user: int) -> Stay | None:
        for stay in self.stays:
            if (stay.group, stay.user, stay.to_seq) == (group, user, 0):
                return stay
        return None

    def conversation(self, user: int, opposite: int) -> list[Sent]:
        """Every message that lies in it, recalled or not, oldest first."""
        if opposite in self.versions:
            return [
                message
                for message in self.messages.values()
                if message.target == opposite
                or (message.group == opposite and user in (message.sender, message.target))
            ]
        return [
            message
            for message in self.messages.values()
            if not message.group
            and {message.sender, message.target} == {user, opposite}
            and message.seen_by(user)
        ]

    def last(self, user: int, opposite: int) -> int:
        return max((message.msg_id for message in self.conversation(user, opposite)), default=0)

    def status(self, message: Sent, asker: int) -> Status:
        """As the asker sees it."""
        if message.settled:
            return Status.READ
        if message.side is Side.SENDER:
            return Status.UNREAD
        status = self.reached(message, asker)
        return Status.UNREAD if message.imported and status is Status.DELIVERED else status

    def reached(self, message: Sent, asker: int) -> Status:
        """How far positions say that a message has got."""
        if message.group:
            stays = [stay for stay in self.stays if stay.around(message)]
            if message.target == asker:
                stay = self.stay(message.group, asker)
                stays = [] if stay is None else [stay]
            if any(stay.read >= message.msg_id for stay in stays):
                return Status.READ
            return Status(self.delivered.get(message.target, 0) >= message.seq)
        if message.in_group:
            stays = [stay for stay in self.stays if stay.around(message)]
            if message.sender != asker:
                stay = self.stay(message.target, asker)
                stays = [] if stay is None else [stay]
            if any(stay.read >= message.msg_id for stay in stays):
                return Status.READ
            return Status(any(stay.delivered >= message.seq for stay in stays))
        if self.read.get((message.target, message.sender), 0) >= message.msg_id:
            return Status.READ
        return Status(self.delivered.get(message.target, 0) >= message.seq)

    def statuses(self) -> dict[int, Status]:
        """Of every message that its sender may look at."""
        return {
            message.msg_id: self.status(message, message.sender)
            for message in self.messages.values()
            if not message.unshown
            and message.sender != message.target
            and (message.in_group or message.seen_by(message.sender))
        }

    def changes(self, before: dict[int, Status], status: Status) -> set[Change]:
        """Whom to tell after a move: per sender and conversation the newest message that came to `status`."""
        newest: dict[tuple[int, int], int] = {}
        for msg_id, now in self.statuses().items():
            if now is status and before[msg_id] is not status:
                message = self.messages[msg_id]
                newest[message.sender, message.conversation] = msg_id
        return {(*pair, msg_id) for pair, msg_id in newest.items()}

    def hidden(self, user: int, opposite: int) -> int:
        """Up to where a user does not see a conversation."""
        stay = self.stay(opposite, user)
        if stay is not None:
            return max(stay.deleted, stay.from_msg - 1)
        return self.deleted.get((user, opposite), 0)

    def history(
        self, user: int, opposite: int, *, everything: bool = False
    ) -> list[tuple[int, Status]] | None:
        """Newest first, with status; None where it is refused. `everything`: also what is hidden from the user."""
        if opposite in self.versions and self.stay(opposite, user) is None:
            return None
        below = self.hidden(user, opposite)
        lying = [m for m in self.conversation(user, opposite) if m.msg_id > below]
        shown = [m for m in lying if not m.unshown]
        return [
            (message.msg_id, self.status(message, user))
            for message in reversed(shown)
            if everything or user not in message.hidden
        ]

    def undelivered(self, user: int) -> list[int]:
        """The messages of others above *delivered* that are still to be seen."""
        found = []
        for message in self.messages.values():
            stay = self.stay(message.target, user) if message.in_group else None
            if message.target == user:
                above = message.seq > self.delivered.get(user, 0)
            else:
                above = stay is not None and message.seq > stay.delivered
            gone = message.unshown or message.imported
            if above and message.sender != user and not gone:
                found.append(message.msg_id)
        return found

    def awaits(self, user: int, msg_id: int) -> bool | None:
        """Whether a message for the user is UNREAD; None where it is none."""
        message = self.messages[msg_id]
        stay = self.stay(message.target, user) if message.in_group else None
        there = message.target == user or (stay is not None and message.msg_id >= stay.from_msg)
        if not there or message.sender == user or message.unshown or message.side is Side.SENDER:
            return None
        if message.group:
            stays = [stay for stay in self.stays if stay.around(message)]
            read = any(stay.read >= msg_id for stay in stays)
            return not read and message.seq > self.delivered.get(user, 0)
        return self.status(message, user) is Status.UNREAD

    def recent(self, user: int) -> list[tuple[int, int]]:
        """Conversations with something to see, newest first, with the number of unread messages."""
        found = []
        for opposite in self.timelines:
            if shown := self.history(user, opposite, everything=True):
                read, off = self.read.get((user, opposite), 0), self.off.get((user, opposite), 0)
                if (stay := self.stay(opposite, user)) is not None:
                    read, off = stay.read, stay.off
                others = [message for msg_id, _ in shown if (message := self.messages[msg_id]).sender != user]
                unread = sum(
                    message.msg_id > read and not (message.settled or message.manner.uncounted)
                    for message in others
                )
                if (last := self.last(user, opposite)) > off:
                    found.append((last, opposite, unread))
        return [(opposite, unread) for _, opposite, unread in sorted(found, reverse=True)]
