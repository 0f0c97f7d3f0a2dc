"""What a body may hold, and who may take a message back (lanying.md)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import ROOM, Ctype, Facts, Gone, Message, Scope
from gateway.domain.rules import check_body, check_recall, check_related, check_together, silence, stranger

LIMITS = Limits(content_bytes_max=12, attachment_bytes_max=8, ext_bytes_max=6, config_bytes_max=4)
WINDOW_MS, SENT_AT, SENDER, OTHER = 60_000, 1_000_000, 5, 6
NOW = 2_000_000


def check(ctype: int, **members: str) -> None:
    body = {"content": "", "attachment": "", "ext": "", "config": "", **members}
    check_body(ctype, body["content"], body["attachment"], body["ext"], body["config"], LIMITS)


@pytest.mark.parametrize(
    ("ctype", "member"),
    [
        (Ctype.TEXT, "content"),
        (Ctype.IMAGE, "attachment"),
        (Ctype.AUDIO, "attachment"),
        (Ctype.VIDEO, "attachment"),
        (Ctype.FILE, "attachment"),
    ],
)
def test_what_a_type_wants(ctype: Ctype, member: str) -> None:
    """A text wants content, and a picture, sound, film or file wants its attachment; the error names it."""
    check(ctype, **{member: "x"})
    with pytest.raises(Problem, match=f"^{member}: ") as caught:
        check(ctype, ext="x")
    assert caught.value.kind is Kind.BAD_PARAMETER


@pytest.mark.parametrize("ctype", [Ctype.LOCATION, Ctype.COMMAND, Ctype.FORWARD])
def test_what_may_be_empty(ctype: Ctype) -> None:
    """A location, a command or a forward wants nothing."""
    check(ctype)


@pytest.mark.parametrize(("member", "most"), [("content", 12), ("attachment", 8), ("ext", 6), ("config", 4)])
def test_sizes(member: str, most: int) -> None:
    """A member may be as long as its limit and no longer; the error names it."""
    check(Ctype.FORWARD, **{member: "x" * most})
    with pytest.raises(Problem, match=f"^{member}: longer than {most} bytes$") as caught:
        check(Ctype.FORWARD, **{member: "x" * (most + 1)})
    assert caught.value.kind is Kind.BAD_PARAMETER


@pytest.mark.parametrize(("letter", "size"), [("\u00e9", 2), ("\u20ac", 3), ("\U0001f600", 4)])
def test_sizes_are_bytes(letter: str, size: int) -> None:
    """Sizes are bytes of UTF-8, not characters."""
    check(Ctype.TEXT, content=letter * (12 // size))
    with pytest.raises(Problem, match=r"^content: longer than 12 bytes$"):
        check(Ctype.TEXT, content=letter * (12 // size) + "x")


@pytest.mark.parametrize("ctype", [*range(8)])
def test_what_relates_to_nothing(ctype: int) -> None:
    """Types 0 to 7 go to many, are stored or not, sent or notified."""
    check_related(ctype, 0, 1_000, online_only=True, notice=True)


@pytest.mark.parametrize(
    ("targets", "online_only", "notice", "member"),
    [(2, False, False, "targets"), (1, True, False, "online_only"), (1, False, True, "content_type")],
)
def test_what_answers_a_message(targets: int, online_only: bool, notice: bool, member: str) -> None:
    """It goes to exactly one target, and is sent and stored."""
    check_related(Ctype.TEXT, 5, 1, online_only=False, notice=False)
    with pytest.raises(Problem, match=f"^{member}: an answer "):
        check_related(Ctype.TEXT, 5, targets, online_only=online_only, notice=notice)


@pytest.mark.parametrize("ctype", [9, 10, 11, 12])
@pytest.mark.parametrize(
    ("related", "targets", "online_only", "notice", "member"),
    [
        (0, 1, False, False, "related_mid"),
        (5, 2, False, False, "targets"),
        (5, 1, True, False, "online_only"),
        (5, 1, False, True, "content_type"),
    ],
)
def test_what_is_about_a_message(
    ctype: int, related: int, targets: int, online_only: bool, notice: bool, member: str
) -> None:
    """Types 9 to 12 name the message, go to exactly one target, and are sent and stored; the error names what not."""
    check_related(ctype, 5, 1, online_only=False, notice=False)
    with pytest.raises(Problem, match=f"^{member}: ") as caught:
        check_related(ctype, related, targets, online_only=online_only, notice=notice)
    assert caught.value.kind is Kind.BAD_PARAMETER


def recall(actor_xid: int, now: int, *, unbounded: bool = False, **changed: Any) -> None:
    members: dict[str, Any] = {
        "msg_id": 1,
        "scope": Scope.USER,
        "sender_xid": SENDER,
        "sender_sn": 0,
        "target_xid": OTHER,
        "ctype": 0,
        "content": "x",
        "attachment": "",
        "config": "",
        "ext": "",
        "at": SENT_AT,
    }
    message = Message(**{**members, **changed})
    check_recall(message, actor_xid, now, WINDOW_MS, unbounded=unbounded)


@pytest.mark.parametrize("age_ms", [0, WINDOW_MS, -5_000])
def test_sender_recalls(age_ms: int) -> None:
    """The sender may recall within the window, its last moment and a clock that jumped back included."""
    recall(SENDER, SENT_AT + age_ms)


def test_sender_recalls_too_late() -> None:
    """After the window the sender may not recall any more, and is told how long it was."""
    with pytest.raises(Problem, match=r" for 60 s ") as caught:
        recall(SENDER, SENT_AT + WINDOW_MS + 1)
    assert caught.value.kind is Kind.RECALL_TOO_LATE


@pytest.mark.parametrize("gone", [None, *Gone])
def test_others_may_not_recall(gone: Gone | None) -> None:
    """A receiver or a stranger may not recall, not even what has been recalled."""
    with pytest.raises(Problem) as caught:
        recall(OTHER, SENT_AT, gone=gone)
    assert caught.value.kind is Kind.FORBIDDEN


def test_recall_again() -> None:
    """The sender's second recall is as good as the first, however late."""
    recall(SENDER, SENT_AT + WINDOW_MS + 1, gone=Gone.RECALLED)


