"""The load of two apps: the ratio, and whole runs with tiny counts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from scripts import load
from scripts.loadlib.report import Latency
from scripts.loadlib.verdict import Span, Verdict, median_of, ratio_of
from tests.patience import WAIT_S
from tests.servers import unmeasured


def span(p99_ms: float, *, flooded: bool) -> Span:
    latency = Latency(p50_ms=1.0, p99_ms=p99_ms, max_ms=99.0)
    return Span(
        flooded=flooded,
        send=latency,
        end_to_end=latency,
        quiet_sends=1,
        loud_per_s=0.0,
        refused_per_s=0.0,
        server_cpu_percent=0.0,
    )


def p99(of: Span) -> float:
    return of.send.p99_ms


def test_the_ratio_is_of_medians() -> None:
    """One bad round on either side decides nothing."""
    alone = [span(ms, flooded=False) for ms in (2.0, 90.0, 3.0)]
    beside = [span(ms, flooded=True) for ms in (6.0, 5.0, 70.0)]
    spans = [one for pair in zip(alone, beside, strict=True) for one in pair]
    assert median_of(spans, p99, flooded=False) == 3.0
    assert ratio_of(spans, p99) == 2.0


def test_nothing_measured_is_no_good_ratio() -> None:
    """A quiet app that sent nothing proves nothing."""
    assert ratio_of([span(5.0, flooded=True)], p99) == float("inf")


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--span", "0"], ["--sends-per-s", "-1"]])
def test_refuses_nonsense(arguments: list[str]) -> None:
    """Numbers that cannot work are refused before anything is started."""
    assert load.main(["--spawn", "--neighbour", *arguments]) == 2


def test_wants_a_server_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """It makes apps, and so it does not touch a server that somebody else uses."""
    url = ["--url", "http://127.0.0.1:1", "--kid", "k", "--secret", "c2VjcmV0"]
    assert load.main([*url, "--neighbour"]) == 2
    assert "--spawn" in capsys.readouterr().err


SPANS_S = ("0.3", "3", "15")
"""How long is measured. Where the machine stands still for all of it nothing happens: then it is done for longer."""


def run(
    folder: Path, *more: str, enough: Callable[[Span], bool] = lambda beside: True
) -> tuple[subprocess.CompletedProcess[str], Verdict]:
    """Run it once, but for longer where nothing was sent, or not `enough` happened while the other app was loud."""
    saved = folder / "verdict.json"
    counts = ["--devices", "3", "--senders", "30", "--quiet-senders", "2", "--rounds", "1"]
    options = [*counts, "--no-pin", "--folder", str(folder), "--json", str(saved), *more]
    said = ""
    for span in SPANS_S:
        program = [sys.executable, load.__file__, "--spawn", "--neighbour", *options, "--span", span]
        done = subprocess.run(
            program, capture_output=True, text=True, timeout=2 * WAIT_S, check=False, env=unmeasured()
        )
        assert saved.exists(), done.stderr
        verdict = msgspec.json.decode(saved.read_bytes(), type=Verdict)
        if all(one.quiet_sends for one in verdict.spans) and enough(verdict.spans[-1]):
            return done, verdict
        saved.unlink()
        said = done.stderr
    pytest.fail(f"nothing was sent, or not enough happened: {said}")


def test_two_apps_on_a_real_gateway(tmp_path: Path) -> None:
    """The loud app is held to its limit and told so, which is no failure; nothing of either is lost."""
    limits = ("--sends-per-s", "10", "--ratio-max", "1e9")
    done, verdict = run(tmp_path, *limits, enough=lambda beside: beside.refused_per_s > 0)
    assert (done.returncode, verdict.failures) == (0, []), done.stderr
    assert [one.flooded for one in verdict.spans] == [False, True]
    alone, beside = verdict.spans
    assert (alone.loud_per_s, alone.refused_per_s) == (0.0, 0.0)
    assert min(alone.quiet_sends, beside.quiet_sends) > 0
    assert "clean" in done.stdout


def test_a_flood_that_is_felt_is_a_failure(tmp_path: Path) -> None:
    """Above `--ratio-max` the exit code is 1, and the report says why."""
    done, verdict = run(tmp_path, "--sends-per-s", "0", "--ratio-max", "0.001")
    assert done.returncode == 1
    assert any("p99 by more than 0.001 times" in failure for failure in verdict.failures)
