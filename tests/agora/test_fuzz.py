"""Whatever is sent, the answer is of the dialect: no HTTP 500, no traceback, and the store keeps its laws.

Requests go in batches, each beside a good one, so that one server meets some thousands of them in seconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from yarl import URL

from gateway.edge.facades.agora.routes import ROUTES
from tests.agora.stage import Answer, Cloud
from tests.rest.stage import Json
from tests.rest.test_fuzz import NUMBERS, ODD, TEXT, VALUES, fuzzed

pytestmark = pytest.mark.one_node("what the facade refuses by itself")

BATCH = 40
NEIGHBOUR = "the-neighbour"
STATUSES = {200, 400, 401, 403, 404, 405, 409, 413}

CALLS = st.sampled_from([(verb, path) for verb, path, _ in ROUTES])
SENDS = st.sampled_from([(verb, path) for verb, path, _ in ROUTES if path.startswith("messages")])
MEMBERS = [
    *("from", "to", "type", "body", "ext", "sync_device", "routetype", "roam_ignore_users", "env", "users"),
    *("chatroom_msg_level", "need_group_ack", "msg_timestamp", "target", "target_type", "msg", "msgs"),
    *("msg_id", "chat_type", "force", "channel", "delete_roam", "is_ack_read", "need_download"),
    *("username", "password", "nickname", "usernames", "groupname", "name", "owner", "members", "maxusers"),
    *("grant_type", "client_id", "client_secret", "ttl", "newowner", "mute_duration", "announcement"),
    *("msg_id ", "targets", "entities", "public", "desc", "description", "custom"),
]
KNOWN = [
    *("ann", "BOB", "admin", "7001", "users", "chatgroups", "chatrooms", "chat", "groupchat", "chatroom"),
    *("txt", "img", "custom", "ROUTE_ONLINE", "high", "client_credentials", "password", "inherit", "agora"),
    *(
        ["ann"],
        ["bob", "cid"],
        {"msg": "x"},
        {"msg": "x", "type": "txt"},
        {"customEvent": "e"},
        ["1000000000001"],
    ),
    *("1", 1, "1000000000001", 1_000_000_000_001),
]
GOOD: Json = {
    "from": "ann", "to": ["bob"], "target": "bob", "type": "txt", "body": {"msg": "x"}, "ext": {"a": 1},
    "msg_id": "1", "chat_type": "chat", "channel": "bob", "username": "ann", "password": "x",
}  # fmt: skip
SAID = st.sampled_from(KNOWN) | VALUES
SEGMENTS = st.sampled_from(
    [
        "ann",
        "bob",
        "zoe",
        "admin",
        "1",
        "1000000000001",
        "1000000000002",
        "ann,bob",
        "batch",
        "...",
        "%",
        "\0",
    ]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
    lambda text: text not in {".", ".."}
)
QUERIES = st.dictionaries(
    st.sampled_from(
        [
            "limit",
            "cursor",
            "pagenum",
            "pagesize",
            "channel",
            "type",
            "useMsgId",
            "thumbnail",
            "share-secret",
            "ql",
        ]
    )
    | TEXT,
    NUMBERS
    | st.sampled_from(["true", "chat"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    max_size=3,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Authorization": TEXT
        | st.sampled_from(
            ["", "Bearer", "Bearer x", "Bearer a.b.c", "Bearer 007", "Bearer 007eJw", "Basic x"]
        ),
        "X-Transaction-Id": NUMBERS | TEXT,
        "restrict-access": TEXT,
        "share-secret": TEXT,
        "thumbnail": TEXT,
        "Range": TEXT | st.sampled_from(["bytes=0-", "bytes=-0", "bytes=9-1", "bytes=0-1,3-4"]),
        "Content-Type": TEXT | st.sampled_from(["multipart/form-data", "multipart/form-data; boundary=x"]),
        "Accept": TEXT,
        "Host": st.sampled_from(["x", "x:y", "[", "[::1]:5", "x/y", "x y"]),
    },
)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


BODIES = st.one_of(
    st.dictionaries(st.sampled_from(MEMBERS), SAID, max_size=3).map(lambda odd: _json(GOOD | odd)),
    st.dictionaries(st.sampled_from(MEMBERS), SAID, max_size=8).map(_json),
    st.lists(st.dictionaries(st.sampled_from(MEMBERS), SAID, max_size=4), max_size=4).map(_json),
    SAID.map(_json),
    st.sampled_from(ODD).map(
        lambda odd: _json(GOOD | {"body": {"msg": "x", "odd": odd}, "ext": {"odd": odd}})
    ),
    st.tuples(st.integers(0, 150), st.integers(0, 5), st.binary(max_size=6)).map(lambda cut: _spliced(*cut)),
    st.binary(max_size=60),
)


def _spliced(at: int, cut: int, put: bytes) -> bytes:
    whole = _json(GOOD)
    return whole[:at] + put + whole[at + cut :]


async def ask(
    cloud: Cloud,
    call: tuple[str, str],
    segments: list[str],
    body: bytes | None,
    headers: dict[str, str],
    query: dict[str, str],
) -> Answer:
    """Make a call, with the segments where its path is open."""
    verb, path = call
    for segment in segments:
        path = path.replace("*", quote(segment.encode("utf-8", "replace"), safe=","), 1)
    url = URL(cloud.node.url + f"{cloud.base}/{path}", encoded=True).extend_query(query)
    bearer = {"Authorization": f"Bearer {cloud.token}"}
    async with cloud.node.http.request(verb, url, data=body, headers={**bearer, **headers}) as response:
        return Answer(response.status, response.headers, await response.read())


async def battered(cloud: Cloud, *calls: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Make all calls at once, beside a good send, and judge what comes back."""
    good, *answers = await asyncio.gather(cloud.send(NEIGHBOUR, sender=NEIGHBOUR), *calls)
    assert set(good) == {NEIGHBOUR}
    for answer in answers:
        assert answer.status in STATUSES, (answer.status, answer.body)
        if answer.status != 200:
            assert answer.refused(answer.status, answer.json["error"])
            assert len(answer.json["error_description"]) < 1_000
    told = [
        record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info
    ]
    assert told == []


