"""What a call that is begun comes to, before anybody could await it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from gateway.core.service import Core
from gateway.domain.errors import Kind, Problem
from gateway.domain.limits import Limits
from gateway.edge.answering import FAILED, Answering, Switch
from gateway.edge.facades.native.envelope import DONE, Asked, Reply, Tell, refusal

ASKED = Asked({}, {}, b"")
NO = Problem(Kind.FORBIDDEN, "no")
AWAY = Problem(Kind.STORE_FAILED, "the store is away")


def begin(does: Callable[[Tell], bool], switch: Switch | None = None) -> tuple[bool, list[Reply | None]]:
    """Begin a call that does this; whether it was begun, and what was told."""
    told: list[Reply | None] = []
    answering = Answering(cast("Core", None), Limits(), switch or Switch())
    return answering.begin(lambda _core, _limits, _asked, tell: does(tell), ASKED, told.append), told


def telling(outcome: bytes | Problem | None) -> Callable[[Tell], bool]:
    def does(tell: Tell) -> bool:
        tell(outcome)
        return True

    return does


@pytest.mark.parametrize(
    ("outcome", "reply"), [(DONE, Reply(200, DONE)), (NO, refusal(NO)), (AWAY, refusal(AWAY)), (None, None)]
)
def test_what_is_told(outcome: bytes | Problem | None, reply: Reply | None) -> None:
    """An envelope and a refusal are answers; nothing says that it is to be called."""
    assert begin(telling(outcome)) == (True, [reply])


def test_what_is_not_begun() -> None:
    """Nothing is told of it."""
    assert begin(lambda _: False) == (False, [])


def test_what_is_refused_at_once() -> None:
    """A refusal that is raised is the answer."""

    def does(_: Tell) -> bool:
        raise NO

    assert begin(does) == (True, [refusal(NO)])


def test_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback and told without it."""

    def does(_: Tell) -> bool:
        raise RuntimeError("a bug")

    assert begin(does) == (True, [refusal(FAILED)])
    assert "a bug" in caplog.text


def test_a_drain() -> None:
    """While the gateway drains nothing is begun: the call is refused like every other."""
    switch = Switch()
    switch.draining = True
    assert begin(telling(DONE), switch) == (False, [])
