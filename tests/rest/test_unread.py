"""The recent list with its counts, and what deletion does to it (lanying.md, unread, conversation DELETE)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.domain.limits import Limits
from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, open_node


class TestWhatCounts:
    """`num`: what others said and I have not read."""

    async def test_messages_of_others(self, alice: Caller, bob: Caller) -> None:
        """Each one counts, and what I said does not."""
        for _ in range(3):
            await bob.send(ALICE)
        await alice.send(BOB)
        assert await alice.unread() == [(BOB, 3)]
        assert await bob.unread() == [(ALICE, 1)]

    async def test_own_ones_do_not(self, alice: Caller) -> None:
        """A conversation in which only I spoke is listed with 0."""
        await alice.send(BOB)
        assert await alice.unread() == [(BOB, 0)]

    async def test_notes_do_not(self, alice: Caller) -> None:
        """What one sends to oneself is listed, and never unread."""
        await alice.send(ALICE)
        assert await alice.unread() == [(ALICE, 0)]

    async def test_read_ones_do_not(self, alice: Caller, bob: Caller) -> None:
        """Up to my position all is read; listed it stays."""
        ids = [await bob.send(ALICE) for _ in range(3)]
        assert (await alice.ack(msg_id=ids[1])).done
        assert await alice.unread() == [(BOB, 1)]
        assert (await alice.ack(msg_id=ids[2])).done
        assert await alice.unread() == [(BOB, 0)]

    async def test_recalled_ones_do_not(self, alice: Caller, bob: Caller) -> None:
        """A recall takes the message out of the count."""
        ids = [await bob.send(ALICE) for _ in range(3)]
        assert (await bob.recall(ALICE, ids[1])).done
        assert await alice.unread() == [(BOB, 2)]

    async def test_deleted_ones_do_not(self, alice: Caller, bob: Caller) -> None:
        """What I deleted does not count when something new comes."""
        await bob.send(ALICE)
        assert (await alice.delete(BOB)).done
        await bob.send(ALICE)
        assert await alice.unread() == [(BOB, 1)]

    async def test_of_a_group(self, alice: Caller, bob: Caller, carol: Caller) -> None:
        """In a group the others' messages count, mine do not, recalled ones do not."""
        group = await alice.group(BOB, CAROL)
        for sender in (alice, bob, carol):
            await sender.tell(group)
        assert (await bob.recall(group, await bob.tell(group))).done
        assert await alice.unread() == [(group, 2)]
        assert await bob.unread() == [(group, 2)]

    async def test_of_a_group_after_reading(self, alice: Caller, bob: Caller) -> None:
        """A position in a group counts like one with a user."""
        group = await alice.group(BOB)
        ids = [await alice.tell(group) for _ in range(3)]
        assert (await bob.ack(conversation_id=group, msg_id=ids[0])).done
        assert await bob.unread() == [(group, 2)]

    @pytest.mark.parametrize("kind", ["user", "group"])
    async def test_is_exact_to_its_limit(self, tmp_path: Path, kind: str) -> None:
        """It counts exactly up to the limit, and then stays there."""
        async with open_node(tmp_path, Limits(unread_max=5)) as node:
            alice, bob = await node.users(ALICE, BOB)
            target = BOB if kind == "user" else await bob.group(ALICE)
            seen = []
            for _ in range(7):
                await alice.send(target, type=1 if kind == "user" else 2)
                seen += [num for _, num in await bob.unread()]
        assert seen == [1, 2, 3, 4, 5, 5, 5]

    async def test_is_exact_to_999(self, alice: Caller, bob: Caller) -> None:
        """By default the limit is 999."""
        await asyncio.gather(*(alice.send(BOB) for _ in range(998)))
        assert await bob.unread() == [(ALICE, 998)]
        for _ in range(2):
            await alice.send(BOB)
        assert await bob.unread() == [(ALICE, 999)]


