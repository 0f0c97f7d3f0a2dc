"""RFC 6455 §5: the frames of a client, as they come from a network that cuts them wherever it likes."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    MalformedError,
    Reader,
    read_short,
)
from tests.channel.raw import frame

MOST = 1_000
Messages = list[tuple[int, bytes]]


def read(*parts: bytes, most: int = MOST) -> Messages:
    """All messages of what came in these parts."""
    reader, messages = Reader(most), []
    for part in parts:
        reader.feed(part)
        while (message := reader.next()) is not None:
            if message != (CONTINUATION, b""):
                messages.append(message)
    return messages


def refusal(*parts: bytes, most: int = MOST) -> int:
    """The code that a close for this must have."""
    with pytest.raises(MalformedError) as refused:
        read(*parts, most=most)
    return refused.value.code


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 127, 0xFFFF, 0x10000])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_whole_messages(kind: int, size: int) -> None:
    """A frame of any length is unmasked and is a message by itself."""
    payload = bytes(number % 128 for number in range(size))
    assert read(frame(kind, payload), most=1 << 20) == [(kind, payload)]


@pytest.mark.parametrize("size", [200, 70_000])
def test_long_header_may_be_cut_anywhere(size: int) -> None:
    """Of a header that comes in two parts the first is waited with."""
    said = frame(TEXT, b"x" * size)
    for cut in range(1, 20):
        assert read(said[:cut], said[cut:], most=1 << 20) == [(TEXT, b"x" * size)]


def test_length_need_not_be_the_shortest() -> None:
    """As with other servers, a length may be written in more bytes than it needs."""
    assert read(b"\x81\xfe\x00\x02\0\0\0\0hi") == [(TEXT, b"hi")]
    assert read(b"\x81\xff" + bytes(7) + b"\x02\0\0\0\0hi") == [(TEXT, b"hi")]


def test_fragments_make_one_message() -> None:
    """Fragments are joined, empty ones too, and control frames between them come first."""
    said = (
        frame(TEXT, b"a\xc3", fin=False)
        + frame(PING, b"p")
        + frame(CONTINUATION, b"", fin=False)
        + frame(CONTINUATION, b"\xa9b", fin=False)
        + frame(PONG, b"q")
        + frame(CONTINUATION, b"")
        + frame(BINARY, b"\xff", fin=False)
        + frame(CONTINUATION, b"\xfe")
    )
    expected = [(PING, b"p"), (PONG, b"q"), (TEXT, "aéb".encode()), (BINARY, b"\xff\xfe")]
    assert read(said) == expected


@pytest.mark.parametrize(
    "payload", [b"", b"\x03\xe8", b"\x0f\xa0h\xc3\xa9", b"\x0b\xb8", b"\x13\x87", b"\x03\xf6"]
)
def test_closes(payload: bytes) -> None:
    """A close says nothing, or a code that may be sent, and perhaps why."""
    assert read(frame(CLOSE, payload)) == [(CLOSE, payload)]


BROKEN = {
    "reserved bit": frame(TEXT, bits=0x40),
    "other reserved bits": frame(PING, bits=0x30),
    "reserved opcode": frame(3),
    "reserved control opcode": frame(11),
    "unmasked": frame(TEXT, b"hi", masked=False),
    "unmasked and long": frame(TEXT, b"x" * 200, masked=False),
    "fragmented ping": frame(PING, fin=False),
    "long ping": frame(PING, b"x" * 126),
    "very long close": frame(CLOSE, b"x" * 70_000),
    "continuation of nothing": frame(CONTINUATION),
    "last continuation twice": frame(TEXT, b"a", fin=False) + frame(CONTINUATION) + frame(CONTINUATION),
    "text inside a text": frame(TEXT, b"a", fin=False) + frame(TEXT),
    "binary inside a text": frame(TEXT, b"a", fin=False) + frame(BINARY, fin=False),
    "close of one byte": frame(CLOSE, b"\x03"),
    "close with a code that is not sent": frame(CLOSE, b"\x03\xed"),
    "close with a code of nobody": frame(CLOSE, b"\x07\xd0"),
    "close with code 0": frame(CLOSE, b"\0\0"),
    "close with a code too high": frame(CLOSE, b"\x13\x88"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_frames(what: str) -> None:
    """What breaks the protocol is a protocol error (1002)."""
    assert refusal(BROKEN[what]) == 1002


@pytest.mark.parametrize(
    "said",
    [
        frame(TEXT, b"\xff"),
        frame(TEXT, b"cut \xc3"),
        frame(TEXT, b"\xed\xa0\x80"),
        frame(TEXT, b"a\xc3", fin=False) + frame(CONTINUATION, b"\x28", fin=False),
        frame(TEXT, b"\xc3", fin=False) + frame(CONTINUATION),
        frame(CLOSE, b"\x03\xe8\xff"),
    ],
)
def test_what_is_no_text(said: bytes) -> None:
    """A text, and why somebody closes, is UTF-8; a fragment that cannot be is refused when it comes (1007)."""
    assert refusal(said) == 1007


def test_size_of_messages() -> None:
    """A message of just so many bytes is one; one byte more is too much (1009), in a frame or in fragments."""
    assert read(frame(TEXT, b"x" * MOST)) == [(TEXT, b"x" * MOST)]
    assert refusal(frame(TEXT, b"x" * (MOST + 1))) == 1009
    half = frame(BINARY, b"x" * (MOST // 2), fin=False)
    more = frame(CONTINUATION, b"x" * (MOST // 2))
    assert read(half, more) == [(BINARY, b"x" * MOST)]
    assert refusal(half, more[:1] + frame(CONTINUATION, b"x" * (MOST // 2 + 1))[1:]) == 1009
    assert refusal(b"\x81\xff" + b"\xff" * 8) == 1009


@pytest.mark.parametrize(
    "head",
    [
        frame(3)[:2],
        frame(TEXT, b"hi", masked=False)[:2],
        frame(PING, b"x" * 126)[:2],
        frame(TEXT, b"x" * (MOST + 1))[:4],
    ],
)
def test_header_is_enough_to_refuse(head: bytes) -> None:
    """What must be refused is not waited for."""
    refusal(head)


def test_messages_before_a_broken_frame_are_read() -> None:
    """What was said before it counts."""
    reader = Reader(MOST)
    reader.feed(frame(TEXT, b"first") + frame(3))
    assert reader.next() == (TEXT, b"first")
    with pytest.raises(MalformedError):
        reader.next()


def test_nothing_is_kept_between_messages() -> None:
    """A reader that has read all that came holds none of it; of a frame that is cut it holds that much."""
    reader = Reader(MOST)
    whole = frame(TEXT, b"x" * 500)
    reader.feed(whole * 3 + whole[:100])
    assert [reader.next() is None for _ in range(4)] == [False, False, False, True]
    assert (reader.unread, len(reader._data), reader.idle) == (100, 100, False)
    reader.feed(whole[100:])
    assert reader.next() == (TEXT, b"x" * 500)
    assert (reader.unread, reader._data, reader.idle) == (0, b"", True)


def test_what_is_not_taken_waits_as_bytes() -> None:
    """Who stops taking messages finds them later, before what came meanwhile."""
    reader = Reader(MOST)
    reader.feed(frame(TEXT, b"1") + frame(TEXT, b"2"))
    assert reader.next() == (TEXT, b"1")
    for number in (b"3", b"4"):
        reader.feed(frame(TEXT, number))
    assert reader.unread == 3 * len(frame(TEXT, b"1"))
    assert [reader.next() for _ in range(4)] == [(TEXT, b"2"), (TEXT, b"3"), (TEXT, b"4"), None]


def test_empty_fragments_without_end_cost_no_memory() -> None:
    """A hundred thousand of them are kept as nothing, and each is a step of its own for who reads."""
    reader = Reader(MOST)
    reader.feed(frame(TEXT, b"a", fin=False))
    assert reader.next() == (CONTINUATION, b"")
    more = frame(CONTINUATION, fin=False) * 1_000
    for _ in range(100):
        reader.feed(more)
        assert [reader.next() for _ in range(1_001)] == [(CONTINUATION, b"")] * 1_000 + [None]
    assert (reader.unread, reader.idle) == (0, False)
    assert reader._message is not None
    assert reader._message.data == b"a"


# -- laws -------------------------------------------------------------------------------------------------


texts = st.text(st.sampled_from("a\x00é€😀"), max_size=60).map(str.encode)
whole = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)).map(lambda one: (*one, ()))
cut = st.tuples(
    st.just(TEXT) | st.just(BINARY), texts, st.lists(st.integers(0, 60), max_size=3).map(sorted).map(tuple)
)


def said_by(messages: Sequence[tuple[int, bytes, Sequence[int]]]) -> bytes:
    """What a well-behaved client sends to say these messages, in fragments that are cut there."""
    said = b""
    for kind, payload, cuts in messages:
        pieces = split(payload, cuts)
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            said += frame(CONTINUATION if number else kind, piece, fin=last)
    return said


conversations = st.lists(whole | cut, max_size=5).map(
    lambda messages: (said_by(messages), [(kind, payload) for kind, payload, _ in messages])
)


def split(said: bytes, cuts: Sequence[int]) -> list[bytes]:
    return [said[start:end] for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True)]


@given(conversations, st.lists(st.integers(0, 500), max_size=20).map(sorted))
def test_how_the_network_cuts_does_not_matter(conversation: tuple[bytes, Messages], cuts: list[int]) -> None:
    """However a stream of frames is split, its messages are the same."""
    said, messages = conversation
    assert read(*split(said, cuts)) == messages
    assert read(*split(said, range(1, len(said)))) == messages


@given(st.lists(st.binary(max_size=40)), st.integers(0, 300))
def test_random_bytes_are_refused_or_read(parts: list[bytes], most: int) -> None:
    """Whatever comes, nothing is raised but `MalformedError`, and no message is larger than allowed."""
    try:
        messages = read(*parts, most=most)
    except MalformedError:
        pass
    else:
        assert all(len(payload) <= max(most, 125) for _, payload in messages)


@given(st.randoms(use_true_random=False), conversations)
def test_frames_with_a_wrong_byte_are_refused_or_read(
    chance: random.Random, conversation: tuple[bytes, Messages]
) -> None:
    """The same for what is nearly right, which gets further than what is random, however it is split."""
    said = bytearray(conversation[0])
    for _ in range(min(3, len(said))):
        said[chance.randrange(len(said))] = chance.randrange(256)
    outcomes: list[object] = []
    for cuts in ((), range(1, len(said))):
        try:
            outcomes.append(read(*split(bytes(said), cuts), most=MOST))
        except MalformedError as error:
            outcomes.append(error.code)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("kind", [TEXT, PONG])
@pytest.mark.parametrize("size", [0, 1, 60, 125])
def test_short_frames_are_read_at_once(kind: int, size: int) -> None:
    """A short text or pong that comes alone takes no reader."""
    assert read_short(frame(kind, b"x" * size), MOST) == (kind, b"x" * size)


@pytest.mark.parametrize(
    "said",
    [
        frame(TEXT, b"x" * 126),
        frame(TEXT, "é".encode()),
        frame(TEXT, b"\xff"),
        frame(TEXT, b"x" * 51),
        frame(BINARY, b"x"),
        frame(PING, b""),
        frame(CLOSE, b""),
        frame(TEXT, b"x") + frame(TEXT, b"y"),
        frame(TEXT, b"xyz")[:-1],
        b"\x81",
        b"\x01\x81\0\0\0\0x",
        b"\xc1\x81\0\0\0\0x",
        b"\x81\x05abcde",
    ],
)
def test_all_else_is_left_to_a_reader(said: bytes) -> None:
    """What is longer than it may be, no plain text, another kind, more or less than a frame, or broken."""
    assert read_short(said, 50) is None


@given(st.sampled_from([0x81, 0x8A, 0x01, 0x89, 0xC1]), st.binary(max_size=140), st.integers(-2, 2))
def test_short_frames_are_what_a_reader_makes_of_them(first: int, payload: bytes, off: int) -> None:
    """Whatever is read at once, a reader reads as the same."""
    said = bytes((first, 0x80 | min(max(len(payload) + off, 0), 125))) + b"mask" + payload
    short = read_short(said, MOST)
    assert short is None or read(said) == [short]
