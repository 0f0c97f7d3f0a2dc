"""What a send wants of a message: the table of netease.md, but for who sends it to whom.

All that may be wrong in a request is told here, before anybody comes into being by it.
"""

from __future__ import annotations

import msgspec

from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX
from gateway.edge.decode import Number, number
from gateway.edge.facades.netease.faults import NOBODY_SENSES, TOO_MANY_PUSHED, Fault, illegal
from gateway.edge.facades.netease.nim import (
    CLIENT_ID_MAX,
    CTYPES,
    TEXT,
    TIP,
    MessageConfig,
    Nim,
    PushConfig,
    RobotConfig,
    RouteConfig,
    TeamOption,
    ThreadConfig,
    ThreadMessage,
    config_of,
    differing,
)

TEXT_MAX, ENVIRONMENT_MAX = 5_000, 64
PUSH_CONTENT_MAX, PUSH_PAYLOAD_MAX, PUSHED_MAX = 500, 2_048, 100
"""Characters, and accounts of `push_forcepush_ids`."""

_NULL = b"null"
_values = msgspec.json.Decoder()


class AskedMessage(msgspec.Struct, omit_defaults=True):
    """`message`."""

    message_type: Number = None
    sub_type: Number = None
    text: str | None = None
    attachment: msgspec.Raw = msgspec.Raw(_NULL)
    message_client_id: str | None = None


class _Antispam(msgspec.Struct, omit_defaults=True):
    # Nothing here filters, and what it holds of a person goes no further.
    antispam_enabled: bool | None = None
    antispam_business_id: str | None = None
    antispam_extension: str | None = None
    antispam_cheating: str | None = None
    antispam_custom_message_enabled: bool | None = None
    antispam_custom_message: str | None = None


class _P2pOption(msgspec.Struct, omit_defaults=True):
    # There are no rosters, and everybody is everybody's friend.
    check_friend: bool | None = None


class _AiParams(msgspec.Struct, omit_defaults=True):
    # There are no robots here to be told.
    account: str | None = None
    content: str | None = None
    messages: str | None = None
    prompt_variables: str | None = None
    config: str | None = None
    send_original: bool | None = None


class AskedTeamOption(msgspec.Struct, omit_defaults=True):
    """`team_option` or `superteam_option`."""

    mark_as_read: bool | None = None
    ignore_chat_banned: bool | None = None
    ignore_member_chat_banned: bool | None = None
    check_team_member_valid: bool | None = None


class TargetOption(msgspec.Struct, omit_defaults=True):
    """`target_option`."""

    receiver_account_ids: list[str] | None = None
    inclusive: bool | None = None
    check_team_member_valid: bool | None = None
    visible_to_new_member: bool | None = None


class _ThreadMessage(msgspec.Struct, omit_defaults=True):
    sender_id: str | None = None
    receiver_id: str | None = None
    create_time: Number = None
    message_server_id: Number = None
    message_client_id: str | None = None


class AskedThread(msgspec.Struct, omit_defaults=True):
    """`thread_config`."""

    thread_root: _ThreadMessage | None = None
    thread_reply: _ThreadMessage | None = None


class Asked(msgspec.Struct, omit_defaults=True):
    """The members that a send to one conversation and one to many users have in common."""

    message: AskedMessage | None = None
    message_config: MessageConfig | None = None
    sender_no_sense: bool | None = None
    receiver_no_sense: bool | None = None
    extension: str | None = None
    route_config: RouteConfig | None = None
    push_config: PushConfig | None = None
    antispam_config: _Antispam | None = None
    p2p_option: _P2pOption | None = None
    robot_config: RobotConfig | None = None
    # The vendor's library sends an object, its table of members says a string.
    ai_params: _AiParams | str | None = None


