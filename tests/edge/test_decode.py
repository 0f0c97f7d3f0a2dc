"""Decoding: what is taken, what is refused, and that nothing else can happen."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.domain.model import INT64_MAX, SAFE_MAX
from gateway.edge.decode import Body, Number, Query, identifiers, number, text
from tests.core.stage import refused

LIMITS = Limits()


class Inner(msgspec.Struct):
    s: str | None = None


class Shape(msgspec.Struct):
    a: Number = None
    s: str | None = None
    many: list[Number] | None = None
    inner: list[Inner] | None = None
    one: Inner | None = None
    yes: bool | None = None


BODY = Body(Shape)


def decode(body: bytes | str) -> Shape:
    return BODY.decode(body.encode() if isinstance(body, str) else body, LIMITS)


def sentence_of(body: bytes | str) -> str:
    """What a body is refused with."""
    with refused(Kind.BAD_PARAMETER) as refusal:
        decode(body)
    return refusal.sentence


class TestNumber:
    """The one rule for numbers."""

    @pytest.mark.parametrize(
        ("value", "wanted"),
        [
            (5, 5),
            ("5", 5),
            ("-5", -5),
            ("005", 5),
            ("0" * 5000 + "5", 5),
            ("-0", 0),
            ("0", 0),
            (5.0, 5),
            (-0.0, 0),
            (float(SAFE_MAX), SAFE_MAX),
            (str(INT64_MAX), INT64_MAX),
            (str(-INT64_MAX - 1), -INT64_MAX - 1),
        ],
    )
    def test_integers(self, value: Number, wanted: int) -> None:
        """Integers, strings of digits and whole floats are that integer, exactly."""
        assert number(value, "a", -INT64_MAX - 1, INT64_MAX) == wanted

    @pytest.mark.parametrize(
        "value",
        [
            *(
                "",
                " 5",
                "5 ",
                "+5",
                "1e3",
                "1.0",
                "0x5",
                "\u0661",
                "5\n",
                "--5",
                "-",
                "five",
                "5_0",
                1.5,
                1e-9,
            ),
            # Beyond 2^53 a float is one of several integers, nobody knows which.
            *(2.0**53, -(2.0**60), 1e300),
        ],
    )
    def test_no_integers(self, value: Number) -> None:
        """Everything else is no integer, and the member is named."""
        with refused(Kind.BAD_PARAMETER) as refusal:
            number(value, "member", -INT64_MAX - 1, INT64_MAX)
        assert refusal.sentence == "member: it must be an integer"

    @pytest.mark.parametrize("value", [0, 101, "0", "101", 0.0, 101.0, 10**400, "9" * 400, "-" + "9" * 5000])
    def test_out_of_range(self, value: Number) -> None:
        """The range is told with the member's name, whatever the number's size."""
        with refused(Kind.BAD_PARAMETER) as refusal:
            number(value, "member", 1, 100)
        assert refusal.sentence == "member: it must be 1 to 100"

    def test_absent(self) -> None:
        """`null` is absent: the default, or required."""
        assert number(None, "a", 1, 2, 0) == 0
        with refused(Kind.BAD_PARAMETER) as refusal:
            number(None, "a", 1, 2)
        assert refusal.sentence == "a: it is required"


class TestIdentifiers:
    """Lists of ids."""

    def test_repeats_count_once(self) -> None:
        """Each id is there once, at the place where it is first named."""
        assert identifiers([3, "1", 3.0, 1, 2], "ids", 1, 3) == (3, 1, 2)
        assert identifiers([3, 1, 3, 2], "ids", 1, 3) == (3, 1, 2)

    @pytest.mark.parametrize("values", [[0], [1, -1], [SAFE_MAX + 1], [None], ["x"], [1.5], ["0"]])
    def test_what_is_no_id(self, values: list[Number]) -> None:
        """One that is no id refuses them all."""
        with refused(Kind.BAD_PARAMETER) as refusal:
            identifiers(values, "ids", 0, 9)
        assert refusal.sentence.startswith("ids")

    @pytest.mark.parametrize("values", [None, [], [1, 2, 3, 4]])
    def test_too_few_or_many(self, values: list[Number] | None) -> None:
        """Their number is bounded both ways; repeats don't count."""
        with refused(Kind.BAD_PARAMETER) as refusal:
            identifiers(values, "ids", 1, 3)
        assert refusal.sentence == "ids: it must name 1 to 3 ids"

    def test_none_where_none_are_wanted(self) -> None:
        """An absent list is an empty one."""
        assert identifiers(None, "ids", 0, 3) == identifiers([], "ids", 0, 3) == ()


