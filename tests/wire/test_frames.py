"""The frames of the channel: what a client may say, and every frame of the server as golden JSON (design §6)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.model import (
    SAFE_MAX,
    Action,
    Deleted,
    Entry,
    EntryKind,
    Gone,
    Membership,
    Message,
    Recalled,
    Scope,
)
from gateway.wire.close import Close
from gateway.wire.encoding import JSON, SENTENCE_MAX, FrameError
from gateway.wire.frames import (
    AckFrame,
    ClientFrame,
    Hello,
    JoinFrame,
    LeaveFrame,
    PingFrame,
    ReadFrame,
    RecallFrame,
    SendFrame,
    SignalFrame,
    bye_frame,
    decode_frame,
    entry_frame,
    frame,
    told_online,
)

# -- from the client --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ('{"op":"hello","token":"t"}', Hello(token="t")),
        (
            '{"op":"hello","token":"t","app_id":"a","device_sn":7,"epoch":"e","cursors":{"user":1,"g:77":0}}',
            Hello(token="t", app_id="a", device_sn=7, epoch="e", cursors={"user": 1, "g:77": 0}),
        ),
        ('{"op":"ack","timeline":"user","seq":5}', AckFrame(timeline="user", seq=5)),
        ('{"op":"ping"}', PingFrame()),
        ('{"op":"ping","ref":null}', PingFrame()),
        ('{"seq":5,"timeline":"user","op":"ack"}', AckFrame(timeline="user", seq=5)),
        ('{"op":"ping","unknown":[{"a":1.5}]}', PingFrame()),
        (f'{{"op":"ack","timeline":"user","seq":{SAFE_MAX}}}', AckFrame(timeline="user", seq=SAFE_MAX)),
    ],
)
def test_client_frames(text: str, decoded: ClientFrame) -> None:
    """Each frame that a client may say is decoded, as text and as bytes; unknown members are ignored."""
    assert decode_frame(text) == decoded
    assert decode_frame(text.encode()) == decoded


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        (
            '{"op":"send","ref":4,"type":"1","targets":["5",6.0],"content_type":0.0,"transaction_id ":"9"}',
            SendFrame(ref=4),
        ),
        ('{"op":"read","ref":"a","conversation_id":"2","msg_id":3.0}', ReadFrame(ref="a")),
        ('{"op":"signal","type":2,"target":"7","content":"typing"}', SignalFrame()),
        ('{"op":"recall","ref":0,"conversation_id":2,"msg_id":"3"}', RecallFrame(ref=0)),
        ('{"op":"join","ref":1,"room_id":"2","seq":3.0}', JoinFrame(ref=1)),
        ('{"op":"leave","room_id":[]}', LeaveFrame()),
    ],
)
def test_requests_leave_their_bodies_alone(text: str, decoded: ClientFrame) -> None:
    """The body of a request is for the decoder of its REST call, whose numbers may be strings or 1.0."""
    assert decode_frame(text) == decoded


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "[]",
        '"ping"',
        "{}",
        "{op:ping}",
        '{"op":"ping"',
        '{"op":"ping"} {"op":"ping"}',
        '\ufeff{"op":"ping"}',
        '{"op":"nonsense"}',
        '{"op":"Ping"}',
        '{"op":5}',
        '{"op":null}',
        '{"op":["ping"]}',
        '{"op":"welcome"}',
        '{"op":"hello"}',
        '{"op":"hello","token":5}',
        '{"op":"hello","token":"t","device_sn":"7"}',
        '{"op":"hello","token":"t","device_sn":-1}',
        '{"op":"hello","token":"t","cursors":[1]}',
        '{"op":"hello","token":"t","cursors":{"user":"1"}}',
        '{"op":"hello","token":"t","cursors":{"user":1.5}}',
        '{"op":"hello","token":"t","cursors":{"user":-1}}',
        '{"op":"hello","token":"t","cursors":{"user":9007199254740992}}',
        '{"op":"ack"}',
        '{"op":"ack","timeline":"user"}',
        '{"op":"ack","seq":1}',
        '{"op":"ack","timeline":7,"seq":1}',
        '{"op":"ack","timeline":"user","seq":"1"}',
        '{"op":"ack","timeline":"user","seq":1.0}',
        '{"op":"ack","timeline":"user","seq":1e3}',
        '{"op":"ack","timeline":"user","seq":true}',
        '{"op":"ack","timeline":"user","seq":null}',
        '{"op":"ack","timeline":"user","seq":-1}',
        '{"op":"ack","timeline":"user","seq":NaN}',
        '{"op":"ack","timeline":"user","seq":9007199254740992}',
        '{"op":"ack","timeline":"user","seq":18446744073709551616}',
        '{"op":"ping","ref":1.5}',
        '{"op":"ping","ref":true}',
        '{"op":"ping","ref":{}}',
        '{"op":"ping","ref":"\\ud800"}',
        '{"op":"ping","ref":"\ud800"}',
        '{"op":"ping","ref":"\0"}',
        "\0",
    ],
)
def test_refused_frames(text: str) -> None:
    """Whatever is not a frame of the protocol is a `FrameError`."""
    with pytest.raises(FrameError):
        decode_frame(text)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b'{"op":"ping","ref":"\xff"}',
        b'{"op":"ack","timeline":"\xc3","seq":1}',
        b'{"op":"\xed\xa0\x80"}',
        b"\x81\xa3\x6f\x70\x70",
    ],
)
def test_refused_bytes(data: bytes) -> None:
    """Bytes that are no UTF-8 where they count are a `FrameError`."""
    with pytest.raises(FrameError):
        decode_frame(data)


@pytest.mark.parametrize("opening", ["[", '{"x":', '{"op":"ping","x":' + "[" * 90_000, '{"op":' * 50_000])
def test_deep_nesting(opening: str) -> None:
    """Nesting as deep as a frame is long is a `FrameError`, not the end of the process."""
    with pytest.raises(FrameError):
        decode_frame(opening * 3)


@pytest.mark.parametrize(
    "text",
    [
        '{"op":"' + "x" * 300_000 + '"}',
        '{"op":"' + "\u20ac" * 300 + '"}',
        '{"op":"ack","timeline":"user","seq":' + "9" * 4_000 + "}",
        '{"op":"ack","timeline":"user","seq":' + "9" * 300_000 + "}",
    ],
)
def test_sentence_is_bounded(text: str) -> None:
    """What is wrong is said in a sentence that fits into a `bye` and a close reason, whatever it quotes."""
    with pytest.raises(FrameError) as caught:
        decode_frame(text)
    sentence = str(caught.value)
    assert sentence.isascii()
    assert len(sentence) <= SENTENCE_MAX + len("...")


def test_short_sentence_is_whole() -> None:
    """A sentence that fits is said to its end."""
    with pytest.raises(FrameError, match=r"^Expected `int`, got `str` - at `\$\.seq`$"):
        decode_frame('{"op":"ack","timeline":"user","seq":"1"}')


@given(st.text() | st.binary())
@example('{"op":"ping","ref":' + "[" * 5_000)
def test_garbage(data: str | bytes) -> None:
    """Whatever comes is a frame or a `FrameError`, and nothing else."""
    try:
        decode_frame(data)
    except FrameError as error:
        assert str(error)  # noqa: PT017 - most of the time there is one, but not always


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OPS = ["hello", "ack", "read", "send", "recall", "signal", "join", "leave", "ping"]
MEMBERS = ["token", "app_id", "device_sn", "epoch", "cursors", "timeline", "seq", "ref", "msg_id", "targets"]


@given(
    st.sampled_from(OPS) | json_values,
    st.dictionaries(
        st.sampled_from(MEMBERS) | st.text(), json_values | st.integers(0, 9) | st.text(), max_size=6
    ),
    st.booleans(),
)
def test_almost_frames(op: object, members: dict[str, Any], ascii_only: bool) -> None:
    """JSON that is nearly right is a frame with all its numbers in range, or a `FrameError`."""
    text = json.dumps({**members, "op": op}, ensure_ascii=ascii_only)
    try:
        decoded = decode_frame(text)
    except FrameError:
        return
    assert op in OPS
    if isinstance(decoded, Hello):
        assert all(0 <= seq <= SAFE_MAX for seq in (decoded.device_sn, *decoded.cursors.values()))


# -- from the server --------------------------------------------------------------------------------------


def payload(data: bytes) -> str:
    """Return the text of a frame, with its header checked and taken off."""
    header = 2 if data[1] < 126 else 4
    assert data[0] == 0x81
    assert len(data) == header + (data[1] if header == 2 else int.from_bytes(data[2:4]))
    return data[header:].decode()


def message(**changed: Any) -> Message:
    members: dict[str, Any] = {
        "msg_id": 9_001,
        "scope": Scope.USER,
        "sender_xid": 5,
        "sender_sn": 3,
        "target_xid": 6,
        "ctype": 0,
        "content": "h\u00e9 \U0001f600",
        "attachment": "",
        "config": "",
        "ext": "",
        "at": 1_700_000_000_000,
    }
    return Message(**{**members, **changed})


ITEM = (
    '"msg_id":9001,"from_xid":{"uid":5,"device_sn":3},"to_xid":{"uid":6,"device_sn":0},"content":"h\u00e9 \U0001f600",'
    '"ctype":"TEXT","attachment":"","config":"","ext":"","timestamp":1700000000000'
)


def test_message_to_its_receiver() -> None:
    """A message is the item of GET /message/conversation without `set_*` and `status`, with the peer's id."""
    entry = Entry(seq=4, kind=EntryKind.MESSAGE, message=message())
    expected = f'{{"op":"message","timeline":"user","seq":4,"message":{{{ITEM},"conversation_id":5}}}}'
    assert payload(entry_frame(JSON, entry, "user", 6)) == expected


