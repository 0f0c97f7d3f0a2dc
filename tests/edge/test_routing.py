"""Which call answers which verb and path, in dialects that look at paths themselves."""

from __future__ import annotations

import pytest

from gateway.edge.routing import Routes

ROUTES = Routes(
    [
        ("GET", "users", "all"),
        ("GET", "users/*", "one"),
        ("DELETE", "users/*", "drop"),
        ("GET", "users/batch", "many"),
        ("PUT", "users/*/friends/*", "befriend"),
    ]
)


@pytest.mark.parametrize(
    ("verb", "path", "call", "given"),
    [
        ("GET", "users", "all", []),
        ("GET", "users/ann", "one", ["ann"]),
        ("PUT", "users/ann/friends/bob", "befriend", ["ann", "bob"]),
        ("GET", "users/*", "one", ["*"]),
        ("GET", "users/", "one", [""]),
    ],
)
def test_a_call_gets_what_its_path_leaves_open(verb: str, path: str, call: str, given: list[str]) -> None:
    """In the order of the path, as it came."""
    assert ROUTES.find(verb, path.split("/")) == (call, given)


def test_a_path_that_is_named_whole() -> None:
    """Goes before one that is open there, by its own verbs alone."""
    assert ROUTES.find("GET", ["users", "batch"]) == ("many", [])
    assert ROUTES.find("DELETE", ["users", "batch"]) == ("drop", ["batch"])


def test_what_is_not_there() -> None:
    """It is told whether the path has other verbs."""
    assert ROUTES.find("PATCH", ["users", "ann"]) is True
    for path in ("", "user", "users/ann/friends", "users/ann/friends/bob/x"):
        assert ROUTES.find("GET", path.split("/")) is False
