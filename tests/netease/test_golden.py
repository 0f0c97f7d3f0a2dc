"""Whole requests with their whole answers: the seed's sample, and what the vendor's libraries send (vendors.md §2.3).

Each story in `golden/` is played on a new gateway, step by step (`tests/golden.py`). `<name>` stands for what a step
before has kept of its answer under `keep`: as it came where it stands alone, else, and as `<name as text>`, in letters.
"""

from __future__ import annotations

import functools
import operator
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.facades.netease.routes import ROUTES
from gateway.edge.routing import Routes
from tests.golden import Stories, fits
from tests.netease.stage import Cloud
from tests.rest.stage import Json

STORIES = Stories(Path(__file__).parent / "golden")


def filled(told: Any, kept: Json) -> Any:
    """Put what was kept in the place of its names."""
    if isinstance(told, dict):
        return {name: filled(value, kept) for name, value in told.items()}
    if isinstance(told, list):
        return [filled(value, kept) for value in told]
    if not isinstance(told, str):
        return told
    alone = re.fullmatch(r"<(\w+)>", told)
    if alone and alone[1] in kept:
        return kept[alone[1]]
    return re.sub(r"<(\w+)(?: as text)?>", lambda found: str(kept.get(found[1], found[0])), told)


@pytest.mark.parametrize("name", STORIES.names)
async def test_story(cloud: Cloud, name: str) -> None:
    """Each step is answered exactly as told, and by HTTP 200."""
    kept: Json = {}
    for number, step in enumerate(STORIES.steps(name)):
        body = filled(step.get("body"), kept)
        path = str(filled(f"{step['path']}", kept))
        answer = await cloud.call(step["verb"], path, body, trace=step.get("trace", ""))
        expected = filled(step["answer"], kept)
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert fits(answer.json, expected), f"{number} {path}\n{answer.json}\nis not\n{expected}"
        assert list(answer.json) == ["code", "msg", "data"]
        for what, where in step.get("keep", {}).items():
            kept[what] = functools.reduce(operator.getitem, where, answer.json)


def test_every_call_is_in_a_story() -> None:
    """Each verb of each path is played with a success, so that no call is without a pair."""
    routes = Routes((verb, path, (verb, path)) for verb, path, _ in ROUTES)
    played = set()
    for step in STORIES.all_steps:
        found = routes.find(step["verb"], step["path"].partition("?")[0].split("/")[1:])
        assert not isinstance(found, bool), step["path"]
        if step["answer"]["code"] == 200:
            played.add(found[0])
    assert {(verb, path) for verb, path, _ in ROUTES} - played == set()
