"""GET v2.1/conversations/{cid}/messages: page by page (netease.md, Siblings)."""

from __future__ import annotations

import asyncio

import pytest

from gateway.edge.facades.netease import history
from tests.netease.looking import one, page, texts, walk
from tests.netease.stage import Cloud
from tests.rest.stage import Caller

TIP = '{"nim":{"sender_id":"ann","message_type":10}}'
"""The config by which a text is a tip."""


async def test_both_ways(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """The newest first unless asked otherwise, and nothing twice or left out, whichever the length."""
    for number in range(5):
        sender, other = (ann, bob) if number % 2 else (bob, ann)
        await sender.send(other.xid, str(number))
    assert await walk(cloud, "ann|1|bob", limit=2) == [["4", "3"], ["2", "1"], ["0"]]
    assert await walk(cloud, "bob|1|ann", limit=2, descending="false") == [["0", "1"], ["2", "3"], ["4"]]
    assert await walk(cloud, "ann|1|bob", limit=5) == [["4", "3", "2", "1", "0"]]
    assert await texts(cloud, "ann|1|bob", descending="true") == ["4", "3", "2", "1", "0"]


async def test_an_item(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """Is told as it is by itself."""
    msg_id = await ann.send(bob.xid, "hey")
    data = (await page(cloud, "bob|1|ann")).data
    item = (await one(cloud, "bob|1|ann", msg_id)).data
    assert data == {"items": [item], "has_more": False, "next_token": ""}


async def test_nothing(cloud: Cloud, team: int) -> None:
    """Where nobody has said anything; 109404 for a stranger, 108404 where there is no team."""
    await cloud.name("dan", "eve", "zoe")
    assert (await page(cloud, "ann|1|bob")).data == {"items": [], "has_more": False, "next_token": ""}
    assert await texts(cloud, "dan|1|eve") == []
    assert await texts(cloud, f"ann|2|{team}") == []
    assert (await page(cloud, f"zoe|2|{team}")).refused(109404)
    assert (await page(cloud, "ann|3|4711")).refused(108404)


async def test_a_span_of_time(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """Both ends are part of it; the other is open where it is not said."""
    times: list[int] = []
    for number in range(3):
        sent = await ann.send(bob.xid, str(number))
        times.append((await one(cloud, "ann|1|bob", sent)).data["create_time"])
        while (await one(cloud, "ann|1|ann", await ann.send(ann.xid))).data["create_time"] == times[-1]:
            pass
    first, second, third = times
    for begin, end, found in (
        (first, third, ["2", "1", "0"]),
        (second, second, ["1"]),
        (second, "", ["2", "1"]),
        ("", second, ["1", "0"]),
        (third + 1, "", []),
        (0, first - 1, []),
    ):
        assert await texts(cloud, "ann|1|bob", begin_time=begin, end_time=end) == found


async def test_types(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """By the exact number, though the core knows no tips: has_more is exact."""
    for number in range(4):
        await ann.send(bob.xid, f"tip {number}", config=TIP)
        await ann.send(bob.xid, f"text {number}")
    await ann.send(bob.xid, "", content_type=1, attachment="a")
    await ann.send(bob.xid, "forward", content_type=7)
    tips = [[f"tip {number}"] for number in (3, 2, 1, 0)]
    assert await walk(cloud, "ann|1|bob", message_type="10", limit=1) == tips
    assert await walk(cloud, "ann|1|bob", message_type="10", limit=4) == [[tip for [tip] in tips]]
    rising = await walk(cloud, "ann|1|bob", message_type="10", limit=3, descending="false")
    assert rising == [["tip 0", "tip 1", "tip 2"], ["tip 3"]]
    assert await walk(cloud, "ann|1|bob", message_type="0,1", limit=3) == [
        [None, "text 3", "text 2"],
        ["text 1", "text 0"],
    ]
    assert await texts(cloud, "ann|1|bob", message_type="100") == ["forward"]
    assert await texts(cloud, "ann|1|bob", message_type="0,10,100", limit=9) == [
        "forward",
        *(text for number in (3, 2, 1, 0) for text in (f"text {number}", f"tip {number}")),
    ]
    assert await texts(cloud, "ann|1|bob", message_type="2,5,11") == []


async def test_so_rare(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, ann: Caller, bob: Caller) -> None:
    """One page looks only so far; a short one with more to come goes on from there."""
    monkeypatch.setattr(history, "SOME_MAX", 2)
    monkeypatch.setattr(history, "LOOKS_MAX", 2)
    await ann.send(bob.xid, "tip", config=TIP)
    for number in range(4):
        await ann.send(bob.xid, str(number))
    assert await walk(cloud, "ann|1|bob", message_type="10", limit=1) == [[], ["tip"]]


async def test_what_comes_between_pages(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """Newer ones don't come in, taken back ones go."""
    sent = [await ann.send(bob.xid, str(number)) for number in range(4)]
    token = (await page(cloud, "ann|1|bob", limit=2)).data["next_token"]
    await ann.send(bob.xid, "new")
    await ann.recall(bob.xid, sent[1])
    data = (await page(cloud, "ann|1|bob", limit=2, page_token=token)).data
    assert [item["text"] for item in data["items"]] == ["0"]
    assert not data["has_more"]


async def test_another_query(cloud: Cloud, team: int, ann: Caller, bob: Caller) -> None:
    """Does not go on from this one's: 414; a page of another length does, and other letters are the same."""
    for number in range(3):
        await ann.send(bob.xid, str(number))
        await ann.tell(team, str(number))
    token = (await page(cloud, "ann|1|bob", limit=1)).data["next_token"]
    again = await page(cloud, "ANN%7C1|bob", limit=2, page_token=token, end_time="")
    assert [item["text"] for item in again.data["items"]] == ["1", "0"]
    for conversation, said in (
        ("bob|1|ann", {}),
        (f"ann|2|{team}", {}),
        ("ann|1|bob", {"descending": "false"}),
        ("ann|1|bob", {"begin_time": 1}),
        ("ann|1|bob", {"message_type": "0"}),
    ):
        assert (await page(cloud, conversation, page_token=token, **said)).refused(414, "page_token")
    assert (await page(cloud, "ann|1|bob", page_token="x")).refused(414, "page_token")


async def test_what_is_wrong(cloud: Cloud) -> None:
    """Is named, before anybody comes into being."""
    for name, said in (
        ("limit", 0),
        ("limit", 101),
        ("begin_time", "x"),
        ("message_type", "7"),
        ("descending", 1),
    ):
        assert (await page(cloud, "new|1|bob", **{name: said})).refused(414, name)
    assert cloud.node.rows("SELECT name FROM \"user\" WHERE name = 'new'") == []
    assert (await page(cloud, "ann|1|bob", conversationId="ann|1|cid")).refused(110302)


async def test_many_at_once(cloud: Cloud, ann: Caller, bob: Caller) -> None:
    """A hundred to a page, and no more."""
    await asyncio.gather(*(ann.send(bob.xid) for _ in range(101)))
    assert [len(each) for each in await walk(cloud, "ann|1|bob")] == [100, 1]
