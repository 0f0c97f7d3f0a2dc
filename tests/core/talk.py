"""A conversation in which anything happens, as a plain list of what was said: slow, small, without a thought of SQL."""

from __future__ import annotations

import random
from typing import Any, Self

import msgspec

from gateway.core.looking import Look
from gateway.domain.model import FOREVER, Ctype, Side
from tests.store.stage import NOW, Stage

HOUR = 3_600_000
APPEND, REPLACE = int(Ctype.APPEND), int(Ctype.REPLACE)


class Said(msgspec.Struct):
    """A message as it stands now; `foldable`: others may be folded into it."""

    msg_id: int
    sender: int
    at: int
    ctype: int = 0
    content: str = "hello"
    attachment: str = ""
    root: int = 0
    unseen_by: frozenset[int] = frozenset()
    foldable: bool = False


class Talk:
    """A conversation of users 1 and 2, or of a group that they are in, and 3."""

    def __init__(self, stage: Stage, seed: int, group: int) -> None:
        self.stage = stage
        self.group = group
        self.random = random.Random(seed)
        self.said: list[Said] = []
        self.deleted: dict[int, int] = {}
        self.topic = 0

    @classmethod
    async def held(cls, stage: Stage, seed: int, group: int) -> Self:
        """Hold one at random; 1 deletes what has been said somewhere in the middle."""
        talk = cls(stage, seed, group)
        for count in range(80):
            await talk._go_on()
            if count == 20:
                await stage.delete(1, talk.opposite(1))
                talk.deleted[1] = max((one.msg_id for one in talk.said), default=0)
        return talk

    # -- what it is -------------------------------------------------------------------------------------

    def opposite(self, xid: int) -> int:
        """What a user calls the conversation."""
        return self.group or 3 - xid

    def visible(self, xid: int, look: Look, root: int = 0) -> list[int]:
        """The messages that a user looks for, or the replies among them to a root."""
        found = [
            one.msg_id
            for one in self.said
            if one.msg_id > self.deleted.get(xid, 0)
            and xid not in one.unseen_by
            and look.from_ms <= one.at <= look.to_ms
            and (not look.ctypes or one.ctype in look.ctypes)
            and (not root or one.root == root)
        ]
        if look.after:
            found = [at for at in found if (at < look.after if look.descending else at > look.after)]
        return found[::-1] if look.descending else found

    def told(self, msg_ids: list[int]) -> list[tuple[str, str, int, int]]:
        """What messages say, and when and how they did."""
        by_id = {one.msg_id: one for one in self.said}
        found = [by_id[msg_id] for msg_id in msg_ids]
        return [(one.content, one.attachment, one.at, one.ctype) for one in found]

    def roots(self, xid: int) -> list[int]:
        """The messages that others reply to, of those that a user sees."""
        return sorted({one.root for one in self.said} & set(self.visible(xid, Look(limit=1))))

    def look(self) -> Look:
        """Look for anything."""
        chance = self.random.random
        early, late = sorted((self._time(), self._time()))
        return Look(
            from_ms=early if chance() < 0.6 else 0,
            to_ms=late if chance() < 0.6 else FOREVER,
            ctypes=frozenset(self.random.sample([0, 1, 6], self.random.randint(0, 2))),
            descending=chance() < 0.5,
            after=self.random.choice(self.said).msg_id if chance() < 0.3 else 0,
            limit=self.random.randint(1, 7),
        )

    # -- what happens in it -----------------------------------------------------------------------------

    async def _go_on(self) -> None:
        often = [self._send, self._send, self._reply, self._reply, self._fold]
        rarely = [self._bring, self._recall, self._elsewhere]
        apart = [self._hide, self._whisper] if self.group else [self._notify, self._aside]
        await self.random.choice([*often, *rarely, self._pass, *apart])()

    def _time(self) -> int:
        """Clocks go back and forth."""
        return NOW + self.random.randint(-5 * HOUR, 5 * HOUR)

    async def _say(self, sender: int, **told: Any) -> int:
        say, target = (self.stage.say, self.group) if self.group else (self.stage.send, 3 - sender)
        return (await say(sender, target, **told)).first_msg_id

    async def _send(self, root: int = 0, hide_from: tuple[int, ...] = (), side: Side = Side.BOTH) -> None:
        sender, at, ctype = self.random.choice([1, 2]), self._time(), self.random.choice([0, 0, 0, 1, 6])
        content, attachment = f"text {len(self.said)}", self.random.choice(["", "a picture"])
        told = {"at": at, "ctype": ctype, "content": content, "attachment": attachment, "related": root}
        copied = side is not Side.RECEIVER
        msg_id = await self._say(sender, **told, hide_from=hide_from, side=side, copied=copied)
        others = {Side.BOTH: (), Side.SENDER: (3 - sender,), Side.RECEIVER: (sender,)}
        unseen_by = frozenset((*hide_from, *others[side]))
        self.said.append(Said(msg_id, sender, at, ctype, content, attachment, root, unseen_by, foldable=True))

    async def _reply(self) -> None:
        """Answer what is talked about, or take up what was said last."""
        topics = [one.msg_id for one in self.said if one.foldable and not one.unseen_by]
        if self.topic not in topics or self.random.random() < 0.2:
            self.topic = topics[-1] if topics else 0
        await self._send(self.topic)

    async def _fold(self) -> None:
        """Append to a message, or replace it."""
        near = [one for one in self.said if one.foldable][-5:]
        if not near:
            return
        one, content = self.random.choice(near), f" and {len(self.said)}"
        ctype, attachment = self.random.choice([APPEND, REPLACE]), self.random.choice(["", "another"])
        told = {"ctype": ctype, "content": content, "attachment": attachment, "at": self._time()}
        await self._say(one.sender, **told, related=one.msg_id)
        if ctype == REPLACE:
            one.content, one.attachment = content, attachment or one.attachment
        else:
            one.content += content

    async def _recall(self) -> None:
        if self.said:
            one = self.said.pop(self.random.randrange(len(self.said)))
            await self.stage.recall(one.msg_id)

    async def _bring(self) -> None:
        """Import a message, as it was sent at any time."""
        sender, at = self.random.choice([1, 2]), self._time()
        msg_id = await self.stage.bring(sender, self.opposite(sender), shown_at=at)
        self.said.append(Said(msg_id, sender, at))

    async def _hide(self) -> None:
        """Say something that is kept from the pages of 1."""
        await self._send(hide_from=(1,))

    async def _whisper(self) -> None:
        """Say something to 3 alone."""
        msg_id = (await self.stage.whisper(1, self.group, 3)).first_msg_id
        self.said.append(Said(msg_id, 1, NOW, unseen_by=frozenset({2})))

    async def _notify(self) -> None:
        """Tell 2 something of which 1 sees nothing."""
        msg_id = (await self.stage.send(1, 2, notice=True, copied=False)).first_msg_id
        self.said.append(Said(msg_id, 1, NOW, unseen_by=frozenset({1})))

    async def _aside(self) -> None:
        """Say something that only one of the two sees."""
        await self._send(side=self.random.choice([Side.SENDER, Side.RECEIVER]))

    async def _pass(self) -> None:
        """Say something that nobody sees who looks back."""
        await self._say(1, passing=True)

    async def _elsewhere(self) -> None:
        """Let others talk, some of them a lot."""
        await self.stage.send(1, 9)
        await self.stage.send(9, 2)
        if self.random.random() < 0.5:
            await self.stage.store.reserve(5_000_000)
