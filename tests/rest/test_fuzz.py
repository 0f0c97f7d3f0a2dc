"""Whatever is sent, the answer is an envelope: no HTTP 500, no traceback, no hang, and no neighbour fails.

Requests go in batches, each beside a good one, so that one server meets some thousands of them in seconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.edge.facades.native.routes import ROUTES
from tests.rest.stage import ALICE, BOB, Answer, Caller, Node, cheap_passwords, order

pytestmark = pytest.mark.one_node("what the edge refuses by itself")

BATCH = 40
NEIGHBOUR = 55_555_555

# The end of an account would be the end of a caller, and all that comes after it a plain refusal.
ENDLESS = [(verb, path) for verb, path, _ in ROUTES if path != "/user/delete"]
CALLS = st.sampled_from(ENDLESS)
WRITES = st.sampled_from([(verb, path) for verb, path in ENDLESS if verb in {"POST", "PUT"}])
MEMBERS = [
    *("type", "targets", "content_type", "content", "attachment", "ext", "config", "from_user_id"),
    *(
        "transaction_id",
        "transaction_id ",
        "online_only",
        "related_mid",
        "expire_s",
        "conversation_id",
        "msg_id",
    ),
    *("username", "password", "name", "user_id", "description", "avatar", "user_list", "group_id"),
    *("duration", "value", "apply_approval", "new_owner", "group_list", "approval", "reason", "read_ack"),
]
ODD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        2,
        7,
        8,
        -1,
        1.0,
        1.5,
        1e3,
        1e300,
        -0.0,
        float("nan"),
        float("inf"),
        -float("inf"),
    ),
    *(2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**40, 10**400, ALICE, BOB, 10**12),
    *(
        "",
        "0",
        "1",
        "1e3",
        "1.0",
        "-1",
        str(ALICE),
        "9" * 50,
        "\0",
        "a\0b",
        "\ud800",
        "\udfff\ud800",
        "😀",
        "\u202e",
    ),
    *("x" * 70_000, "😀" * 20_000, "'; DROP TABLE message; --", "%s%n", "../../etc/passwd", "\r\n\r\n"),
    *([], [[]], [None], [ALICE, None], ["x"], {}, {"a": {"a": []}}, [BOB] * 1_100, [*range(1, 1_002)]),
]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.sampled_from(ODD) | st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
GOOD = order([BOB], transaction_id=7)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _deep(opening: str, depth: int, closed: bool) -> bytes:
    closing = {"[": "]", '{"a":': "}"}[opening]
    return (
        b'{"content":' + opening.encode() * depth + b"1" + closing.encode() * (depth if closed else 0) + b"}"
    )


def _spliced(at: int, cut: int, put: bytes) -> bytes:
    whole = _json(GOOD | {"content": "ünïcode"})
    at %= len(whole)
    return whole[:at] + put + whole[at + cut :]


BODIES = st.one_of(
    st.dictionaries(st.sampled_from(MEMBERS), VALUES, max_size=8).map(_json),
    st.dictionaries(st.sampled_from(MEMBERS), VALUES, max_size=2).map(lambda odd: _json(GOOD | odd)),
    VALUES.map(_json),
    st.builds(
        _deep,
        st.sampled_from(["[", '{"a":']),
        st.sampled_from([1, 30, 33, 100, 5_000, 60_000]),
        st.booleans(),
    ),
    st.builds(_spliced, st.integers(0, 300), st.integers(0, 5), st.binary(max_size=6)),
    st.binary(max_size=60),
)
# What a client can put into a header; the rest is in the tests of raw bytes.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x7f"), max_size=30)
NUMBERS = st.sampled_from(
    ["", "0", "-1", "1", str(ALICE), str(BOB), "1.0", "1e3", "9" * 40, str(2**53), "\u0661", " 1 "]
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "app_id": TEXT | st.sampled_from(["demo", "", "x" * 4_000]),
        "access-token": TEXT
        | st.sampled_from(["", "a.b.c", "e30.e30.", "." * 3_000, "eyJhbGciOiJub25lIn0.e30."]),
        "user_id": NUMBERS | TEXT,
        "group_id": NUMBERS | TEXT,
        "Content-Type": TEXT,
        "Accept": TEXT,
        "Origin": TEXT,
        "Cookie": TEXT,
        "X-Odd": TEXT,
    },
)
PARAMETERS = [
    "opposite_id",
    "conversation_id",
    "msg_id",
    "msg_id_start",
    "limit",
    "device_sn",
    "group_id",
    "cursor",
]
QUERIES = st.dictionaries(
    st.sampled_from(PARAMETERS) | TEXT,
    NUMBERS | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    max_size=4,
)

fuzzed = settings(
    deadline=None,
    database=None,
    # The same ones each time: a suite that fails by chance teaches people to run it again.
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
async def callers(node: Node, alice: Caller, admin: Caller) -> list[Caller]:
    cheap_passwords(node)
    return [alice, admin, await node.admin(user_id=BOB), await node.admin(group_id=await alice.group(BOB))]


async def battered(node: Node, *calls: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Make all calls at once, beside a good send, and judge what comes back."""
    # Whom no call names, and so none freezes, kicks or blocks.
    neighbour = await node.user(NEIGHBOUR)
    good, *answers = await asyncio.gather(neighbour.ask_send([NEIGHBOUR], "neighbour"), *calls)
    assert good.data is True
    for answer in answers:
        assert answer.status in {200, 413}, answer.body
        judged(answer)
    told = [
        record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info
    ]
    assert told == []


def judged(answer: Answer) -> None:
    """An answer is an envelope, and one of the two kinds."""
    told = answer.envelope
    assert {"code", "message", "data"} <= set(told), told
    assert (told["code"] == 200) is (told["message"] is None)
    assert told["code"] not in {500, 20000}
    if told["code"] != 200:
        assert told["data"] is None
        assert len(told["message"]) < 1_000


@settings(fuzzed, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), WRITES, BODIES), min_size=BATCH, max_size=BATCH))
async def test_bodies(
    node: Node, callers: list[Caller], caplog: pytest.LogCaptureFixture, drawn: list[Any]
) -> None:
    """1,600 bodies to every call that takes one, from users and admins."""
    calls = [callers[who].call(verb, path, body) for who, (verb, path), body in drawn]
    await battered(node, *calls, caplog=caplog)


@settings(fuzzed, max_examples=40)
@given(st.lists(st.tuples(HEADERS, CALLS), min_size=BATCH, max_size=BATCH))
async def test_headers(
    node: Node, alice: Caller, callers: list[Caller], caplog: pytest.LogCaptureFixture, drawn: list[Any]
) -> None:
    """1,600 sets of headers to every call, over good ones or alone."""
    body = _json(GOOD | {"group_id": 1, "user_list": [1], "msg_id": 1, "conversation_id": 1})
    calls = [
        Caller(node, (alice.headers if len(path) % 2 else {}) | headers).call(verb, path, body)
        for headers, (verb, path) in drawn
    ]
    await battered(node, *calls, caplog=caplog)


@settings(fuzzed, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), CALLS, QUERIES), min_size=BATCH, max_size=BATCH))
async def test_queries(
    node: Node, callers: list[Caller], caplog: pytest.LogCaptureFixture, drawn: list[Any]
) -> None:
    """1,600 query strings to every call."""
    calls = [callers[who].call(verb, path, **query) for who, (verb, path), query in drawn]
    await battered(node, *calls, caplog=caplog)