def test_message_to_its_sender() -> None:
    """The sender's own devices see the same message in the conversation with the receiver."""
    entry = Entry(seq=4, kind=EntryKind.MESSAGE, message=message())
    expected = f'{{"op":"message","timeline":"user","seq":4,"message":{{{ITEM},"conversation_id":6}}}}'
    assert payload(entry_frame(JSON, entry, "user", 5)) == expected


def test_message_in_a_group() -> None:
    """A group's message lies in the group's conversation, whoever looks."""
    entry = Entry(seq=4, kind=EntryKind.MESSAGE, message=message(scope=Scope.GROUP, target_xid=77))
    told = json.loads(payload(entry_frame(JSON, entry, "g:77", 77)))
    assert told["timeline"] == "g:77"
    assert told["message"]["conversation_id"] == 77
    assert told["message"]["to_xid"] == {"uid": 77, "device_sn": 0}


def test_notice() -> None:
    """A system notification says `is_system`; nothing else does."""
    entry = Entry(seq=4, kind=EntryKind.MESSAGE, message=message(notice=True))
    expected = f'{{"op":"message","timeline":"user","seq":4,"message":{{{ITEM},"conversation_id":5,"is_system":true}}}}'
    assert payload(entry_frame(JSON, entry, "user", 6)) == expected


