"""The nouns that know something."""

from __future__ import annotations

import msgspec
import pytest

from gateway.domain.model import (
    DEVICE_SN_MAX,
    GIVEN_XID_FIRST,
    INT64_MAX,
    SAFE_MAX,
    Message,
    Scope,
    Side,
    Status,
)


def message(scope: Scope, sender_xid: int, target_xid: int) -> Message:
    return Message(
        msg_id=1,
        scope=scope,
        sender_xid=sender_xid,
        sender_sn=0,
        target_xid=target_xid,
        ctype=0,
        content="x",
        attachment="",
        config="",
        ext="",
        at=0,
    )


@pytest.mark.parametrize(
    ("scope", "sender_xid", "target_xid", "asker_xid", "conversation_xid"),
    [
        (Scope.USER, 5, 6, 5, 6),
        (Scope.USER, 5, 6, 6, 5),
        (Scope.USER, 5, 5, 5, 5),
        (Scope.GROUP, 5, 77, 5, 77),
        (Scope.GROUP, 5, 77, 6, 77),
        (Scope.GROUP, 5, 77, 77, 77),
    ],
)
def test_conversation(
    scope: Scope, sender_xid: int, target_xid: int, asker_xid: int, conversation_xid: int
) -> None:
    """A conversation is named by the peer, as the asker sees it, or by the group."""
    assert message(scope, sender_xid, target_xid).conversation_for(asker_xid) == conversation_xid


def test_status_rises() -> None:
    """UNREAD < DELIVERED < READ."""
    assert Status.UNREAD < Status.DELIVERED < Status.READ


def test_ranges() -> None:
    """Ids are exact in JavaScript, those the server gives too; device numbers are int32."""
    assert float(SAFE_MAX) + 1 == 2**53
    assert GIVEN_XID_FIRST < SAFE_MAX < INT64_MAX
    assert DEVICE_SN_MAX == 2**31 - 1


@pytest.mark.parametrize(("side", "told"), [(Side.BOTH, [5, 6]), (Side.SENDER, [5]), (Side.RECEIVER, [6])])
def test_whose_history_it_is_in(side: Side, told: list[int]) -> None:
    """Between users it is in both, but for one that is one-sided; nobody else is told."""
    sent = msgspec.structs.replace(message(Scope.USER, 5, 6), side=side)
    assert [xid for xid in (5, 6, 7) if sent.told_to(xid)] == told
