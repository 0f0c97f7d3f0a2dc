"""What a send is remembered by."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.order import Order, digest_of
from gateway.domain.model import Scope, Side

ORDER = Order(scope=Scope.USER, targets=(7, 8), ctype=0, content="hi", ext="e")


def test_a_digest_is_for_ever() -> None:
    """Stored digests are compared with new ones: what they are made of may not change between versions."""
    assert digest_of(ORDER, notice=False) == "94885dacdac7fe424b4cb233cae20e41"


def test_a_notice_is_another_message() -> None:
    """Send and notify share their transaction ids, and are not the same."""
    assert digest_of(ORDER, notice=False) != digest_of(ORDER, notice=True)


EVERYTHING = Order(
    scope=Scope.GROUP,
    targets=(7,),
    ctype=11,
    content="hi",
    attachment="a",
    ext="e",
    config="c",
    from_xid=3,
    transaction_id=4,
    related=5,
    online_only=True,
    expire_s=6,
    only=(8, 9),
)


OF_ADMINS = msgspec.structs.replace(EVERYTHING, unjudged=True, copied=False, partial=True, hide_from=(1, 2))


APART = msgspec.structs.replace(
    OF_ADMINS,
    uncounted=True,
    passing=True,
    side=Side.RECEIVER,
    over_ban=True,
    over_ban_all=True,
    request_key="k",
)


def test_every_digest_is_for_ever() -> None:
    """Of the least that a send says and of the most."""
    assert digest_of(APART, notice=False) == "5b608fdb7a7e4a7f21035c3e1fe45fd6"
    assert digest_of(OF_ADMINS, notice=False) == "d8634256e3c4d6f97d402a42f16986d1"
    assert digest_of(EVERYTHING, notice=False) == "4297599582b29401765c57162a867107"
    assert digest_of(EVERYTHING, notice=True) == "bca66a9da1fb27dfc413a79a9b8eb33e"
    least = Order(scope=Scope.USER, targets=(7,), ctype=0, content="hi")
    assert digest_of(least, notice=False) == "35729894c04d3566986fe395e8d1b36e"


@pytest.mark.parametrize("field", msgspec.structs.fields(Order), ids=lambda field: field.name)
def test_every_member_counts(field: msgspec.structs.FieldInfo) -> None:
    """What asks for something else is something else; only who says it and under which id is in the key."""
    others = {"scope": Scope.USER, "targets": (8,), "ctype": 12, "content": "ho"}
    changed = msgspec.structs.replace(APART, **{field.name: others.get(field.name, field.default)})
    same = digest_of(changed, notice=False) == digest_of(APART, notice=False)
    assert same is (field.name in {"transaction_id", "from_xid", "request_key", "request_digest"})


def test_a_dialect_may_have_a_digest_of_its_own() -> None:
    """Then nothing else tells whether a repeat asks for the same."""
    other = msgspec.structs.replace(ORDER, content="ho", request_digest="d")
    assert digest_of(other, notice=True) == "d"


def test_a_key_that_is_no_number() -> None:
    """It is what makes a repeat, whatever the transaction id; a send may have neither."""
    told = {"transaction_id": 7, "request_key": "k7"}
    assert [
        msgspec.structs.replace(ORDER, **{name: told[name] for name in names}).key
        for names in ((), ("transaction_id",), ("request_key",), ("transaction_id", "request_key"))
    ] == ["", "7", "k7", "k7"]