class AskedHere(Asked, omit_defaults=True):
    """The body of `POST /conversations/{cid}/messages`."""

    conversation_id: str | None = None
    conversation_id_: str | None = msgspec.field(default=None, name="conversationId")
    team_option: AskedTeamOption | None = None
    superteam_option: AskedTeamOption | None = None
    target_option: TargetOption | None = None
    thread_config: AskedThread | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is well-formed, whoever gets it; `text` and `attachment` are None where they were not given.

    It is `uncounted`, `passing`, `online_only` and `copied` as an `Order` is; its sender or its receiver may not be to
    notice it.
    """

    nim: Nim
    ctype: int
    text: str | None
    attachment: str | None
    ext: str
    config: str
    uncounted: bool
    passing: bool
    online_only: bool
    copied: bool
    sender_senses: bool
    receiver_senses: bool

    @property
    def client_id(self) -> str:
        """The id that its sender gave it, empty where there is none."""
        return self.nim.message_client_id or ""


def read_wanted(
    asked: Asked,
    sender: str,
    limits: Limits,
    *,
    in_team: bool = False,
    team: AskedTeamOption | None = None,
    thread: AskedThread | None = None,
) -> Wanted:
    """Judge what a send says of its message, and keep of it what is kept.

    `team` and `thread` are what counts in its conversation of its options.

    Raises:
        Fault: 414 naming the member; 107330 where neither side is to notice; 107316 where too many are pushed.
    """
    message = asked.message
    if message is None:
        raise illegal("message", "it is required")
    kind = number(message.message_type, "message.message_type", 0, max(CTYPES))
    if kind not in CTYPES:
        raise illegal("message.message_type", f"it must be one of {', '.join(map(str, CTYPES))}")
    text, attachment = _text(message, kind), _attachment(message, kind, limits)
    if asked.sender_no_sense and asked.receiver_no_sense:
        raise Fault(
            NOBODY_SENSES, "sender_no_sense, receiver_no_sense: one of the two must notice the message"
        )
    extension = asked.extension or ""
    _check_bytes("extension", extension, limits.ext_bytes_max)
    _check_pushed(asked.push_config)
    if asked.route_config is not None:
        _check("route_config.route_environment", asked.route_config.route_environment, ENVIRONMENT_MAX)
    nim = Nim(
        sender_id=sender,
        message_type=kind,
        sub_type=None
        if message.sub_type is None
        else number(message.sub_type, "message.sub_type", 0, SAFE_MAX),
        message_client_id=_client_id(message),
        sender_no_sense=(in_team and asked.sender_no_sense) or None,
        message_config=differing(asked.message_config),
        route_config=differing(asked.route_config),
        push_config=differing(asked.push_config),
        team_option=TeamOption(mark_as_read=True) if team is not None and team.mark_as_read else None,
        thread_config=_thread(thread),
        robot_config=differing(asked.robot_config),
    )
    config = config_of(nim)
    _check_bytes("push_config, robot_config, thread_config", config, limits.config_bytes_max)
    said = asked.message_config or MessageConfig()
    kept = said.history_enabled is not False
    online_only = not kept and said.offline_enabled is False
    return Wanted(
        nim=nim,
        ctype=CTYPES[kind],
        text=text,
        attachment=attachment,
        ext=extension,
        config=config,
        uncounted=said.unread_enabled is False and not online_only,
        passing=not kept and not online_only,
        online_only=online_only,
        copied=said.mutil_sync_enabled is not False,
        sender_senses=not asked.sender_no_sense,
        receiver_senses=not asked.receiver_no_sense,
    )


def _text(message: AskedMessage, kind: int) -> str | None:
    if kind in {TEXT, TIP} and not message.text:
        raise illegal("message.text", f"a message of type {kind} needs one that is not empty")
    _check("message.text", message.text, TEXT_MAX)
    return message.text


def _attachment(message: AskedMessage, kind: int, limits: Limits) -> str | None:
    """What a message carries, as it was sent."""
    raw = bytes(message.attachment)
    if raw == _NULL:
        if kind not in {TEXT, TIP}:
            raise illegal("message.attachment", f"a message of type {kind} needs one")
        return None
    try:
        # Looked at whole: the decoder skips what it is not asked for.
        told = _values.decode(raw)
    except msgspec.ValidationError:
        raise illegal("message.attachment", "a number in it is out of range") from None
    except msgspec.DecodeError:
        raise illegal("message.attachment", "it is not valid JSON") from None
    if not isinstance(told, dict):
        raise illegal("message.attachment", "it must be an object")
    attachment = raw.decode()
    _check_bytes("message.attachment", attachment, limits.attachment_bytes_max)
    return attachment


def _client_id(message: AskedMessage) -> str | None:
    told = message.message_client_id
    if told == "":
        raise illegal("message.message_client_id", f"it must have 1 to {CLIENT_ID_MAX} characters")
    _check("message.message_client_id", told, CLIENT_ID_MAX)
    return told


def _check_pushed(push: PushConfig | None) -> None:
    if push is None:
        return
    _check("push_config.push_content", push.push_content, PUSH_CONTENT_MAX)
    _check("push_config.push_payload", push.push_payload, PUSH_PAYLOAD_MAX)
    _check("push_config.push_forcepush_content", push.push_forcepush_content, PUSH_CONTENT_MAX)
    if len(push.push_forcepush_ids or ()) > PUSHED_MAX:
        raise Fault(
            TOO_MANY_PUSHED, f"push_config.push_forcepush_ids: it must name at most {PUSHED_MAX} accounts"
        )


def _thread(asked: AskedThread | None) -> ThreadConfig | None:
    """The thread that a message is in; a message of it is named by the id that it has here."""
    if asked is None or (asked.thread_root is None and asked.thread_reply is None):
        return None
    return ThreadConfig(
        thread_root=_thread_message(asked.thread_root, "thread_config.thread_root"),
        thread_reply=_thread_message(asked.thread_reply, "thread_config.thread_reply"),
    )


def _thread_message(asked: _ThreadMessage | None, member: str) -> ThreadMessage | None:
    if asked is None:
        return None
    time = asked.create_time
    return ThreadMessage(
        sender_id=asked.sender_id,
        receiver_id=asked.receiver_id,
        create_time=None if time is None else number(time, f"{member}.create_time", 0, SAFE_MAX),
        message_server_id=number(asked.message_server_id, f"{member}.message_server_id", 1, SAFE_MAX),
        message_client_id=asked.message_client_id,
    )


def _check(member: str, text: str | None, most: int) -> None:
    if text is not None and len(text) > most:
        raise illegal(member, f"it must not have more than {most} characters")


def _check_bytes(member: str, text: str, most: int) -> None:
    if len(text) * 4 > most and len(text.encode()) > most:
        raise illegal(member, f"it must not have more than {most} bytes")