@pytest.mark.parametrize(("ctype", "name"), [(11, "APPEND"), (12, "REPLACE")])
def test_what_is_folded_into_another(ctype: int, name: str) -> None:
    """It says into which; nothing else has the member."""
    entry = Entry(seq=4, kind=EntryKind.MESSAGE, message=message(ctype=ctype, related=9_000))
    told = json.loads(payload(entry_frame(JSON, entry, "user", 6)))["message"]
    assert (told["ctype"], told["related_mid"]) == (name, 9_000)


def test_what_expires() -> None:
    """It says when, for no later frame will; nothing else has the member."""
    entry = Entry(seq=4, kind=EntryKind.MESSAGE, message=message(expires_at=1_700_000_060_000))
    item = f'{{{ITEM},"conversation_id":5,"expires_at":1700000060000}}'
    expected = f'{{"op":"message","timeline":"user","seq":4,"message":{item}}}'
    assert payload(entry_frame(JSON, entry, "user", 6)) == expected


@pytest.mark.parametrize("owner_xid", [5, 6])
def test_to_some_of_a_group(owner_xid: int) -> None:
    """It lies in the group's conversation and is said to go to the group, whoever of the two looks."""
    entry = Entry(seq=4, kind=EntryKind.MESSAGE, message=message(group_xid=77))
    told = json.loads(payload(entry_frame(JSON, entry, "user", owner_xid)))
    assert told["timeline"] == "user"
    assert told["message"]["conversation_id"] == 77
    assert told["message"]["to_xid"] == {"uid": 77, "device_sn": 0}


@pytest.mark.parametrize(("owner_xid", "conversation_id"), [(6, 5), (5, 6)])
def test_online(owner_xid: int, conversation_id: int) -> None:
    """What is not stored is a message without timeline and seq."""
    told = told_online(message(), owner_xid)
    expected = f'{{"op":"message","message":{{{ITEM},"conversation_id":{conversation_id}}}}}'
    assert payload(told.frame(JSON)) == expected


