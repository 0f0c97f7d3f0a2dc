"""What a draft weighs: batches are cut by it, and queues bounded."""

from __future__ import annotations

from typing import Any

from gateway.domain.drafts import (
    CreateDraft,
    DeleteDraft,
    Draft,
    JobDraft,
    JobKind,
    MembershipDraft,
    MessageDraft,
    RecallDraft,
)
from gateway.domain.limits import Limits
from gateway.domain.model import Action, Scope


def message(**changed: Any) -> MessageDraft:
    members: dict[str, Any] = {
        "app": 1,
        "sender_xid": 5,
        "sender_sn": 0,
        "scope": Scope.USER,
        "targets": (6,),
        "ctype": 0,
        "content": "",
        "attachment": "",
        "config": "",
        "ext": "",
        "at": 0,
    }
    return MessageDraft(**{**members, **changed})


def create(*member_xids: int, description: str = "") -> CreateDraft:
    return CreateDraft(
        app=1,
        owner_xid=5,
        member_xids=member_xids,
        name="",
        description=description,
        avatar="",
        type=0,
        at=0,
    )


def membership(*user_xids: int) -> MembershipDraft:
    return MembershipDraft(
        app=1, group_id=2, group_xid=77, action=Action.JOINED, user_xids=user_xids, judged=1, at=0
    )


def test_targets_weigh() -> None:
    """Each target adds a message, an entry or two and a conversation."""
    one, two = message(), message(targets=(6, 7))
    assert two.rows - one.rows == 5
    assert two.size > one.size


def test_texts_weigh() -> None:
    """Each text of a message counts, and counts once, whatever the number of targets."""
    texts = ("content", "attachment", "config", "ext")
    assert {message(**{text: "x" * 100}).size - message().size for text in texts} == {200}
    assert message(content="x" * 100, targets=(6, 7)).size - message(targets=(6, 7)).size == 200


def test_members_weigh() -> None:
    """Each member of a new group adds a stay, entries and a timeline; its description is a text."""
    assert create(6, 7).rows - create(6).rows == 4
    assert create(6, 7).size > create(6).size
    assert create(description="x" * 100).size - create().size == 100


def test_a_job_weighs_as_its_data() -> None:
    """Its pages weigh by themselves."""
    plain, told = (JobDraft(app=1, kind=JobKind.BROADCAST, at=0, data=data) for data in ("", "x" * 100))
    assert (plain.rows, told.size - plain.size) == (2, 200)


def test_users_weigh() -> None:
    """Each user of a membership change adds a stay, entries and a timeline."""
    assert membership(6, 7).rows - membership(6).rows == 4
    assert membership(6, 7).size > membership(6).size


def test_every_draft_weighs_something() -> None:
    """No draft is free: a queue of them is bounded."""
    drafts: list[Draft] = [
        message(),
        create(),
        membership(),
        RecallDraft(app=1, msg_id=1, at=0),
        JobDraft(app=1, kind=JobKind.BROADCAST, at=0),
        DeleteDraft(app=1, user_id=5, user_xid=5, opposite_id=6, opposite_xid=6, scope=Scope.USER, at=0),
    ]
    assert all(draft.rows > 0 and draft.size > 0 for draft in drafts)


def test_the_largest_draft_fits_into_the_queue() -> None:
    """The largest draft that may be asked for can wait for a batch."""
    limits = Limits()
    text = "x" * limits.content_bytes_max
    largest = message(targets=tuple(range(limits.targets_max)), content=text, attachment=text)
    assert largest.rows <= limits.queue_rows_max
    assert largest.size <= limits.queue_bytes_max
