"""A cluster that is broken in every way keeps its promises; a gateway that is broken on purpose is found out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.servers import ROOT, unmeasured

RUN_S = 600.0
"""A run is half a minute of faults, a dozen processes that start one after the other, and what it takes to settle."""

SECONDS = (20, 40, 80)
"""What is broken shows by chance, and on a busy machine too little happens in the time of the first run."""


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


@pytest.mark.timeout(len(SECONDS) * RUN_S + 10)
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
    told = ""
    for seconds in SECONDS:
        ended = run("--seconds", str(seconds), "--rate", "60", "--sabotage", sabotage)
        told = ended.stdout + ended.stderr
        assert ended.returncode in {0, 1}, told
        if said in ended.stdout:
            assert ended.returncode == 1
            return
    pytest.fail(f"not found out: {told}")
