"""Every code of the dialect, provoked once by what it stands for (netease.md, Codes)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.bus.base import Forget
from gateway.core.operator import Ask
from gateway.domain.limits import Limits
from gateway.edge.facades.netease import faults
from tests.netease.stage import Answer, Cloud, open_cloud, signed
from tests.rest.stage import Json
from tests.sqlite import inside

pytestmark = pytest.mark.one_node("a code does not know how many nodes there are")

TEXT: Json = {"message": {"message_type": 0, "text": "hi"}}

Provocation = Callable[[Cloud], Awaitable[Answer]]


async def send(cloud: Cloud, conversation: str, **members: object) -> Answer:
    return await cloud.post(f"/v2/conversations/{conversation}/messages", TEXT | members)


async def recall(cloud: Cloud, conversation: str, msg_id: int, kind: int = 2) -> Answer:
    return await cloud.delete(f"/v2/conversations/{conversation}/messages/{msg_id}?type={kind}")


async def team(cloud: Cloud) -> int:
    """A team that Ann owns and Bob is in."""
    return await (await cloud.phone("ann")).group(await cloud.xid("bob"))


async def no_json(cloud: Cloud) -> Answer:
    return await cloud.post("/v2/conversations/ann|1|bob/messages", b"{")


async def no_path(cloud: Cloud) -> Answer:
    return await cloud.get("/v2/nowhere")


async def nobodys_app(cloud: Cloud) -> Answer:
    return await cloud.get("/v2/accounts/ann", headers=signed("another-app"))


async def reserved_sender(cloud: Cloud) -> Answer:
    return await send(cloud, "system|1|bob")


async def unknown_account(cloud: Cloud) -> Answer:
    return await cloud.get("/v2/accounts/ann")


async def taken_account(cloud: Cloud) -> Answer:
    assert (await cloud.post("/v2/accounts", {"account_id": "ann"})).data
    return await cloud.post("/v2/accounts", {"account_id": "Ann"})


async def frozen_sender(cloud: Cloud) -> Answer:
    ann = await cloud.xid("ann")
    assert (await (await cloud.node.admin()).call("PUT", "/user/disable", {"list": [ann]})).done
    return await send(cloud, "ann|1|bob")


async def blocked_sender(cloud: Cloud) -> Answer:
    bob = await cloud.phone("bob")
    assert (await bob.post("/roster/block", user_id=await cloud.xid("ann"))).done
    return await send(cloud, "ann|1|bob")


async def recall_by_another(cloud: Cloud) -> Answer:
    sent = await cloud.send("ann|1|bob")
    return await recall(cloud, "bob|1|ann", sent["message_server_id"])


async def same_client_id(cloud: Cloud) -> Answer:
    message = {"message_type": 0, "text": "hi", "message_client_id": "once"}
    assert (await send(cloud, "ann|1|bob", message=message)).data
    return await send(cloud, "ann|1|bob", message=message)


async def recall_too_late(cloud: Cloud) -> Answer:
    sent, app = await cloud.send("ann|1|bob"), await cloud.app()
    cloud.node.rows("UPDATE app SET recall_window_ms = -1")
    cloud.node.gateway.directory.known.forget(Forget(app_id=app.app_id, app=app.id))
    return await recall(cloud, "ann|1|bob", sent["message_server_id"])


async def recall_for_one_side(cloud: Cloud) -> Answer:
    sent = await cloud.send("ann|1|bob")
    return await recall(cloud, "ann|1|bob", sent["message_server_id"], 1)


async def too_many_pushed(cloud: Cloud) -> Answer:
    return await send(cloud, "ann|1|bob", push_config={"push_forcepush_ids": ["x"] * 101})


async def nobody_senses(cloud: Cloud) -> Answer:
    return await send(cloud, "ann|1|bob", sender_no_sense=True, receiver_no_sense=True)


async def unknown_message(cloud: Cloud) -> Answer:
    await cloud.name("ann", "bob")
    return await recall(cloud, "ann|1|bob", 4711)


async def recall_to_oneself(cloud: Cloud) -> Answer:
    sent = await cloud.send("ann|1|ann")
    return await recall(cloud, "ann|1|ann", sent["message_server_id"])


async def unknown_team(cloud: Cloud) -> Answer:
    assert (await send(cloud, f"ann|2|{await cloud.xid('bob')}")).refused(108404)
    return await send(cloud, "ann|2|4711")


async def all_banned(cloud: Cloud) -> Answer:
    group = await team(cloud)
    ann = await cloud.phone("ann")
    assert (await ann.post("/group/settings/ban_all", {"group_id": group})).code == 200
    assert (await send(cloud, f"ann|2|{group}")).data
    return await send(cloud, f"bob|2|{group}")


async def no_member(cloud: Cloud) -> Answer:
    return await send(cloud, f"zoe|2|{await team(cloud)}")


async def banned_member(cloud: Cloud) -> Answer:
    group = await team(cloud)
    assert (await (await cloud.phone("ann")).change("ban", group, await cloud.xid("bob"))).code == 200
    return await send(cloud, f"bob|2|{group}")


async def another_conversation(cloud: Cloud) -> Answer:
    return await send(cloud, "ann|1|bob", conversation_id="ann|1|zoe")


PROVOKED: dict[int, Provocation] = {
    403: reserved_sender,
    404: no_path,
    414: no_json,
    101303: nobodys_app,
    102404: unknown_account,
    102405: taken_account,
    102422: frozen_sender,
    102426: blocked_sender,
    107303: recall_by_another,
    107306: same_client_id,
    107314: recall_too_late,
    107315: recall_for_one_side,
    107316: too_many_pushed,
    107330: nobody_senses,
    107404: unknown_message,
    107429: recall_to_oneself,
    108404: unknown_team,
    108423: all_banned,
    109404: no_member,
    109424: banned_member,
    110302: another_conversation,
}
BY_LOAD = {416, 500, 503}
"""What comes of how it is with the gateway, and not of what is asked: each has a test of its own."""


def test_they_are_all_here() -> None:
    """Each code that the facade has a name for; what is refused as being so already is the success."""
    named = {value for name, value in vars(faults).items() if name[0].isalpha() and type(value) is int}
    assert named - {faults.SUCCESS} == set(PROVOKED) | BY_LOAD
    assert set(faults.TABLE.values()) <= named


@pytest.mark.parametrize("code", PROVOKED)
async def test_provoked(cloud: Cloud, code: int) -> None:
    """By what it stands for, whole, with a sentence and no advice to come back."""
    answer = await PROVOKED[code](cloud)
    assert answer.refused(code)
    assert len(answer.json["msg"]) > 8
    assert "Retry-After" not in answer.headers


@pytest.mark.usefixtures("still")
async def test_too_fast(tmp_path: Path) -> None:
    """416, when to come again, and nothing of it is sent; a batch is counted by its messages."""
    async with open_cloud(tmp_path / "data", Limits(rate_wait_ms=20)) as cloud:
        await cloud.phone("bob")
        await cloud.node.gateway.operator.do(Ask(verb="limits", app="demo", limits={"sends_per_s": 2}))
        many = {"sender_id": "ann", "receiver_ids": ["a", "b", "c", "d"], **TEXT}
        assert len((await cloud.post("/v2/conversations/messages", many)).data["success_list"]) == 4
        answer = await send(cloud, "ann|1|bob")
        assert answer.refused(416, "2 messages a second")
        assert answer.headers["Retry-After"] == "2"
        assert await (await cloud.phone("bob")).unread() == []


class Gate:
    """Stands before the store: appends wait until it is opened."""

    def __init__(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self._append = cloud.node.gateway.store.append
        self.opened = asyncio.Event()
        self.reached = asyncio.Event()
        monkeypatch.setattr(cloud.node.gateway.store, "append", self._wait)

    async def _wait(self, batch: Any) -> Any:
        self.reached.set()
        await self.opened.wait()
        return await self._append(batch)


def passes(answer: Answer) -> bool:
    """Whether it is a refusal that says when to come back."""
    assert int(answer.headers["Retry-After"]) >= 1
    return answer.refused(503)


async def test_too_much_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 for what finds no room; what was taken is committed, and nothing else is."""
    async with open_cloud(tmp_path / "data", Limits(queue_rows_max=30)) as cloud:
        bob = await cloud.phone("bob")
        gate = Gate(cloud, monkeypatch)
        ann = await cloud.xid("ann")
        asked = [asyncio.create_task(send(cloud, "ann|1|bob")) for _ in range(20)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        gate.opened.set()
        told = await asyncio.gather(*asked)
        refused = [answer for answer in told if answer.json["code"] != 200]
        assert refused
        assert all(passes(answer) for answer in refused)
        assert len(await bob.history(ann, limit=100)) == 20 - len(refused)


async def test_a_full_disk(cloud: Cloud) -> None:
    """503 for a send, nothing is kept of it, what is there can be read; with room it goes on."""
    sent = await cloud.send("ann|1|bob")
    lane = inside(cloud.node.gateway.store)._writer
    await lane.run(lambda conn: conn.execute("PRAGMA max_page_count = 1").fetchall())
    wide = {"message_type": 100, "attachment": {"a": "x" * 60_000}}
    answer = await send(cloud, "ann|1|bob", message=wide)
    assert passes(answer)
    assert (await cloud.get("/v2/accounts/ann")).data
    lane = inside(cloud.node.gateway.store)._writer
    await lane.run(lambda conn: conn.execute("PRAGMA max_page_count = 1000000").fetchall())
    assert (await send(cloud, "ann|1|bob", message=wide)).data["message_server_id"] > sent[
        "message_server_id"
    ]
    assert len(await (await cloud.phone("bob")).history(await cloud.xid("ann"))) == 2


async def test_a_store_that_is_gone(tmp_path: Path) -> None:
    """503 for whatever needs it, whoever asks; what needs none is answered."""
    async with open_cloud(tmp_path / "data") as cloud:
        await cloud.send("ann|1|bob")
        await cloud.node.gateway.store.close()
        for answer in (await send(cloud, "ann|1|bob"), await cloud.get("/v2/accounts/zoe")):
            assert passes(answer)
        assert (await cloud.get("/v2/nowhere")).refused(404)
        assert (await cloud.get("/health/liveness.action", root="", headers={})).data == {}


async def test_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A send under way when the gateway stops is answered; a call on an open connection hears 503, and that it ends."""
    # So long that what is under way is waited for, and not cut, on a machine that stands still.
    async with open_cloud(tmp_path / "data", Limits(drain_ms=3_600_000)) as cloud:
        await cloud.send("ann|1|bob")
        gate = Gate(cloud, monkeypatch)
        waiting = asyncio.create_task(send(cloud, "ann|1|bob"))
        await gate.reached.wait()
        assert (await cloud.get("/v2/accounts/ann")).data
        stopping = asyncio.create_task(cloud.node.gateway.stop())
        # One turn of the loop, in which the stopping begins.
        await asyncio.sleep(0)
        answer = await cloud.get("/v2/accounts/ann")
        assert passes(answer)
        assert answer.headers["Connection"] == "close"
        gate.opened.set()
        assert (await waiting).data["text"] == "hi"
        await stopping


async def test_a_bug(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """500 without a word of what it was; that is in the log, with the trace id."""

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret of the house")

    await cloud.phone("bob")
    monkeypatch.setattr(cloud.node.gateway.core.messaging, "send_each", broken)
    answer = await cloud.post("/v2/conversations/ann|1|bob/messages", TEXT, trace="trace-7")
    assert answer.refused(500)
    assert b"secret" not in answer.body
    assert answer.headers["X-custom-traceid"] == "trace-7"
    [told] = [record for record in caplog.records if record.exc_info]
    assert "trace-7" in told.getMessage()
    assert "secret of the house" in str(told.exc_info)
