"""How a connection says who it is (design §6), and what becomes of one that does not."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import jwt
import pytest

from gateway.config import Edge
from gateway.domain.model import DEVICE_SN_MAX
from gateway.wire.close import Close
from gateway.wire.encoding import JSON
from tests.channel.conftest import Start
from tests.channel.stage import ALICE, APP, BOB, End, Stage, Ticks, ops

QUERY = {"app_id": APP, "device_sn": "1"}


async def refused(stage: Stage, token: str, *, app: str = APP) -> End:
    """Offer a token in the handshake and return how the connection ends."""
    peer = await stage.open({"app_id": app}, headers={"access-token": token})
    return await peer.end()


async def test_token_in_the_header_attaches_at_once(stage: Stage) -> None:
    """A handshake with the token in `access-token` is welcomed without another word."""
    peer = await stage.connect(ALICE, 7)
    assert (peer.welcome["uid"], peer.welcome["device_sn"]) == (ALICE, 7)


async def test_token_in_the_subprotocol_attaches(stage: Stage) -> None:
    """A browser passes its token as an offered subprotocol."""
    protocols = (JSON.subprotocol, f"token.{await stage.token(ALICE)}")
    peer = await stage.open(QUERY, protocols=protocols)
    assert (await peer.hear())["uid"] == ALICE


async def test_the_answer_selects_the_protocol_and_never_the_token(stage: Stage) -> None:
    """Even where the token is offered first, the answer names `gateway.v1` only."""
    token = await stage.token(ALICE)
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": f"token.{token}, {JSON.subprotocol}",
    }
    async with stage.http.get(f"{stage.gateway.url}/ws", params=QUERY, headers=headers) as response:
        assert response.status == 101
        assert response.headers.getall("Sec-WebSocket-Protocol") == [JSON.subprotocol]
        assert token not in str(response.raw_headers)


async def test_a_client_of_other_subprotocols_is_refused(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Who offers subprotocols without `gateway.v1` is told so by HTTP 400, and its token is not logged."""
    token = await stage.token(ALICE)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await stage.open(QUERY, protocols=(f"token.{token}",))
    assert refusal.value.status == 400
    assert token not in caplog.text


async def test_hello_attaches(stage: Stage) -> None:
    """A first frame `hello` with the token attaches."""
    peer = await stage.hello(ALICE, 7)
    assert (peer.welcome["uid"], peer.welcome["device_sn"]) == (ALICE, 7)


async def test_hello_takes_app_and_device_from_the_query(stage: Stage) -> None:
    """What `hello` leaves out, the address said."""
    peer = await stage.open({"app_id": APP, "device_sn": "9"})
    await peer.say(op="hello", token=await stage.token(ALICE))
    assert (await peer.hear())["device_sn"] == 9


async def test_first_frame_must_be_hello(stage: Stage) -> None:
    """Any other first frame is a protocol error."""
    peer = await stage.open(QUERY)
    await peer.say(op="ping")
    ended = await peer.end()
    assert (ended.code, ended.bye["code"]) == (Close.PROTOCOL, Close.PROTOCOL)


async def test_hello_after_a_token_in_the_handshake_is_a_protocol_error(stage: Stage) -> None:
    """A connection authenticates once."""
    peer = await stage.connect(ALICE)
    await peer.say(op="hello", token=await stage.token(ALICE))
    assert (await peer.end()).code == Close.PROTOCOL


async def test_second_hello_is_a_protocol_error(stage: Stage) -> None:
    """A connection that said `hello` says it once."""
    peer = await stage.hello(ALICE)
    await peer.say(op="hello", token=await stage.token(ALICE))
    assert (await peer.end()).code == Close.PROTOCOL


async def test_silence_before_authentication_ends(start: Start) -> None:
    """Who says nothing within `auth_timeout_ms` is told `bye` and closed, and may come back."""
    stage = await start(auth_timeout_ms=30)
    ended = await (await stage.open(QUERY)).end()
    assert (ended.code, ops(ended.frames)) == (Close.AUTH_TIMEOUT, [])
    assert 4000 <= ended.bye["code"] <= 4499


