"""Whole requests with their whole answers: every call with every verb (seeds 000 to 002; vendors.md §1.4, §1.5).

Each story in `golden/` is played on a new gateway, step by step. In what is expected, `$ms` stands for a time,
`$text` for a text that is not empty; ids are what a new gateway on SQLite gives. On PostgreSQL the ids of messages have
holes: the n-th one there stands for n.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.facades.native.routes import ROUTES
from tests import shapes
from tests.rest.stage import Json, Node

GOLDEN = Path(__file__).parent / "golden"
STORIES = sorted(path.stem for path in GOLDEN.glob("*.json"))


def story(name: str) -> list[Json]:
    steps: list[Json] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return steps


_OF_MESSAGES = {"msg_id", "msg_ids", "msg_id_start", "next_msg_id", "related_mid"}


class Ids:
    """Which id a store has given to the message that a story calls n."""

    def __init__(self) -> None:
        self._given: dict[int, int] = {0: 0}

    def learn(self, told: Any, expected: Any, *, of_messages: bool = False) -> None:
        """Take in what an answer calls the messages that the story has not named yet."""
        if isinstance(told, dict) and isinstance(expected, dict):
            for name, value in told.items():
                self.learn(value, expected.get(name), of_messages=name in _OF_MESSAGES)
        elif isinstance(told, list) and isinstance(expected, list):
            for pair in zip(told, expected, strict=False):
                self.learn(*pair, of_messages=of_messages)
        elif of_messages and type(told) is int and type(expected) is int and expected not in self._given:
            assert told not in self._given.values()
            self._given[expected] = told

    def given(self, told: Any, *, of_messages: bool = False) -> Any:
        """The same with the ids that were given, for those that a story names; of others it names none."""
        if isinstance(told, dict):
            return {name: self.given(value, of_messages=name in _OF_MESSAGES) for name, value in told.items()}
        if isinstance(told, list):
            return [self.given(value, of_messages=of_messages) for value in told]
        return self._given.get(told, told) if of_messages and isinstance(told, int) else told


def fits(told: Any, expected: Any) -> bool:
    """Whether an answer is the one expected, member by member, of the very same types."""
    if expected == "$ms":
        return type(told) is int and told > 1_700_000_000_000
    if expected == "$text":
        return isinstance(told, str) and bool(told)
    if isinstance(expected, dict):
        return (
            isinstance(told, dict)
            and set(told) == set(expected)
            and all(fits(told[name], value) for name, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(told, list)
            and len(told) == len(expected)
            and all(fits(*pair) for pair in zip(told, expected, strict=True))
        )
    return type(told) is type(expected) and bool(told == expected)


@pytest.mark.parametrize("name", STORIES)
async def test_story(node: Node, name: str) -> None:
    """Each step is answered exactly as told."""
    ids = Ids()
    for number, step in enumerate(story(name)):
        headers = {"app_id": "demo", **step.get("headers", {})}
        if "as" in step:
            headers["access-token"] = await node.token(step["as"] or None)
        caller = node.caller(headers.pop("app_id"), headers.pop("access-token", None), **headers)
        answer = await caller.call(
            step["verb"], step["path"], ids.given(step.get("body")), **ids.given(step.get("query", {}))
        )
        told = answer.envelope
        assert answer.status == step.get("status", 200), (number, step["verb"], step["path"], told)
        if shapes.shape.two:
            ids.learn(told, step["answer"])
        expected = ids.given(step["answer"])
        assert fits(told, expected), (number, step["verb"], step["path"], told, expected)


def test_every_call_is_in_a_story() -> None:
    """Each verb of each path is played with a success, so that no call is without a pair."""
    played = {
        (step["verb"], step["path"])
        for name in STORIES
        for step in story(name)
        if step["answer"]["code"] == 200
    }
    assert {(verb, path) for verb, path, _ in ROUTES} - played == set()
