"""What the programs beside the gateway, and the tests, start servers by."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys

import pytest

from scripts.loadlib import services
from tests.servers import ROOT

FEW = 40
ASKING = f"""
from scripts.loadlib import services
services._PORTS = range(10_000, 10_000 + 4 * {FEW})
print(*(services.free_port() for _ in range({FEW})), flush=True)
input()
"""


def test_a_port_is_given_once() -> None:
    """Whoever asks meanwhile, also in another process, gets another one."""
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(2)
    ]
    given = []
    for process in asking:
        assert process.stdout is not None
        given += process.stdout.readline().split()
    for process in asking:
        process.communicate("\n")
    assert len(given) == len(set(given)) == 2 * FEW


def test_a_port_that_somebody_listens_on_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nobody was given it."""
    choice = secrets.choice
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        drawn = [taken]
        monkeypatch.setattr(secrets, "choice", lambda ports: drawn.pop() if drawn else choice(ports))
        assert services.free_port() != taken
        assert drawn == []
