"""What a device of the load makes of the bytes it reads: as little as possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_LENGTH_16, _LENGTH_64 = 126, 127
_MESSAGE = b'{"op":"message","timeline":"'
_CONTENT = b'"content":"'
_MARK_BYTES_MAX = 80


class Run(NamedTuple):
    """Entries of one timeline, one after the other: the first seq and the last."""

    timeline: str
    first: int
    last: int


class Other(NamedTuple):
    """A frame that is no message."""

    opcode: int
    payload: bytes


class Read(NamedTuple):
    """What the whole frames of one read held, in their order, and how many of its bytes they were.

    Runs and `sent_ns` (when each message was sent, as its text says) are there only if they were asked for. `sample` is
    the last message's frame.
    """

    messages: int
    items: Sequence[Run | Other]
    sent_ns: Sequence[int]
    used: int
    sample: bytes


NOTHING = Read(0, (), (), 0, b"")


def scan(data: bytes, *, tracked: bool) -> Read:
    """Look through what a read has brought, from the start of a frame on."""
    messages, pos, size = 0, 0, len(data)
    items: list[Run | Other] = []
    sent_ns: list[int] = []
    sample = (0, 0)
    while size - pos >= 2:  # noqa: PLR2004 - the shortest frame
        length, start = data[pos + 1], pos + 2
        if length == _LENGTH_16:
            length, start = int.from_bytes(data[pos + 2 : pos + 4], "big"), pos + 4
        elif length == _LENGTH_64:
            length, start = int.from_bytes(data[pos + 2 : pos + 10], "big"), pos + 10
        # With the length itself cut off, start lies behind what is there.
        stop = start + length
        if stop > size or start > size:
            break
        if data.startswith(_MESSAGE, start):
            messages += 1
            sample = (pos, stop)
            if tracked:
                _note(data, start, stop, items, sent_ns)
        else:
            items.append(Other(data[pos], data[start:stop]))
        pos = stop
    return Read(messages, items, sent_ns, pos, data[sample[0] : sample[1]])


def _note(data: bytes, start: int, stop: int, items: list[Run | Other], sent_ns: list[int]) -> None:
    """Add a message's place, and when it was sent."""
    at = start + len(_MESSAGE)
    end = data.index(b'"', at)
    timeline = data[at:end].decode()
    # … ","seq":5,"message": …
    seq = int(data[end + 8 : data.index(b",", end + 8)])
    last = items[-1] if items else None
    if isinstance(last, Run) and last.timeline == timeline and last.last + 1 == seq:
        items[-1] = last._replace(last=seq)
    else:
        items.append(Run(timeline, seq, seq))
    at = data.find(_CONTENT, end, stop) + len(_CONTENT)
    # <run>:<number>:<nanoseconds>:<padding>, as loadlib's Pump writes it.
    words = data[at : min(at + _MARK_BYTES_MAX, stop)].split(b":", 3)
    if len(words) > 3:  # noqa: PLR2004 - of those four
        sent_ns.append(int(words[2]))