async def test_pings_do_not_put_off_the_authentication_timeout(start: Start) -> None:
    """A connection that only pings has not authenticated."""
    stage = await start(auth_timeout_ms=30)
    peer = await stage.open(QUERY)
    await peer.ws.ping()
    assert (await peer.end()).code == Close.AUTH_TIMEOUT


async def test_ping_before_hello_is_answered(stage: Stage) -> None:
    """Client libraries ping by themselves; one that does so before `hello` goes on as usual."""
    peer = await stage.open(QUERY, autoping=False)
    await peer.ws.ping(b"early")
    pong = await peer.receive()
    assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"early")
    await peer.say(op="hello", token=await stage.token(ALICE))
    assert (await peer.hear())["op"] == "welcome"


def forged(good: str, key: Any, algorithm: str | None = "HS512", **claims: Any) -> str:
    """A token like a good one, signed with another key, algorithm or claims."""
    header = jwt.get_unverified_header(good)
    payload = jwt.decode(good, options={"verify_signature": False}) | claims
    return jwt.encode(payload, key, algorithm, {"kid": header["kid"]})


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("token", ["x", "a.b.c", "..", "é", "t" * 5_000])
async def test_garbage_is_no_token(stage: Stage, token: str) -> None:
    """What is no token is illegal: the upgrade is accepted, then comes `bye`."""
    ended = await refused(stage, token)
    assert (ended.code, ended.bye["code"]) == (Close.TOKEN_ILLEGAL, Close.TOKEN_ILLEGAL)


async def test_forged_token_is_illegal(stage: Stage) -> None:
    """A token signed with another key is not let in."""
    good = await stage.token(ALICE)
    assert (await refused(stage, forged(good, b"k" * 64))).code == Close.TOKEN_ILLEGAL


async def test_unsigned_token_is_illegal(stage: Stage) -> None:
    """`alg=none` is not let in."""
    good = await stage.token(ALICE)
    assert (await refused(stage, forged(good, None, None))).code == Close.TOKEN_ILLEGAL


async def test_token_of_another_algorithm_is_illegal(stage: Stage) -> None:
    """The app's own key with HS256 is not let in: the algorithm is pinned."""
    app = await stage.near.store.app(APP)
    assert app is not None
    token = forged(await stage.token(ALICE), app.keys[app.signing_kid], "HS256")
    assert (await refused(stage, token)).code == Close.TOKEN_ILLEGAL


async def test_token_of_another_app_is_illegal(stage: Stage) -> None:
    """A good token of one app opens no connection in another."""
    await stage.near.directory.create_app("other")
    assert (await refused(stage, await stage.token(ALICE, app="other"))).code == Close.TOKEN_ILLEGAL


async def test_expired_token_is_told_apart(stage: Stage) -> None:
    """An expired token is refused with a code of its own."""
    app = await stage.near.store.app(APP)
    assert app is not None
    past = int(time.time()) - 1
    token = forged(await stage.token(ALICE), app.keys[app.signing_kid], exp=past)
    assert (await refused(stage, token)).code == Close.TOKEN_EXPIRED


@pytest.mark.parametrize("app", ["nobody", "", "é" * 200, "%00"])
async def test_unknown_app_is_refused(stage: Stage, app: str) -> None:
    """An app that is not there refuses in the range that says: do not come back."""
    ended = await refused(stage, await stage.token(ALICE), app=app)
    assert 4500 <= (ended.code or 0) <= 4999


async def test_admin_token_has_no_device(stage: Stage) -> None:
    """The reserved user `system` has no devices."""
    ended = await refused(stage, await stage.token(None))
    assert ended.code == Close.FORBIDDEN


async def test_bad_token_in_hello_ends_the_same_way(stage: Stage) -> None:
    """`hello` with a bad token gets the same `bye` as a handshake with one."""
    peer = await stage.open(QUERY)
    await peer.say(op="hello", token="nonsense")
    assert (await peer.end()).code == Close.TOKEN_ILLEGAL


@pytest.mark.parametrize("query", [{}, {"device_sn": "0"}, {"device_sn": ""}])
async def test_server_assigns_a_device_sn(stage: Stage, query: dict[str, str]) -> None:
    """Absent or 0, `device_sn` is the server's to choose, and it says so."""
    peer = await stage.open({"app_id": APP} | query, headers={"access-token": await stage.token(ALICE)})
    assert 1 <= (await peer.hear())["device_sn"] <= DEVICE_SN_MAX


