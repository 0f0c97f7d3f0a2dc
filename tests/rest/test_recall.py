"""Recall: who may, when, what it is called, and that the text is gone everywhere (lanying.md, recall)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.bus.base import Forget
from tests.rest.stage import ALICE, BOB, CAROL, Caller, Node, open_node

SECRET = "the-words-that-nobody-may-read-again"


async def window(node: Node, ms: int) -> None:
    """Set how long a sender may recall."""
    node.rows("UPDATE app SET recall_window_ms = ?", ms)
    node.gateway.directory.known.forget(Forget(app_id="demo", app=1))


def later(node: Node, monkeypatch: pytest.MonkeyPatch, ms: int) -> None:
    """Let time pass for whoever judges."""
    messaging = node.gateway.core.messaging
    now = messaging._recalls._now
    monkeypatch.setattr(messaging._recalls, "_now", lambda: now() + ms)


class TestToAUser:
    """Who may recall what was sent to a user."""

    async def test_the_sender(self, alice: Caller, bob: Caller) -> None:
        """It is gone for both."""
        msg_id = await alice.send(BOB)
        assert (await alice.recall(BOB, msg_id)).done
        assert (await alice.history(BOB), await bob.history(ALICE)) == ([], [])

    async def test_by_both_verbs(self, alice: Caller) -> None:
        """PUT recalls as POST does, and numbers may be strings."""
        msg_id = await alice.send(BOB)
        body = {"conversation_id": str(BOB), "msg_id": str(msg_id)}
        assert (await alice.call("PUT", "/message/recall", body)).done
        assert await alice.history(BOB) == []

    async def test_the_receiver(self, alice: Caller, bob: Caller) -> None:
        """10010, and it is still there."""
        msg_id = await alice.send(BOB)
        assert (await bob.recall(ALICE, msg_id)).refused(10010)
        assert await bob.history(ALICE) == ["hi"]

    @pytest.mark.parametrize("named", [ALICE, BOB])
    async def test_a_stranger(self, alice: Caller, carol: Caller, named: int) -> None:
        """10010, and it is still there."""
        msg_id = await alice.send(BOB)
        assert (await carol.recall(named, msg_id)).refused(10010)
        assert await alice.history(BOB) == ["hi"]

    @pytest.mark.parametrize("named", [ALICE, BOB])
    async def test_an_admin(self, alice: Caller, admin: Caller, named: int) -> None:
        """An admin alone may, by the id of either party."""
        msg_id = await alice.send(BOB)
        assert (await admin.recall(named, msg_id)).done
        assert await alice.history(BOB) == []

    async def test_a_note(self, alice: Caller, node: Node) -> None:
        """What one sent to oneself is recalled by one's own id, with one entry."""
        msg_id = await alice.send(ALICE)
        assert (await alice.recall(ALICE, msg_id)).done
        assert await alice.history(ALICE) == []
        assert node.rows("SELECT count(*) FROM entry") == [(2,)]


class TestInAGroup:
    """Who may recall what was sent to a group."""

    @pytest.fixture
    async def group(self, alice: Caller) -> int:
        return await alice.group(BOB, CAROL)

    async def test_the_sender(self, group: int, bob: Caller, carol: Caller) -> None:
        """It is gone for all."""
        msg_id = await bob.tell(group)
        assert (await bob.recall(group, msg_id)).done
        assert await carol.history(group) == []

    async def test_the_owner(self, group: int, alice: Caller, bob: Caller) -> None:
        """The group's owner may recall anybody's."""
        msg_id = await bob.tell(group)
        assert (await alice.recall(group, msg_id)).done
        assert await bob.history(group) == []

    async def test_an_admin(self, group: int, admin: Caller, bob: Caller) -> None:
        """An admin alone may, and one that acts as the owner."""
        for caller in (admin, await admin.node.admin(group_id=group)):
            msg_id = await bob.tell(group)
            assert (await caller.recall(group, msg_id)).done
        assert await bob.history(group) == []

    async def test_another_member(self, group: int, bob: Caller, carol: Caller) -> None:
        """10010, and it is still there."""
        msg_id = await bob.tell(group)
        assert (await carol.recall(group, msg_id)).refused(10010)
        assert await carol.history(group) == ["hi"]

    async def test_a_stranger(self, group: int, bob: Caller, node: Node) -> None:
        """Who is not in the group: 20002, and it is still there."""
        msg_id = await bob.tell(group)
        assert (await (await node.user(4711)).recall(group, msg_id)).refused(20002)
        assert await bob.history(group) == ["hi"]


