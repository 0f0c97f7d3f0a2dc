"""Whole requests with their whole answers: every call with every verb (seeds 000 to 002; vendors.md §1.4, §1.5).

Each story in `golden/` is played on a new gateway, step by step (`tests/golden.py`); ids are what a new gateway gives.
Only those of messages have gaps where many nodes draw them: there they are put in the place of 1, 2, 3, in the order in
which they were given.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.facades.native.routes import ROUTES
from tests import shapes
from tests.golden import Stories, fits
from tests.rest.stage import Node

STORIES = Stories(Path(__file__).parent / "golden")

IDS = {"msg_id", "msg_ids", "msg_id_start", "next_msg_id", "related_mid"}
"""Members that hold ids of messages."""


def renamed(told: Any, ids: dict[int, int], member: str = "") -> Any:
    """Put ids of messages in the place of others."""
    if isinstance(told, dict):
        return {name: renamed(value, ids, name) for name, value in told.items()}
    if isinstance(told, list):
        return [renamed(value, ids, member) for value in told]
    return type(told)(ids.get(int(told), told)) if member in IDS and str(told).isdigit() else told


def pairs(expected: Any, told: Any, member: str = "") -> Iterator[tuple[int, int]]:
    """Yield the ids of messages that stand in the same places, as the story has them and as they came."""
    if isinstance(expected, dict) and isinstance(told, dict):
        for name in expected.keys() & told.keys():
            yield from pairs(expected[name], told[name], name)
    elif isinstance(expected, list) and isinstance(told, list):
        for one, other in zip(expected, told, strict=False):
            yield from pairs(one, other, member)
    elif member in IDS and str(expected).isdigit() and str(told).isdigit():
        yield int(expected), int(told)


@pytest.mark.parametrize("name", STORIES.names)
async def test_story(node: Node, name: str) -> None:
    """Each step is answered exactly as told."""
    ids: dict[int, int] = {}
    for number, step in enumerate(STORIES.steps(name)):
        headers = {"app_id": "demo", **step.get("headers", {})}
        if "as" in step:
            headers["access-token"] = await node.token(step["as"] or None)
        caller = node.caller(headers.pop("app_id"), headers.pop("access-token", None), **headers)
        body, query = renamed(step.get("body"), ids), renamed(step.get("query", {}), ids)
        answer = await caller.call(step["verb"], step["path"], body, **query)
        told, expected = answer.envelope, step["answer"]
        if shapes.shape.two:
            ids = dict(pairs(expected, told)) | ids
            expected = renamed(expected, ids)
            assert sorted(ids.values()) == [ids[one] for one in sorted(ids)]
        assert answer.status == step.get("status", 200), (number, step["verb"], step["path"], told)
        assert fits(told, expected), (number, step["verb"], step["path"], told, expected)


def test_every_call_is_in_a_story() -> None:
    """Each verb of each path is played with a success, so that no call is without a pair."""
    played = {(step["verb"], step["path"]) for step in STORIES.all_steps if step["answer"]["code"] == 200}
    assert {(verb, path) for verb, path, _ in ROUTES} - played == set()