class TestWhatIsListed:
    """Conversations with at least one visible message, the newest first."""

    async def test_nothing(self, alice: Caller) -> None:
        """Who has not talked to anybody has an empty list; being in a silent group is not talking."""
        await alice.group(BOB)
        assert await alice.unread() == []

    async def test_newest_first(self, alice: Caller, bob: Caller) -> None:
        """The order is that of the newest message, whoever sent it, users and groups alike."""
        group = await alice.group(BOB)
        await alice.tell(group)
        await bob.send(ALICE)
        await alice.send(CAROL)
        assert await alice.unread() == [(CAROL, 0), (BOB, 1), (group, 0)]
        await bob.tell(group)
        assert await alice.unread() == [(group, 1), (CAROL, 0), (BOB, 1)]

    async def test_a_recall_moves_no_row(self, alice: Caller) -> None:
        """The order is that of the newest message, recalled or not."""
        await alice.send(BOB)
        await alice.send(CAROL)
        newest = await alice.send(BOB)
        assert (await alice.recall(BOB, newest)).done
        assert await alice.unread() == [(BOB, 0), (CAROL, 0)]

    async def test_while_one_is_visible(self, alice: Caller, bob: Caller) -> None:
        """With all of its messages recalled it leaves the list, not before."""
        first, second = await alice.send(BOB), await alice.send(BOB)
        assert (await alice.recall(BOB, second)).done
        assert (await alice.unread(), await bob.unread()) == ([(BOB, 0)], [(ALICE, 1)])
        assert (await alice.recall(BOB, first)).done
        assert (await alice.unread(), await bob.unread()) == ([], [])

    async def test_a_group_while_one_is_visible(self, alice: Caller, bob: Caller) -> None:
        """The same of a group."""
        group = await alice.group(BOB)
        msg_id = await alice.tell(group)
        assert (await alice.recall(group, msg_id)).done
        assert (await alice.unread(), await bob.unread()) == ([], [])

    async def test_not_what_i_left(self, alice: Caller, bob: Caller) -> None:
        """A group one left is not listed."""
        group = await bob.group(ALICE)
        await bob.tell(group)
        assert (await alice.change("leave", group)).done
        assert await alice.unread() == []

    async def test_at_most_the_newest(self, tmp_path: Path) -> None:
        """Of more than the limit the newest are listed."""
        async with open_node(tmp_path, Limits(recent_max=3)) as node:
            alice = await node.user(ALICE)
            for xid in (1, 2, 3, 4):
                await alice.send(xid)
            assert await alice.unread() == [(4, 0), (3, 0), (2, 0)]

    async def test_at_most_500(self, alice: Caller) -> None:
        """By default that is 500."""
        assert (await alice.ask_send([*range(1000, 1501)])).done
        listed = [xid for xid, _ in await alice.unread()]
        assert listed == [*range(1500, 1000, -1)]

    async def test_shape(self, alice: Caller) -> None:
        """An item has the conversation as an xid with device 0, and the `set_` members."""
        await alice.send(BOB)
        assert (await alice.get("/message/unread")).data == [
            {
                "conversation_id": {"uid": BOB, "device_sn": 0, "set_uid": True, "set_device_sn": True},
                "num": 0,
                "set_conversation_id": True,
                "set_num": True,
            }
        ]


class TestDelete:
    """DELETE /message/conversation."""

    async def test_hides_everything_so_far(self, alice: Caller) -> None:
        """Both directions are gone from my history and my list."""
        await alice.send(BOB)
        assert (await alice.delete(BOB)).done
        assert (await alice.history(BOB), await alice.unread()) == ([], [])

    async def test_for_the_asker_only(self, alice: Caller, bob: Caller) -> None:
        """The other side sees what it saw."""
        await alice.send(BOB)
        assert (await alice.delete(BOB)).done
        assert (await bob.history(ALICE), await bob.unread()) == (["hi"], [(ALICE, 1)])

    async def test_comes_back_with_something_new(self, alice: Caller, bob: Caller) -> None:
        """What comes after it is visible, and nothing else."""
        await bob.send(ALICE, "old")
        assert (await alice.delete(BOB)).done
        await bob.send(ALICE, "new")
        assert (await alice.history(BOB), await alice.unread()) == (["new"], [(BOB, 1)])

    async def test_older_pages_stay_hidden(self, alice: Caller, bob: Caller) -> None:
        """An older `msg_id_start` does not reach behind it."""
        msg_id = await bob.send(ALICE)
        assert (await alice.delete(BOB)).done
        assert await alice.history(BOB, msg_id_start=msg_id) == []

    async def test_marks_nothing_read(self, alice: Caller, bob: Caller) -> None:
        """The sender sees UNREAD as before."""
        await alice.send(BOB)
        assert (await bob.delete(ALICE)).done
        assert await alice.statuses(BOB) == ["UNREAD"]

    async def test_sends_no_receipt(self, alice: Caller, bob: Caller) -> None:
        """The sender's device hears nothing of it."""
        await alice.send(BOB)
        async with alice.device(1) as device:
            await device.hear("live")
            assert (await bob.delete(ALICE)).done
            await bob.send(ALICE)
            assert [frame["op"] for frame in await device.hear("message")] == ["message"]

    async def test_is_told_to_all_own_devices(self, alice: Caller) -> None:
        """Each of the asker's devices is told what to hide."""
        msg_id = await alice.send(BOB)
        async with alice.device(1) as device:
            await device.hear("live")
            assert (await alice.delete(BOB)).done
            [*_, told] = await device.hear("deleted")
        assert (told["conversation_id"], told["msg_id"]) == (BOB, msg_id)

    async def test_again(self, alice: Caller, node: Node) -> None:
        """A repeat is true and adds nothing."""
        await alice.send(BOB)
        assert (await alice.delete(BOB)).done
        before = node.rows("SELECT count(*) FROM entry")
        assert (await alice.delete(BOB)).done
        assert node.rows("SELECT count(*) FROM entry") == before

    async def test_unknown(self, alice: Caller) -> None:
        """Of what was never there: true."""
        assert (await alice.delete(4711)).done
        assert (await alice.delete(BOB)).done

    async def test_a_group(self, alice: Caller, bob: Caller) -> None:
        """The same of a group, for the asker only."""
        group = await alice.group(BOB)
        await alice.tell(group, "old")
        assert (await bob.delete(group)).done
        await alice.tell(group, "new")
        assert await bob.history(group) == ["new"]
        assert await bob.unread() == [(group, 1)]
        assert await alice.history(group) == ["new", "old"]

    async def test_a_group_one_is_not_in(self, alice: Caller, bob: Caller) -> None:
        """20002."""
        assert (await alice.delete(await bob.group())).refused(20002)

    async def test_does_not_leave_the_group(self, alice: Caller, bob: Caller) -> None:
        """One is a member as before."""
        group = await bob.group(ALICE)
        assert (await alice.delete(group)).done
        assert await bob.members(group) == [ALICE, BOB]
