"""A whole load run, against a server that the test makes honest or not."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web

from scripts.loadlib.crowd import Target
from scripts.loadlib.report import Report
from scripts.loadlib.scenario import Options, Scenario
from scripts.loadlib.server import Signer
from tests.channel.stage import until

Frame = dict[str, Any]
Crook = Callable[[list[Frame]], list[Frame]]

OPTIONS = Options(
    devices=1,
    users=1,
    senders=1,
    messages=10,
    rate=0.0,
    to_group=False,
    group_size=1,
    text_bytes=60,
    transaction_ids=True,
    acks=True,
    ack_ms=20,
    idle=False,
    hold_s=0.0,
    linger_s=0.1,
    timeout_s=20.0,
)


class Fake:
    """One user with one device, who writes to themselves. `crook` changes what the device gets of ten entries."""

    def __init__(self) -> None:
        self.crook: Crook = lambda frames: frames
        self.code = 200
        self.port = 0
        self.acks: list[Frame] = []
        self._frames: list[Frame] = []
        self._ids = itertools.count(500)
        self._device: web.WebSocketResponse | None = None

    async def send(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())
        msg_id = next(self._ids)
        seq = len(self._frames) + 1
        message = {"msg_id": msg_id, "content": body["content"]}
        self._frames.append({"op": "message", "timeline": "user", "seq": seq, "message": message})
        if len(self._frames) == OPTIONS.messages and self._device is not None:
            for frame in self.crook(self._frames):
                await self._device.send_json(frame)
        return web.json_response({"code": self.code, "message": None, "data": True, "msg_ids": [msg_id]})

    async def attach(self, request: web.Request) -> web.WebSocketResponse:
        ws = self._device = web.WebSocketResponse(protocols=("gateway.v1",))
        await ws.prepare(request)
        await ws.send_json({"op": "welcome", "cursors": {"user": 0}, "limits": {"unacked_max": 6}})
        await ws.send_json({"op": "live"})
        async for said in ws:
            self.acks.append(said.json())
        return ws


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    fake = Fake()
    app = web.Application()
    app.add_routes([web.post("/message/send", fake.send), web.get("/ws", fake.attach)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.port = runner.addresses[0][1]
    yield fake
    await runner.cleanup()


async def run(fake: Fake, **changes: Any) -> Report:
    signer = Signer("demo", "k1", "c2VjcmV0" * 12)
    target = Target("127.0.0.1", fake.port, os.getpid(), signer, "a machine")
    return await Scenario(OPTIONS._replace(**changes), target).run()


async def test_an_honest_server_is_clean(fake: Fake) -> None:
    """Everything that was sent came once and in order: nothing to complain about, and the counts say so."""
    report = await run(fake)
    assert report.failures == []
    assert report.sending is not None
    assert report.sending.totals["owed"] == report.sending.totals["delivered"] == 10
    assert report.sending.send.max_ms > 0.0
    assert report.sending.end_to_end.max_ms > 0.0


async def test_devices_ack_each_half_window(fake: Fake) -> None:
    """Acks are said by the device, for its own timeline, and never beyond what it got."""
    await run(fake)
    await until(lambda: bool(fake.acks), "an ack that was said before the end")
    assert all(ack["op"] == "ack" and ack["timeline"] == "user" and ack["seq"] <= 10 for ack in fake.acks)


async def test_devices_can_be_told_not_to_ack(fake: Fake) -> None:
    """Without acks the devices say nothing at all."""
    await run(fake, acks=False)
    assert fake.acks == []


async def test_a_rate_is_kept(fake: Fake) -> None:
    """At a rate the sends are spread over the time that they must take."""
    report = await run(fake, rate=200.0)
    assert report.failures == []
    assert report.sending is not None
    assert report.sending.sends_per_s <= 250.0


CROOKS: list[tuple[str, Crook]] = [
    ("1 lost", lambda frames: frames[:-1]),
    ("1 lost", lambda frames: frames[:4] + frames[5:]),
    ("10 lost", lambda _: []),
    ("1 duplicated", lambda frames: [*frames[:5], *frames[4:]]),
    ("1 out of order", lambda frames: [*frames[:3], frames[4], frames[3], *frames[5:]]),
    ("1 holes in a timeline", lambda frames: [*frames, frames[-1] | {"seq": 12, "message": {"msg_id": 9}}]),
    (
        "1 messages with another's text",
        lambda frames: [*frames[:-1], frames[-1] | {"message": {**frames[0]["message"], "msg_id": 509}}],
    ),
    ("1 sends stored twice", lambda frames: [*frames, frames[0] | {"seq": 11, "message": twin(frames[0])}]),
]


def twin(frame: Frame) -> Frame:
    message: Frame = frame["message"]
    return message | {"msg_id": 900}


@pytest.mark.parametrize(("complaint", "crook"), CROOKS)
async def test_a_crook_is_found_out(fake: Fake, complaint: str, crook: Crook) -> None:
    """Each way of breaking the promise is told by its name."""
    fake.crook = crook
    report = await run(fake)
    assert complaint in report.failures


async def test_refused_sends_are_told(fake: Fake) -> None:
    """A send that was refused is owed to nobody, and the run is not clean."""
    fake.code = 20000
    report = await run(fake)
    assert "10 sends refused" in report.failures
    assert report.sending is not None
    assert report.sending.totals["owed"] == 0


async def test_idle_devices_only_connect(fake: Fake) -> None:
    """With `idle` nothing is sent."""
    report = await run(fake, idle=True)
    assert (report.failures, report.sending, report.connecting.devices) == ([], None, 1)
