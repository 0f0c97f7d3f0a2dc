"""Whatever is sent, the answer is of the dialect: HTTP 200, never its code 500, and the store keeps its laws.

Requests go in batches, each beside a good one, so that one server meets some thousands of them in seconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from yarl import URL

from gateway.edge.facades.netease.faults import FAILED, UNAVAILABLE
from gateway.edge.facades.netease.routes import ROUTES
from tests.netease.stage import Answer, Cloud, signed
from tests.rest.stage import Json
from tests.rest.test_fuzz import NUMBERS, ODD, TEXT, VALUES, fuzzed

pytestmark = pytest.mark.one_node("what the facade refuses by itself")

BATCH = 40
NEIGHBOUR = "the-neighbour|1|the-neighbour"
TEAM = 1_000_000_000_004
"""What a new gateway gives to the first group after three users."""

# A batch that fails is as plain as it will be: to make it smaller would take hours.
fuzzed = settings(fuzzed, phases=[Phase.generate])

# The end of the team would be the end of most that comes after it.
ENDLESS = [(verb, path) for verb, path, _ in ROUTES if (verb, path) != ("DELETE", "v2.1/teams/*")]
CALLS = st.sampled_from(ENDLESS)
READS = st.sampled_from([call for call in ENDLESS if call[0] == "GET"])
WRITES = st.sampled_from([call for call in ENDLESS if call[0] != "GET"])
SENDS = st.sampled_from([call for call in ENDLESS if call[0] == "POST" and call[1].endswith("messages")])

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
"""Whatever may stand in a path or a query."""
ODD_SEGMENTS = (
    st.sampled_from(
        [
            *(
                "ann|1|zoe",
                "zoe|1|zoe",
                f"zoe|2|{TEAM}",
                "ann|2|1000000000001",
                "system|1|ann",
                "ann|1|system",
            ),
            *("ann|1", "|||", "ann|2|0", "#7001|1|ann", "ann|1|" + "x" * 33, "ann", "bob", "system", "#7001"),
            *("0", "4711", str(2**53), "...", "%", "\0", ""),
        ]
    )
    | ANY
)
GOOD_SEGMENTS = {
    "conversations": ["ann|1|bob", "ANN|1|Bob", "bob|1|ann", "ann|1|ann", f"ann|2|{TEAM}", f"bob|3|{TEAM}"],
    "accounts": ["ann", "bob", "cid", "Zoe", "#7001"],
    "teams": [str(TEAM)],
}
MSG_IDS = st.integers(1, 9).map(str)


def opened(call: tuple[str, str]) -> st.SearchStrategy[list[str]]:
    """What may stand where the path of a call is open: mostly what is there."""
    good = st.sampled_from(GOOD_SEGMENTS.get(call[1].split("/")[1], ["ann"]))
    return st.tuples(good | good | ODD_SEGMENTS, MSG_IDS | MSG_IDS | ODD_SEGMENTS).map(list)


MESSAGE = ["message_type", "sub_type", "text", "attachment", "message_client_id", "message_server_id", "time"]
INNER = {
    "message_config": """
        unread_enabled history_enabled offline_enabled mutil_sync_enabled roaming_enabled
        conversation_update_enabled
    """,
    "route_config": "route_enabled route_environment",
    "push_config": """
        push_enabled push_nick_enabled push_content push_payload push_forcepush_all push_forcepush_ids
        push_forcepush_content
    """,
    "antispam_config": "antispam_enabled antispam_cheating antispam_business_id",
    "p2p_option": "check_friend",
    "team_option": "mark_as_read ignore_chat_banned ignore_member_chat_banned check_team_member_valid",
    "superteam_option": "mark_as_read ignore_chat_banned",
    "target_option": "receiver_account_ids inclusive check_team_member_valid visible_to_new_member",
    "thread_config": "thread_root thread_reply",
    "robot_config": "robot_account_id robot_topic robot_function robot_custom_content",
    "configuration": "enabled join_mode",
    "user_information": "name",
}
"""Members that hold others."""
MEMBERS = """
    message sender_id receiver_ids need_message_detail sender_no_sense receiver_no_sense extension ai_params
    conversation_id conversationId messages operator operator_id type from_account_id to_account_id
    message_server_id message_server_ids team_id team_type account_id token owner_account_id name
    invite_account_ids invite_msg icon intro announcement server_extension members_limit
    chat_ban_account_ids chat_banned enabled need_kick device_id_list