fuzzed = settings(fuzzed, phases=[Phase.generate])
"""A batch that fails is as plain as it will be: to make it smaller would take hours."""

SEVERAL = st.lists(SEGMENTS, min_size=2, max_size=2)


@settings(fuzzed, max_examples=25)
@given(st.lists(st.tuples(CALLS | SENDS, SEVERAL, BODIES), min_size=BATCH, max_size=BATCH))
async def test_bodies(cloud: Cloud, caplog: pytest.LogCaptureFixture, drawn: list[Any]) -> None:
    """1,000 bodies to every call, half of them sends."""
    calls = (ask(cloud, call, open_, body, {}, {}) for call, open_, body in drawn)
    await battered(cloud, *calls, caplog=caplog)


@settings(fuzzed, max_examples=12)
@given(st.lists(st.tuples(CALLS, SEVERAL, HEADERS, QUERIES), min_size=BATCH, max_size=BATCH))
async def test_headers_and_queries(cloud: Cloud, caplog: pytest.LogCaptureFixture, drawn: list[Any]) -> None:
    """480 sets of them to every call."""
    calls = (ask(cloud, call, open_, _json(GOOD), headers, query) for call, open_, headers, query in drawn)
    await battered(cloud, *calls, caplog=caplog)


@settings(fuzzed, max_examples=4)
@given(
    st.lists(
        st.tuples(
            st.tuples(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]), st.just("*/*/*")),
            st.lists(
                st.sampled_from(["messages", "users", "chatgroups", "user_channel", "import", ""]) | SEGMENTS,
                min_size=3,
                max_size=3,
            ),
        ),
        min_size=BATCH,
        max_size=BATCH,
    )
)
async def test_paths(cloud: Cloud, caplog: pytest.LogCaptureFixture, drawn: list[Any]) -> None:
    """160 paths."""
    calls = (ask(cloud, call, open_, _json(GOOD), {}, {}) for call, open_ in drawn)
    await battered(cloud, *calls, caplog=caplog)
