"""What one sees of a group, by when one was in it (design §3, Stay)."""

from __future__ import annotations

import asyncio

import pytest

from tests.rest.stage import ALICE, BOB, Caller, Node


class TestWhoCameLater:
    """A stay starts where one joined."""

    async def test_sees_nothing_earlier(self, alice: Caller, bob: Caller) -> None:
        """History, list and count start with the joining."""
        group = await alice.group()
        await alice.tell(group, "before")
        await alice.change("invite", group, BOB)
        assert (await bob.history(group), await bob.unread()) == ([], [])
        await alice.tell(group, "after")
        assert (await bob.history(group), await bob.unread()) == (["after"], [(group, 1)])

    async def test_cannot_page_behind_it(self, alice: Caller, bob: Caller) -> None:
        """An older start shows nothing, and the page ends at the joining."""
        group = await alice.group()
        earlier = await alice.tell(group)
        await alice.change("invite", group, BOB)
        await alice.tell(group, "after")
        assert await bob.history(group, msg_id_start=earlier) == []
        assert (await bob.page(group, limit=1))["is_last"] is True

    async def test_recalls_of_earlier_ones(self, alice: Caller, bob: Caller) -> None:
        """What was said before stays unseen when it is recalled, and the newcomer's device meets no text of it."""
        group = await alice.group()
        earlier = await alice.tell(group, "the-secret")
        await alice.change("invite", group, BOB)
        assert (await alice.recall(group, earlier)).done
        async with bob.device(1) as device:
            assert "the-secret" not in str(await device.hear("live"))

    async def test_gets_nothing_earlier_on_a_device(self, alice: Caller, bob: Caller) -> None:
        """A device of the newcomer is sent what came after the joining."""
        group = await alice.group()
        await alice.tell(group, "before")
        await alice.change("invite", group, BOB)
        await alice.tell(group, "after")
        async with bob.device(1) as device:
            frames = await device.hear("live")
        assert [frame["message"]["content"] for frame in frames if frame["op"] == "message"] == ["after"]


class TestWhoIsOut:
    """A stay ends where one left or was kicked."""

    @pytest.fixture(params=["leave", "kick"])
    async def group(self, request: pytest.FixtureRequest, alice: Caller, bob: Caller) -> int:
        """A group that Bob was in."""
        group = await alice.group(BOB)
        await alice.tell(group, "during")
        if request.param == "leave":
            assert (await bob.change("leave", group)).done
        else:
            assert (await alice.change("kick", group, BOB)).code == 200
        return group

    async def test_sees_nothing_at_all(self, group: int, bob: Caller) -> None:
        """Not what came before, either: the group is closed."""
        assert (await bob.get("/message/conversation", opposite_id=group)).refused(20002)
        assert await bob.unread() == []

    async def test_does_nothing(self, group: int, bob: Caller) -> None:
        """Nor sends, acks, deletes or looks at its members."""
        assert (await bob.ask_send([group], type=2)).refused(20002)
        assert (await bob.ack(conversation_id=group)).refused(20002)
        assert (await bob.delete(group)).refused(20002)
        assert (await bob.get("/group/member_list", group_id=group)).refused(20002)

    async def test_gets_nothing_later(self, group: int, alice: Caller, bob: Caller) -> None:
        """What is said afterwards reaches no device."""
        await alice.tell(group, "after")
        async with bob.device(1) as device:
            frames = await device.hear("live")
        assert "after" not in str(frames)

    async def test_who_comes_back(self, group: int, alice: Caller, bob: Caller) -> None:
        """Sees the new stay only, neither the gap nor the stay before."""
        await alice.tell(group, "gap")
        await alice.change("invite", group, BOB)
        await alice.tell(group, "again")
        assert (await bob.history(group), await bob.unread()) == (["again"], [(group, 1)])

    async def test_who_comes_back_sends(self, group: int, alice: Caller, bob: Caller) -> None:
        """Nothing that was remembered of the absence stands in the way."""
        assert (await bob.ask_send([group], type=2)).refused(20002)
        await alice.change("invite", group, BOB)
        assert await bob.tell(group)


class TestAtOnce:
    """Changes of membership and messages race."""

    async def test_a_kick_among_sends(self, node: Node, alice: Caller, bob: Caller) -> None:
        """What Bob was told 200 for is before the kick in the group's timeline, and nothing of his is after it."""
        group = await alice.group(BOB)
        *sent, kicked = await asyncio.gather(
            *(bob.ask_send([group], str(number), type=2) for number in range(30)),
            alice.change("kick", group, BOB),
        )
        assert kicked.code == 200
        told = node.rows(
            "SELECT e.kind, e.data FROM entry AS e JOIN timeline AS t ON t.id = e.t WHERE t.xid = ? ORDER BY e.seq",
            group,
        )
        end = next(index for index, (kind, data) in enumerate(told) if kind == 3 and "kicked" in data)
        assert sum(kind == 1 for kind, _ in told[:end]) == sum(answer.code == 200 for answer in sent)
        assert all(kind != 1 for kind, _ in told[end:])
        assert {answer.code for answer in sent} <= {200, 20002}

    async def test_many_changes(self, alice: Caller) -> None:
        """Thirty invitations and kicks at once all come to an end, and the count is right."""
        group = await alice.group(*range(1, 16))
        answers = await asyncio.gather(
            *(alice.change("kick", group, xid) for xid in range(1, 16)),
            *(alice.change("invite", group, xid) for xid in range(16, 31)),
        )
        assert {answer.code for answer in answers} == {200}
        assert await alice.members(group) == [*range(16, 31), ALICE]
        assert (await alice.get("/group/info", group_id=group)).data["count"] == 16

    async def test_sends_around_a_destruction(self, alice: Caller, bob: Caller) -> None:
        """Each is answered by what it met: sent, or there is no such group, or not in it any more."""
        group = await alice.group(BOB)
        *sent, ended = await asyncio.gather(
            *(bob.ask_send([group], type=2) for _ in range(20)), alice.change("destroy", group)
        )
        assert ended.done
        assert {answer.code for answer in sent} <= {200, 20001, 20002}
