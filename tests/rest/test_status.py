"""Statuses as the asker sees them, and what READ acks do (lanying.md, ack; design §3, Status)."""

from __future__ import annotations

import pytest

from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node

SAFE_MAX = 2**53 - 1


class TestToAUser:
    """Of one's own message what the receiver did; of a received one what oneself did."""

    async def test_starts_unread(self, alice: Caller, bob: Caller) -> None:
        """Both sides see UNREAD."""
        await alice.send(BOB)
        assert (await alice.statuses(BOB), await bob.statuses(ALICE)) == (["UNREAD"], ["UNREAD"])

    async def test_paging_is_not_reading(self, alice: Caller, bob: Caller) -> None:
        """To look at a page changes no status."""
        await alice.send(BOB)
        await bob.history(ALICE)
        await bob.unread()
        assert await alice.statuses(BOB) == ["UNREAD"]

    async def test_delivered(self, alice: Caller, bob: Caller) -> None:
        """A device's ack makes DELIVERED of what it covers, for both sides."""
        await alice.send(BOB)
        await alice.send(BOB)
        async with bob.device(1) as device:
            await device.hear("live")
            await device.ack("user", 1)
        assert await alice.statuses(BOB) == ["UNREAD", "DELIVERED"]
        assert await bob.statuses(ALICE) == ["UNREAD", "DELIVERED"]

    async def test_own_copies_count_for_nothing(self, alice: Caller) -> None:
        """The sender's own device delivers nothing to the receiver."""
        await alice.send(BOB)
        async with alice.device(1) as device:
            await device.hear("live")
            await device.ack("user", 1)
        assert await alice.statuses(BOB) == ["UNREAD"]

    async def test_own_acks_read_nothing(self, alice: Caller) -> None:
        """The sender reads nothing for the receiver."""
        msg_id = await alice.send(BOB)
        assert (await alice.ack(conversation_id=BOB, msg_id=msg_id)).done
        assert await alice.statuses(BOB) == ["UNREAD"]

    async def test_each_side_has_its_own(self, alice: Caller, bob: Caller) -> None:
        """What Bob read of Alice says nothing of what Alice read of Bob."""
        await alice.send(BOB)
        await bob.send(ALICE)
        assert (await bob.ack(conversation_id=ALICE)).done
        assert await alice.statuses(BOB) == ["UNREAD", "READ"]

    async def test_read_implies_delivered(self, alice: Caller, bob: Caller) -> None:
        """READ without any device is READ, and a later ack of a device takes nothing back."""
        await alice.send(BOB)
        assert (await bob.ack(conversation_id=ALICE)).done
        async with bob.device(1) as device:
            await device.hear("live")
            await device.ack("user", 1)
        assert await alice.statuses(BOB) == ["READ"]

    async def test_to_oneself(self, alice: Caller) -> None:
        """Of a message to oneself it is one's own position."""
        await alice.send(ALICE)
        assert await alice.statuses(ALICE) == ["UNREAD"]
        assert (await alice.ack(conversation_id=ALICE)).done
        assert await alice.statuses(ALICE) == ["READ"]


class TestToAGroup:
    """Of one's own message the furthest any other member has got."""

    @pytest.fixture
    async def group(self, alice: Caller) -> int:
        return await alice.group(BOB, CAROL)

    async def test_one_of_many_is_enough(self, group: int, alice: Caller, bob: Caller, carol: Caller) -> None:
        """READ by one is READ to the sender, while each other sees its own."""
        await alice.tell(group)
        assert (await bob.ack(conversation_id=group)).done
        assert await alice.statuses(group) == ["READ"]
        assert (await bob.statuses(group), await carol.statuses(group)) == (["READ"], ["UNREAD"])

    async def test_delivered(self, group: int, alice: Caller, bob: Caller) -> None:
        """DELIVERED by one member's device."""
        await alice.tell(group)
        async with bob.device(1) as device:
            seq = max(frame.get("seq", 0) for frame in await device.hear("live") if frame["op"] == "message")
            await device.ack(f"g:{group}", seq)
        assert await alice.statuses(group) == ["DELIVERED"]

    async def test_own_acks_count_for_nothing(self, group: int, alice: Caller) -> None:
        """The sender's own reading does not read it for the others."""
        await alice.tell(group)
        assert (await alice.ack(conversation_id=group)).done
        assert await alice.statuses(group) == ["UNREAD"]

    async def test_who_read_and_left(self, group: int, alice: Caller, bob: Caller) -> None:
        """A stay around the message counts after it has ended."""
        await alice.tell(group)
        assert (await bob.ack(conversation_id=group)).done
        assert (await bob.change("leave", group)).done
        assert await alice.statuses(group) == ["READ"]

    async def test_who_came_later(self, group: int, alice: Caller, node: Node) -> None:
        """Who joined after the message did not read it, whatever they have read since."""
        await alice.tell(group)
        assert (await alice.change("invite", group, 4711)).code == 200
        late = await node.user(4711)
        assert (await late.ack(conversation_id=group, msg_id=SAFE_MAX)).done
        await alice.tell(group)
        assert (await late.ack(conversation_id=group)).done
        assert await alice.statuses(group) == ["READ", "UNREAD"]


