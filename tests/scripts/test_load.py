"""The load's other parts that can be wrong by themselves: latencies, frames and arguments."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from scripts import load
from scripts.loadlib.device import Control, Reader, Run
from scripts.loadlib.histogram import Histogram
from scripts.loadlib.report import Report
from tests.patience import WAIT_S
from tests.servers import unmeasured


def frame(payload: bytes, opcode: int = 0x81) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65_536:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + payload


def message(seq: int, content: str, timeline: str = "g:1") -> bytes:
    inner = {"msg_id": 100 + seq, "content": content}
    body = {"op": "message", "timeline": timeline, "seq": seq, "message": inner}
    return frame(msgspec.json.encode(body))


def gist(items: list[Run | Control]) -> list[object]:
    """What a list of items says, however it was cut."""
    told: list[object] = []
    for item in items:
        if isinstance(item, Run):
            assert item.count == len(item.entries)
            told += [(entry.timeline, entry.seq, entry.msg_id, entry.tag) for entry in item.entries]
        else:
            told.append((item.opcode, item.payload))
    return told


@pytest.mark.parametrize("timeline", ["g:1", "user"])
def test_frames_cut_anywhere_read_the_same(timeline: str) -> None:
    """However a stream of frames of every length is cut into reads, it says the same."""
    stream = b"".join(
        [
            frame(b'{"op":"live"}'),
            message(1, "run:7:5:", timeline),
            message(2, "run:8:6:" + "x" * 300, timeline),
            frame(b"", 0x89),
            message(3, "somebody else's", timeline),
            message(4, "run:9:6:" + "x" * 70_000, timeline),
        ]
    )
    whole, used = Reader("run").read(stream)
    assert used == len(stream)
    assert [entry[3] for entry in gist(whole) if isinstance(entry, tuple) and len(entry) == 4] == [7, 8, 0, 9]
    reader = Reader("run")
    for cut in [*range(400), *range(400, len(stream), 997)]:
        first, used = reader.read(stream[:cut])
        second, end = reader.read(stream[used:])
        assert gist(first) + gist(second) == gist(whole)
        assert used + end == len(stream)


def test_entries_in_turn_are_one_run() -> None:
    """Entries of one timeline, one after the other, are one run; a skipped seq or another one ends it."""
    stream = message(1, "") + message(2, "") + message(4, "") + message(5, "", "g:2")
    runs = Reader("run").read(stream)[0]
    assert [(run.timeline, run.first, run.count) for run in runs if isinstance(run, Run)] == [
        ("g:1", 1, 2),
        ("g:1", 4, 1),
        ("g:2", 5, 1),
    ]


def test_what_was_read_before_is_not_parsed_again() -> None:
    """The same bytes of a group's timeline give the same runs, those of a user's timeline never do."""
    reader = Reader("run")
    shared, own = message(1, "run:1:1:"), message(1, "run:1:1:", "user")
    assert reader.read(shared)[0] is reader.read(bytes(bytearray(shared)))[0]
    assert reader.read(own)[0] is not reader.read(own)[0]


def test_quantiles_are_near_the_truth() -> None:
    """p50 and p99 are within 2 % of what sorting would say, and the maximum is exact."""
    rng = random.Random(5)
    latencies = [int(rng.lognormvariate(8, 2)) for _ in range(5_000)]
    histogram = Histogram()
    for us in latencies:
        histogram.add(us)
    latencies.sort()
    for share in (0.5, 0.99):
        exact = latencies[int(share * len(latencies)) - 1] / 1000
        assert exact <= histogram.quantile_ms(share) <= exact * 1.02
    assert histogram.max_us == latencies[-1]
    assert histogram.quantile_ms(1.0) == latencies[-1] / 1000


def test_no_latencies_have_no_quantile() -> None:
    """An empty histogram says 0 rather than failing."""
    assert Histogram().quantile_ms(0.99) == 0.0


@pytest.mark.parametrize(
    "url", ["http://192.0.2.7:80", "https://127.0.0.1", "ftp://127.0.0.1", "http://example.com"]
)
def test_refuses_to_load_other_machines(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but plain HTTP on a loopback address is ever spoken to."""
    assert load.main(["--url", url, "--kid", "k", "--secret", "c2VjcmV0"]) == 2
    assert f"{url} is not" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--devices", "0"], ["--to", "group", "--group-size", "9", "--devices", "3"]]
)
def test_refuses_nonsense(arguments: list[str]) -> None:
    """Numbers that cannot work are refused before anything is started."""
    assert load.main(["--spawn", *arguments]) == 2


def test_a_real_gateway_loses_nothing(tmp_path: Path) -> None:
    """The program, against a gateway of its own: exit code 0 and a report that says why."""
    saved = tmp_path / "report.json"
    options = ["--devices", "4", "--messages", "40", "--senders", "3", "--no-pin", "--folder", str(tmp_path)]
    program = [sys.executable, load.__file__, "--spawn", *options, "--json", str(saved)]
    run = subprocess.run(
        program, capture_output=True, text=True, timeout=2 * WAIT_S, check=False, env=unmeasured()
    )
    assert run.returncode == 0, run.stderr
    report = msgspec.json.decode(saved.read_bytes(), type=Report)
    assert report.failures == []
    assert report.sending is not None
    assert report.sending.totals["delivered"] == report.sending.totals["owed"] >= 40
    assert "clean" in run.stdout
