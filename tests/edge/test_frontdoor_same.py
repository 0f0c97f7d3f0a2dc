"""One core served down both roads: the same status, the same bytes, and the same headers but for those listed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.errors import Kind, Problem
from gateway.edge.answering import Answering, Switch
from gateway.edge.facades.native.routes import ROUTES
from tests.core.stage import Stage, open_stage
from tests.edge.roads import DIFFER, LIMITS, Roads, Said, answers, open_roads

SEND = {"type": 1, "targets": [6001], "content_type": 0, "content": "hi"}

GOOD = [
    ("POST", "/message/send", {**SEND, "transaction_id": 7}),
    ("PUT", "/message/send", {**SEND, "targets": [6001, 6002], "transaction_id": 8}),
    ("GET", "/message/conversation?opposite_id=6001&limit=5", None),
    ("GET", "/message/conversation?opposite_id=%36001&limit=%35&x=a+b", None),
    ("DELETE", "/message/conversation?conversation_id=6001", None),
    ("GET", "/message/unread", None),
    ("GET", "/message/ack?conversation_id=6001", None),
    ("POST", "/roster/block", {"user_id": 6002}),
    ("GET", "/roster/blocked_list", None),
    ("GET", "/roster/may_message?roster_id=6001", None),
    ("GET", "/user/profile", None),
    ("GET", "/user/device/list", None),
    ("GET", "/group/user_joined", None),
]
"""Calls that answer the same when they are repeated."""


class Same:
    """One core behind both roads, and who may ask it."""

    def __init__(self, stage: Stage, roads: Roads, token: str) -> None:
        self.stage = stage
        self.roads = roads
        self.token = token

    async def both(self, verb: str, path: str, body: bytes, *headers: str) -> Said:
        """Ask both roads, which must agree."""
        lines = [f"{verb} {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        [found] = await self.roads.both("\r\n".join([*lines, "", ""]).encode() + body)
        return found

    @property
    def headers(self) -> tuple[str, str]:
        return "app_id: demo", f"access-token: {self.token}"


@asynccontextmanager
async def open_same(folder: Path) -> AsyncIterator[Same]:
    async with open_stage(folder, LIMITS) as stage:
        await stage.app()
        answering = Answering(stage.core, LIMITS, Switch())
        async with open_roads(answering, LIMITS) as roads:
            yield Same(stage, roads, (await stage.directory.token_for("demo", "5")).token)


@pytest.fixture
async def same(tmp_path: Path) -> AsyncIterator[Same]:
    async with open_same(tmp_path / "data") as opened:
        yield opened


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
async def test_every_call(same: Same, verb: str) -> None:
    """Whatever is missing or wrong in a request of any call, both say so alike."""
    app, token = same.headers
    who = [(), (app,), ("app_id: none", token), (app, "access-token: none"), (app, token, "user_id: x")]
    for path in {path for other, path, _ in ROUTES if other == verb}:
        # To delete oneself, or to make a group, nothing need be said.
        bodies = [b"[]", b'{"a":"\xff"}', b" " * 2_001]
        bodies += [] if path in {"/user/delete", "/group/create"} else [b"", b"{}", b'{"type":"x"}']
        asked = [(headers, b"") for headers in who]
        asked += [((app, token), body) for body in ([b""] if verb == "GET" else bodies)]
        for headers, body in asked:
            found = await same.both(verb, path, body, *headers)
            assert found.status == (413 if len(body) > LIMITS.body_bytes_max else 200)


async def test_calls_that_succeed(same: Same) -> None:
    """What is right is done by either, and told alike."""
    for verb, path, body in GOOD:
        sent = b"" if body is None else msgspec.json.encode(body)
        found = await same.both(verb, path, sent, *same.headers)
        assert msgspec.json.decode(found.body)["code"] == 200, (path, found.body)


@pytest.mark.parametrize("kind", [*Kind, None])
async def test_every_refusal(
    same: Same, monkeypatch: pytest.MonkeyPatch, kind: Kind | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Every problem, and every bug, is told alike, with the same advice."""

    async def failing(*_: object) -> None:
        if kind is None:
            raise LookupError("a secret")
        raise Problem(kind, "not so", retry_after_ms=2_500)

    monkeypatch.setattr(type(same.stage.core.messaging), "send", failing)
    with caplog.at_level(logging.ERROR):
        found = await same.both("POST", "/message/send", msgspec.json.encode(SEND), *same.headers)
    assert (b"not so" in found.body) is (kind is not None)
    assert len([record for record in caplog.records if record.exc_info]) == (0 if kind else 2)


async def test_while_it_drains(same: Same) -> None:
    """So is the refusal of everything while the gateway stops."""
    same.roads.answering.switch.draining = True
    found = await same.both("POST", "/message/send", b"{}", *same.headers)
    assert (found.status, found.headers["retry-after"]) == (503, "1")


async def test_what_differs(same: Same) -> None:
    """The headers in which they differ are those that are listed, and no more is."""
    said = b"GET /message/unread HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    door, alone = [set(answers(await same.roads.spoken(road, said))[0].headers) for road in same.roads.ports]
    assert alone - door == DIFFER
    assert not door - alone


VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8)
QUERY = st.lists(
    st.tuples(
        st.sampled_from(["opposite_id", "limit", "msg_id_start", "x", ""]),
        st.sampled_from(["=", "", "==", "=%"]),
        st.sampled_from(
            ["6001", "0", "-1", "9" * 20, "1.0", "%36", "+1", "a b", "%C3%A4", "%ff", "ä", "#", "&"]
        ),
    ).map("".join),
    max_size=4,
).map("&".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | VALUES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "content", "content_type", "transaction_id", "ext", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    verb=st.sampled_from(["GET", "POST"]),
    query=QUERY,
    headers=st.dictionaries(
        st.sampled_from(["app_id", "access-token", "user_id", "group_id", "X-Y"]), VALUES, max_size=3
    ),
    body=st.binary(max_size=30) | JSON.map(msgspec.json.encode),
    own=st.booleans(),
)
async def test_odd_requests(
    same: Same, verb: str, query: str, headers: dict[str, str], body: bytes, own: bool
) -> None:
    """Headers, queries and bodies of any kind: nobody can tell which road answered."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if own:
        lines += [line for line in same.headers if line.partition(":")[0] not in headers]
    path = "/message/conversation" if verb == "GET" else "/message/send"
    await same.both(verb, f"{path}?{query}" if query else path, b"" if verb == "GET" else body, *lines)