"""
PARAMETERS = """
    type begin_time end_time limit descending message_type page_token conversation_id conversationId team_id
    message_server_id sender_id exclude_root operator_id description create_time receiver_id conversation_type
    team_type account_id kick_account_ids
"""
KNOWN: list[Any] = [
    *("ann", "BOB", "system", "#7001", "ann|1|bob", f"ann|2|{TEAM}", "ann|1", "1", 1, 2, 3, 10, 100, TEAM),
    *(str(TEAM), [1, 2], ["1"], ["ann"], ["bob", "cid"], ["bob", None], True, False, None, {"a": 1}),
    *([{"message_server_id": 1, "create_time": 1}], [{"message_server_id": "x"}], [None], [[]]),
    {"message_server_id": 1, "sender_id": "ann", "receiver_id": "bob", "create_time": 1, "time": 1},
]
GOOD: Json = {
    "message": {
        "message_type": 0, "text": "x", "message_server_id": 2, "sender_id": "ann", "receiver_id": "bob", "time": 1,
    },
    "sender_id": "ann", "receiver_ids": ["bob"], "operator": "ann", "operator_id": "ann", "type": 1,
    "from_account_id": "ann", "to_account_id": "bob", "message_server_id": 1, "message_server_ids": [1],
    "team_id": TEAM, "team_type": 1, "account_id": "dee", "owner_account_id": "ann", "name": "n",
    "chat_ban_account_ids": ["cid"], "chat_banned": False, "invite_account_ids": ["cid"], "enabled": True,
    "messages": [{"message_server_id": 1, "create_time": 1}],
}  # fmt: skip
GOOD_QUERY = {
    "type": "2", "team_id": str(TEAM), "team_type": "1", "operator_id": "ann", "account_id": "cid",
    "kick_account_ids": "cid", "conversation_type": "1", "message_server_id": "1",
}  # fmt: skip
OF_TWO = GOOD_QUERY | {"message_server_id": "2", "sender_id": "ann", "receiver_id": "bob"}
SAID = st.sampled_from(KNOWN) | VALUES


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _spliced(at: int, cut: int, put: bytes) -> bytes:
    whole = _json(GOOD)
    return whole[:at] + put + whole[at + cut :]


def _holding(member: str) -> st.SearchStrategy[Json]:
    inner = st.sampled_from(INNER[member].split())
    return st.dictionaries(inner, SAID, max_size=3).map(lambda held: {member: held})


def _said(odd: Json) -> Json:
    return {"message": {"message_type": 0, "text": "x"} | odd}


BODIES = st.one_of(
    st.dictionaries(st.sampled_from(MEMBERS.split()), SAID, max_size=2).map(lambda odd: _json(GOOD | odd)),
    st.dictionaries(st.sampled_from([*MEMBERS.split(), *INNER]), SAID, max_size=8).map(_json),
    st.sampled_from(sorted(INNER)).flatmap(_holding).map(lambda odd: _json(GOOD | odd)),
    st.dictionaries(st.sampled_from(MESSAGE), SAID, max_size=2).map(lambda odd: _json(GOOD | _said(odd))),
    st.sampled_from(ODD).map(
        lambda odd: _json(GOOD | _said({"message_type": 100, "attachment": {"odd": odd}}))
    ),
    SAID.map(_json),
    st.builds(_spliced, st.integers(0, 600), st.integers(0, 5), st.binary(max_size=6)),
    st.binary(max_size=60),
)
QUERIES = st.dictionaries(
    st.sampled_from(PARAMETERS.split()) | TEXT,
    NUMBERS
    | st.sampled_from(
        ["1", "2", "3", "true", "false", "ann", "ann|1|bob", "0,1", "1,,2", str(TEAM), "\ufffd", "a\0"]
    )
    | ANY,
    max_size=3,
).flatmap(lambda odd: st.sampled_from([odd, GOOD_QUERY | odd, OF_TWO | odd]))
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "AppKey": TEXT | st.sampled_from(["", "x" * 4_000, "demo"]),
        "Nonce": TEXT | st.sampled_from(["", "x" * 129]),
        "CurTime": NUMBERS | TEXT,
        "CheckSum": TEXT | st.sampled_from(["", "0" * 40, "f" * 40]),
        "X-custom-traceid": TEXT | st.sampled_from(["t", "x" * 257]),
        "Content-Type": TEXT,
        "Accept": TEXT,
        "Host": st.sampled_from(["x", "x:y", "[", "[::1]:5", "x/y", "x y"]),
    },
)


@pytest.fixture
async def town(cloud: Cloud) -> Cloud:
    """Ann, Bob and Cid in a team of Ann's with a message in it, one between the first two, and who has no name."""
    ann = await cloud.phone("ann")
    bob, cid = [await cloud.xid(name) for name in ("bob", "cid")]
    await cloud.node.user(7001)
    assert await ann.group(bob, cid) == TEAM
    await ann.tell(TEAM)
    await ann.send(bob)
    return cloud


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
        path = path.replace("*", quote(segment.encode("utf-8", "replace"), safe="|"), 1)
    url = URL(f"{cloud.node.url}/im/{path}", encoded=True).extend_query(query)
    async with cloud.node.http.request(verb, url, data=body, headers={**signed(), **headers}) as response:
        return Answer(response.status, response.headers, await response.read())


