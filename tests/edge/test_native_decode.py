"""The bodies of sends and recalls."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.order import Order
from gateway.core.signals import Signal
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX, SAFE_MAX, Scope
from gateway.edge.facades.native.decode import decode_recall, decode_send, decode_signal
from tests.core.stage import refused

LIMITS = Limits()
LEAST: dict[str, Any] = {"type": 1, "targets": [6001], "content_type": 0}


def order(**members: Any) -> Order:
    return decode_send(msgspec.json.encode({**LEAST, **members}), LIMITS)


def refusal_of(**members: Any) -> str:
    with refused(Kind.BAD_PARAMETER) as refusal:
        order(**members)
    return refusal.sentence


def test_the_least() -> None:
    """Three members are required; texts default to empty, numbers to none."""
    assert order() == Order(scope=Scope.USER, targets=(6001,), ctype=0, content="")
    for member in LEAST:
        assert refusal_of(**{member: None}).startswith(f"{member}:")


def test_the_vendors_example() -> None:
    """The whole body of vendors.md §1.5."""
    body = (
        b'{"type":1,"from_user_id":5001,"targets":[6001],"content_type":0,"content":"hi","config":"{}","ext":"",'
        b'"transaction_id":77}'
    )
    assert decode_send(body, LIMITS) == Order(
        scope=Scope.USER,
        targets=(6001,),
        ctype=0,
        content="hi",
        config="{}",
        from_xid=5001,
        transaction_id=77,
    )


def test_numbers_as_strings() -> None:
    """A bot's connector writes all ids as strings, and it means the same."""
    assert order(
        type="2", targets=["6001", 7.0], content_type="3", from_user_id="5001", transaction_id="77"
    ) == Order(scope=Scope.GROUP, targets=(6001, 7), ctype=3, content="", from_xid=5001, transaction_id=77)


def test_repeats_count_once() -> None:
    """Targets are distinct, in the order named."""
    assert order(targets=[3, 1, "3", 2]).targets == (3, 1, 2)


def test_a_trailing_space() -> None:
    """`"transaction_id "` is `transaction_id` (seed 002); both say the same or the call is refused."""
    assert order(**{"transaction_id ": 77}).transaction_id == 77
    assert order(**{"transaction_id ": 77, "transaction_id": "77"}).transaction_id == 77
    assert order(**{"transaction_id ": None, "transaction_id": 77}).transaction_id == 77
    for other in (78, 0):
        assert refusal_of(**{"transaction_id ": 77, "transaction_id": other}).startswith("transaction_id:")


@pytest.mark.parametrize("content_type", [-1, 8, 13, "8", True, "TEXT"])
def test_content_types_that_are_not_there(content_type: Any) -> None:
    """0 to 7 and 9 to 12 are there; the others are refused by name, and never sent as something else."""
    assert refusal_of(content_type=content_type, related_mid=5).startswith("content_type:")


@pytest.mark.parametrize("content_type", [9, 10, 11, 12])
def test_related(content_type: int) -> None:
    """Types 9 to 12 want the id of a message; the others ignore the member, whatever it holds."""
    assert order(content_type=content_type, related_mid="5").related == 5
    values: list[Any] = [None, 0, -1, "", "x", True, [5], {}, 1.5, SAFE_MAX + 1]
    for value in values:
        assert refusal_of(content_type=content_type, related_mid=value).startswith("related_mid:")
        assert order(related_mid=value) == order()


def test_expire_s() -> None:
    """A whole number of seconds, up to ten years; absent, the message stays."""
    assert order().expire_s == 0
    assert order(expire_s="60").expire_s == 60
    assert order(expire_s=LIMITS.expire_max_s).expire_s == 315_360_000
    for value in (0, -1, 1.5, True, "x", LIMITS.expire_max_s + 1):
        assert refusal_of(expire_s=value).startswith("expire_s:")


def test_online_only() -> None:
    """Saying no is the same as not saying anything."""
    assert order(online_only=True).online_only
    assert order(online_only=False) == order(online_only=None) == order()


@pytest.mark.parametrize(
    ("member", "values"),
    [
        ("type", [0, 3, -1, 2**70, 1.5, True, [1]]),
        ("targets", [[], [0], [-1], [SAFE_MAX + 1], [1.5], [True], [None], list(range(1, 1002)), 5, "5"]),
        ("from_user_id", [0, -1, SAFE_MAX + 1, "", "alice"]),
        ("transaction_id", [INT64_MAX + 1, -INT64_MAX - 2, "", "x", 2.0**60, False]),
        ("content", [5, ["x"], "a\0"]),
        ("attachment", [{"url": "x"}]),
        ("ext", ["\0", 5]),
        ("config", [{}]),
    ],
)
def test_the_member_is_named(member: str, values: list[Any]) -> None:
    """Whatever is wrong with a member, it is the one that is named."""
    for value in values:
        assert refusal_of(**{member: value}).startswith(f"{member}:")


def test_edges_of_ranges() -> None:
    """The greatest ids and both ends of int64 are taken exactly."""
    assert order(targets=[SAFE_MAX], from_user_id=str(SAFE_MAX)).targets == (SAFE_MAX,)
    for transaction_id in (INT64_MAX, -INT64_MAX - 1, 0):
        assert order(transaction_id=transaction_id).transaction_id == transaction_id
    assert len(order(targets=[*range(1, 1001), 1]).targets) == 1000


def test_recall() -> None:
    """Both ids are required."""
    assert decode_recall(b'{"conversation_id": "5", "msg_id": 6}', LIMITS) == (5, 6)
    for body in (b"{}", b'{"conversation_id":5}', b'{"msg_id":5}', b'{"conversation_id":0,"msg_id":5}'):
        with refused(Kind.BAD_PARAMETER):
            decode_recall(body, LIMITS)


def test_signal() -> None:
    """All three members are required, and the content has a bound of its own."""
    body = b'{"type": "2", "target": 7.0, "content": "", "unknown": [1]}'
    assert decode_signal(body, LIMITS) == Signal(scope=Scope.GROUP, target=7, content="")
    whole: dict[str, Any] = {"type": 1, "target": 7, "content": "x"}
    for member in whole:
        with refused(Kind.BAD_PARAMETER) as refusal:
            decode_signal(msgspec.json.encode(whole | {member: None}), LIMITS)
        assert refusal.sentence.startswith(f"{member}:")
    with refused(Kind.BAD_PARAMETER) as refusal:
        decode_signal(msgspec.json.encode(whole | {"content": "x" * (LIMITS.signal_bytes_max + 1)}), LIMITS)
    assert refusal.sentence.startswith("content:")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    st.lists,
    max_leaves=4,
)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*Order.__struct_fields__, *LEAST, "transaction_id ", "related_mid"]), ANY
    )
)
def test_fuzz(members: dict[str, Any]) -> None:
    """Any members bring an order within range or a refusal that can be told."""
    try:
        made = order(**members)
    except Problem as problem:
        assert problem.kind is Kind.BAD_PARAMETER  # noqa: PT017 - many go through
        problem.sentence.encode()
        return
    assert 0 <= made.from_xid <= SAFE_MAX
    assert made.ctype in {*range(8), 9, 10, 11, 12}
    assert (made.related > 0) == (made.ctype > 8)
    assert 0 <= made.expire_s <= LIMITS.expire_max_s
    assert all(0 < target <= SAFE_MAX for target in made.targets)
    assert -INT64_MAX - 1 <= made.transaction_id <= INT64_MAX
    assert "\0" not in made.content + made.attachment + made.ext + made.config
