"""A day of a team of twenty: in the end every device shows what a fresh reading of the store shows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.day.law import check_all
from tests.day.phone import BarePhone, ClientPhone, Phone
from tests.day.town import Town, open_town

TEAM = range(101, 121)
(
    ANNA,
    BEN,
    CLEO,
    DAVE,
    EMMA,
    FINN,
    GINA,
    HUGO,
    IDA,
    JON,
    KIM,
    LEO,
    MIA,
    NOAH,
    OLGA,
    PAUL,
    ROSA,
    SAM,
    TOM,
    UMA,
) = TEAM
LATE = (ROSA, SAM, TOM, UMA)

PHONE, TABLET = 1, 2
HOUR_S = 3600


class Day:
    """The team, its devices and groups, and who is in those as the story has it.

    Phones state their cursors at their first attach and have all by frames, tablets start at *delivered*. All run the
    gateway's own client but the tablet of Hugo, which never acks.
    """

    def __init__(self, town: Town) -> None:
        self.town = town
        self.rng = random.Random(20)
        self.devices: dict[tuple[int, int], Phone] = {}
        self.members: dict[int, set[int]] = {}
        self.said = 0
        for user in TEAM:
            self.devices[user, PHONE] = ClientPhone(town, user, PHONE, asks=False)
            self.devices[user, TABLET] = ClientPhone(town, user, TABLET)
        self.never_acks = self.devices[HUGO, TABLET] = BarePhone(town, HUGO, TABLET, asks=True)
        self.team = self.crew = self.choir = self.canteen = 0

    # -- what people do ---------------------------------------------------------------------------------

    async def on(self, users: Iterable[int], device_sn: int) -> None:
        await asyncio.gather(*(self.devices[user, device_sn].on() for user in users))

    async def off(self, users: Iterable[int], device_sn: int) -> None:
        await asyncio.gather(*(self.devices[user, device_sn].off() for user in users))

    async def group(self, owner: int, *others: int) -> int:
        group = await self.town.group(owner, *others)
        self.members[group] = {owner, *others}
        return group

    async def invite(self, group: int, by: int, *users: int) -> None:
        assert (await self.town.people[by].change("invite", group, *users)).code == 200
        self.members[group].update(users)

    async def kick(self, group: int, by: int, *users: int) -> None:
        assert (await self.town.people[by].change("kick", group, *users)).code == 200
        self.members[group].difference_update(users)

    async def leave(self, group: int, user: int) -> None:
        assert (await self.town.people[user].change("leave", group)).done
        self.members[group].discard(user)

    async def say(self, group: int, sender: int, what: str = "", **members: object) -> int:
        self.said += 1
        return await self.town.people[sender].tell(group, what or f"word {self.said}", **members)

    async def write(self, sender: int, receiver: int, what: str = "", **members: object) -> int:
        self.said += 1
        return await self.town.people[sender].send(receiver, what or f"letter {self.said}", **members)

    async def into_canteen(self, *users: int) -> None:
        for user in users:
            phone = self.devices[user, PHONE]
            assert isinstance(phone, ClientPhone)
            await phone.join(self.canteen)

    async def chatter(self, count: int) -> None:
        """People talk, in groups and to each other, and note something for themselves now and then."""
        for _ in range(count):
            if self.rng.random() < 0.5:
                group = self.rng.choice([group for group, members in self.members.items() if members])
                await self.say(group, self.rng.choice(sorted(self.members[group])))
            else:
                await self.write(self.rng.choice(TEAM), self.rng.choice(TEAM))

    # -- the day ----------------------------------------------------------------------------------------

    async def morning(self) -> None:
        """Phones and half of the tablets go on, three groups are made, and the late ones join the team's."""
        await self.on(TEAM[:12], PHONE)
        self.team = await self.group(ANNA, *TEAM[1:16])
        self.crew = await self.group(BEN, CLEO, DAVE, EMMA, FINN, GINA)
        self.choir = await self.group(CLEO, IDA, JON, KIM)
        await asyncio.gather(*(self.say(self.team, user, "Good morning!") for user in TEAM[:16]))
        await self.on(TEAM[:10], TABLET)
        await self.chatter(40)
        await self.on(TEAM[12:], PHONE)
        self.canteen = await self.town.people[ANNA].group(kind=2)
        self.town.rooms.append(self.canteen)
        await self.into_canteen(ANNA, BEN, MIA, SAM)
        await self.say(self.canteen, TOM, "Soup today")
        await self.invite(self.team, ANNA, *LATE)
        await self.chatter(30)

    async def noon(self) -> None:
        """Who is in the crew changes, words are taken back, and conversations are cleared."""
        people = self.town.people
        await self.kick(self.crew, BEN, DAVE)
        await self.leave(self.crew, EMMA)
        await self.say(self.crew, BEN, "Without Dave and Emma")
        await self.chatter(20)
        await self.invite(self.crew, BEN, EMMA)
        await self.say(self.crew, FINN, "Welcome back, Emma")
        slip, rude = await self.write(GINA, HUGO, "a slip"), await self.say(self.team, IDA, "rude words")
        assert (await people[GINA].recall(HUGO, slip)).done
        assert (await people[ANNA].recall(self.team, rude)).done
        await self.write(BEN, ANNA, "before the clearing")
        await people[KIM].delete(self.choir)
        await people[LEO].delete(self.team)
        await people[ANNA].delete(BEN)
        await people[ANNA].send(BEN, "after the clearing")
        await people[0].post(
            "/message/notify",
            {"type": 1, "targets": [*TEAM], "content_type": 0, "content": "The canteen closes at two"},
        )
        await people[BEN].ack(conversation_id=self.team)
        await self.into_canteen(UMA)
        salt = await self.say(self.canteen, MIA, "No salt in the rude soup")
        assert (await people[ANNA].recall(self.canteen, salt)).done
        await self.chatter(20)

    async def afternoon(self) -> None:
        """One phone loses the network, then the gateway is deployed anew; the devices come back by themselves."""
        cut = self.devices[MIA, PHONE]
        assert isinstance(cut, ClientPhone)
        await cut.caught_up(self.town.heads())
        cut.cut()
        await self.say(self.canteen, IDA, "Coffee for who was cut off")
        await self.chatter(20)
        await self.never_acks.off()
        await self.town.restart()
        await self.never_acks.on()
        await self.chatter(20)

    async def night(self) -> None:
        """Most devices are off while the rest talk, take back, clear, come and go."""
        people = self.town.people
        await self.write(PAUL, ROSA, "the code of the door, for the evening", expire_s=4 * HOUR_S)
        await self.say(self.team, GINA, "cake in the kitchen until it is eaten", expire_s=6 * HOUR_S)
        await self.devices[ROSA, PHONE].caught_up(self.town.heads())
        evening = await self.say(self.team, OLGA, "said in the evening, regretted at night")
        to_paul = await self.write(NOAH, PAUL, "read by a tablet at most")
        heads = self.town.heads()
        for user in TEAM[:10]:
            await self.devices[user, TABLET].caught_up(heads)
        await self.never_acks.off(cut=True)
        await self.off([user for user in TEAM[:10] if user != HUGO], TABLET)
        await self.off(TEAM[6:], PHONE)
        await self.chatter(30)
        assert (await people[OLGA].recall(self.team, evening)).done
        assert (await people[NOAH].recall(PAUL, to_paul)).done
        regretted = await self.write(SAM, TOM, "sent and regretted while both were away")
        assert (await people[SAM].recall(TOM, regretted)).done
        await people[IDA].delete(self.team)
        await self.write(IDA, JON, "cleared at night")
        await people[JON].delete(IDA)
        await self.kick(self.team, ANNA, NOAH, OLGA)
        await self.say(self.team, ANNA, "not for Noah and Olga")
        await self.invite(self.team, ANNA, NOAH)
        await self.say(self.team, NOAH, "back in the same night")
        assert (await people[CLEO].change("destroy", self.choir)).done
        self.members[self.choir].clear()
        band = await self.group(PAUL, KIM, HUGO, UMA)
        await self.say(band, UMA, "a band of one night")
        await self.kick(band, PAUL, UMA)
        await self.chatter(40)
        await self.say(self.canteen, ANNA, "The cook stays at home")
        self.town.clock.move(s=9 * HOUR_S)

    async def next_morning(self) -> None:
        """What had its time is gone; all come back with what was held, and the last tablets are switched on."""
        assert await self.town.node.gateway.retention.expire() == 2
        await self.on(TEAM[6:], PHONE)
        await self.into_canteen(MIA, SAM, UMA)
        await self.on(TEAM, TABLET)
        await self.chatter(15)


