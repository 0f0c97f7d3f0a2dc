"""How the dialect calls accounts and conversations (netease.md, Accounts and Conversation id)."""

from __future__ import annotations

import enum
import re
from string import ascii_uppercase
from urllib.parse import unquote_to_bytes

import msgspec

from gateway.domain.model import SAFE_MAX, SYSTEM_NAME, App
from gateway.edge.facades.netease.faults import illegal

_NEW = re.compile(r"[a-z0-9_@.-]{1,32}")
_NAMELESS = re.compile(r"#([1-9][0-9]{0,15})")
_TEAM = re.compile(r"[1-9][0-9]{0,15}")
_PARTS = 3
_LOWER = {ord(letter): letter.lower() for letter in ascii_uppercase}
_ID = "conversation_id"


class ConversationType(enum.IntEnum):
    """What a conversation is with; a super team is a team like any other here."""

    USER = 1
    TEAM = 2
    SUPER_TEAM = 3


_TYPES = {str(int(kind)): kind for kind in ConversationType}


class ConversationId(msgspec.Struct, frozen=True):
    """`{account}|{type}|{opposite}`: a conversation as the first account sees it, accounts in lower case."""

    account: str
    kind: ConversationType
    opposite: str

    @property
    def in_team(self) -> bool:
        """Whether it is with a team."""
        return self.kind is not ConversationType.USER

    @property
    def team_xid(self) -> int:
        """The number of its team."""
        return int(self.opposite)


def folded(account: str) -> str:
    """The name that an account id means."""
    # Some letters of other scripts are, in lower case, one of a to z: they are not meant.
    return account.translate(_LOWER)


def may_be_new(name: str) -> bool:
    """Whether somebody may come into being by this name."""
    return bool(_NEW.fullmatch(name)) and name != SYSTEM_NAME


def number_in(account: str) -> int:
    """The id in what a user without a name is called; 0 where it is a name."""
    found = _NAMELESS.fullmatch(account)
    return int(found[1]) if found and int(found[1]) <= SAFE_MAX else 0


def called(app: App, xid: int, name: str) -> str:
    """What the user of this id and name is called."""
    if xid == app.system_xid:
        return SYSTEM_NAME
    return name or f"#{xid}"


def team_number(text: str, member: str) -> int:
    """The number of a team; raises a `Fault` of 414."""
    if not _TEAM.fullmatch(text) or int(text) > SAFE_MAX:
        raise illegal(member, "it must be the number of a team")
    return int(text)


def read_conversation_id(text: str, member: str = _ID) -> ConversationId:
    """A conversation id that is decoded already; raises a `Fault` of 414."""
    parts = text.split("|")
    if len(parts) != _PARTS or not all(parts):
        raise illegal(member, "it must be account|type|account, or account|type|team")
    account, kind, opposite = parts
    if kind not in _TYPES:
        raise illegal(member, "its type must be 1, 2 or 3")
    if _TYPES[kind] is not ConversationType.USER:
        team_number(opposite, member)
    return ConversationId(folded(account), _TYPES[kind], folded(opposite))


def conversation_between(kind: int, sender: str, receiver: str, member: str) -> ConversationId:
    """The conversation that a message of `sender` to `receiver` lies in, which `member` names; raises 414."""
    if kind != ConversationType.USER:
        team_number(receiver, member)
    return ConversationId(folded(sender), ConversationType(kind), folded(receiver))


def decoded(segment: str) -> str:
    """A segment of a path, decoded once; raises a `Fault` of 414 for what is no text."""
    try:
        text = unquote_to_bytes(segment.encode(errors="surrogateescape")).decode()
    except UnicodeDecodeError:
        raise illegal("path", "it is not valid UTF-8") from None
    if "\0" in text:
        raise illegal("path", "it holds the character NUL")
    return text
