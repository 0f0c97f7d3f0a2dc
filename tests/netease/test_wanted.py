"""What a send wants of its message: what each member may hold, and what of it travels (netease.md, the table)."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import Problem
from gateway.domain.limits import Limits
from gateway.edge.decode import Body
from gateway.edge.facades.netease.faults import Fault, fault_of
from gateway.edge.facades.netease.nim import read_config
from gateway.edge.facades.netease.wanted import AskedHere, Wanted, read_wanted
from tests.rest.stage import Json
from tests.rest.test_fuzz import VALUES

HI: Json = {"message_type": 0, "text": "hi"}

_body = Body(AskedHere)


def wanted(asked: Json | bytes) -> Wanted:
    """What a send to a user wants."""
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    told = _body.decode(body, Limits())
    return read_wanted(told, "ann", Limits(), thread=told.thread_config)


WRONG: list[tuple[Json, str]] = [
    ({"message_config": True}, "message_config: it must be an object"),
    *(
        (
            {"message_config": {f"{name}_enabled": 1}},
            f"message_config.{name}_enabled: it must be true or false",
        )
        for name in ("unread", "mutil_sync", "offline", "history", "roaming", "conversation_update")
    ),
    ({"sender_no_sense": "true"}, "sender_no_sense"),
    ({"receiver_no_sense": 1}, "receiver_no_sense"),
    ({"extension": {}}, "extension: it must be a string"),
    ({"extension": "x" * 16_385}, "extension"),
    ({"route_config": []}, "route_config"),
    ({"route_config": {"route_enabled": 0}}, "route_config.route_enabled"),
    ({"route_config": {"route_environment": "x" * 65}}, "route_config.route_environment"),
    ({"push_config": {"push_enabled": 1}}, "push_config.push_enabled"),
    ({"push_config": {"push_nick_enabled": 1}}, "push_config.push_nick_enabled"),
    ({"push_config": {"push_forcepush_all": 1}}, "push_config.push_forcepush_all"),
    ({"push_config": {"push_content": "x" * 501}}, "push_config.push_content"),
    ({"push_config": {"push_payload": "x" * 2_049}}, "push_config.push_payload"),
    ({"push_config": {"push_payload": {}}}, "push_config.push_payload"),
    ({"push_config": {"push_forcepush_content": "x" * 501}}, "push_config.push_forcepush_content"),
    ({"push_config": {"push_forcepush_ids": "a"}}, "push_config.push_forcepush_ids"),
    ({"push_config": {"push_forcepush_ids": [7]}}, "push_config.push_forcepush_ids"),
    ({"push_config": {"push_forcepush_ids": ["x" * 17_000]}}, "push_config"),
    *(
        ({"antispam_config": {f"antispam_{name}": 7}}, f"antispam_config.antispam_{name}")
        for name in (
            "enabled",
            "business_id",
            "extension",
            "cheating",
            "custom_message_enabled",
            "custom_message",
        )
    ),
    ({"p2p_option": {"check_friend": "yes"}}, "p2p_option.check_friend"),
    ({"robot_config": {"robot_account_id": 7}}, "robot_config.robot_account_id"),
    ({"robot_config": {"robot_topic": []}}, "robot_config.robot_topic"),
    ({"robot_config": {"robot_function": {}}}, "robot_config.robot_function"),
    ({"robot_config": {"robot_custom_content": "x" * 16_384}}, "push_config, robot_config"),
    ({"ai_params": 7}, "ai_params: "),
    *(
        ({"ai_params": {name: 7}}, f"ai_params.{name}: ")
        for name in ("account", "content", "messages", "prompt_variables", "config", "send_original")
    ),
    ({"thread_config": {"thread_root": {}}}, "thread_config.thread_root.message_server_id"),
    ({"thread_config": {"thread_reply": {"message_server_id": "x"}}}, "thread_config.thread_reply"),
    ({"thread_config": {"thread_root": {"message_server_id": 1, "create_time": -1}}}, "thread_config"),
    ({"conversation_id": 7}, "conversation_id"),
]
"""Members beside a good message, and how the refusal begins."""


def refusal(asked: Json | bytes) -> tuple[int, str]:
    """The code and the sentence by which a send is refused."""
    with pytest.raises((Fault, Problem)) as told:
        wanted(asked)
    found = told.value
    fault = fault_of(found) if isinstance(found, Problem) else found
    assert isinstance(fault, Fault)
    return fault.code, fault.sentence


@pytest.mark.parametrize(
    ("message", "member"),
    [
        (None, "message"),
        ("hi", "message: it must be an object"),
        ([], "message: it must be an object"),
        ({}, "message.message_type"),
        ({"text": "hi"}, "message.message_type"),
        ({"message_type": 5, "text": "hi"}, "message.message_type"),
        ({"message_type": 11, "text": "hi"}, "message.message_type"),
        ({"message_type": 101, "text": "hi"}, "message.message_type"),
        ({"message_type": -1, "text": "hi"}, "message.message_type"),
        ({"message_type": True, "text": "hi"}, "message.message_type"),
        ({"message_type": "text", "text": "hi"}, "message.message_type"),
        ({"message_type": 0}, "message.text"),
        ({"message_type": 0, "text": ""}, "message.text"),
        ({"message_type": 10, "text": None, "attachment": {}}, "message.text"),
        ({"message_type": 0, "text": 7}, "message.text"),
        ({"message_type": 0, "text": "x" * 5_001}, "message.text"),
        ({"message_type": 1, "text": "x" * 5_001, "attachment": {}}, "message.text"),
        ({"message_type": 1}, "message.attachment"),
        ({"message_type": 100, "attachment": None}, "message.attachment"),
        ({"message_type": 100, "attachment": "{}"}, "message.attachment: it must be an object"),
        ({"message_type": 100, "attachment": [1]}, "message.attachment: it must be an object"),
        ({"message_type": 100, "attachment": 7}, "message.attachment: it must be an object"),
        ({"message_type": 100, "attachment": {"a": "x" * 65_536}}, "message.attachment"),
        (HI | {"attachment": "x"}, "message.attachment"),
        (HI | {"sub_type": -1}, "message.sub_type"),
        (HI | {"sub_type": "x"}, "message.sub_type"),
        (HI | {"sub_type": 2**53}, "message.sub_type"),
        (HI | {"sub_type": False}, "message.sub_type"),
        (HI | {"message_client_id": ""}, "message.message_client_id"),
        (HI | {"message_client_id": "x" * 129}, "message.message_client_id"),
        (HI | {"message_client_id": 7}, "message.message_client_id"),
    ],
)
def test_a_message_that_is_wrong(message: object, member: str) -> None:
    """It is refused by the name of the member."""
    code, sentence = refusal({"message": message})
    assert code == 414
    assert sentence.startswith(member)


@pytest.mark.parametrize(("more", "member"), WRONG)
def test_a_member_that_is_wrong(more: Json, member: str) -> None:
    """It is refused by its name."""
    code, sentence = refusal({"message": HI, **more})
    assert code == 414
    assert sentence.startswith(member)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"sender_no_sense": True, "receiver_no_sense": True}, 107330),
        ({"push_config": {"push_forcepush_ids": ["a"] * 101}}, 107316),
    ],
)
def test_codes_of_their_own(more: Json, code: int) -> None:
    """A message that neither side is to notice, and one that is pushed to too many."""
    told, sentence = refusal({"message": HI, **more})
    assert told == code
    assert sentence.startswith(next(iter(more)))


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"{",
        b'{"message":{"message_type":0,"text":"\\u0000"}}',
        b'{"message":{"message_type":100,"attachment":{"a":"\\u0000"}}}',
        b'{"message":{"message_type":0,"text":"hi"},"unknown":"\\u0000"}',
        b'{"message":{"message_type":100,"attachment":{"a":"\\ud800"}}}',
        b'{"message":{"message_type":100,"attachment":{"a":"\x01"}}}',
        b'{"message":{"message_type":100,"attachment":{"a":"\xff"}}}',
        b'{"message":{"message_type":100,"attachment":{"a":1e999}}}',
        b'{"message":{"message_type":100,"attachment":{a:1}}}',
        b'{"message":{"message_type":100,"attachment":' + b'{"a":' * 40 + b"1" + b"}" * 42,
        b'{"message":{"message_type":0,"text":"hi"},"unknown":' + b"[" * 40 + b"]" * 40 + b"}",
    ],
)
def test_a_body_that_cannot_be_kept(body: bytes) -> None:
    """What is no JSON object, too deep, or holds what no store keeps exactly."""
    assert refusal(body)[0] == 414


@pytest.mark.parametrize(
    ("members", "travels"),
    [
        ({}, {}),
        *(
            ({"message_config": {name: False}}, {"message_config": {name: False}})
            for name in (
                "unread_enabled",
                "mutil_sync_enabled",
                "offline_enabled",
                "roaming_enabled",
                "conversation_update_enabled",
            )
        ),
        ({"message_config": {"unread_enabled": True, "roaming_enabled": None}}, {}),
        (
            {"route_config": {"route_enabled": False, "route_environment": "test"}},
            {"route_config": {"route_enabled": False, "route_environment": "test"}},
        ),
        ({"route_config": {"route_enabled": True}, "push_config": {}, "robot_config": None}, {}),
        (
            {"push_config": {"push_enabled": False, "push_nick_enabled": False, "push_forcepush_all": True}},
            {"push_config": {"push_enabled": False, "push_nick_enabled": False, "push_forcepush_all": True}},
        ),
        ({"push_config": {"push_enabled": True, "push_forcepush_all": False, "push_payload": None}}, {}),
        (
            {"robot_config": {"robot_account_id": "r", "robot_topic": None, "robot_custom_content": "{}"}},
            {"robot_config": {"robot_account_id": "r", "robot_custom_content": "{}"}},
        ),
        ({"antispam_config": {"antispam_enabled": True, "antispam_cheating": "{}"}}, {}),
        ({"p2p_option": {"check_friend": True}, "ai_params": {"account": "bot"}, "unknown": [1]}, {}),
        ({"ai_params": "bot"}, {}),
        ({"sender_no_sense": True}, {}),
        ({"receiver_no_sense": True}, {}),
        # Of another kind of conversation, and so nobody's.
        ({"team_option": {"mark_as_read": True}, "superteam_option": {"ignore_chat_banned": True}}, {}),
        ({"target_option": {"inclusive": False}}, {}),
    ],
)
def test_what_travels(members: Json, travels: Json) -> None:
    """What differs from its default is in the config of the message; what nobody needs is nowhere."""
    told = json.loads(wanted({"message": HI, **members}).config)
    assert told == {"nim": {"sender_id": "ann", "message_type": 0, **travels}}


GOOD: Json = {
    "message": HI | {"sub_type": 7, "message_client_id": "c", "attachment": {"a": [1.5]}},
    "message_config": {"unread_enabled": False, "history_enabled": False, "offline_enabled": False},
    "route_config": {"route_enabled": False, "route_environment": "test"},
    "push_config": {"push_enabled": False, "push_forcepush_all": True, "push_forcepush_ids": ["a"]},
    "thread_config": {
        "thread_root": {"message_server_id": 1},
        "thread_reply": {"message_server_id": "2", "create_time": "7"},
    },
    "robot_config": {"robot_topic": "t"},
    "extension": "x",
}
PLACES = [(name,) for name in GOOD] + [
    (name, inner) for name, value in GOOD.items() if isinstance(value, dict) for inner in value
]


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), max_size=4))
def test_whatever_is_sent(changes: list[tuple[tuple[str, ...], object]]) -> None:
    """It is refused by a code of the dialect, or what travels of it is read back as it was written."""
    asked: Json = json.loads(json.dumps(GOOD))
    for (name, *inner), drawn in changes:
        # Of its own: what is drawn may be drawn again, and is not to be changed, nor put into itself.
        value = copy.deepcopy(drawn)
        if not inner:
            asked[name] = value
        elif isinstance(asked[name], dict):
            asked[name][inner[0]] = value
    try:
        told = wanted(asked)
    except (Fault, Problem) as refused:
        fault = fault_of(refused) if isinstance(refused, Problem) else refused
        assert fault.code == 414
    else:
        assert len(told.config.encode()) <= Limits().config_bytes_max
        assert read_config(told.config, told.ctype) == told.nim