class TestText:
    """Strings and their sizes."""

    @pytest.mark.parametrize("value", ["", "a" * 8, "é" * 4, "\N{GRINNING FACE}" * 2])
    def test_sizes_are_bytes(self, value: str) -> None:
        """As many bytes of UTF-8 as the limit says are taken, and not one more."""
        assert text(value, "s", 8) == value
        with refused(Kind.BAD_PARAMETER) as refusal:
            text(value + "a" * 9, "s", 8)
        assert refusal.sentence == "s: it must not have more than 8 bytes"

    @pytest.mark.parametrize("value", ["a" * 9, "é" * 5, "\N{GRINNING FACE}" * 2 + "a", "\N{SNOWMAN}" * 3])
    def test_too_long(self, value: str) -> None:
        """Characters are not bytes."""
        with refused(Kind.BAD_PARAMETER):
            text(value, "s", 8)

    def test_absent(self) -> None:
        """`null` is absent: the default, or required."""
        assert not text(None, "s", 8, "")
        with refused(Kind.BAD_PARAMETER):
            text(None, "s", 8)


class TestQuery:
    """Query strings."""

    def test_numbers(self) -> None:
        """The same rule as in a body; empty is absent."""
        query = Query({"a": "5", "b": "", "c": "1.0"})
        assert query.number("a", 1, 9) == 5
        assert query.number("b", 1, 9, 7) == query.number("d", 1, 9, 7) == 7
        with refused(Kind.BAD_PARAMETER):
            query.number("c", 1, 9)
        with refused(Kind.BAD_PARAMETER):
            query.number("b", 1, 9)

    def test_texts(self) -> None:
        """A text is as it came, and empty where it is absent."""
        query = Query({"a": "x"})
        assert (query.text("a"), query.text("b")) == ("x", "")


class TestBody:
    """JSON bodies."""

    def test_a_good_one(self) -> None:
        """Members come as they were written, and what is not known is ignored."""
        decoded = decode(
            '{"a": "5", "s": "\u5bc6\\ud83d\\ude00", "many": [1, "2"], "yes": true, "more": {"x": [null]}}'
        )
        assert decoded == Shape(a="5", s="\u5bc6\N{GRINNING FACE}", many=[1, "2"], yes=True)

    def test_null_is_absent(self) -> None:
        """Every member may be `null`."""
        assert decode('{"a": null, "s": null, "many": null, "yes": null}') == Shape()

    def test_the_last_of_repeated_members_counts(self) -> None:
        """As JavaScript has it."""
        assert decode('{"a": 1, "a": 2}').a == 2

    @pytest.mark.parametrize("body", ["[]", "null", "5", '"x"', "true"])
    def test_no_object(self, body: str) -> None:
        """A body is a JSON object."""
        assert sentence_of(body) == "body: it must be a JSON object"

    @pytest.mark.parametrize(
        "body",
        [
            *("", " ", "{", '{"a":1', '{"a":}', '{"a":1,}', '{"a":1} x', "{'a':1}", '{"a":01}', "\ufeff{}"),
            *('{"a":NaN}', '{"a":Infinity}', '{"x":-Infinity}', '{"s":"\t"}', '{"s":"\0"}', "{1:2}"),
            *('{"s":"\\x"}', '{"x":"\\x"}'),
        ],
    )
    def test_no_json(self, body: str) -> None:
        """Only JSON is JSON, in ignored members too."""
        assert sentence_of(body) == "body: it is not valid JSON"

    @pytest.mark.parametrize(
        "escaped", ["\\ud800", "\\udc00", "\\ud800\\ud800", "a\\ud83dz", "\\ude00\\ud83d"]
    )
    def test_lone_surrogates(self, escaped: str) -> None:
        """Half a character is no text, anywhere."""
        for member in ("s", "x", "a"):
            sentence_of(f'{{"{member}": "{escaped}"}}')

    @pytest.mark.parametrize("raw", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x98"])
    def test_invalid_utf_8(self, raw: bytes) -> None:
        """Bytes that are no UTF-8 are refused wherever they stand."""
        for body in (b'{"s":"%b"}' % raw, b'{"x":"%b"}' % raw, b'{"%b":1}' % raw):
            assert sentence_of(body) == "body: it is not valid UTF-8"

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ('{"a": true}', "a: it must be an integer"),
            ('{"a": [5]}', "a: it must be an integer"),
            ('{"a": {"b": 5}}', "a: it must be an integer"),
            ('{"a": 1e999}', "a: the number is out of range"),
            ('{"a": 1' + "0" * 5000 + "}", "a: the number is out of range"),
            ('{"s": 5}', "s: it must be a string"),
            ('{"s": ["x"]}', "s: it must be a string"),
            ('{"many": 5}', "many: it must be a list"),
            ('{"many": {"a": 5}}', "many: it must be a list"),
            ('{"many": [5, false]}', "many: it must be an integer"),
            ('{"inner": [5]}', "inner: it must be a list of objects"),
            ('{"inner": [{}, null]}', "inner: it must be a list of objects"),
            ('{"inner": [{"s": "x"}, {"s": 5}]}', "inner.s: it must be a string"),
            ('{"one": "x"}', "one: it must be an object"),
            ('{"one": [{}]}', "one: it must be an object"),
            ('{"one": {"s": 5}}', "one.s: it must be a string"),
            ('{"yes": 1}', "yes: it must be true or false"),
            ('{"yes": "true"}', "yes: it must be true or false"),
        ],
    )
    def test_wrong_types(self, body: str, sentence: str) -> None:
        """The member is named, with what it must be."""
        assert sentence_of(body) == sentence

    @pytest.mark.parametrize(
        ("body", "member"),
        [
            ('{"s": "a\\u0000b"}', "s"),
            ('{"s": "\\\\\\u0000"}', "s"),
            ('{"a": "\\u0000"}', "a"),
            ('{"many": ["1", "\\u0000"]}', "many"),
            ('{"x": "\\u0000"}', "body"),
            ('{"\\u0000": 1}', "body"),
        ],
    )
    def test_nul(self, body: str, member: str) -> None:
        """NUL is refused in every string, and the member named."""
        assert sentence_of(body).startswith(member + ":")

    def test_what_only_looks_like_nul(self) -> None:
        """A backslash followed by u0000 is six characters like any others."""
        assert decode('{"s": "\\\\u0000"}').s == "\\u0000"

    @pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"x":', "}")])
    def test_depth(self, opens: str, closes: str) -> None:
        """As deep as the limit is taken; one deeper is refused, known or ignored."""
        most = LIMITS.json_depth_max - 1
        decode('{"x":' + opens * most + "1" + closes * most + "}")
        for member in ("x", "many"):
            body = f'{{"{member}":' + opens * (most + 1) + "1" + closes * (most + 1) + "}"
            assert sentence_of(body).startswith("body: it nests deeper than 32 levels")

    @pytest.mark.parametrize("depth", [1_000, 100_000])
    def test_depth_that_would_break_a_decoder(self, depth: int) -> None:
        """However deep, closed or not, it is a refusal and no recursion."""
        for body in ("[" * depth, '{"x":' + "[" * depth + "]" * depth + "}", '{"x":' * depth):
            sentence_of(body)

    def test_brackets_in_texts_are_no_depth(self) -> None:
        """A string may hold any number of brackets; wide is not deep."""
        many = json.dumps({"s": '[{"\\' * 1000, "x": [[]] * 1000})
        assert decode(many).s == '[{"\\' * 1000

    @pytest.mark.parametrize(
        "body",
        [
            "[" * 250_000,
            '{"x":' + "[]" * 120_000,
            '"' + '\\"' * 125_000 + "\\",
            '{"x":"' + '\\"' * 125_000 + "[" * 40,
            '"a"' * 80_000 + "[" * 40,
            '{"x":["' + "\\" * 200_000 + 'u0000"]}',
            '{"a":"' + "0" * 250_000 + 'x"}',
            '{"a":"-' + "9" * 250_000 + '"}',
            ("[" * 31 + "]" * 31 + ",") * 4000,
        ],
    )
    def test_nothing_takes_long(self, body: str) -> None:
        """A body made to be slow is not: no check goes over it more often than there are levels."""
        started = time.process_time()
        try:
            number(decode(body).a, "a", 1, 9)
        except Problem as problem:
            assert problem.kind is Kind.BAD_PARAMETER  # noqa: PT017 - some are good JSON
        assert time.process_time() - started < 0.5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["a", "s", "many", "yes"]), inner)
    ),
)


