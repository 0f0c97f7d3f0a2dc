"""The README's tables of the dialect, against what is served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.edge.facades.agora.routes import ROUTES
from tests.agora.stage import Cloud

pytestmark = pytest.mark.one_node("what the edge refuses by itself")

README = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
VERBS = ("GET", "POST", "PUT", "DELETE")


def under(heading: str) -> str:
    """The text under a heading of the README."""
    text = README.partition(f"\n### {heading}\n")[2]
    assert text, heading
    return text.partition("\n#")[0]


CALLS = [
    (verb, re.sub(r"\{[^}]*\}", "*", path))
    for verbs, path in re.findall(rf"`((?:(?:{'|'.join(VERBS)}) )+)/([^`]*)`", under("Calls of the dialect"))
    for verb in verbs.split()
]
ABSENT = re.findall(
    r"`(/[^`]*)`", under("Calls the dialect does not have").replace("`/message/broadcast`", "")
)


def test_the_readme_names_what_is_served() -> None:
    """Every call, once, and nothing else."""
    assert len(CALLS) == len(set(CALLS))
    assert set(CALLS) == {(verb, path) for verb, path, _ in ROUTES}


async def test_what_is_not_served(cloud: Cloud) -> None:
    """Is said to be so, by every verb."""
    assert len(ABSENT) == len(set(ABSENT)) > 20
    for path in ABSENT:
        for verb in VERBS:
            answer = await cloud.call(verb, re.sub(r"\{[^}]*\}", "x", path))
            assert answer.refused(404, "service_resource_not_found"), (verb, path)


async def test_users_by_a_query(cloud: Cloud) -> None:
    """Are not looked for: who asks for one must not get others."""
    answer = await cloud.get("/users?ql=select * where username='ann'")
    assert answer.refused(400, "illegal_argument", "ql: ")
