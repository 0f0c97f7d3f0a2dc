"""What users may be called, and names that are ids: whoever is called by digits alone is the user of that number."""

from __future__ import annotations

import re

from gateway.domain.errors import bad
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX, SYSTEM_NAME

_NAME = re.compile(r"[A-Za-z0-9_.@-]+")
_USERNAME = re.compile(r"[A-Za-z0-9_]+")
_RESERVED = ("maxim", "mta")
_NUMBER = re.compile(r"[1-9][0-9]{0,15}")


def number_of(name: str) -> int:
    """The id that a name is; 0 where it is a name like any other."""
    return int(name) if _NUMBER.fullmatch(name) and int(name) <= SAFE_MAX else 0


def may_be_called(name: str, limits: Limits) -> bool:
    """Whether somebody could be called so who is not the reserved user."""
    return name != SYSTEM_NAME and len(name) <= limits.name_bytes_max and _NAME.fullmatch(name) is not None


def check_username(name: str, limits: Limits) -> None:
    """Refuse what nobody may be registered as (`BAD_PARAMETER`)."""
    if not _USERNAME.fullmatch(name) or name.isdigit():
        raise bad("username", "it must be of the letters A-Z and a-z, digits and _, and not of digits only")
    if name.lower().startswith(_RESERVED):
        raise bad("username", f"names that start with {' or '.join(_RESERVED)} are reserved")
    if len(name) > limits.name_bytes_max:
        raise bad("username", f"it must not have more than {limits.name_bytes_max} bytes")
