"""GET v2.1/messages/actions/thread_messages: what answers a message (netease.md, Siblings)."""

from __future__ import annotations

from gateway.domain.model import Scope
from tests.netease.looking import one, page, reply, thread
from tests.netease.stage import Cloud
from tests.rest.stage import Caller, Json


async def test_a_thread(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """Its root, how many answers there are, and a page of them, the newest first; others are not in it."""
    root_id = await ann.send(bob.xid, "root")
    root = (await one(cloud, "ann|1|bob", root_id)).data
    answers = [await reply(cloud, "bob", ann.xid, root_id, str(number)) for number in range(3)]
    await ann.send(bob.xid, "another")
    data = (await thread(cloud, root_id, limit=2, create_time=1, message_client_id="x", message_type=1)).data
    token = data.pop("next_token")
    first = [(await one(cloud, "ann|1|bob", msg_id)).data for msg_id in answers[:0:-1]]
    assert data == {"thread_root": root, "total": 3, "messages": first, "has_more": True}
    data = (await thread(cloud, root_id, limit=2, page_token=token)).data
    assert [item["message_server_id"] for item in data.pop("messages")] == answers[:1]
    assert data == {"thread_root": root, "total": 3, "has_more": False, "next_token": ""}


async def test_as_a_backend_answers(cloud: Cloud) -> None:
    """What it sends in a thread is found there as it was sent."""
    root = await cloud.send("ann|1|bob", "root")
    named = {"thread_root": {"message_server_id": root["message_server_id"]}}
    answer = await cloud.send("bob|1|ann", "yes", thread_config=named)
    data = (await thread(cloud, root["message_server_id"])).data
    assert (data["thread_root"], data["messages"], data["total"]) == (root, [answer], 1)


async def test_what_is_asked_for(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """The other way round, in a span of time, without its root; the total is of all."""
    root_id = await ann.send(bob.xid, "root")
    for number in range(2):
        await reply(cloud, "ann", bob.xid, root_id, str(number))
    rising = (await thread(cloud, root_id, descending="false", exclude_root="true")).data
    assert [item["text"] for item in rising["messages"]] == ["0", "1"]
    assert "thread_root" not in rising
    none = (await thread(cloud, root_id, end_time=1)).data
    assert (none["messages"], none["total"], none["has_more"]) == ([], 2, False)
    empty = (await thread(cloud, await ann.send(bob.xid))).data
    assert (empty["messages"], empty["total"]) == ([], 0)


async def test_in_a_team(cloud: Cloud, team: int, bob: Caller) -> None:
    """As whoever has sent the root may see it."""
    root_id = await bob.tell(team, "root")
    await cloud.name("zoe")
    answer = await reply(cloud, "cid", team, root_id, "yes", scope=Scope.GROUP)
    asked: Json = {"conversation_type": 2, "sender_id": "BOB", "receiver_id": team}
    data = (await thread(cloud, root_id, **asked)).data
    assert data["thread_root"] == (await one(cloud, f"cid|2|{team}", root_id)).data
    assert [item["message_server_id"] for item in data["messages"]] == [answer]
    for other, code in (
        ({"sender_id": "cid"}, 107404),
        ({"sender_id": "zoe"}, 109404),
        ({"receiver_id": 4711}, 108404),
    ):
        assert (await thread(cloud, root_id, **(asked | other))).refused(code)


async def test_no_such_root(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """107404 for what is not there, is another one's, lies elsewhere, or is taken back."""
    root_id = await ann.send(bob.xid)
    await cloud.name("cid")
    assert (await thread(cloud, 4711)).refused(107404)
    assert (await thread(cloud, root_id, sender_id="bob", receiver_id="ann")).refused(107404)
    assert (await thread(cloud, root_id, receiver_id="cid")).refused(107404)
    await ann.recall(bob.xid, root_id)
    assert (await thread(cloud, root_id)).refused(107404)


async def test_what_is_wrong(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """Is named, and another query's token is."""
    for name, said in (
        ("message_server_id", ""),
        ("message_server_id", "x"),
        ("conversation_type", ""),
        ("conversation_type", 4),
        ("sender_id", ""),
        ("receiver_id", ""),
        ("limit", 101),
        ("descending", "yes"),
        ("exclude_root", 1),
        ("begin_time", -1),
    ):
        assert (await thread(cloud, 1, **{name: said})).refused(414, name)
    assert (await thread(cloud, 1, conversation_type=2)).refused(414, "receiver_id")
    roots = [await ann.send(bob.xid) for _ in range(2)]
    for _ in range(2):
        await reply(cloud, "bob", ann.xid, roots[0], "x")
    token = (await thread(cloud, roots[0], limit=1)).data["next_token"]
    assert (await thread(cloud, roots[1], page_token=token)).refused(414, "page_token")
    assert (await page(cloud, "ann|1|bob", page_token=token)).refused(414, "page_token")