async def test_assigned_device_sns_differ(stage: Stage) -> None:
    """Two devices that leave the choice to the server do not replace each other."""
    peers = [await stage.connect(ALICE, 0) for _ in range(2)]
    assert peers[0].welcome["device_sn"] != peers[1].welcome["device_sn"]


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("device_sn", ["-1", "x", "1.0", "2147483648", "9" * 30, "\u0661", " 1"])
async def test_bad_device_sn_in_the_query(stage: Stage, device_sn: str) -> None:
    """A `device_sn` that is no int32 is a protocol error."""
    headers = {"access-token": await stage.token(ALICE)}
    peer = await stage.open(QUERY | {"device_sn": device_sn}, headers=headers)
    assert (await peer.end()).code == Close.PROTOCOL


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("device_sn", [-1, DEVICE_SN_MAX + 1, "x", 1.5, 2**70])
async def test_bad_device_sn_in_hello(stage: Stage, device_sn: object) -> None:
    """The same in `hello`."""
    peer = await stage.open(QUERY)
    await peer.say(op="hello", token=await stage.token(ALICE), device_sn=device_sn)
    assert (await peer.end()).code == Close.PROTOCOL


async def test_foreign_origin_is_refused(start: Start) -> None:
    """With `ws_origins`, a page of another origin gets HTTP 403."""
    stage = await start(Edge(ws_origins=("https://chat.example.org",)))
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await stage.open(QUERY, origin="https://evil.example.org")
    assert refusal.value.status == 403


async def test_listed_origin_is_let_in(start: Start) -> None:
    """With `ws_origins`, a page of a listed origin opens the channel."""
    stage = await start(Edge(ws_origins=("https://chat.example.org",)))
    peer = await stage.connect(ALICE, origin="https://chat.example.org")
    assert peer.welcome["uid"] == ALICE


async def test_clients_without_an_origin_are_let_in(start: Start) -> None:
    """`ws_origins` is about pages: a client that names no origin is no page."""
    stage = await start(Edge(ws_origins=("https://chat.example.org",)))
    assert (await stage.connect(ALICE)).welcome["uid"] == ALICE


async def test_more_devices_than_allowed(start: Start) -> None:
    """With `devices_per_user_max` connected, one more is refused."""
    stage = await start(devices_per_user_max=2)
    await stage.connect(ALICE, 1)
    await stage.connect(ALICE, 2)
    peer = await stage.open(QUERY | {"device_sn": "3"}, headers={"access-token": await stage.token(ALICE)})
    assert (await peer.end()).code == Close.TOO_MANY_DEVICES


async def test_a_full_user_can_reconnect_its_devices(start: Start) -> None:
    """A device that is counted already replaces itself."""
    stage = await start(devices_per_user_max=1)
    await stage.connect(ALICE, 1)
    assert (await stage.connect(ALICE, 1)).welcome["device_sn"] == 1


async def test_devices_are_counted_per_user(start: Start) -> None:
    """Another user's devices are not in the way."""
    stage = await start(devices_per_user_max=1)
    await stage.connect(ALICE, 1)
    assert (await stage.connect(BOB, 2)).welcome["uid"] == BOB


async def test_more_connections_than_allowed(start: Start) -> None:
    """With `connections_max` open, a handshake gets HTTP 503 with `Retry-After`."""
    stage = await start(connections_max=1)
    await stage.connect(ALICE)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await stage.open(QUERY)
    assert refusal.value.status == 503
    assert refusal.value.headers is not None
    assert "Retry-After" in refusal.value.headers


async def test_token_expires_while_connected(start: Start, ticks: Ticks) -> None:
    """When `exp` passes the device is told `bye`, with the code of an expired token."""
    stage = await start()
    peer = await stage.connect(ALICE, token=await stage.token(ALICE, ttl_s=60))
    await peer.until("live")
    ticks.move(60_000)
    stage.hub._wheel.turn()
    ended = await peer.end()
    assert (ended.code, ended.bye["code"]) == (Close.TOKEN_EXPIRED, Close.TOKEN_EXPIRED)
