"""Connections that somebody else ends: kicked, removed, frozen, a password changed (design §6)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp.http
import pytest

from gateway.core.order import Order
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import Scope
from gateway.domain.positions import Attachment, Keep
from gateway.wire.close import Close
from tests import shapes
from tests.channel.stage import ALICE, APP, BOB, Frame, Peer, Stage, contents, ops, seqs, until

CURSORS = {"user": 0}


async def ended(peer: Peer, code: Close) -> None:
    """The peer is told, by frame and by close code, and nothing else is."""
    end = await peer.end()
    assert (end.frames, end.bye["code"], end.code) == ([], code, code)


async def kept(stage: Stage, uid: int = BOB) -> list[Frame]:
    found: list[Frame] = (await stage.call("GET", "/user/device/list", uid))["data"]
    return found


async def refused(stage: Stage, code: Close, uid: int = BOB, token: str | None = None) -> None:
    """A device that comes with its token, in the handshake or in `hello`, is told why it may not."""
    token = token or await stage.token(uid)
    await stage.heard()
    await ended(await stage.open({"app_id": APP}, headers={"access-token": token}), code)
    peer = await stage.open()
    await peer.say(op="hello", app_id=APP, token=token)
    await ended(peer, code)


class TestKick:
    """POST /user/kick."""

    async def test_one_device(self, stage: Stage) -> None:
        """It alone goes; it is kept, and comes back by the same token to where it was."""
        token = await stage.token(BOB)
        kicked, other = await stage.connect(BOB, 1, token=token), await stage.live(BOB, 2)
        await kicked.until("live")
        await stage.send(ALICE, BOB, "first")
        await kicked.ack((await kicked.hear())["seq"])
        await kicked.so_far()
        await stage.acked()
        await stage.call("POST", "/user/kick", BOB, params={"device_sn": "1"})
        await ended(kicked, Close.KICKED)
        await stage.send(ALICE, BOB, "second")
        assert contents(await other.so_far()) == ["first", "second"]
        again = await stage.connect(BOB, 1, token=token)
        assert contents(await again.until("live")) == ["second"]

    @pytest.mark.parametrize("query", [{}, {"device_sn": "0"}])
    async def test_all_devices(self, stage: Stage, query: dict[str, str]) -> None:
        """Without a number, or with 0, all of one user's go, and nobody else's."""
        alice, *bobs = await stage.live(ALICE), await stage.live(BOB, 1), await stage.live(BOB, 2)
        await stage.call("PUT", "/user/kick", None, params={"user_id": str(BOB), **query})
        for peer in bobs:
            await ended(peer, Close.KICKED)
        assert await alice.so_far() == []

    async def test_of_others(self, stage: Stage) -> None:
        """No user kicks another's."""
        bob = await stage.live(BOB)
        asked: dict[str, Any] = {"params": {"user_id": str(BOB)}, "ok": False}
        assert (await stage.call("POST", "/user/kick", ALICE, **asked))["code"] == 10010
        assert await bob.so_far() == []


