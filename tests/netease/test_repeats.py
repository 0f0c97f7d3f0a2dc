"""The same request, sent again (netease.md, Repeats)."""

from __future__ import annotations

import hashlib

import pytest

from tests.netease.stage import Answer, Cloud
from tests.rest.stage import Json, order


async def sent(
    cloud: Cloud,
    conversation: str = "ann|1|bob",
    *,
    trace: str = "",
    client_id: str | None = None,
    text: str = "hi",
) -> Answer:
    """Send a text."""
    message: Json = {"message_type": 0, "text": text, "message_client_id": client_id}
    return await cloud.post(f"/v2/conversations/{conversation}/messages", {"message": message}, trace=trace)


async def stored(cloud: Cloud) -> int:
    """How many messages there are."""
    [[count]] = cloud.node.rows("SELECT count(*) FROM message")
    return int(count)


@pytest.mark.parametrize("client_id", ["c-1", "x" * 64, "x" * 65, "声" * 128])
async def test_the_same_trace_is_a_retry(cloud: Cloud, client_id: str) -> None:
    """It gets the first answer, all of it; by another trace or none it is another message by a used id."""
    first = await sent(cloud, trace="t-1", client_id=client_id)
    assert first.data["message_client_id"] == client_id
    assert (await sent(cloud, trace="t-1", client_id=client_id)).body == first.body
    for trace in ("t-2", ""):
        refused = await sent(cloud, trace=trace, client_id=client_id)
        assert refused.refused(107306, "message.message_client_id")
    for other in (client_id + "?" if len(client_id) < 128 else "?", client_id[:-1] + "?"):
        assert (await sent(cloud, trace="t-1", client_id=other)).data != first.data
    assert await stored(cloud) == 3


async def test_no_trace_is_a_new_one_each_time(cloud: Cloud) -> None:
    """So that a client's id is good once, whatever comes with it."""
    assert (await sent(cloud, client_id="c-1")).data
    assert (await sent(cloud, client_id="c-1")).refused(107306)
    assert (await sent(cloud, client_id="c-1", text="more")).refused(107306)
    assert (await sent(cloud, "ann|1|cid", client_id="c-1")).refused(107306)
    assert await stored(cloud) == 1


async def test_a_retry_that_asks_for_something_else(cloud: Cloud) -> None:
    """By a client's id it is a used id; by the trace alone it is a wrong request."""
    assert (await sent(cloud, trace="t-1", client_id="c-1")).data
    assert (await sent(cloud, trace="t-1", client_id="c-1", text="more")).refused(107306)
    assert (await sent(cloud, "ann|1|cid", trace="t-1", client_id="c-1")).refused(107306)
    assert (await sent(cloud, trace="t-2")).data
    assert (await sent(cloud, trace="t-2", text="more")).refused(414, "X-custom-traceid")
    assert (await sent(cloud, "ann|1|cid", trace="t-2")).refused(414, "X-custom-traceid")
    assert await stored(cloud) == 2


@pytest.mark.parametrize("trace", ["t-1", "x" * 256])
async def test_a_trace_alone(cloud: Cloud, trace: str) -> None:
    """What is sent again by the same trace is the same message; without one it is another each time."""
    first = await sent(cloud, trace=trace)
    assert (await sent(cloud, trace=trace)).body == first.body
    assert (await sent(cloud)).data != (await sent(cloud)).data
    assert await stored(cloud) == 3


async def test_two_senders(cloud: Cloud) -> None:
    """Each has ids and traces of its own."""
    for sender, receiver in (("ann", "bob"), ("bob", "ann"), ("cid", "ann")):
        assert (await sent(cloud, f"{sender}|1|{receiver}", trace="t-1", client_id="c-1")).data
        assert (await sent(cloud, f"{sender}|1|{receiver}", trace="t-1")).data
    assert await stored(cloud) == 6


async def test_keys_of_other_kinds(cloud: Cloud) -> None:
    """A client's id, a trace, a digest of a long one and the native dialect's number are never taken for each other."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    assert await ann.send(bob.xid, transaction_id=7)
    assert (await sent(cloud, trace="7")).data
    assert (await sent(cloud, client_id="7")).data
    long = "x" * 65
    assert (await sent(cloud, client_id=long)).data
    assert (await sent(cloud, client_id=hashlib.sha256(long.encode()).hexdigest())).data
    assert (await sent(cloud, client_id="h" + hashlib.sha256(long.encode()).hexdigest())).data
    again = await ann.post("/message/send", order([bob.xid], transaction_id=7))
    assert again.data is True
    assert await stored(cloud) == 6


async def test_a_retry_of_what_would_be_refused_today(cloud: Cloud) -> None:
    """It gets its first answer, for it was done."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    team = await ann.group(bob.xid)
    first = await sent(cloud, f"bob|2|{team}", trace="t-1")
    alone = await sent(cloud, "bob|1|ann", trace="t-2")
    assert (await ann.change("kick", team, bob.xid)).code == 200
    assert (await ann.post("/roster/block", {"user_id": bob.xid})).done
    assert (await sent(cloud, f"bob|2|{team}", trace="t-1")).body == first.body
    assert (await sent(cloud, "bob|1|ann", trace="t-2")).body == alone.body
    assert (await sent(cloud, f"bob|2|{team}")).refused(109404)
    assert (await sent(cloud, "bob|1|ann")).refused(102426)


async def test_what_was_handed_over_is_not_sent_again(cloud: Cloud) -> None:
    """What is stored nowhere is answered like the first, too."""
    nowhere = {"message_config": {"offline_enabled": False, "history_enabled": False}}
    path = "/v2/conversations/ann|1|bob/messages"
    asked = {"message": {"message_type": 0, "text": "hi"}, **nowhere}
    first = await cloud.post(path, asked, trace="t-1")
    assert first.data["create_time"] > 0
    assert (await cloud.post(path, asked, trace="t-1")).body == first.body
    assert (await sent(cloud, trace="t-1")).refused(414, "X-custom-traceid")
    assert await stored(cloud) == 0
