"""What a message says once others are folded into it."""

from __future__ import annotations

import pytest

from gateway.core.folding import fold
from gateway.domain.model import HistoryItem, Status
from gateway.store.base import Fold

ITEM = HistoryItem(1, 11, 0, 12, 0, "text", "a picture", "{}", "ext", 5, False, 0, Status.READ)


def more(content: str) -> Fold:
    return Fold(11, content, "")


def instead(content: str, attachment: str = "") -> Fold:
    return Fold(12, content, attachment)


@pytest.mark.parametrize(
    ("folds", "content"),
    [
        ([], "text"),
        ([more(" and"), more(" more")], "text and more"),
        ([instead("other")], "other"),
        ([more(" lost"), instead("other"), more(" and"), more(" more")], "other and more"),
        ([instead("one"), more("!"), instead("two")], "two"),
        ([instead(""), more("new")], "new"),
    ],
)
def test_they_are_folded_in_their_order(folds: list[Fold], content: str) -> None:
    """What replaces stands for all until then; what appends comes behind."""
    assert fold(ITEM, folds, 100).content == content


def test_an_attachment_is_replaced_by_another_only() -> None:
    """One that has none leaves it as it is, and so does what appends."""
    assert fold(ITEM, [instead("a"), more("b"), Fold(11, "c", "of its own")], 100).attachment == "a picture"
    assert fold(ITEM, [instead("a", "another"), instead("b")], 100).attachment == "another"


def test_all_else_stays() -> None:
    """Its time and status are its own, and the item given is as it was."""
    folded = fold(ITEM, [instead("other")], 100)
    assert (folded.msg_id, folded.config, folded.ext, folded.at, folded.status) == (
        1,
        "{}",
        "ext",
        5,
        Status.READ,
    )
    assert ITEM.content == "text"


def test_it_becomes_no_longer_than_one_may_send() -> None:
    """From where it would, what is appended is left out: in bytes, up to the next that replaces, without a gap."""
    assert fold(ITEM, [more("1234"), more("567"), more("8")], 8).content == "text1234"
    assert fold(ITEM, [more("äö"), more("ü")], 8).content == "textäö"
    assert fold(ITEM, [more("12345"), instead("one"), more("12345"), more("6")], 8).content == "one12345"
    assert fold(ITEM, [instead("much longer"), more("!")], 8).content == "much longer"
