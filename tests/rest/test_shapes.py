"""What the members of a body may be: types, ranges, limits (lanying.md, Everywhere; send)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rest.stage import ALICE, BOB, CAROL, Caller, order

pytestmark = pytest.mark.one_node("what the edge refuses by itself")

SAFE_MAX = 2**53 - 1
KIB = 1024

NUMBERS = ["type", "content_type", "from_user_id", "transaction_id"]
NO_NUMBERS = [
    *('"1e3"', '"1.0"', '"+1"', '" 1"', '"1 "', '""', '"x"', '"0x1"', '"１"', '"-"', '"--1"', '"1_0"'),  # noqa: RUF001
    *("true", "false", "1.5", "[1]", "{}", '"null"', '"true"', '"NaN"', '"1\\u0000"'),
]
HUGE_NUMBERS = [
    *("1e400", "-1e400", "1e30", "9" * 30, "9" * 5000),
    *('"' + "9" * 30 + '"', '"-' + "9" * 5000 + '"'),
]
TEXTS = ["content", "attachment", "ext", "config"]
GOOD: dict[str, Any] = {
    "type": 1,
    "content_type": 0,
    "from_user_id": ALICE,
    "transaction_id": 7,
    "targets": [BOB],
    "content": "hi",
    "attachment": "a",
    "ext": "e",
    "config": "c",
}


def spelt(member: str, spelling: str) -> bytes:
    """A good body in which one member is written like this."""
    rest = [f'"{name}":{_json(value)}' for name, value in GOOD.items() if name != member]
    return ("{" + ",".join([*rest, f'"{member}":{spelling}']) + "}").encode()


def _json(value: object) -> str:
    return str(value) if isinstance(value, int | list) else f'"{value}"'


class TestNumbers:
    """Integers, strings of digits, and fractions that are none."""

    @pytest.mark.parametrize("spelling", ["{}", '"{}"', "{}.0", "{}.000", "{}e0", "{}.0E-0", '"00{}"'])
    async def test_are_taken(self, alice: Caller, spelling: str) -> None:
        """Each number comes as an integer, as a string of digits, or as a JSON number that is an integer."""
        for member in NUMBERS:
            body = spelt(member, spelling.format(GOOD[member]))
            assert (await alice.post("/message/send", body)).data is True, member

    @pytest.mark.parametrize("member", [*NUMBERS, "targets"])
    async def test_that_are_none(self, alice: Caller, member: str) -> None:
        """Everything else is refused, and the member is named."""
        for spelling in NO_NUMBERS:
            body = spelt(member, f"[{spelling}]" if member == "targets" else spelling)
            assert (await alice.post("/message/send", body)).refused(10002, member), spelling

    @pytest.mark.parametrize("member", [*NUMBERS, "targets"])
    async def test_that_are_huge(self, alice: Caller, member: str) -> None:
        """Numbers beyond every range are refused, and the member is named."""
        for spelling in HUGE_NUMBERS:
            body = spelt(member, f"[{spelling}]" if member == "targets" else spelling)
            assert (await alice.post("/message/send", body)).refused(10002, member), spelling

    @pytest.mark.parametrize(
        ("member", "values"),
        [
            ("type", [0, 3, -1]),
            ("content_type", [-1]),
            ("from_user_id", [-1, 0, SAFE_MAX + 1]),
            ("targets", [[0], [-1], [SAFE_MAX + 1], ["0"], [BOB, 0]]),
            ("transaction_id", [2**63, -(2**63) - 1, str(2**63)]),
        ],
    )
    async def test_out_of_range(self, alice: Caller, member: str, values: list[object]) -> None:
        """Ids are 1 to 2^53 - 1, types what is listed, transaction ids int64."""
        for value in values:
            assert (await alice.post("/message/send", GOOD | {member: value})).refused(10002, member), value
        assert await alice.history(BOB) == []

    async def test_the_greatest_id_is_one(self, alice: Caller) -> None:
        """2^53 - 1 is a user like any other."""
        assert await alice.send(SAFE_MAX)
        assert await alice.history(SAFE_MAX) == ["hi"]


class TestTexts:
    """Strings, kept as they are."""

    @pytest.mark.parametrize("member", TEXTS)
    async def test_are_strings(self, alice: Caller, member: str) -> None:
        """Whatever is no string is refused by name; JSON goes as text."""
        for spelling in ("1", "true", "[]", "{}", '["x"]', "1.5"):
            assert (await alice.post("/message/send", spelt(member, spelling))).refused(10002, member)

    @pytest.mark.parametrize(
        "told",
        ["ünïcödé ✓ 😀", " \t\n\r\x01\x7f", '{"a": 1,  "a":2}', "\u2028\ufeff\ufffe", "\\u0000", "''\";--"],
    )
    async def test_are_kept_byte_for_byte(self, alice: Caller, bob: Caller, told: str) -> None:
        """What comes out of the history is what went in, unparsed."""
        members = dict.fromkeys(["attachment", "ext", "config"], told)
        await alice.send(BOB, told, **members)
        [item] = (await bob.page(ALICE))["messages"]
        assert [item[member] for member in TEXTS] == [told] * 4

    @pytest.mark.parametrize("member", TEXTS)
    async def test_nul_is_refused(self, alice: Caller, member: str) -> None:
        """The character NUL is in no text, and the member that has it is named."""
        assert (await alice.post("/message/send", GOOD | {member: "a\0b"})).refused(10002, member, "NUL")

    async def test_nul_is_refused_in_what_is_ignored(self, alice: Caller) -> None:
        """Not even a member that nobody reads may hold it."""
        assert (await alice.post("/message/send", GOOD | {"unknown": "\0"})).refused(10002, "NUL")

    @pytest.mark.parametrize("escape", ["\\ud800", "\\udfff", "\\udfff\\ud800", "\\ud800x"])
    async def test_lone_surrogates_are_refused(self, alice: Caller, escape: str) -> None:
        """Half a character is none."""
        assert (await alice.post("/message/send", spelt("content", f'"{escape}"'))).refused(10002)

    @pytest.mark.parametrize(
        ("member", "most"),
        [("content", 64 * KIB), ("attachment", 64 * KIB), ("ext", 16 * KIB), ("config", 16 * KIB)],
    )
    async def test_have_limits(self, alice: Caller, member: str, most: int) -> None:
        """Each is refused one byte above its limit, which is counted in UTF-8 and named with the member."""
        for unit in ("x", "ü", "😀"):
            whole = unit * (most // len(unit.encode()))
            assert (await alice.post("/message/send", order([BOB]) | {member: whole})).data is True
            answer = await alice.post("/message/send", order([BOB]) | {member: whole + "x"})
            assert answer.refused(10002, member, str(most))


class TestMembers:
    """Which members there must be, may be, and are ignored."""

    @pytest.mark.parametrize("missing", ["type", "targets", "content_type"])
    async def test_required(self, alice: Caller, missing: str) -> None:
        """Without a required member, or with null for it, the answer names it."""
        body = {name: value for name, value in order([BOB]).items() if name != missing}
        for given in (body, body | {missing: None}):
            assert (await alice.post("/message/send", given)).refused(10002, missing)

    async def test_optional_ones_are_empty(self, alice: Caller) -> None:
        """Absent texts are empty ones."""
        await alice.send(BOB)
        [item] = (await alice.page(BOB))["messages"]
        assert (item["attachment"], item["ext"], item["config"]) == ("", "", "")

    async def test_null_is_absent(self, alice: Caller) -> None:
        """Null for every optional member is the same as none of them."""
        names = [
            "attachment",
            "ext",
            "config",
            "from_user_id",
            "transaction_id",
            "transaction_id ",
            "online_only",
        ]
        assert (await alice.post("/message/send", order([BOB]) | dict.fromkeys(names))).data is True

    async def test_unknown_ones_are_ignored(self, alice: Caller) -> None:
        """Whatever else is there changes nothing, also names that differ by case or space only."""
        unknown = {
            "Type": "x",
            " type": [],
            "content ": 1,
            "related_mid": {},
            "": None,
            "__proto__": {"a": [1]},
        }
        assert (await alice.post("/message/send", order([BOB]) | unknown)).data is True

    @pytest.mark.parametrize(
        "body", [b"", b" ", b"null", b"[]", b"1", b'"x"', b"{", b"{]", b"{}{}", b"{'a':1}"]
    )
    async def test_bodies_that_are_none(self, alice: Caller, body: bytes) -> None:
        """A body that is no JSON object is refused as a whole."""
        assert (await alice.post("/message/send", body)).refused(10002, "body")

    async def test_invalid_utf_8(self, alice: Caller) -> None:
        """Bytes that are no UTF-8 are refused, wherever they are."""
        for member in ("content", "unknown"):
            body = (
                f'{{"type":1,"targets":[{BOB}],"content_type":0,"content":"x","{member}":"'.encode()
                + b'\xff"}'
            )
            assert (await alice.post("/message/send", body)).refused(10002)

    async def test_deep_nesting(self, alice: Caller) -> None:
        """What nests deeper than the limit is refused, and the limit is named."""
        deep = b'{"unknown":' + b"[" * 40 + b"]" * 40 + b"}"
        assert (await alice.post("/message/send", deep)).refused(10002, "body", "32")

    @pytest.mark.parametrize(
        "kind", ["", "text/plain", "application/x-www-form-urlencoded", "\x80;;", "a/b; charset=utf-7"]
    )
    async def test_content_type_is_not_looked_at(self, alice: Caller, kind: str) -> None:
        """The body is JSON whatever the request calls it."""
        alice.headers["Content-Type"] = kind
        assert (await alice.ask_send([BOB], "ü")).data is True
        assert await alice.history(BOB) == ["ü"]


class TestTransactionSpelling:
    """Seed 002's sample has the member with a space at its end."""

    async def test_with_a_space(self, alice: Caller) -> None:
        """Both spellings are the same member."""
        first = await alice.send(BOB, transaction_id=7)
        again = await alice.post("/message/send", order([BOB]) | {"transaction_id ": 7})
        assert again.envelope["msg_ids"] == [first]

    async def test_both_the_same(self, alice: Caller) -> None:
        """Given twice alike, it is given."""
        body = order([BOB]) | {"transaction_id": 7, "transaction_id ": "7"}
        first = await alice.post("/message/send", body)
        assert (await alice.send(BOB, transaction_id=7)) == first.envelope["msg_ids"][0]

    @pytest.mark.parametrize("pair", [(7, 8), (0, 7), (7, 0)])
    async def test_both_and_different(self, alice: Caller, pair: tuple[int, int]) -> None:
        """Given twice and differently it is refused by name."""
        body = order([BOB]) | {"transaction_id": pair[0], "transaction_id ": pair[1]}
        assert (await alice.post("/message/send", body)).refused(10002, "transaction_id")

    async def test_is_judged_like_the_other(self, alice: Caller) -> None:
        """With the space it must be a number, too."""
        body = order([BOB]) | {"transaction_id ": "x"}
        assert (await alice.post("/message/send", body)).refused(10002, "transaction_id")


