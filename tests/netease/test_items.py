"""How a stored message is shown, and what of its config is believed (netease.md, Travels and data)."""

from __future__ import annotations

import json
import uuid

import msgspec
import pytest

from gateway.domain.model import App, Ctype, Message, Scope
from gateway.edge.facades.netease.items import shown
from gateway.edge.facades.netease.names import read_conversation_id
from gateway.edge.facades.netease.nim import (
    MessageConfig,
    Nim,
    PushConfig,
    ThreadConfig,
    ThreadMessage,
    config_of,
    differing,
    read_config,
)
from tests.rest.stage import Json

APP = App(
    id=1,
    app_id="demo",
    system_id=1,
    system_xid=10**12,
    registered=False,
    recall_window_ms=0,
    signing_kid="",
    keys={},
)


def stored(ctype: Ctype = Ctype.TEXT, content: str = "hi", attachment: str = "", config: str = "") -> Message:
    return Message(
        msg_id=7,
        scope=Scope.USER,
        sender_xid=118,
        sender_sn=0,
        target_xid=119,
        ctype=ctype,
        content=content,
        attachment=attachment,
        config=config,
        ext="",
        at=1_790_000_000_123,
    )


def told(message: Message, sender: str = "ann", conversation: str = "ann|1|bob") -> Json:
    found: Json = json.loads(
        msgspec.json.encode(shown(APP, message, sender, read_conversation_id(conversation)))
    )
    return found


def test_a_message_that_no_backend_has_sent() -> None:
    """It is shown with all that every message has, and a client id that is the same each time."""
    item = told(stored())
    assert str(uuid.UUID(item["message_client_id"])) == item["message_client_id"]
    assert item == {
        "message_server_id": 7,
        "message_client_id": told(stored())["message_client_id"],
        "message_type": 0,
        "text": "hi",
        "sender_id": "ann",
        "conversation_type": 1,
        "receiver_id": "bob",
        "create_time": 1_790_000_000_123,
    }


@pytest.mark.parametrize(
    ("sender", "conversation", "receiver"),
    [
        ("ann", "ann|1|bob", "bob"),
        ("bob", "ann|1|bob", "ann"),
        ("ann", "ann|1|ann", "ann"),
        ("bob", "ann|2|77", "77"),
        ("77", "ann|3|77", "77"),
    ],
)
def test_whom_it_went_to(sender: str, conversation: str, receiver: str) -> None:
    """Between two users to the other one, whoever asks; in a team to the team, whatever a member is called."""
    item = told(stored(), sender, conversation)
    assert (item["sender_id"], item["receiver_id"]) == (sender, receiver)
    assert item["conversation_type"] == int(conversation.split("|")[1])


@pytest.mark.parametrize(
    ("ctype", "kind"),
    [
        (Ctype.TEXT, 0),
        (Ctype.IMAGE, 1),
        (Ctype.AUDIO, 2),
        (Ctype.VIDEO, 3),
        (Ctype.LOCATION, 4),
        (Ctype.FILE, 6),
        (Ctype.COMMAND, 100),
        (Ctype.FORWARD, 100),
    ],
)
def test_the_type_of_what_another_dialect_sent(ctype: Ctype, kind: int) -> None:
    """Each content type is one of this dialect's."""
    assert told(stored(ctype, config='{"type":"txt"}'))["message_type"] == kind


def test_what_travelled_is_shown() -> None:
    """The exact type, the subtype, the client's id and the thread are those of the send."""
    thread = ThreadConfig(thread_root=ThreadMessage(message_server_id=5, create_time=9))
    nim = Nim(sender_id="ann", message_type=10, sub_type=0, message_client_id="c-1", thread_config=thread)
    item = told(stored(config=config_of(nim)))
    assert {
        name: item[name] for name in ("message_type", "sub_type", "message_client_id", "thread_config")
    } == {
        "message_type": 10,
        "sub_type": 0,
        "message_client_id": "c-1",
        "thread_config": {"thread_root": {"message_server_id": 5, "create_time": 9}},
    }


@pytest.mark.parametrize(
    "config",
    [
        "x",
        "[]",
        "null",
        '{"nim":null}',
        '{"nim":[]}',
        '{"nim":{"message_type":10}}',
        '{"nim":{"sender_id":"ann","message_type":1}}',
        '{"nim":{"sender_id":"ann","message_type":5}}',
        '{"nim":{"sender_id":"ann","message_type":10,"sub_type":-1}}',
        '{"nim":{"sender_id":"ann","message_type":10,"sub_type":9007199254740992}}',
        '{"nim":{"sender_id":"ann","message_type":10,"message_client_id":""}}',
        '{"nim":{"sender_id":"ann","message_type":10,"message_config":true}}',
        '{"nim":{"sender_id":"ann","message_type":10,"thread_config":{"thread_root":7}}}',
        '{"nim":{"sender_id":"\\ud800","message_type":10}}',
        '{"nim":' + "[" * 10_000,
    ],
)
def test_a_config_that_does_not_fit(config: str) -> None:
    """It counts as none, whatever is wrong with it: its message is shown by its content type."""
    assert read_config(config, Ctype.TEXT) is None
    assert told(stored(config=config)) == told(stored())


def test_a_config_that_names_another_sender() -> None:
    """Who has sent a message is what the store knows, whatever a device wrote into its config."""
    assert told(stored(config=config_of(Nim(sender_id="ceo", message_type=0))))["sender_id"] == "ann"


@pytest.mark.parametrize(
    "attachment", ['{"a": 1.50, "b":"\\u00e9"}', "{}", ' {"n":123456789012345678901234567890}']
)
def test_an_attachment_goes_out_as_it_came(attachment: str) -> None:
    """What is a JSON object is not encoded anew."""
    item = shown(APP, stored(Ctype.FILE, "", attachment), "ann", read_conversation_id("ann|1|bob"))
    assert bytes(msgspec.json.encode(item)).count(attachment.encode().strip()) == 1
    assert item.text is msgspec.UNSET


@pytest.mark.parametrize(
    "attachment", ["https://x", "[1]", '"t"', '{"a":1', '{"a":"\x01"}', '{"a":1e999}', '{"a":' * 5_000, "7"]
)
def test_an_attachment_that_is_no_object(attachment: str) -> None:
    """It is shown in one, whole, and the answer is JSON that everybody can read."""
    assert told(stored(Ctype.FILE, "", attachment))["attachment"] == {"raw": attachment}


def test_only_what_differs_from_its_default_travels() -> None:
    """What is said and changes nothing is left out."""
    said = PushConfig(push_enabled=True, push_nick_enabled=False, push_forcepush_all=False, push_content="")
    assert differing(said) == PushConfig(push_nick_enabled=False)
    assert differing(MessageConfig(roaming_enabled=True)) is None
    assert differing(None) is None
    assert json.loads(config_of(Nim(sender_id="ann", message_type=0, push_config=differing(said)))) == {
        "nim": {"sender_id": "ann", "message_type": 0, "push_config": {"push_nick_enabled": False}}
    }
