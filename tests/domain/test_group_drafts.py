"""What drafts about groups say, what they weigh and whom they name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.domain.group_drafts import (
    BanDraft,
    GroupChange,
    GroupSettings,
    HandleDraft,
    RequestDraft,
    RequestKind,
    SettingsDraft,
    TransferDraft,
)
from gateway.domain.model import Group

ABOUT: dict[str, Any] = {"app": 1, "group_id": 2, "group_xid": 77, "judged": 1, "at": 0}


def ban(*user_xids: int) -> BanDraft:
    return BanDraft(**ABOUT, user_xids=user_xids, until=5)


def request(*user_xids: int, reason: str = "") -> RequestDraft:
    told: dict[str, Any] = {"kind": RequestKind.INVITATION, "inviter_xid": 5, "expires_at": 9}
    return RequestDraft(**ABOUT, **told, user_xids=user_xids, reason=reason)


def test_users_weigh() -> None:
    """Each adds rows and bytes, and a request says its reason for each."""
    for make in (ban, request):
        one, two = make(5), make(5, 6)
        assert two.rows > one.rows
        assert two.size > one.size
    assert request(5, reason="x" * 100).size - request(5).size == 400


def test_texts_weigh() -> None:
    """A name is as long as it is; a switch weighs nothing."""

    def size(**told: Any) -> int:
        return SettingsDraft(**ABOUT, settings=GroupSettings(**told)).size

    assert size(name="x" * 100) - size() == 200
    assert size(read_ack=True) == size()


@pytest.mark.parametrize(
    ("draft", "parties"),
    [
        (TransferDraft(**ABOUT, heir_xid=5), {77, 5}),
        (SettingsDraft(**ABOUT, settings=GroupSettings()), {77}),
        (
            HandleDraft(**ABOUT, kind=RequestKind.APPLICATION, user_xid=5, inviter_xid=6, approved=True),
            {77, 5},
        ),
        (ban(5, 6), {77, 5, 6}),
    ],
)
def test_each_weighs_something(draft: GroupChange, parties: set[int]) -> None:
    """A batch is cut by it; and it names the group and those whose part in it may change."""
    assert draft.rows > 0
    assert draft.size > 0
    assert draft.parties == parties


def test_settings_are_the_groups() -> None:
    """They have the names that a group's members have; what is not told is None."""
    assert set(GroupSettings.__struct_fields__) <= set(Group.__struct_fields__)
    assert GroupSettings().changes == {}
    assert GroupSettings(name="", read_ack=False).changes == {"name": "", "read_ack": False}
    assert all(field.default is None for field in msgspec.structs.fields(GroupSettings))