class TestRemove:
    """POST /user/device/remove."""

    async def test_it_goes_for_good(self, stage: Stage) -> None:
        """It is told so; what it acked just before counts for its user, and does not bring it back."""
        bob = await stage.live(BOB, 1)
        msg_id = await stage.send(ALICE, BOB, "first")
        await bob.ack((await bob.hear())["seq"])
        await bob.so_far()
        await stage.call("POST", "/user/device/remove", BOB, params={"device_sn": "1"})
        await ended(bob, Close.KICKED)
        await stage.acked()
        assert await kept(stage) == []
        assert await stage.cursors(BOB) == []
        assert await stage.status(ALICE, BOB, msg_id) == "DELIVERED"
        # A new device of that number starts where the user is.
        await stage.send(ALICE, BOB, "second")
        again = await stage.connect(BOB, 1)
        assert contents(await again.until("live")) == ["second"]

    async def test_one_that_is_gone(self, stage: Stage) -> None:
        """Kept and not connected, it is forgotten; again is as good."""
        bob = await stage.hello(BOB, 1, cursors=CURSORS)
        await stage.live(BOB, 2)
        await bob.close()
        await until(lambda: [one.device_sn for one in stage.hub.connections] == [2])
        for _ in range(2):
            await stage.call("DELETE", "/user/device/remove", BOB, json={"device_sn": 1})
        assert [one["device_sn"] for one in await kept(stage)] == [2]

    async def test_acks_that_wait_for_the_store(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those that no flush could commit are dropped with the device."""

        async def fails(_: Sequence[Keep]) -> None:
            raise Problem(Kind.STORE_FAILED, "full")

        # The other node would wait for this one's flush.
        monkeypatch.setattr("gateway.core.presence.GO_MS", 20)
        await stage.send(ALICE, BOB)
        with monkeypatch.context() as full:
            full.setattr(stage.gateway.store, "keep", fails)
            bob = await stage.live(BOB, 1)
            await bob.ack(1)
            await bob.so_far()
            await stage.call("POST", "/user/device/remove", BOB, params={"device_sn": "1"})
            await ended(bob, Close.KICKED)
        await stage.acked()
        assert await kept(stage) == []

    async def test_one_that_is_about_to_be_kept(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """A device that states its cursors at that moment goes too, and what it stated keeps nothing."""
        await stage.send(ALICE, BOB)
        keeping, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
        real = stage.gateway.store.keep

        async def slow(devices: Sequence[Keep]) -> list[Attachment]:
            keeping.set()
            await go_on.wait()
            replaced = await real(devices)
            done.set()
            return replaced

        monkeypatch.setattr(stage.gateway.store, "keep", slow)
        bob = await stage.open()
        await bob.say(op="hello", token=await stage.token(BOB), app_id=APP, device_sn=1, cursors={"user": 1})
        await keeping.wait()
        removing = asyncio.create_task(
            stage.call("POST", "/user/device/remove", BOB, params={"device_sn": "1"})
        )
        await ended(bob, Close.KICKED)
        go_on.set()
        await removing
        await done.wait()
        await stage.acked()
        assert await kept(stage) == []

    @pytest.mark.one_node("it holds up what only the removing node does")
    async def test_one_that_waits_for_its_removal_to_be_kept(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A device that comes just then, and states its cursors, is not brought back by them."""
        await stage.live(ALICE)
        waiting, settled, removing = (asyncio.Event() for _ in range(3))
        flush, store = stage.gateway.receipts.flush, stage.gateway.store
        read, remove = store.standings, store.remove_device

        async def slow_flush() -> None:
            waiting.set()
            await settled.wait()
            await flush()

        async def standings(*asked: Any) -> Any:
            # The removal goes on when the device has passed everything but the keeping.
            found = await read(*asked)
            settled.set()
            await removing.wait()
            return found

        async def slow_remove(*asked: Any) -> None:
            removing.set()
            await until(lambda: stage.gateway.receipts._keeping._waiters, "the device waiting to be kept")
            await remove(*asked)

        monkeypatch.setattr(stage.gateway.receipts, "flush", slow_flush)
        monkeypatch.setattr(store, "standings", standings)
        monkeypatch.setattr(store, "remove_device", slow_remove)
        await stage.token(BOB)
        done = asyncio.create_task(stage.call("POST", "/user/device/remove", BOB, params={"device_sn": "1"}))
        await waiting.wait()
        bob = await stage.open()
        await bob.say(op="hello", token=await stage.token(BOB), app_id=APP, device_sn=1, cursors=CURSORS)
        await done
        await ended(bob, Close.KICKED)
        await until(lambda: not stage.gateway.receipts._keeping.locked())
        assert await kept(stage) == []

    @pytest.mark.one_node("it holds up what only the removing node does")
    async def test_one_that_comes_meanwhile(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """A device that finds itself kept, just before it no longer is, goes as well."""
        await (await stage.hello(BOB, 1, cursors=CURSORS)).close()
        await until(lambda: not stage.hub.connections)
        flushing, go_on = asyncio.Event(), asyncio.Event()
        real = stage.gateway.store.advance

        async def slow(acks: Sequence[Any]) -> Any:
            flushing.set()
            await go_on.wait()
            return await real(acks)

        alice = await stage.live(ALICE)
        await stage.send(ALICE, ALICE)
        monkeypatch.setattr(stage.gateway.store, "advance", slow)
        await alice.until("message")
        await alice.ack(1)
        await flushing.wait()
        removing = asyncio.create_task(
            stage.call("POST", "/user/device/remove", BOB, params={"device_sn": "1"})
        )
        await until(lambda: stage.gateway.receipts._flushing._waiters, "the removal waiting for the flush")
        bob = await stage.live(BOB, 1)
        go_on.set()
        await removing
        await ended(bob, Close.KICKED)
        await stage.acked()
        assert await kept(stage) == []


class TestFreeze:
    """PUT /user/disable."""

    async def test_devices_go_and_stay_away(self, stage: Stage) -> None:
        """At once; and when the user may act again they get what came meanwhile."""
        bobs = [await stage.live(BOB, sn) for sn in (1, 2)]
        await stage.call("PUT", "/user/disable", None, json={"list": [BOB]})
        for peer in bobs:
            await ended(peer, Close.FROZEN)
        await refused(stage, Close.FROZEN)
        await stage.send(ALICE, BOB, "meanwhile")
        await stage.call("PUT", "/user/enable", None, json={"list": [BOB]})
        await stage.heard()
        again = await stage.connect(BOB, 1)
        assert contents(await again.until("live")) == ["meanwhile"]

    async def test_what_a_device_says_in_that_moment(self, stage: Stage) -> None:
        """A send that was under way when its user was frozen is judged where it is committed."""
        bob = await stage.live(BOB)
        alice = await stage.live(ALICE)
        principal = await stage.principal(BOB)
        await stage.call("PUT", "/user/disable", None, json={"list": [BOB]})
        await ended(bob, Close.FROZEN)
        with pytest.raises(Problem, match=f"user {BOB} is frozen"):
            await stage.gateway.core.messaging.send(
                principal, Order(scope=Scope.USER, targets=(ALICE,), ctype=0, content="hi")
            )
        assert seqs(await alice.so_far()) == []


class TestPassword:
    """POST /user/change_password."""

    async def test_older_tokens_are_no_longer_good(self, stage: Stage) -> None:
        """Whoever is connected by one is told so, and does not get in by it again; a new one does."""
        older = await stage.token(BOB)
        bob = await stage.connect(BOB, token=older)
        await bob.until("live")
        await stage.greeted()
        body = {"user_id": BOB, "new_password": "n3w"}
        await stage.call("POST", "/user/change_password", None, json=body)
        await ended(bob, Close.TOKEN_ILLEGAL)
        await refused(stage, Close.TOKEN_ILLEGAL, token=older)
        assert ops(await (await stage.connect(BOB)).until("live")) == ["live"]


class TestList:
    """GET /user/device/list."""

    async def test_kept_and_connected_ones(self, stage: Stage) -> None:
        """With what they said of themselves in the handshake or in `hello`."""
        query = {"app_id": APP, "device_sn": "3", "platform": "6"}
        token = {"access-token": await stage.token(BOB)}
        browser = await stage.open(query, headers={**token, "User-Agent": "B" * 300})
        phone = await stage.hello(BOB, 2, platform=1, cursors=CURSORS)
        plain = await stage.live(BOB, 7)
        await browser.until("live")
        await plain.ack(0)
        about = str(aiohttp.http.SERVER_SOFTWARE)
        # What is not kept was said to one's own node alone.
        kind, agent, other = (0, "", "") if shapes.shape.two else (6, "B" * 200, about)
        assert await kept(stage) == [
            {"device_sn": sn, "platform": platform, "user_agent": said, "user_id": BOB, "online": True}
            for sn, platform, said in ((2, 1, about), (3, kind, agent), (7, 0, other))
        ]
        for peer in (browser, phone, plain):
            await peer.close()
        await stage.parted()
        assert await kept(stage) == [
            {"device_sn": 2, "platform": 1, "user_agent": about, "user_id": BOB, "online": False}
        ]
        told = await stage.call("GET", "/user/device/list", None, params={"user_id": str(BOB)})
        assert told["data"] == await kept(stage)

    async def test_online_status(self, stage: Stage) -> None:
        """A user is online while one of its devices is."""
        seen = []
        peer = await stage.live(BOB)
        for _ in range(2):
            seen.append((await stage.call("GET", "/user/online_status", BOB))["data"])
            await peer.close()
            await stage.parted()
        assert seen == [{"online": True}, {"online": False}]

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("platform", ["7", "-1", "x", "1.0", "06"])
    async def test_platforms_there_are_not(self, stage: Stage, platform: str) -> None:
        """Are a protocol error, in the query and in `hello`."""
        query = {"app_id": APP, "platform": platform}
        headers = {"access-token": await stage.token(BOB)}
        assert (await (await stage.open(query, headers=headers)).end()).code == Close.PROTOCOL
        if platform.lstrip("-").isdigit() and platform != "06":
            peer = await stage.open()
            await peer.say(op="hello", token=headers["access-token"], app_id=APP, platform=int(platform))
            assert (await peer.end()).code == Close.PROTOCOL