@pytest.mark.no_cover
@pytest.mark.usefixtures("shaped")
async def test_a_day_of_a_team(tmp_path: Path) -> None:
    """Joins, kicks, recalls, deletes, a restart and a night: then all forty devices are as a fresh reading."""
    async with open_town(tmp_path / "data", TEAM) as town:
        day = Day(town)
        await day.morning()
        await day.noon()
        await day.afternoon()
        await day.night()
        await day.next_morning()
        devices = list(day.devices.values())
        assert len(devices) == 40
        await check_all(town, devices)
        _check_story(day)
        for device in devices:
            await device.off()


def _check_story(day: Day) -> None:
    """What the story says of itself, so that the day was not one on which nothing happened."""

    def texts(user: int, conversation: int) -> list[str]:
        view = day.devices[user, TABLET].view
        return [shown.texts[0] for shown in view.conversations.get(conversation, [])]

    members = {group: frozenset(members) for group, members in day.members.items() if members}
    for (user, _), device in day.devices.items():
        view = device.view
        assert view.state.groups == {group: found for group, found in members.items() if user in found}
        everything = str(view.conversations)
        assert "regretted" not in everything
        assert "rude words" not in everything
        assert "the code of the door" not in everything
        assert "cake" not in everything
        assert ("not for Noah and Olga" in everything) == (user in members[day.team] - {NOAH})
    assert texts(EMMA, day.crew)[0] == "Welcome back, Emma"
    assert texts(DAVE, day.crew) == []
    assert texts(NOAH, day.team)[0] == "back in the same night"
    assert texts(ANNA, BEN)[0] == "after the clearing"
    assert "before the clearing" in texts(BEN, ANNA)
    assert "cleared at night" not in texts(JON, IDA)
    assert "a slip" not in texts(HUGO, GINA)
    # Nobody told Rosa's phone, which was on when it came.
    held = str(day.devices[ROSA, PHONE].view.lines)
    assert "the code of the door" in held
    assert "cake" in held
    told = ["Soup today", "Coffee for who was cut off", "The cook stays at home"]
    for user in (ANNA, BEN, MIA, SAM, UMA):
        room = day.devices[user, PHONE].view.shown_of_room(day.canteen)
        assert [shown.texts[0] for shown in room] == told
    system = day.town.people[0].xid
    assert texts(UMA, system) == ["The canteen closes at two"]
