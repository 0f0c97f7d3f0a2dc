"""What the stories of a whole day share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import shapes


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    shapes.parametrize(metafunc)


@pytest.fixture
def shaped(request: pytest.FixtureRequest) -> Iterator[None]:
    """The shape of the gateways of this test."""
    yield from shapes.shaped(request.param)