@pytest.mark.parametrize(
    ("ctype", "name"),
    list(enumerate(["TEXT", "IMAGE", "AUDIO", "VIDEO", "FILE", "LOCATION", "COMMAND", "FORWARD"])),
)
def test_content_types_have_names(ctype: int, name: str) -> None:
    """`ctype` is the name of the content type (seed 001, §5.2)."""
    entry = Entry(seq=4, kind=EntryKind.MESSAGE, message=message(ctype=ctype))
    assert json.loads(payload(entry_frame(JSON, entry, "user", 6)))["message"]["ctype"] == name


def test_strings_are_kept() -> None:
    """Texts arrive as they were sent, quotes and controls and all, and are never parsed."""
    texts = {"content": '"\\\x01\u2028', "attachment": '{"a":1}', "config": "\t", "ext": "</script>"}
    entry = Entry(seq=4, kind=EntryKind.MESSAGE, message=message(**texts))
    told = json.loads(payload(entry_frame(JSON, entry, "user", 6)))["message"]
    assert {member: told[member] for member in texts} == texts


def test_recalled() -> None:
    """The recall's own entry names the message, in the conversation as this user sees it."""
    entry = Entry(seq=8, kind=EntryKind.RECALLED, recalled=Recalled(conversation_xid=5, msg_id=9001))
    expected = '{"op":"recalled","timeline":"user","seq":8,"conversation_id":5,"msg_id":9001}'
    assert payload(entry_frame(JSON, entry, "user", 6)) == expected


@pytest.mark.parametrize("why", Gone)
def test_gone(why: Gone) -> None:
    """In the place of a message whose text is no more is a `gone` that says why, without a word of it."""
    entry = Entry(seq=4, kind=EntryKind.MESSAGE, message=message(content="", gone=why))
    expected = (
        f'{{"op":"gone","timeline":"user","seq":4,"conversation_id":6,"msg_id":9001,"reason":"{why.value}"}}'
    )
    assert payload(entry_frame(JSON, entry, "user", 5)) == expected


def test_joined() -> None:
    """A `joined` says from which seq of the group's timeline on its entries come."""
    change = Membership(action=Action.JOINED, group_id=2, group_xid=77, user_xids=(5, 6), from_seq=10)
    entry = Entry(seq=3, kind=EntryKind.MEMBERSHIP, membership=change)
    expected = '{"op":"group","timeline":"user","seq":3,"action":"joined","group_id":77,"user_ids":[5,6],"from_seq":10}'
    assert payload(entry_frame(JSON, entry, "user", 5)) == expected


@pytest.mark.parametrize("action", [Action.LEFT, Action.KICKED, Action.DESTROYED])
def test_other_changes(action: Action) -> None:
    """The other membership changes have no `from_seq`."""
    change = Membership(action=action, group_id=2, group_xid=77, user_xids=(5,))
    entry = Entry(seq=3, kind=EntryKind.MEMBERSHIP, membership=change)
    expected = (
        f'{{"op":"group","timeline":"g:77","seq":3,"action":"{action.value}","group_id":77,"user_ids":[5]}}'
    )
    assert payload(entry_frame(JSON, entry, "g:77", 77)) == expected


def test_deleted() -> None:
    """A deleted conversation is told to the user's devices, with up to where."""
    entry = Entry(seq=3, kind=EntryKind.DELETED, deleted=Deleted(conversation_xid=6, msg_id=9001))
    expected = '{"op":"deleted","timeline":"user","seq":3,"conversation_id":6,"msg_id":9001}'
    assert payload(entry_frame(JSON, entry, "user", 5)) == expected


def test_empty_entry() -> None:
    """An entry that holds nothing is a mistake of ours, and no frame."""
    with pytest.raises(AssertionError):
        entry_frame(JSON, Entry(seq=3, kind=EntryKind.DELETED), "user", 5)


def test_frame() -> None:
    """Any other frame is its `op` and its members, in their order."""
    assert payload(frame(JSON, "ok", ref="a", msg_ids=[1])) == '{"op":"ok","ref":"a","msg_ids":[1]}'


def test_frame_without_members() -> None:
    """`live` says nothing but its name."""
    assert payload(frame(JSON, "live")) == '{"op":"live"}'


def test_bye() -> None:
    """A `bye` gives the code and the reason."""
    expected = '{"op":"bye","code":4502,"reason":"a newer one"}'
    assert payload(bye_frame(JSON, Close.REPLACED, "a newer one")) == expected


def test_bye_with_advice() -> None:
    """A `bye` says when to come back where that is known, even if it is at once."""
    expected = '{"op":"bye","code":4000,"reason":"drain","retry_after_ms":0}'
    assert payload(bye_frame(JSON, Close.DRAINING, "drain", 0)) == expected
