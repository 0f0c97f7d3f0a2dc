"""What travels with a message: `config.nim` (netease.md, Travels).

A message keeps in its `config` what the dialect says of it and the core has no word for, so that devices get it and
answers are made of it; what has its default is left out.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from gateway.domain.model import SAFE_MAX, Ctype

TEXT, TIP, CUSTOM = 0, 10, 100
CTYPES: dict[int, Ctype] = {
    TEXT: Ctype.TEXT,
    1: Ctype.IMAGE,
    2: Ctype.AUDIO,
    3: Ctype.VIDEO,
    4: Ctype.LOCATION,
    6: Ctype.FILE,
    TIP: Ctype.TEXT,
    CUSTOM: Ctype.COMMAND,
}
"""The dialect's types of message, and what each is to the core."""

CLIENT_ID_MAX = 128
"""Characters of a `message_client_id`."""

T = TypeVar("T", bound=msgspec.Struct)

_SafeInt = Annotated[int, msgspec.Meta(ge=0, le=SAFE_MAX)]
_ClientId = Annotated[str, msgspec.Meta(min_length=1, max_length=CLIENT_ID_MAX)]


class MessageConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What becomes of a message beside being delivered."""

    unread_enabled: bool | None = None
    mutil_sync_enabled: bool | None = None
    offline_enabled: bool | None = None
    history_enabled: bool | None = None
    roaming_enabled: bool | None = None
    conversation_update_enabled: bool | None = None


class RouteConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the app's own servers are told, and which."""

    route_enabled: bool | None = None
    route_environment: str | None = None


class PushConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is pushed to a phone that is not connected."""

    push_enabled: bool | None = None
    push_nick_enabled: bool | None = None
    push_content: str | None = None
    push_payload: str | None = None
    push_forcepush_all: bool | None = None
    push_forcepush_ids: list[str] | None = None
    push_forcepush_content: str | None = None


class TeamOption(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a message to a team asks of its clients."""

    mark_as_read: bool | None = None


class RobotConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a message says to a robot."""

    robot_account_id: str | None = None
    robot_topic: str | None = None
    robot_function: str | None = None
    robot_custom_content: str | None = None


class ThreadMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message of a thread as another one names it."""

    sender_id: str | None = None
    receiver_id: str | None = None
    create_time: _SafeInt | None = None
    message_server_id: _SafeInt | None = None
    message_client_id: str | None = None


class ThreadConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which message began the thread that a message is in, and which one it answers."""

    thread_root: ThreadMessage | None = None
    thread_reply: ThreadMessage | None = None


class Nim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What travels: whose the message is by account, its exact type, and what of its send differs from the default."""

    sender_id: str
    message_type: int
    sub_type: _SafeInt | None = None
    message_client_id: _ClientId | None = None
    sender_no_sense: bool | None = None
    message_config: MessageConfig | None = None
    route_config: RouteConfig | None = None
    push_config: PushConfig | None = None
    team_option: TeamOption | None = None
    thread_config: ThreadConfig | None = None
    robot_config: RobotConfig | None = None


class _Config(msgspec.Struct):
    nim: Nim | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Config)


def differing(asked: T | None) -> T | None:
    """What of some members differs from their defaults; None: nothing.

    What is `…_enabled` is so by default, and nothing else is said or wanted.
    """
    if asked is None:
        return None
    named = {name: getattr(asked, name) for name in asked.__struct_fields__}
    kept = {
        name: value
        for name, value in named.items()
        if value is not None and bool(value) is not name.endswith("_enabled")
    }
    return type(asked)(**kept) if kept else None


def config_of(nim: Nim) -> str:
    """The `config` of a message with which this travels."""
    return _encoder.encode(_Config(nim)).decode()


def read_config(config: str, ctype: int) -> Nim | None:
    """What has travelled with a message; None where its `config` is another dialect's, or fits neither us nor it."""
    if not config:
        return None
    try:
        nim = _decoder.decode(config).nim
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return nim if nim is not None and CTYPES.get(nim.message_type) == ctype else None
