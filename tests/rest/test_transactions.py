"""`transaction_id` executes once, and a repeat gets the first answer (lanying.md, send; design promise 5)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, open_node, order


class TestRepeats:
    """The same request again."""

    async def test_gets_the_first_answer(self, alice: Caller) -> None:
        """A repeat is answered word for word as the first."""
        first = await alice.ask_send([BOB], transaction_id=7)
        await alice.send(BOB)
        assert (await alice.ask_send([BOB], transaction_id=7)).body == first.body

    async def test_sends_nothing(self, alice: Caller, bob: Caller) -> None:
        """A repeat is no second message."""
        for _ in range(3):
            await alice.send(BOB, "once", transaction_id=7)
        assert await bob.history(ALICE) == ["once"]

    async def test_of_many_targets(self, alice: Caller) -> None:
        """The first answer to many targets has no msg_ids, and neither has its repeat."""
        first = await alice.ask_send([BOB, CAROL], transaction_id=7)
        again = await alice.ask_send([BOB, CAROL], transaction_id=7)
        assert first.done
        assert again.done
        assert await alice.history(CAROL) == ["hi"]

    async def test_without_an_id_is_a_second_message(self, alice: Caller, bob: Caller) -> None:
        """0, null and no `transaction_id` at all are never deduplicated."""
        for members in ({"transaction_id": 0}, {"transaction_id": "0"}, {"transaction_id": None}, {}):
            body = order([BOB]) | members
            for _ in range(2):
                assert (await alice.post("/message/send", body)).data is True
        assert len(await bob.history(ALICE)) == 8

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("same", ["7", 7.0, "007"], ids=["string", "fraction", "leading zeros"])
    async def test_however_the_number_is_written(self, alice: Caller, same: object) -> None:
        """What is compared is the number, not its spelling."""
        first = await alice.send(BOB, transaction_id=7)
        assert await alice.send(BOB, transaction_id=same) == first

    async def test_compared_after_coercion(self, alice: Caller) -> None:
        """Numbers as strings, repeated targets, nulls and defaults written out make no other content."""
        first = await alice.send(BOB, transaction_id=7)
        again = {
            "type": "1",
            "targets": [str(BOB), BOB],
            "content_type": 0.0,
            "content": "hi",
            "attachment": "",
            "ext": None,
            "config": "",
            "online_only": False,
            "transaction_id ": "7",
            "unknown": 1,
        }
        answer = await alice.post("/message/send", again)
        assert answer.envelope.get("msg_ids") == [first], answer.envelope

    async def test_naming_oneself_is_the_default(self, alice: Caller) -> None:
        """`from_user_id` written out is the same as left out where it names the principal."""
        first = await alice.send(BOB, transaction_id=7)
        assert await alice.send(BOB, transaction_id=7, from_user_id=ALICE) == first

    async def test_by_the_other_verb(self, alice: Caller) -> None:
        """PUT repeats what POST did."""
        first = await alice.send(BOB, transaction_id=7)
        again = await alice.call("PUT", "/message/send", order([BOB], transaction_id=7))
        assert again.envelope["msg_ids"] == [first]

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("extreme", [-(2**63), 2**63 - 1, -1])
    async def test_any_int64_is_an_id(self, alice: Caller, extreme: int) -> None:
        """All of int64 but 0 identifies."""
        assert await alice.send(BOB, transaction_id=extreme) == await alice.send(
            BOB, transaction_id=str(extreme)
        )

    async def test_at_once_executes_once(self, alice: Caller, bob: Caller) -> None:
        """Fifty at the same time are one message, and all are told the same."""
        sent = await asyncio.gather(*(alice.send(BOB, "once", transaction_id=7) for _ in range(50)))
        assert len(set(sent)) == 1
        assert await bob.history(ALICE) == ["once"]

    async def test_after_a_restart(self, tmp_path: Path) -> None:
        """The first answer outlives the process."""
        async with open_node(tmp_path) as node:
            first = await (await node.user(ALICE)).send(BOB, transaction_id=7)
        async with open_node(tmp_path) as node:
            alice = await node.user(ALICE)
            assert await alice.send(BOB, transaction_id=7) == first
            assert await alice.history(BOB) == ["hi"]


class TestConflicts:
    """The same id for something else."""

    @pytest.mark.parametrize(
        "other",
        [
            {"content": "ho"},
            {"content_type": 6},
            {"ext": "e"},
            {"config": "c"},
            {"attachment": "a"},
            {"targets": [CAROL]},
            {"targets": [BOB, CAROL]},
        ],
        ids="+".join,
    )
    async def test_other_content_is_a_conflict(self, alice: Caller, other: dict[str, object]) -> None:
        """Whatever member differs, the answer is 60001, and nothing is sent."""
        await alice.send(BOB, transaction_id=7)
        answer = await alice.post("/message/send", order([BOB], transaction_id=7) | other)
        assert answer.refused(60001, "transaction_id", "7")
        assert await alice.history(BOB) == ["hi"]
        assert await alice.history(CAROL) == []

    async def test_a_conflict_does_not_take_the_id(self, alice: Caller) -> None:
        """After it the repeat of the first still gets the first answer."""
        first = await alice.send(BOB, transaction_id=7)
        assert (await alice.ask_send([BOB], "ho", transaction_id=7)).code == 60001
        assert await alice.send(BOB, transaction_id=7) == first

    async def test_a_refused_send_does_not_take_the_id(self, alice: Caller) -> None:
        """What was refused left nothing behind, its id is free."""
        group = await (await alice.node.user(BOB)).group()
        assert (await alice.ask_send([group], type=2, transaction_id=7)).refused(20002)
        assert await alice.send(BOB, transaction_id=7)

    async def test_notifications_share_the_ids_of_sends(self, admin: Caller) -> None:
        """A notification with the id of a send of the same sender is another request: a conflict."""
        await admin.send(BOB, transaction_id=7)
        answer = await admin.post("/message/notify", order([BOB], transaction_id=7))
        assert answer.refused(60001)

    async def test_a_notification_is_repeated_like_a_send(self, admin: Caller, bob: Caller) -> None:
        """The repeat of a notification gets its first answer, too."""
        assert await admin.notify(BOB, transaction_id=7) == await admin.notify(BOB, transaction_id=7)
        assert await bob.history(admin.xid) == ["hi"]


class TestScope:
    """Whose ids they are."""

    async def test_each_sender_has_its_own(self, alice: Caller, carol: Caller, bob: Caller) -> None:
        """Two users use the same id for different messages."""
        await alice.send(BOB, "of alice", transaction_id=7)
        await carol.send(BOB, "of carol", transaction_id=7)
        assert [await bob.history(xid) for xid in (ALICE, CAROL)] == [["of alice"], ["of carol"]]

    async def test_the_sender_is_the_one_named(self, node: Node, admin: Caller, alice: Caller) -> None:
        """Whoever speaks for a user repeats that user's requests."""
        first = await alice.send(BOB, transaction_id=7)
        acting = await node.admin(user_id=ALICE)
        assert await acting.send(BOB, transaction_id=7) == first
        assert await admin.send(BOB, transaction_id=7, from_user_id=ALICE) == first

    async def test_each_app_has_its_own(self, node: Node, alice: Caller) -> None:
        """The same user id with the same transaction id in another app is another request."""
        await node.gateway.directory.create_app("other")
        stranger = await node.user(ALICE, "other")
        await alice.send(BOB, "here", transaction_id=7)
        await stranger.send(BOB, "there", transaction_id=7)
        assert (await alice.history(BOB), await stranger.history(BOB)) == (["here"], ["there"])


