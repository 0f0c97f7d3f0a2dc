"""The device client: its calls and their answers."""

from __future__ import annotations

import asyncio

import pytest

from gateway.client import device as device_module
from gateway.client.errors import CallError, ClosedError, LostError
from tests.client.stage import Stage, entry, seqs, take, welcome
from tests.patience import WAIT_S


async def test_send_returns_its_ok(stage: Stage) -> None:
    """`send` carries the body and a ref, and returns the `ok` with that ref."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome())
        sending = asyncio.create_task(device.send(type=1, targets=[8], content_type=0, content="hi"))
        said = await connection.hear()
        assert said == {"op": "send", "ref": 1, "type": 1, "targets": [8], "content_type": 0, "content": "hi"}
        ok = {"op": "ok", "ref": 1, "code": 200, "message": None, "msg_ids": [9]}
        await connection.say(ok)
        assert await sending == ok


async def test_calls_are_answered_by_ref(stage: Stage) -> None:
    """Answers in another order than the calls still find their calls."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome())
        reading = asyncio.create_task(device.read(8, 100))
        read = await connection.hear()
        recalling = asyncio.create_task(device.recall(8, 101))
        recall = await connection.hear()
        assert read == {"op": "read", "ref": 1, "conversation_id": 8, "msg_id": 100}
        assert recall == {"op": "recall", "ref": 2, "conversation_id": 8, "msg_id": 101}
        await connection.say({"op": "ok", "ref": 2, "code": 200}, {"op": "ok", "ref": 1, "code": 200})
        assert [(await reading)["ref"], (await recalling)["ref"]] == [1, 2]


async def test_a_refused_call_raises(stage: Stage) -> None:
    """An `error` with the call's ref becomes a `CallError` with its code and sentence."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome())
        recalling = asyncio.create_task(device.recall(8, 101))
        await connection.hear()
        await connection.say({"op": "error", "ref": 1, "code": 60002, "message": "too late"})
        with pytest.raises(CallError, match="too late") as refused:
            await recalling
        assert (refused.value.code, refused.value.retry_after_s) == (60002, None)
        signalling = asyncio.create_task(device.signal(type=1, target=8, content="typing"))
        assert await connection.hear() == {
            "op": "signal",
            "ref": 2,
            "type": 1,
            "target": 8,
            "content": "typing",
        }
        await connection.say({"op": "error", "ref": 2, "code": 60004, "message": "x", "retry_after_ms": 50})
        with pytest.raises(CallError) as refused:
            await signalling
        assert (refused.value.code, refused.value.retry_after_s) == (60004, 0.05)


async def test_a_call_without_an_answer_is_lost(stage: Stage) -> None:
    """When the connection goes before the answer, the outcome is unknown and the caller is told so."""
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome())
        sending = asyncio.create_task(device.send(type=1, targets=[8], content_type=0, content="hi"))
        await connection.hear()
        connection.cut()
        with pytest.raises(LostError):
            await sending


async def test_a_pong_belongs_to_a_ping_of_its_connection(stage: Stage) -> None:
    """A ping that was lost with its connection does not eat the next one's answer."""
    async with stage.device() as device:
        first = await stage.accept()
        await first.say(welcome())
        lost = asyncio.create_task(device.ping())
        await first.hear()
        first.cut()
        with pytest.raises(LostError):
            await lost
        second = await stage.accept()
        await second.hear()
        await second.say(welcome())
        pinging = asyncio.create_task(device.ping())
        await second.hear()
        await second.say({"op": "pong"})
        async with asyncio.timeout(WAIT_S):
            assert await pinging >= 0.0


async def test_a_call_waits_for_the_connection(stage: Stage) -> None:
    """A call made between two connections is said on the next one."""
    async with stage.device() as device:
        pinging = asyncio.create_task(device.ping())
        connection = await stage.accept()
        await connection.say(welcome())
        assert await connection.hear() == {"op": "ping"}
        await connection.say({"op": "pong"})
        assert await pinging >= 0.0


async def test_a_call_does_not_wait_for_ever(stage: Stage) -> None:
    """A call that finds no connection within its time, or no answer, is lost."""
    async with stage.device(call_timeout_s=0.01) as device:
        with pytest.raises(LostError, match="not connected"):
            await device.ping()
        connection = await stage.accept()
        await connection.say(welcome())
        await take(device, 1)
        with pytest.raises(LostError, match="no answer"):
            await device.ping()


async def test_a_call_after_the_end_says_why(stage: Stage) -> None:
    """Once the server closed for good every call raises what the loop raises."""
    async with stage.device() as device:
        await (await stage.accept()).close(4502, "replaced")
        with pytest.raises(ClosedError, match="replaced"):
            await device.ping()


async def test_a_call_in_the_loop_body_ends_though_the_inbox_is_full(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is behind more entries than the inbox holds, and still reaches the loop body."""
    monkeypatch.setattr(device_module, "_INBOX_MAX", 2)
    async with stage.device() as device:
        connection = await stage.accept()
        await connection.say(welcome(), *(entry(seq) for seq in range(1, 9)))
        await take(device, 1)
        reading = asyncio.create_task(device.read(8, 100))
        await connection.hear()
        await connection.say({"op": "ok", "ref": 1, "code": 200})
        async with asyncio.timeout(WAIT_S):
            assert (await reading)["op"] == "ok"
        assert seqs(await take(device, 8)) == list(range(1, 9))
