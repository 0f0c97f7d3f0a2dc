"""POST /message/broadcast (lanying.md, broadcast)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.limits import Limits
from tests.rest.stage import ALICE, BOB, CAROL, Answer, Caller, Node, open_node

PATH = "/message/broadcast"


async def ask(caller: Caller, content: object = "all", /, **members: object) -> Answer:
    body = {"content_type": 0, "content": content, **members}
    return await caller.post(PATH, {name: value for name, value in body.items() if value is not None})


async def test_every_user_gets_it(admin: Caller, alice: Caller, bob: Caller) -> None:
    """From `system`, in history and unread; the answer tells how many there were."""
    answer = await ask(admin)
    assert answer.data == {"success": True, "send_num": 2}
    for user in (alice, bob):
        assert (await user.history(admin.xid), await user.unread()) == (["all"], [(admin.xid, 1)])


async def test_connected_devices_hear_it(admin: Caller, alice: Caller, bob: Caller) -> None:
    """Live, once, as any message; it is no notification."""
    async with alice.device(1) as one, alice.device(2) as two:
        for device in (one, two):
            await device.hear("live")
        await ask(admin)
        for device in (one, two):
            [frame] = await device.hear("message")
            assert (frame["timeline"], frame["seq"]) == ("user", 1)
            assert frame["message"]["content"] == "all"
            assert frame["message"]["conversation_id"] == admin.xid
            assert "is_system" not in frame["message"]
            assert (await device.ask("ping"))["op"] == "pong"
    assert await bob.history(admin.xid) == ["all"]


async def test_in_many_pages(tmp_path: Path) -> None:
    """The answer of a small app counts them all."""
    async with open_node(tmp_path / "data", Limits(job_page_max=2)) as node:
        await node.users(*range(1, 8))
        assert (await ask(await node.admin())).data["send_num"] == 7


async def test_users_may_not(alice: Caller) -> None:
    """A user's token is 10010."""
    assert (await ask(alice)).refused(10010)


@pytest.mark.parametrize("header", ["user_id", "group_id"])
async def test_acting_headers_are_refused(node: Node, alice: Caller, header: str) -> None:
    """10002 by name."""
    group = await alice.group()
    acting = await node.admin(**{header: ALICE if header == "user_id" else group})
    assert (await ask(acting)).refused(10002, header)


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("ctype", range(7))
async def test_content_types(admin: Caller, alice: Caller, ctype: int) -> None:
    """0 to 6, with what each of them needs."""
    texts = {"content": "c"} if ctype == 0 else {"content": None, "attachment": "a"}
    assert (await ask(admin, **{"content_type": ctype, **texts})).data["send_num"] == 1
    [item] = (await alice.page(admin.xid))["messages"]
    assert item["ctype"] == ["TEXT", "IMAGE", "AUDIO", "VIDEO", "FILE", "LOCATION", "COMMAND"][ctype]


@pytest.mark.two_nodes_once
@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"content_type": 7}, "content_type"),
        ({"content_type": None}, "content_type"),
        ({"content_type": "x"}, "content_type"),
        ({"type": 2}, "type"),
        ({"type": 0}, "type"),
        ({"content": ""}, "content"),
        ({"content": 5}, "content"),
        ({"content": "x" * 65_537}, "content"),
        ({"content_type": 1}, "attachment"),
        ({"ext": "x" * 16_385}, "ext"),
        ({"config": "x" * 16_385}, "config"),
        ({"transaction_id": "z"}, "transaction_id"),
    ],
)
async def test_what_is_refused(node: Node, admin: Caller, members: dict[str, object], named: str) -> None:
    """10002 names the member, and no job is there."""
    assert (await ask(admin, **{"content": "all", **members})).refused(10002, named)
    assert node.rows("SELECT count(*) FROM job") == [(0,)]


async def test_texts_are_kept(admin: Caller, alice: Caller) -> None:
    """Byte for byte, in every member."""
    members = {"content": "é\\u0001 \U0001f600", "attachment": "a\n", "ext": '{"e": "ü"}', "config": " "}
    await ask(admin, **members)
    [item] = (await alice.page(admin.xid))["messages"]
    assert {name: item[name] for name in members} == members


class TestTransactions:
    """`transaction_id` starts one broadcast."""

    async def test_a_repeat_is_the_same_broadcast(self, admin: Caller, alice: Caller) -> None:
        """Also where other ways of asking for the same are used."""
        for members in ({}, {"type": 1, "ext": ""}, {"transaction_id": "5", "config": None}):
            answer = await ask(admin, **{"transaction_id": 5, **members})
            assert answer.data == {"success": True, "send_num": 1}
        assert await alice.history(admin.xid) == ["all"]

    async def test_it_counts_those_of_then(self, node: Node, admin: Caller, alice: Caller) -> None:
        """Who came since is not sent it by a repeat."""
        await ask(admin, transaction_id=5)
        bob = await node.user(BOB)
        assert (await ask(admin, transaction_id=5)).data["send_num"] == 1
        assert await bob.history(admin.xid) == []
        assert await alice.history(admin.xid) == ["all"]

    async def test_another_text(self, admin: Caller, alice: Caller) -> None:
        """60001, and nothing is sent."""
        await ask(admin, transaction_id=5)
        assert (await ask(admin, "other", transaction_id=5)).refused(60001)
        assert await alice.history(admin.xid) == ["all"]

    async def test_sends_have_ids_of_their_own(self, admin: Caller, alice: Caller) -> None:
        """The same number is free for a send."""
        await ask(admin, transaction_id=5)
        assert await admin.send(ALICE, "send", transaction_id=5)
        assert await alice.history(admin.xid) == ["send", "all"]

    async def test_none(self, admin: Caller, alice: Caller) -> None:
        """Without one, or with 0, each is a broadcast of its own."""
        for members in ({}, {"transaction_id": 0}):
            await ask(admin, **members)
        assert await alice.history(admin.xid) == ["all", "all"]


async def test_apps_do_not_see_each_other(node: Node, admin: Caller) -> None:
    """The users of another app get nothing of it."""
    await node.gateway.directory.create_app("other")
    other = await node.user(CAROL, "other")
    assert (await ask(admin)).data["send_num"] == 0
    assert await other.unread() == []
