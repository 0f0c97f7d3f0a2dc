"""How the dialect calls users and apps: by lower-case names, and by UUIDs that are made of their numbers.

Groups, chatrooms and messages it calls by their ids.

A UUID here is one of version 8 (RFC 9562 §5.8): 53 bits are the user's number (0: the app itself), the rest is a tag
of the app, so that those of two apps differ and none has to be kept.
"""

from __future__ import annotations

import hashlib
import re
import uuid

from gateway.domain.model import SAFE_MAX, App, User

ADMIN = "admin"
"""The face of the core's reserved user: no one registers it, and it receives nothing."""

_ID = re.compile(r"[1-9][0-9]{0,15}")
_NAME = re.compile(r"[a-z0-9_.-]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_NUMBER_BITS = 53
_TAG_BYTES = 9
_VERSION, _VARIANT = 0x8 << 76, 0b10 << 62
_LOW_BITS, _MID_BITS = 62, 12


def name_of(text: object) -> str | None:
    """The name that a text is, in lower case; None where it can be no user's."""
    # Some letters of other scripts are, in lower case, one of a to z: they are nobody's name.
    if not isinstance(text, str) or not text.isascii():
        return None
    name = text.lower()
    return name if _NAME.fullmatch(name) else None


def id_of(text: str) -> int:
    """The id of a group, chatroom or message that a text is: decimal, without leading zeros; 0 where it is none."""
    return int(text) if _ID.fullmatch(text) and int(text) <= SAFE_MAX else 0


def is_admin(text: str) -> bool:
    """Whether a name means the core's reserved user."""
    return text.lower() == ADMIN


def called(app: App, user: User) -> str:
    """What a user is called: by its name, by its number where it has none, and the reserved one `admin`."""
    return called_by(app, user.xid, user.name)


def called_by(app: App, xid: int, name: str) -> str:
    """What the user of this number and name is called."""
    if xid == app.system_xid:
        return ADMIN
    return name or str(xid)


def app_uuid(app: App) -> str:
    """The app's UUID."""
    return _uuid(app, 0)


def user_uuid(app: App, xid: int) -> str:
    """The UUID of a user."""
    return _uuid(app, xid)


def xid_of(app: App, text: str) -> int | None:
    """The number that a UUID of this app is made of: a user's, or 0 in the app's own; None where a text is no such."""
    if not _UUID.fullmatch(text):
        return None
    xid = uuid.UUID(text).int & SAFE_MAX
    return xid if _uuid(app, xid) == text else None


def _uuid(app: App, xid: int) -> str:
    tag = int.from_bytes(hashlib.blake2b(app.app_id.encode(), digest_size=_TAG_BYTES).digest())
    low = (tag & ((1 << (_LOW_BITS - _NUMBER_BITS)) - 1)) << _NUMBER_BITS | xid
    tag >>= _LOW_BITS - _NUMBER_BITS
    mid = tag & ((1 << _MID_BITS) - 1)
    high = tag >> _MID_BITS & ((1 << 48) - 1)
    return str(uuid.UUID(int=high << 80 | _VERSION | mid << 64 | _VARIANT | low))