class TestQueries:
    """Numbers of query strings follow the same rule."""

    @pytest.mark.parametrize("good", ["119", "0119"])
    async def test_are_taken(self, alice: Caller, good: str) -> None:
        """A string of digits is a number."""
        assert (await alice.get("/message/conversation", opposite_id=good)).data["is_last"] is True

    @pytest.mark.parametrize(
        "wrong", ["x", "1.0", "1e3", "+1", "-1", "0", "\uff11", "\x00", "9" * 30, str(SAFE_MAX + 1)]
    )
    async def test_that_are_none(self, alice: Caller, wrong: str) -> None:
        """Anything else is refused by name, in each parameter that is an id."""
        for verb, path, name in (
            ("GET", "/message/conversation", "opposite_id"),
            ("DELETE", "/message/conversation", "conversation_id"),
            ("GET", "/group/info", "group_id"),
            ("GET", "/group/member_list", "group_id"),
        ):
            assert (await alice.call(verb, path, **{name: wrong})).refused(10002, name)

    @pytest.mark.parametrize(
        ("verb", "path", "name"),
        [
            ("GET", "/message/conversation", "opposite_id"),
            ("DELETE", "/message/conversation", "conversation_id"),
            ("GET", "/group/info", "group_id"),
            ("GET", "/group/member_list", "group_id"),
        ],
    )
    async def test_required(self, alice: Caller, verb: str, path: str, name: str) -> None:
        """Absent and empty are the same, and named."""
        assert (await alice.call(verb, path)).refused(10002, name)
        assert (await alice.call(verb, path, **{name: ""})).refused(10002, name)

    async def test_unknown_ones_are_ignored(self, alice: Caller, carol: Caller) -> None:
        """Parameters that nobody reads change nothing."""
        assert (await alice.get("/message/unread", limit="x", user_id=CAROL)).data == []
