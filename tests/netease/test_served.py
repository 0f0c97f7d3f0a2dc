"""The README's tables of the dialect, against what is served."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from gateway.domain.limits import Limits
from gateway.edge.facades.netease.routes import ROUTES
from gateway.edge.facades.netease.wanted import AskedHere
from tests.netease.stage import Cloud

pytestmark = pytest.mark.one_node("what the edge refuses by itself")

README = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def under(heading: str) -> str:
    """The text under a heading of the README."""
    text = README.partition(f"\n### {heading}\n")[2]
    assert text, heading
    return text.partition("\n#")[0]


def calls(heading: str) -> list[tuple[str, str]]:
    """The calls of a table by verb and path; a path without a verb is meant by every verb."""
    found = re.findall(rf"`((?:(?:{'|'.join(VERBS)}) )*)/([^`]*/[^`]*)`", under(heading))
    return [
        (verb, re.sub(r"\{[^}]*\}", "*", path)) for verbs, path in found for verb in verbs.split() or VERBS
    ]


SERVED = [call for call in calls("Calls of NetEase's dialect") if call[1] != "health/liveness.action"]
ABSENT = calls("Calls NetEase's dialect does not have")


def test_the_readme_names_what_is_served() -> None:
    """Every call, once, and nothing else."""
    assert len(SERVED) == len(set(SERVED))
    assert set(SERVED) == {(verb, path) for verb, path, _ in ROUTES}


def test_what_is_absent_on_purpose_stands_in_the_readme() -> None:
    """Every kind of it (netease.md, Absent on purpose)."""
    paths = " ".join({path for _, path in ABSENT})
    for word in (
        "search_messages", "stream_message", "quick_comment", "v2.1/conversations", "stick_top",
        "conversation_overviews", "broadcast_notification", "custom_notification", "chatrooms", "friends",
        "mute_contacts", "block_contacts", "users", "subscription", ".action",
    ):  # fmt: skip
        assert word in paths


def test_the_readme_names_each_member_of_a_send() -> None:
    """Whoever moves finds in one table what becomes of it."""
    told = under("Members of a NetEase send")
    for member in members(AskedHere) - {"conversation_id", "conversationId"}:
        assert re.search(rf"\b{member}\b", told), member


def members(shape: type[msgspec.Struct]) -> set[str]:
    """The names of what a Struct takes, and of what is in its members."""
    found: set[str] = set()
    for field in msgspec.structs.fields(shape):
        found.add(field.encode_name)
        inner = [part for part in get_args(field.type) if isinstance(part, type)]
        for part in inner:
            found |= members(part) if issubclass(part, msgspec.Struct) else set()
    return found


async def test_what_is_not_served(cloud: Cloud) -> None:
    """Is said to be so before the body is read, and before anybody has proven anything."""
    assert len(ABSENT) == len(set(ABSENT)) > 200
    # Whatever read this would refuse it for its size.
    body = b"x" * (Limits().body_bytes_max + 1)
    for verb, path in ABSENT:
        root = "" if path.startswith("nimserver/") else "/im"
        found = await cloud.call(verb, "/" + path.replace("*", "a%7C1%7Cb"), headers={}, root=root)
        assert found.refused(404, "not served"), (verb, path)
    for path in ("/v2/messages/actions/quick_comment", "/v2/chatrooms/7/messages"):
        assert (await cloud.post(path, body, headers={})).refused(404, "not served")
    assert (await cloud.post("/v2/accounts", body)).refused(414, "body: ")