async def healed(cloud: Cloud) -> None:
    """Whoever was frozen may act again, and whoever has left the team is in it."""
    for name in ("ann", "bob"):
        assert (await cloud.patch(f"/v2/accounts/{name}/actions/disable", {"enabled": True})).data
    invited = {"operator_id": "ann", "team_id": TEAM, "invite_account_ids": ["bob", "cid"]}
    assert (await cloud.post("/v2/team_members", invited)).data


async def battered(cloud: Cloud, *calls: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Make all calls at once, beside a good send, and judge what comes back."""
    await healed(cloud)
    good, *answers = await asyncio.gather(cloud.send(NEIGHBOUR), *calls)
    assert good["text"] == "hi"
    for answer in answers:
        # Whatever it is, the property looks at HTTP's status and at the members of the envelope.
        told = answer.json
        assert type(told["code"]) is int
        assert told["code"] not in {FAILED, UNAVAILABLE}, told
        assert (told["code"] == 200) is (told["msg"] == "success")
        if told["code"] != 200:
            assert told["data"] == {}
            assert 0 < len(told["msg"]) < 1_000
    noise = [
        record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info
    ]
    assert noise == []


def drawn_for(
    calls: st.SearchStrategy[tuple[str, str]], *more: st.SearchStrategy[Any]
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """A batch of calls, each with the segments of its path and more."""
    one = calls.flatmap(lambda call: st.tuples(st.just(call), opened(call), *more))
    return given(st.lists(one, min_size=BATCH, max_size=BATCH))


@settings(fuzzed, max_examples=30)
@drawn_for(WRITES | SENDS, BODIES)
async def test_bodies(town: Cloud, caplog: pytest.LogCaptureFixture, drawn: list[Any]) -> None:
    """1,200 bodies to every call that takes one, half of them sends."""
    calls = (ask(town, call, open_, body, {}, {}) for call, open_, body in drawn)
    await battered(town, *calls, caplog=caplog)


@settings(fuzzed, max_examples=10)
@drawn_for(CALLS, HEADERS)
async def test_headers(town: Cloud, caplog: pytest.LogCaptureFixture, drawn: list[Any]) -> None:
    """400 sets of them to every call."""
    calls = (ask(town, call, open_, _json(GOOD), headers, GOOD_QUERY) for call, open_, headers in drawn)
    await battered(town, *calls, caplog=caplog)


@settings(fuzzed, max_examples=20)
@drawn_for(READS | CALLS, QUERIES)
async def test_queries(town: Cloud, caplog: pytest.LogCaptureFixture, drawn: list[Any]) -> None:
    """800 of them, most to what is only read."""
    calls = (ask(town, call, open_, _json(GOOD), {}, query) for call, open_, query in drawn)
    await battered(town, *calls, caplog=caplog)


PLACES = ["*/*", "v2/*/*", "v2.1/*/*", "v2/conversations/*/*", "v2/messages/actions/*"]
WORDS = st.sampled_from(["messages", "accounts", "teams", "conversations", "actions", ""])


@settings(fuzzed, max_examples=5)
@given(
    st.lists(
        st.tuples(
            st.tuples(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]), st.sampled_from(PLACES)),
            st.lists(WORDS | ODD_SEGMENTS, min_size=2, max_size=2),
        ),
        min_size=BATCH,
        max_size=BATCH,
    )
)
async def test_paths(town: Cloud, caplog: pytest.LogCaptureFixture, drawn: list[Any]) -> None:
    """200 paths."""
    calls = (ask(town, call, open_, _json(GOOD), {}, {}) for call, open_ in drawn)
    await battered(town, *calls, caplog=caplog)