class TestFuzz:
    """Whatever comes, it is decoded or it is a `Problem`."""

    @staticmethod
    def use(body: bytes) -> None:
        try:
            decoded = decode(body)
            number(decoded.a, "a", 1, SAFE_MAX, 0)
            text(decoded.s, "s", 8, "").encode()
            identifiers(decoded.many, "many", 0, 3)
        except Problem as problem:
            assert problem.kind is Kind.BAD_PARAMETER  # noqa: PT017 - most go through
            problem.sentence.encode()

    @settings(deadline=None)
    @given(st.binary() | st.text().map(str.encode))
    def test_bytes(self, body: bytes) -> None:
        """Any bytes."""
        self.use(body)

    @settings(deadline=None)
    @given(st.dictionaries(st.sampled_from(["a", "s", "many", "yes", "x"]), JSON), st.booleans())
    def test_json(self, value: Any, ascii_only: bool) -> None:
        """Any JSON, NaN and surrogates included, raw or escaped."""
        self.use(json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass"))

    @settings(deadline=None)
    @given(st.dictionaries(st.sampled_from(["a", "s", "many"]), JSON), st.data())
    def test_cut_and_changed(self, value: Any, data: st.DataObject) -> None:
        """JSON cut off anywhere, with any byte put in."""
        body = json.dumps(value).encode()
        at = data.draw(st.integers(0, len(body)))
        self.use(
            body[:at] + data.draw(st.binary(max_size=3)) + body[at : data.draw(st.integers(at, len(body)))]
        )

    @settings(deadline=None)
    @given(st.integers() | st.floats() | st.text())
    def test_numbers_agree(self, value: float | str) -> None:
        """What is taken as a number is the number that was written."""
        try:
            found = number(value, "a", -INT64_MAX - 1, INT64_MAX)
        except Problem:
            return
        assert found == (int(value) if isinstance(value, str) else value)
