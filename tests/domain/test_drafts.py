"""What a draft weighs, by which batches are cut and queues bounded, and whom it names: who waits behind whom."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.drafts import (
    CreateDraft,
    DeleteDraft,
    Draft,
    ImportDraft,
    JobDraft,
    JobKind,
    MembershipDraft,
    MessageDraft,
    RecallDraft,
    StepDraft,
    asks_same,
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


def deletion() -> DeleteDraft:
    return DeleteDraft(app=1, user_id=5, user_xid=50, opposite_id=6, opposite_xid=60, scope=Scope.USER, at=0)


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
        deletion(),
    ]
    assert all(draft.rows > 0 and draft.size > 0 for draft in drafts)


def test_the_largest_draft_fits_into_the_queue() -> None:
    """The largest draft that may be asked for can wait for a batch."""
    limits = Limits()
    text = "x" * limits.content_bytes_max
    largest = message(targets=tuple(range(limits.targets_max)), content=text, attachment=text)
    assert largest.rows <= limits.queue_rows_max
    assert largest.size <= limits.queue_bytes_max


def test_an_import_is_its_message() -> None:
    """It is of the same app and time, weighs as much and names the same."""
    sent = message(targets=(6, 7), content="x" * 100, at=9)
    imported = ImportDraft(message=sent, shown_at=3)
    assert (imported.app, imported.at, imported.parties) == (1, 9, sent.parties)
    assert (imported.rows, imported.size) == (sent.rows, sent.size)


@pytest.mark.parametrize(
    ("draft", "parties"),
    [
        (message(targets=(6, 7)), {5, 6, 7}),
        (message(targets=(6, 7), group_xid=77), {5, 6, 7, 77}),
        (deletion(), {50, 60}),
        (create(6, 7), {5, 6, 7}),
        (membership(6, 7), {77, 6, 7}),
        (JobDraft(app=1, kind=JobKind.BROADCAST, at=0), {0}),
        (StepDraft(app=1, job_id=3, at=0, rows=1, size=1), {-3}),
    ],
)
def test_whom_a_draft_names(draft: Draft, parties: set[int]) -> None:
    """All whose timelines it moves, by their xids; what is no xid stands for jobs."""
    assert draft.parties == parties


@pytest.mark.parametrize(
    ("told", "stoppable"),
    [
        ({"copied": True}, True),
        ({"copied": False}, False),
        ({"copied": False, "listed": True}, True),
        ({"copied": True, "unjudged": True}, False),
    ],
)
def test_what_a_block_stops(told: dict[str, Any], stoppable: bool) -> None:
    """A message, whether its sender's devices get it or not; no notice, and nothing that nobody judges."""
    assert message(**told).stoppable is stoppable


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("a", "a", True), ("a .u", "a", True), ("a", "a .u", True), ("a .u", "a u.", True), ("a", "b", False)],
)
def test_what_asks_for_the_same(one: str, other: str, same: bool) -> None:
    """The digest tells it; what stands with it does not count."""
    assert asks_same(one, other) is same


def test_whom_an_import_names() -> None:
    """Who is called by a name and has no id yet, each once."""
    asked = ImportDraft(message=message(sender_xid=0), shown_at=1, sender_name="ann", target_name="ann")
    assert asked.names == ["ann"]
    assert ImportDraft(message=message(), shown_at=1).names == []


def test_an_import_by_the_ids_of_who_is_named() -> None:
    """Names become ids, 0 where there is nobody; who was named by an id keeps it."""
    both = ImportDraft(
        message=message(sender_xid=0, targets=(0,)),
        shown_at=9,
        settled=True,
        sender_name="ann",
        target_name="bob",
    )
    found = both.called({"ann": 5})
    assert found == ImportDraft(message=message(sender_xid=5, targets=(0,)), shown_at=9, settled=True)
    other = ImportDraft(message=message(sender_xid=5, targets=(0,)), shown_at=9, target_name="bob")
    assert other.called({"bob": 6}) == ImportDraft(message=message(sender_xid=5, targets=(6,)), shown_at=9)
    one = ImportDraft(message=message(sender_xid=0, targets=(6,)), shown_at=9, sender_name="ann")
    assert one.called({"ann": 5}) == ImportDraft(message=message(sender_xid=5, targets=(6,)), shown_at=9)
