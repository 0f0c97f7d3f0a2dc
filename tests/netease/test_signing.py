"""Who may call: the four headers (netease.md, Authentication)."""

from __future__ import annotations

import logging

import pytest

from gateway.edge.facades.netease.asking import ALIAS
from tests.netease.stage import APP_KEY, APP_SECRET, Cloud, signed

PATH = "/v2/accounts/ann"


async def test_a_signed_call_is_let_in(cloud: Cloud) -> None:
    """The same headers again are, too: clients keep them for a while."""
    await cloud.phone("ann")
    headers = signed()
    for _ in range(2):
        told = await cloud.get(PATH, headers=headers)
        assert told.data == {"account_id": "ann", "configuration": {"enabled": True}}


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("name", ["AppKey", "Nonce", "CurTime", "CheckSum"])
@pytest.mark.parametrize("value", [None, "", "x" * 129, "é"])
async def test_headers_that_are_missing_or_wrong(cloud: Cloud, name: str, value: str | None) -> None:
    """Each is needed, and each as the vendor has it; an AppKey that is nobody's has a code of its own."""
    headers = signed()
    headers.pop(name)
    if value is not None:
        headers[name] = value
    unknown = name == "AppKey" and value
    assert (await cloud.get(PATH, headers=headers)).refused(101303 if unknown else 414)


@pytest.mark.parametrize("way", [-1, 1])
async def test_a_time_that_is_not_now(still: int, cloud: Cloud, way: int) -> None:
    """Five minutes are let pass, either way."""
    stale = await cloud.get(PATH, headers=signed(at_s=still // 1000 + 301 * way))
    assert stale.refused(414, "bad http header")
    near = await cloud.get(PATH, headers=signed(at_s=still // 1000 + 300 * way))
    assert near.refused(102404)


@pytest.mark.two_nodes_once
@pytest.mark.parametrize("at_s", ["-1", "1e9", "٣٣٣", "9" * 16, "1 "])
async def test_a_time_that_is_none(cloud: Cloud, at_s: str) -> None:
    """Digits, and at most 15 of them."""
    assert (await cloud.get(PATH, headers=signed(at_s=at_s))).refused(414, "bad http header")


async def test_a_checksum_of_another_secret(cloud: Cloud) -> None:
    """What another secret has signed is not let in, nor what was signed for another nonce."""
    assert (await cloud.get(PATH, headers=signed(secret="guess"))).refused(414, "bad http header")
    other = signed() | {"Nonce": "another"}
    assert (await cloud.get(PATH, headers=other)).refused(414, "bad http header")


async def test_either_case_of_the_checksum(cloud: Cloud) -> None:
    """Hexadecimal digits are the same in capitals."""
    headers = signed()
    headers["CheckSum"] = headers["CheckSum"].upper()
    assert (await cloud.get(PATH, headers=headers)).refused(102404)


async def test_two_secrets_while_one_is_changed_for_the_other(cloud: Cloud) -> None:
    """Both are good, and neither for another app."""
    credentials = cloud.node.gateway.directory.credentials
    await credentials.add("demo", ALIAS, APP_KEY, "new-fake-secret")
    for secret in (APP_SECRET, "new-fake-secret"):
        assert (await cloud.get(PATH, headers=signed(secret=secret))).refused(102404)
    await cloud.node.gateway.directory.create_app("other")
    await credentials.call("other", ALIAS, "otherkey")
    assert (await cloud.get(PATH, headers=signed("otherkey"))).refused(414, "bad http header")


async def test_what_is_not_served_proves_nothing_first(cloud: Cloud) -> None:
    """Paths and verbs that are not there are told without a secret, whatever the body."""
    for verb, path in (("GET", "/v2/none"), ("DELETE", "/v2/accounts/a"), ("POST", "/v3"), ("GET", "/")):
        assert (await cloud.call(verb, path, b"x", headers={})).refused(404, "not served")
    told = await cloud.post("/sendMsg.action", b"", headers={}, root="/nimserver/msg")
    assert told.refused(404, "not served")
    head = await cloud.call("HEAD", PATH)
    assert (head.status, head.body) == (200, b"")


async def test_whether_it_lives(cloud: Cloud) -> None:
    """Asked by the vendor's libraries before the first call, without a secret."""
    told = await cloud.get("/health/liveness.action", headers={}, root="")
    assert told.data == {}


async def test_a_trace_id_comes_back(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """In the header that it came in, and is logged; one that is no text of ASCII is refused, and not told again."""
    with caplog.at_level(logging.DEBUG, "gateway.edge"):
        told = await cloud.get(PATH, trace="f00-1")
        await cloud.get("/v2/accounts/a%0Ab", headers={})
    assert told.headers["X-custom-traceid"] == "f00-1"
    assert [record.getMessage() for record in caplog.records if record.name.startswith("gateway.edge")] == [
        f"GET /im{PATH}, trace id f00-1",
        "GET /im/v2/accounts/a%0Ab, trace id ",
    ]
    told = await cloud.get(PATH, trace="é")
    assert told.refused(414, "X-custom-traceid")
    assert "X-custom-traceid" not in told.headers