class TestRefusedToday:
    """The rules would refuse a repeat that they let through the first time."""

    @pytest.mark.parametrize("meanwhile", ["nothing", "a refusal", "a restart"])
    async def test_the_sender_left_the_group(self, tmp_path: Path, meanwhile: str) -> None:
        """A repeat after leaving gets the first answer, whatever is remembered of the membership."""
        async with open_node(tmp_path) as node:
            alice, bob = await node.users(ALICE, BOB)
            group = await bob.group(ALICE)
            first = await alice.tell(group, transaction_id=7)
            assert (await alice.change("leave", group)).done
            if meanwhile != "a restart":
                if meanwhile == "a refusal":
                    assert (await alice.ask_send([group], type=2, transaction_id=8)).refused(20002)
                assert await alice.tell(group, transaction_id=7) == first
                return
        async with open_node(tmp_path) as node:
            assert await (await node.user(ALICE)).tell(group, transaction_id=7) == first

    async def test_the_group_was_destroyed(self, alice: Caller, bob: Caller) -> None:
        """A repeat after the group's end gets the first answer."""
        group = await bob.group(ALICE)
        first = await alice.tell(group, transaction_id=7)
        assert (await bob.change("destroy", group)).done
        assert await alice.tell(group, transaction_id=7) == first

    async def test_other_content_is_a_conflict_before_it_is_refused(self, alice: Caller, bob: Caller) -> None:
        """A used id with other content is told as that, not as the refusal."""
        group = await bob.group(ALICE)
        await alice.tell(group, transaction_id=7)
        assert (await alice.change("leave", group)).done
        assert (await alice.ask_send([group], "ho", type=2, transaction_id=7)).refused(60001)

    async def test_one_that_left_does_not_answer_for_another(self, alice: Caller, bob: Caller) -> None:
        """A repeat that names somebody else's id is refused before anything is looked up."""
        await bob.send(ALICE, transaction_id=7)
        assert (await alice.ask_send([ALICE], transaction_id=7, from_user_id=BOB)).refused(10010)
