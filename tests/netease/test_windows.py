"""What a query asks of a conversation, and by what its pages are told (netease.md, v2.1 GET …/messages)."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Problem
from gateway.domain.model import FOREVER, SAFE_MAX, Ctype
from gateway.edge.decode import Query
from gateway.edge.facades.netease.faults import Fault
from gateway.edge.facades.netease.windows import Pages, Window, read_flag, read_kinds, read_window

ALL = Window(0, FOREVER, frozenset(), descending=True, limit=100)


def window(**said: str) -> Window:
    query = Query(said)
    return read_window(query, read_kinds(query))


def test_what_is_not_said() -> None:
    """Everything, the newest first, a hundred at a time; what is empty is not said."""
    assert window() == ALL
    assert window(begin_time="", end_time="", message_type="", descending="", limit="") == ALL


def test_all_that_may_be_said() -> None:
    """Both times are part of it, and may be the same."""
    asked = window(begin_time="7", end_time="7", message_type="0,100,1", descending="false", limit="1")
    assert asked == Window(7, 7, frozenset({0, 1, 100}), descending=False, limit=1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("begin_time", "-1"),
        ("begin_time", "x"),
        ("begin_time", str(SAFE_MAX + 1)),
        ("end_time", "1.5"),
        ("end_time", "99"),
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "-5"),
        ("descending", "1"),
        ("descending", "True"),
        ("message_type", "7"),
        ("message_type", "0,"),
        ("message_type", ",0"),
        ("message_type", "0, 1"),
        ("message_type", "0;1"),
        ("message_type", "text"),
        ("message_type", "1" * 5000),
    ],
)
def test_what_is_wrong(name: str, said: str) -> None:
    """Is named."""
    begin = {} if name == "begin_time" else {"begin_time": "100"}
    with pytest.raises((Fault, Problem), match=name):
        window(**begin, **{name: said})


@pytest.mark.parametrize(
    ("kinds", "ctypes", "told_by_config"),
    [
        ("0", {Ctype.TEXT}, True),
        ("10", {Ctype.TEXT}, True),
        ("0,10", {Ctype.TEXT}, False),
        ("1,2,3,4,6", {Ctype.IMAGE, Ctype.AUDIO, Ctype.VIDEO, Ctype.LOCATION, Ctype.FILE}, False),
        ("100", {Ctype.COMMAND, Ctype.FORWARD}, False),
        ("5", {-1}, False),
        ("5,11,10", {-1, Ctype.TEXT}, True),
    ],
)
def test_what_the_core_calls_them(kinds: str, ctypes: set[int], told_by_config: bool) -> None:
    """Texts and tips are one to it; of the vendor's own messages there are none."""
    asked = window(message_type=kinds)
    assert (set(asked.ctypes), asked.told_by_config) == (ctypes, told_by_config)
    assert asked.look(5, 2).ctypes == ctypes


class TestTokens:
    """Where the next page begins."""

    @pytest.mark.parametrize("after", [1, 4711, SAFE_MAX])
    def test_the_same_query(self, after: int) -> None:
        """Finds its place again, in pages of another length too; without a token it is the first."""
        token = Pages(ALL, "demo", 1, 2).token(after)
        shorter = Window(0, FOREVER, frozenset(), descending=True, limit=1)
        assert Pages(shorter, "demo", 1, 2).after(Query({"page_token": token})) == after
        assert token.replace("-", "").replace("_", "").isalnum()
        assert Pages(ALL).after(Query({})) == 0

    def test_the_last_page(self) -> None:
        """Has nothing behind it."""
        assert Pages(ALL).token(0) == ""

    @pytest.mark.parametrize(
        "other",
        [
            Pages(ALL, "demo", 1, 2, 3),
            Pages(ALL, "demo", 2, 1),
            Pages(ALL, "other", 1, 2),
            Pages(Window(1, FOREVER, frozenset(), descending=True, limit=100), "demo", 1, 2),
            Pages(Window(0, 9, frozenset(), descending=True, limit=100), "demo", 1, 2),
            Pages(Window(0, FOREVER, frozenset({0}), descending=True, limit=100), "demo", 1, 2),
            Pages(Window(0, FOREVER, frozenset(), descending=False, limit=100), "demo", 1, 2),
        ],
    )
    def test_another_query(self, other: Pages) -> None:
        """Does not take it."""
        with pytest.raises(Fault, match="page_token"):
            other.after(Query({"page_token": Pages(ALL, "demo", 1, 2).token(7)}))

    @pytest.mark.parametrize(
        "forge", [str.lower, lambda told: told[:-1], lambda told: told + "A", lambda _: "7"]
    )
    def test_what_was_never_told(self, forge: object) -> None:
        """Neither."""
        pages = Pages(ALL, "demo", 1, 2)
        assert callable(forge)
        for said in (forge(pages.token(7)), "é", "====", pages.token(7).replace("A", "+"), "A" * 24):
            with pytest.raises(Fault, match="page_token"):
                pages.after(Query({"page_token": said}))


def test_flags() -> None:
    """Only `true` and `false` are any; what is not said is the default."""
    assert [read_flag(Query({"x": said}), "x", default=True) for said in ("true", "false", "")] == [
        True,
        False,
        True,
    ]
    assert not read_flag(Query({}), "x", default=False)
    with pytest.raises(Fault, match="x"):
        read_flag(Query({"x": "yes"}), "x", default=False)
