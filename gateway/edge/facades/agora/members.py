"""The members of a JSON body, as lenient as the vendor (agora.md, Body).

`null` is absent, unknown members are ignored; a bool is also `1` or `"true"`, an integer also a string, and for both
an empty string is absent. What an engine could not keep exactly is refused here, as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping

import msgspec

from gateway.domain.errors import Problem
from gateway.domain.limits import Limits
from gateway.edge.decode import check_json
from gateway.edge.facades.agora.faults import BAD_REQUEST, INVALID_BODY, Fault, illegal

_ABSENT = b"null"
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_YES, _NO = frozenset({"true", "1"}), frozenset({"false", "0"})

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_values = msgspec.json.Decoder()
_lists = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_encode = msgspec.json.Encoder().encode


class Members:
    """The members of one JSON object, read one by one; each method says what it takes, and names what is wrong."""

    def __init__(self, raw: Mapping[str, msgspec.Raw]) -> None:
        self._raw = raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def has(self, name: str) -> bool:
        """Whether a member is there and not null."""
        return self.raw(name) is not None

    def raw(self, name: str) -> bytes | None:
        """A member as it was sent; None where it is absent."""
        found = self._raw.get(name)
        if found is None:
            return None
        raw = bytes(found)
        return None if raw == _ABSENT else raw

    def given(self, name: str) -> msgspec.Raw | None:
        """A member to be put among others; None where it is not there."""
        return self._raw.get(name)

    def without(self, name: str) -> msgspec.Raw:
        """The object as JSON, without one member."""
        return msgspec.Raw(_encode({other: raw for other, raw in self._raw.items() if other != name}))

    def replaced(self, name: str, raw: bytes) -> Members:
        """The same members, one of them with another value."""
        return Members({**self._raw, name: msgspec.Raw(raw)})

    def value(self, name: str) -> object:
        """A member whatever it is; None where it is absent. One with a number of no use, like 1e999, is named."""
        raw = self.raw(name)
        try:
            return None if raw is None else _values.decode(raw)
        except msgspec.ValidationError:
            raise illegal(name, "a number in it is out of range") from None

    def text(self, name: str) -> str | None:
        """A string; None where it is absent."""
        value = self.value(name)
        if value is None or isinstance(value, str):
            return value
        raise illegal(name, "it must be a string")

    def choice(self, name: str, among: Container[str]) -> str | None:
        """A string that is one of these; None where it is absent or something else."""
        value = self.value(name)
        return value if isinstance(value, str) and value in among else None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A bool, `default` where it is absent."""
        told = self.told_flag(name)
        return default if told is None else told

    def told_flag(self, name: str) -> bool | None:
        """A bool; None where it is absent."""
        value = self.value(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return value
        told = str(value).lower()
        if isinstance(value, int | str) and told in _YES | _NO:
            return told in _YES
        raise illegal(name, "it must be true or false")

    def integer(self, name: str) -> int | None:
        """An integer; None where it is absent."""
        value = self.value(name)
        if value is None or value == "":
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            return int(value)
        raise illegal(name, "it must be an integer")

    def identifier(self, name: str) -> str | None:
        """What is told as a string, or as an integer; None where it is absent or empty."""
        value = self.value(name)
        if type(value) is int:
            return str(value)
        if value is None or isinstance(value, str):
            return value or None
        raise illegal(name, "it must be a string")

    def strings(self, name: str) -> list[str] | None:
        """A list of strings, or of integers as such; None where it is absent."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise illegal(name, "it must be a list")
        told = [str(item) if type(item) is int else item for item in value]
        if not all(isinstance(item, str) for item in told):
            raise illegal(name, "it must be a list of strings")
        return told

    def object(self, name: str) -> Members | None:
        """An object; None where it is absent or something else."""
        raw = self.raw(name)
        if raw is None or not raw.startswith(b"{"):
            return None
        return Members(_decoder.decode(raw))

    def objects(self, name: str) -> list[Members] | None:
        """A list of objects; None where it is absent or something else."""
        raw = self.raw(name)
        if raw is None:
            return None
        try:
            return [Members(each) for each in _lists.decode(raw)]
        except msgspec.ValidationError:
            return None


def read_query(query: Mapping[str, str]) -> Members:
    """The parameters of a query, as if they were the members of a body."""
    return Members({name: msgspec.Raw(_encode(value)) for name, value in query.items()})


def read_members(body: bytes, limits: Limits) -> Members:
    """The members of a body that is a JSON object.

    Raises:
        Fault: 400 `json_parse` for what is no JSON, `invalid_request_body` for what is no object, or holds what cannot
            be kept.
    """
    try:
        check_json(body, limits)
        return Members(_decoder.decode(body))
    except msgspec.ValidationError:
        raise Fault(BAD_REQUEST, "invalid_request_body", INVALID_BODY) from None
    except msgspec.DecodeError:
        raise Fault(BAD_REQUEST, "json_parse", INVALID_BODY) from None
    except Problem as problem:
        raise Fault(BAD_REQUEST, "invalid_request_body", f"{INVALID_BODY} {problem.sentence}") from None


def read_many(body: bytes, limits: Limits) -> list[Members]:
    """The members of a body that is an object, or a list of objects; raises as `read_members`."""
    if not body.lstrip().startswith(b"["):
        return [read_members(body, limits)]
    # A list is read as the one member of an object, so that there is one way to read.
    listed = read_members(b'{"list":' + body + b"}", limits).objects("list")
    if listed is None:
        raise Fault(BAD_REQUEST, "invalid_request_body", INVALID_BODY)
    return listed
