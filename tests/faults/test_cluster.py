"""A cluster that is broken in every way keeps its promises; a gateway that is broken on purpose is found out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.servers import ROOT, unmeasured

RUN_S = 900.0
"""A run is some faults, a dozen processes that start one after the other, and what it takes to settle."""

LOOKED_S = 160
"""What is broken shows by chance: mostly soon, which ends the run; on a busy machine little happens in a time."""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `scripts/faults.py` to its end."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "faults.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=unmeasured(),
        stdin=subprocess.DEVNULL,
        timeout=RUN_S,
    )


@pytest.mark.timeout(RUN_S + 10)
def test_nothing_is_lost_whatever_breaks() -> None:
    """Three nodes, PostgreSQL and Redis are killed, stopped and cut off: every promise holds."""
    ended = run("--seconds", "30", "--rate", "40")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Every promise was kept." in ended.stdout


@pytest.mark.timeout(RUN_S + 10)
@pytest.mark.parametrize(
    ("sabotage", "said"),
    [
        ("fetch", "on a connection"),
        ("early", "which is not stored"),
        ("attach", "a connection that was replaced has acked"),
    ],
)
def test_a_broken_gateway_is_found_out(sabotage: str, said: str) -> None:
    """Gaps that are skipped, answers before the commit, acks of replaced connections: the checker sees each."""
    ended = run("--seconds", str(LOOKED_S), "--rate", "60", "--sabotage", sabotage)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert said in ended.stdout
