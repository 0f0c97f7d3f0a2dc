"""Strict decoding of requests: JSON bodies, and the numbers and texts in them (lanying.md, Everywhere).

One rule for numbers, wherever they come from: an integer; a string that matches `-?[0-9]+`; a JSON number
with a fraction or exponent that is an integer, such as `1.0`. Not `"1.0"`, not `true`. `null` is the same as
absent.

What an engine could not keep exactly never gets past here: NUL in a string, integers out of range, lone
surrogates, invalid UTF-8, deep nesting. Whatever is wrong is a `BAD_PARAMETER` that names the member.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from gateway.domain.errors import Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX

T = TypeVar("T", bound=msgspec.Struct)

Number = int | float | str | None
"""A number as a client may write it; `number` makes an integer of it."""

BODY = "body"
"""What errors call a body that is wrong as a whole."""

_DIGITS = re.compile(r"(-?)(?=[0-9])0*+([0-9]{0,19})")
_PLAIN_DIGITS = 18
"""So many digits are an int64 for certain."""

_PATH = re.compile(r" - at `\$\.([^`]+)")
_INDEX = re.compile(r"\[[^]]*]")
# A string without an end goes on to the end of the body: to look for one anew at each quote would take hours.
_STRING = re.compile(rb'"[^"\\]*(?:\\(?:.|\Z)[^"\\]*)*(?:"|\Z)', re.DOTALL)
_EXPECTED = (
    ("array", "a list"),
    ("object", "an object"),
    ("int", "an integer"),
    ("bool", "true or false"),
)
"""What a member must be by the first word of what the decoder expected."""
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Body(Generic[T]):
    """Decodes JSON bodies into one typed Struct, all of whose members are optional: absent ones are None."""

    def __init__(self, shape: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(shape)

    def decode(self, body: bytes, limits: Limits) -> T:
        """The body as a Struct; unknown members are ignored, of repeated ones the last counts.

        Raises:
            Problem: `BAD_PARAMETER`: no JSON object, nested deeper than `json_depth_max`, not UTF-8, a member
                of a wrong type, NUL.
        """
        _check_depth(body, limits)
        try:
            # The decoder skips unknown members without looking at their bytes.
            if not body.isascii():
                body.decode()
            decoded = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise _mistyped(error) from None
        except UnicodeDecodeError:
            raise bad(BODY, "it is not valid UTF-8") from None
        except msgspec.DecodeError:
            raise bad(BODY, "it is not valid JSON") from None
        if b"\\u0000" in body and _NUL.search(body):
            raise bad(_holder(decoded), "it holds the character NUL")
        return decoded


def number(value: Number, member: str, least: int, greatest: int, default: int | None = None) -> int:
    """The integer a member holds, `default` where it is absent; without a default it is required.

    Raises:
        Problem: `BAD_PARAMETER`: absent, not an integer, out of range.
    """
    # The first line is for speed: nearly all numbers come as integers.
    if type(value) is not int:
        if value is None:
            if default is None:
                raise bad(member, "it is required")
            return default
        value = _integer(value, member, least, greatest)
    if least <= value <= greatest:
        return value
    raise _out_of_range(member, least, greatest)


def identifiers(values: Sequence[Number] | None, member: str, fewest: int, most: int) -> tuple[int, ...]:
    """The ids a list holds, each once, in the order named; an absent list is empty.

    Raises:
        Problem: `BAD_PARAMETER`: one is no id, or they are fewer or more than allowed.
    """
    values = values or ()
    if len(values) == 1 and fewest <= 1 <= most:
        return (identifier(values[0], member),)
    # All at once where all are plain integers; otherwise one by one.
    whole = [value for value in values if type(value) is int]
    if len(whole) < len(values) or (whole and not 1 <= min(whole) <= max(whole) <= SAFE_MAX):
        whole = [identifier(value, member) for value in values]
    found = tuple(dict.fromkeys(whole))
    if not fewest <= len(found) <= most:
        raise bad(member, f"it must name {fewest} to {most} ids")
    return found


def text(value: str | None, member: str, bytes_max: int, default: str | None = None) -> str:
    """The string a member holds, byte for byte, `default` where absent; without a default it is required.

    Raises:
        Problem: `BAD_PARAMETER`: absent, or longer than `bytes_max` bytes of UTF-8.
    """
    if value is None:
        if default is None:
            raise bad(member, "it is required")
        return default
    length = len(value)
    # No character takes more than four bytes, so that short texts need not be counted.
    if length * 4 > bytes_max and (length > bytes_max or len(value.encode()) > bytes_max):
        raise bad(member, f"it must not have more than {bytes_max} bytes")
    return value


def identifier(value: Number, member: str, default: int | None = None) -> int:
    """A user, group or message id: 1 to 2^53 - 1; raises as `number` does."""
    return number(value, member, 1, SAFE_MAX, default)


class Query:
    """The parameters of a query string; an empty one is the same as absent."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def number(self, name: str, least: int, greatest: int, default: int | None = None) -> int:
        """The integer a parameter holds; raises as the function `number` does."""
        return number(self._given.get(name) or None, name, least, greatest, default)

    def text(self, name: str) -> str:
        """The text a parameter holds, whatever it is; empty where it is absent."""
        return self._given.get(name) or ""