class TestAck:
    """GET /message/ack: READ, cumulative."""

    @pytest.fixture
    async def ids(self, alice: Caller) -> list[int]:
        return [await alice.send(BOB) for _ in range(3)]

    async def test_is_cumulative(self, ids: list[int], alice: Caller, bob: Caller) -> None:
        """Everything up to the message is read, and nothing above it."""
        assert (await bob.ack(conversation_id=ALICE, msg_id=ids[1])).done
        assert await alice.statuses(BOB) == ["UNREAD", "READ", "READ"]

    async def test_by_message_alone(self, ids: list[int], alice: Caller, bob: Caller) -> None:
        """`msg_id` alone finds its conversation."""
        assert (await bob.ack(msg_id=ids[1])).done
        assert await alice.statuses(BOB) == ["UNREAD", "READ", "READ"]

    async def test_by_conversation_alone(self, ids: list[int], alice: Caller, bob: Caller) -> None:
        """`conversation_id` alone is its newest."""
        assert (await bob.ack(conversation_id=ALICE)).done
        assert await alice.statuses(BOB) == ["READ"] * 3

    async def test_of_a_group_by_message_alone(self, alice: Caller, bob: Caller) -> None:
        """A group's message finds its group."""
        group = await alice.group(BOB)
        msg_id = await alice.tell(group)
        assert (await bob.ack(msg_id=msg_id)).done
        assert await alice.statuses(group) == ["READ"]

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("query", [{}, {"msg_id": 0}, {"conversation_id": ""}, {"device_sn": 5}], ids=str)
    async def test_neither(self, bob: Caller, query: dict[str, object]) -> None:
        """Neither, absent or 0, is 10002."""
        assert (await bob.ack(**query)).refused(10002)

    async def test_above_the_newest(self, ids: list[int], alice: Caller, bob: Caller) -> None:
        """It is the newest, and a message that comes later is unread."""
        assert (await bob.ack(conversation_id=ALICE, msg_id=SAFE_MAX)).done
        await alice.send(BOB)
        assert await alice.statuses(BOB) == ["UNREAD", "READ", "READ", "READ"]

    async def test_older_than_the_position(self, ids: list[int], alice: Caller, bob: Caller) -> None:
        """It is true and takes nothing back."""
        assert (await bob.ack(conversation_id=ALICE)).done
        assert (await bob.ack(conversation_id=ALICE, msg_id=ids[0])).done
        assert await alice.statuses(BOB) == ["READ"] * 3

    async def test_recalled(self, ids: list[int], alice: Caller, bob: Caller) -> None:
        """A recalled one is acked like any other, also alone."""
        assert (await alice.recall(BOB, ids[1])).done
        assert (await bob.ack(msg_id=ids[1])).done
        assert await alice.statuses(BOB) == ["UNREAD", "READ"]

    async def test_again(self, ids: list[int], bob: Caller) -> None:
        """A repeat is true."""
        for _ in range(2):
            assert (await bob.ack(conversation_id=ALICE, msg_id=ids[0])).done

    async def test_unknown_conversations(self, bob: Caller) -> None:
        """Where nothing was ever said there is nothing to read: true."""
        assert (await bob.ack(conversation_id=4711)).done
        assert (await bob.ack(conversation_id=4711, msg_id=5)).done

    async def test_unknown_messages(self, bob: Caller) -> None:
        """A message that is not there has no conversation: 60003."""
        assert (await bob.ack(msg_id=4711)).refused(60003)

    async def test_messages_of_others(self, ids: list[int], alice: Caller, carol: Caller) -> None:
        """Who is no party is told what is told of one that is not there, and reads nothing."""
        assert (await carol.ack(msg_id=ids[0])).refused(60003)
        assert await alice.statuses(BOB) == ["UNREAD"] * 3

    async def test_notes_of_others(self, alice: Caller, carol: Caller) -> None:
        """A message that somebody sent to oneself is nobody else's, either."""
        await alice.send(CAROL)
        note = await alice.send(ALICE)
        assert (await carol.ack(msg_id=note)).refused(60003)
        assert await alice.statuses(CAROL) == ["UNREAD"]

    async def test_a_group_one_is_not_in(self, alice: Caller, bob: Caller) -> None:
        """20002 by conversation and by message."""
        group = await alice.group()
        msg_id = await alice.tell(group)
        assert (await bob.ack(conversation_id=group)).refused(20002)
        assert (await bob.ack(msg_id=msg_id)).refused(20002)

    async def test_with_a_group_header(self, node: Node, alice: Caller) -> None:
        """10002, whatever else is given."""
        group = await alice.group()
        msg_id = await alice.tell(group)
        acting = await node.admin(group_id=group)
        for query in ({"conversation_id": group}, {"msg_id": msg_id}, {}):
            assert (await acting.ack(**query)).refused(10002)

    async def test_devices_need_not_exist(self, ids: list[int], bob: Caller) -> None:
        """`device_sn` is a label: 0 to 2^31 - 1, of nothing that must be there."""
        for device_sn in (0, 1, 2**31 - 1):
            assert (await bob.ack(msg_id=ids[0], device_sn=device_sn)).done

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("device_sn", [-1, 2**31, "x"])
    async def test_devices_that_cannot_be(self, ids: list[int], bob: Caller, device_sn: object) -> None:
        """Out of its range it is refused by name."""
        assert (await bob.ack(msg_id=ids[0], device_sn=device_sn)).refused(10002, "device_sn")

    async def test_it_labels_the_receipt(self, ids: list[int], alice: Caller, bob: Caller) -> None:
        """The sender's device is told who read, up to which message, and by which device."""
        async with alice.device(1) as device:
            await device.hear("live")
            assert (await bob.ack(msg_id=ids[1], device_sn=77)).done
            [*_, receipt] = await device.hear("receipt")
        assert receipt == {
            "op": "receipt",
            "conversation_id": BOB,
            "msg_id": ids[1],
            "status": "READ",
            "uid": BOB,
            "device_sn": 77,
        }

    async def test_it_lasts(self, ids: list[int], alice: Caller, bob: Caller) -> None:
        """When the answer is there, the position is on disk."""
        assert (await bob.ack(msg_id=ids[2])).done
        assert bob.node.rows("SELECT max(read) FROM conversation") == [(ids[2],)]