def test_unbounded_recall() -> None:
    """Whoever is unbounded, a group's owner or an admin, recalls anybody's message at any time."""
    recall(OTHER, SENT_AT + WINDOW_MS + 1, unbounded=True)


def test_the_four_texts_together() -> None:
    """An app's own bound is of the bytes of all four: as many as it allows are fine, one more names them."""
    check_together("ä", "b", "c", "d", 5)
    with pytest.raises(Problem, match=r"content.* 5 bytes, .*at most 4") as caught:
        check_together("ä", "b", "c", "d", 4)
    assert caught.value.kind is Kind.BAD_PARAMETER


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, None),
        ({"banned_until": NOW}, None),
        ({"banned_until": NOW + 1}, Kind.BANNED),
        ({"banned_until": NOW + 1, "admin": True}, Kind.BANNED),
        ({"ban_all_until": NOW}, None),
        ({"ban_all_until": NOW + 1}, Kind.ALL_BANNED),
        ({"ban_all_until": NOW + 1, "admin": True}, None),
        ({"ban_all_until": NOW + 1, "owner": True}, None),
        ({"ban_all_until": NOW + 1, "banned_until": NOW + 1}, Kind.BANNED),
        ({"ban_all_until": NOW + 1, "trusted": True}, None),
        ({"banned_until": NOW + 1, "trusted": True}, Kind.BANNED),
        ({"disabled": True, "owner": True}, Kind.GROUP_DISABLED),
    ],
)
def test_silence(facts: dict[str, Any], why: Kind | None) -> None:
    """A ban of one's own silences anybody until it ends; one of all spares some; a disabled group silences all."""
    told = {"group_id": 1, "version": 1, "owner": False, "member": True, **facts}
    assert silence(Facts(**told), NOW) is why


def test_who_is_no_member_of_a_chatroom_is_blocked() -> None:
    """Everybody else is one; of a group one is a stranger."""
    outside = Facts(1, 1, owner=False, member=False)
    assert stranger(outside, 77).kind is Kind.NOT_A_MEMBER
    assert stranger(msgspec.structs.replace(outside, type=ROOM), 77).kind is Kind.GROUP_BLOCKED


def test_a_ban_that_is_not_asked_for() -> None:
    """One does not lift the other, and neither a group that is disabled."""
    own, all_ = (
        Facts(1, 1, owner=False, member=True, banned_until=NOW + 1),
        Facts(1, 1, owner=False, member=True, ban_all_until=NOW + 1),
    )
    told = [
        (silence(facts, NOW, over_ban=True), silence(facts, NOW, over_ban_all=True)) for facts in (own, all_)
    ]
    assert told == [(None, Kind.BANNED), (Kind.ALL_BANNED, None)]
    disabled = Facts(1, 1, owner=False, member=True, disabled=True)
    assert silence(disabled, NOW, over_ban=True, over_ban_all=True) is Kind.GROUP_DISABLED