def _integer(value: float | str, member: str, least: int, greatest: int) -> int:
    """The integer that a string or a float stands for."""
    if isinstance(value, str):
        # The first line is for speed, too: an id as a string.
        if value.isascii() and value.isdigit() and len(value) <= _PLAIN_DIGITS:
            return int(value)
        digits = _DIGITS.fullmatch(value)
        if digits is not None:
            return int(digits[1] + (digits[2] or "0"))
        if value.removeprefix("-").isdecimal() and value.isascii():
            raise _out_of_range(member, least, greatest)
        raise bad(member, "it must be an integer")
    # Beyond 2^53 a float stands for several integers, and which one was meant is lost.
    if not value.is_integer() or abs(value) > SAFE_MAX:
        raise bad(member, "it must be an integer")
    return int(value)


def _out_of_range(member: str, least: int, greatest: int) -> Problem:
    return bad(member, f"it must be {least}" + (f" to {greatest}" if least < greatest else ""))


def _mistyped(error: msgspec.ValidationError) -> Problem:
    """What the decoder found, in words for whoever wrote the request; its own name Python's types."""
    sentence = str(error)
    path = _PATH.search(sentence)
    if path is None:
        return bad(BODY, "it must be a JSON object")
    member = _INDEX.sub("", path[1]).strip()
    if "out of range" in sentence:
        return bad(member, "the number is out of range")
    expected = sentence.partition("`")[2].partition("`")[0]
    for kind, words in _EXPECTED:
        if expected.startswith(kind):
            listed = kind == "object" and path[1].endswith("]")
            return bad(member, "it must be a list of objects" if listed else f"it must be {words}")
    return bad(member, "it must be a string")


def _holder(decoded: msgspec.Struct) -> str:
    """The member whose value has a NUL in it; the body as a whole where it is one that is ignored."""
    for member in decoded.__struct_fields__:
        value = getattr(decoded, member)
        if any("\0" in str(item) for item in (value if isinstance(value, list) else [value])):
            return member.rstrip("_")
    return BODY


def check_json(body: bytes, limits: Limits) -> None:
    """Refuse (`BAD_PARAMETER`) what no engine could keep exactly in a JSON body that is not decoded at once."""
    _check_depth(body, limits)
    try:
        body.decode()
    except UnicodeDecodeError:
        raise bad(BODY, "it is not valid UTF-8") from None
    if b"\\u0000" in body and _NUL.search(body):
        raise bad(BODY, "it holds the character NUL")


def _check_depth(body: bytes, limits: Limits) -> None:
    depth_max = limits.json_depth_max
    # Most bodies have few brackets, and cannot be deeper than they have those.
    if body.count(b"[") + body.count(b"{") > depth_max and _too_deep(body, depth_max):
        raise bad(BODY, f"it nests deeper than {depth_max} levels, or its brackets don't match")


def _too_deep(body: bytes, depth_max: int) -> bool:
    """Whether brackets outside of strings nest deeper than that, or don't match.

    Each pass takes away the innermost pairs, so that the work is bounded by the size times the depth allowed.
    """
    rest = _STRING.sub(b"", body).translate(_SQUARE, _NO_BRACKETS)
    for _ in range(depth_max):
        outer = rest.replace(b"[]", b"")
        if len(outer) == len(rest):
            break
        rest = outer
    return bool(rest)