class TestWhen:
    """The window is the sender's."""

    async def test_24_hours_by_default(self, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """To the millisecond; after it 60002."""
        day = 24 * 3600 * 1000
        messaging = alice.node.gateway.core.messaging
        monkeypatch.setattr(messaging, "_now", lambda: 1_790_000_000_000)
        first, second = await alice.send(BOB), await alice.send(BOB)
        monkeypatch.setattr(messaging._recalls, "_now", lambda: 1_790_000_000_000 + day)
        assert (await alice.recall(BOB, first)).done
        monkeypatch.setattr(messaging._recalls, "_now", lambda: 1_790_000_000_001 + day)
        assert (await alice.recall(BOB, second)).refused(60002)
        assert await alice.history(BOB) == ["hi"]

    async def test_the_app_sets_it(self, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another window is another limit."""
        await window(alice.node, 60_000)
        msg_id = await alice.send(BOB)
        later(alice.node, monkeypatch, 90_000)
        assert (await alice.recall(BOB, msg_id)).refused(60002, "60 s")

    async def test_owners_and_admins_have_none(
        self, alice: Caller, bob: Caller, admin: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They may at any time, also what they sent themselves."""
        group = await alice.group(BOB)
        ids = [await bob.tell(group), await alice.tell(group), await bob.tell(group)]
        later(alice.node, monkeypatch, 10**12)
        for caller, msg_id in zip((alice, alice, admin), ids, strict=True):
            assert (await caller.recall(group, msg_id)).done

    async def test_a_clock_that_went_back(self, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """A message from the future is within the window."""
        msg_id = await alice.send(BOB)
        later(alice.node, monkeypatch, -(10**11))
        assert (await alice.recall(BOB, msg_id)).done

    async def test_again_after_the_window(self, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is recalled already is true, however late."""
        msg_id = await alice.send(BOB)
        assert (await alice.recall(BOB, msg_id)).done
        later(alice.node, monkeypatch, 10**12)
        assert (await alice.recall(BOB, msg_id)).done


class TestWhich:
    """It is found by `msg_id`, and `conversation_id` must be its own."""

    async def test_another_conversation(self, alice: Caller, bob: Caller) -> None:
        """Any id but the peer's is 60003: one's own, a third user's, a group's."""
        msg_id = await alice.send(BOB)
        for named in (ALICE, CAROL, await alice.group(BOB), 4711):
            assert (await alice.recall(named, msg_id)).refused(60003)
        assert await bob.history(ALICE) == ["hi"]

    async def test_another_group(self, alice: Caller) -> None:
        """A group's message is in its own group only."""
        group, other = await alice.group(), await alice.group()
        msg_id = await alice.tell(group)
        for named in (other, ALICE):
            assert (await alice.recall(named, msg_id)).refused(60003)

    async def test_for_admins_too(self, alice: Caller, admin: Caller) -> None:
        """An admin names one of the parties, nobody else."""
        msg_id = await alice.send(BOB)
        for named in (CAROL, admin.xid, 4711):
            assert (await admin.recall(named, msg_id)).refused(60003)

    @pytest.mark.parametrize("msg_id", [4711, 2**53 - 1])
    async def test_no_such_message(self, alice: Caller, msg_id: int) -> None:
        """60003."""
        assert (await alice.recall(BOB, msg_id)).refused(60003)

    @pytest.mark.parametrize("missing", ["conversation_id", "msg_id"])
    async def test_both_are_required(self, alice: Caller, missing: str) -> None:
        """Missing, null, 0 or of another type it is refused by name."""
        whole = {"conversation_id": BOB, "msg_id": 1}
        for value in (None, 0, "x", -1, 2**53, [1]):
            assert (await alice.post("/message/recall", whole | {missing: value})).refused(10002, missing)


class TestAgain:
    """A repeat."""

    async def test_is_true_and_adds_nothing(self, alice: Caller, node: Node) -> None:
        """No second entry for anybody."""
        msg_id = await alice.send(BOB)
        assert (await alice.recall(BOB, msg_id)).done
        before = node.rows("SELECT t, seq FROM entry")
        assert (await alice.recall(BOB, msg_id)).done
        assert node.rows("SELECT t, seq FROM entry") == before

    async def test_of_somebody_elses_recall(self, alice: Caller, bob: Caller) -> None:
        """What the owner recalled the sender may recall, too."""
        group = await alice.group(BOB)
        msg_id = await bob.tell(group)
        assert (await alice.recall(group, msg_id)).done
        assert (await bob.recall(group, msg_id)).done

    async def test_who_may_not_still_may_not(self, alice: Caller, bob: Caller) -> None:
        """The receiver is refused after it as before it."""
        msg_id = await alice.send(BOB)
        assert (await alice.recall(BOB, msg_id)).done
        assert (await bob.recall(ALICE, msg_id)).refused(10010)


class TestTheText:
    """The content never leaves again."""

    async def test_is_told_as_recalled(self, alice: Caller, bob: Caller) -> None:
        """Connected devices of both sides hear of the recall, by the id as they see the conversation."""
        msg_id = await alice.send(BOB)
        async with alice.device(1) as mine, bob.device(1) as theirs:
            await mine.hear("live")
            await theirs.hear("live")
            assert (await alice.recall(BOB, msg_id)).done
            told = [(await device.hear("recalled"))[-1] for device in (mine, theirs)]
        assert [(frame["conversation_id"], frame["msg_id"]) for frame in told] == [
            (BOB, msg_id),
            (ALICE, msg_id),
        ]

    async def test_is_not_replayed(self, alice: Caller, bob: Caller) -> None:
        """A device that comes later finds `gone` in its place, and the text nowhere."""
        msg_id = await alice.send(BOB, SECRET, attachment=SECRET, ext=SECRET, config=SECRET)
        assert (await alice.recall(BOB, msg_id)).done
        for caller in (alice, bob):
            async with caller.device(1) as device:
                frames = await device.hear("live")
            assert SECRET not in str(frames)
            assert [frame["op"] for frame in frames if frame.get("msg_id") == msg_id] == ["gone", "recalled"]

    @pytest.mark.one_node("it looks into the file")
    @pytest.mark.parametrize("targets", [[BOB], [BOB, CAROL]])
    async def test_is_wiped_from_the_store(self, tmp_path: Path, targets: list[int]) -> None:
        """Once every message that shared it is recalled, no byte of it is in the database."""
        async with open_node(tmp_path) as node:
            alice = await node.user(ALICE)
            assert (await alice.ask_send(targets, SECRET, attachment=SECRET, ext=SECRET, config=SECRET)).data
            for target in targets:
                msg_id = (await alice.page(target))["messages"][0]["msg_id"]
                assert (await alice.recall(target, msg_id)).done
            assert node.rows("SELECT count(*) FROM body") == [(0,)]
        assert SECRET.encode() not in (tmp_path / "gateway.db").read_bytes()

    async def test_of_other_targets_stays(self, alice: Caller, bob: Caller, carol: Caller) -> None:
        """One message of a send to two is recalled: the other's text is untouched."""
        assert (await alice.ask_send([BOB, CAROL], "shared")).done
        msg_id = (await alice.page(BOB))["messages"][0]["msg_id"]
        assert (await alice.recall(BOB, msg_id)).done
        assert (await bob.history(ALICE), await carol.history(ALICE)) == ([], ["shared"])

    async def test_is_no_part_of_a_repeat(self, alice: Caller) -> None:
        """The `transaction_id` of a recalled message still gets the first answer, and sends nothing."""
        msg_id = await alice.send(BOB, transaction_id=7)
        assert (await alice.recall(BOB, msg_id)).done
        assert await alice.send(BOB, transaction_id=7) == msg_id
        assert await alice.history(BOB) == []
