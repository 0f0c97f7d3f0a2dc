"""Tokens, and the codes of those that are not good (lanying.md, Codes; vendors.md §1.1)."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from gateway.bus.base import Forget
from tests.rest.stage import ALICE, BOB, Caller, Node

WRONG, EXPIRED, MISSING = 10008, 402, 10003
SAFE_MAX = 2**53 - 1


async def sign(
    node: Node,
    claims: dict[str, Any] | None = None,
    header: dict[str, Any] | None = None,
    *,
    algorithm: str = "HS512",
) -> str:
    """A token with the app's own key and these claims in place of the usual ones; None leaves one out."""
    app = await node.gateway.store.app("demo")
    assert app is not None
    told = {"app": "demo", "sub": str(ALICE), "cluster": "c", "role": 1, "iat": 1, "exp": 4_000_000_000}
    told = {name: value for name, value in (told | (claims or {})).items() if value is not None}
    secret = app.keys[app.signing_kid]
    return jwt.encode(told, secret, algorithm, {"kid": app.signing_kid, **(header or {})})


async def code_of(node: Node, token: str | None, app_id: str = "demo") -> int:
    return (await node.caller(app_id, token).get("/message/unread")).code


class TestGood:
    """What is let in."""

    async def test_our_own(self, node: Node) -> None:
        """A token that the gateway made."""
        assert await code_of(node, await node.token(ALICE)) == 200

    async def test_somebody_elses_with_our_key(self, node: Node) -> None:
        """A token is what it says, whoever signed it with the app's secret."""
        assert await code_of(node, await sign(node)) == 200

    async def test_header_names_in_any_case(self, node: Node) -> None:
        """Names of headers have no case."""
        caller = node.caller(
            None, None, **{"App_Id": "demo", "Access-TOKEN": await node.token(ALICE), "USER_ID": ALICE}
        )
        assert (await caller.get("/message/unread")).code == 200

    async def test_it_makes_its_user(self, node: Node) -> None:
        """In an open app a token for an unknown id is good, and the user is there."""
        assert await code_of(node, await sign(node, {"sub": "4711"})) == 200
        assert node.rows("SELECT count(*) FROM timeline WHERE xid = 4711") == [(1,)]

    async def test_an_unknown_user_of_a_registered_app(self, node: Node) -> None:
        """Where registration is required such a token is 10000."""
        app = await node.gateway.directory.create_app("strict", registered=True)
        claims = {"app": "strict", "sub": "4711", "cluster": "c", "role": 1, "iat": 1, "exp": 4_000_000_000}
        token = jwt.encode(claims, app.keys[app.signing_kid], "HS512", {"kid": app.signing_kid})
        assert await code_of(node, token, "strict") == 10000

    async def test_after_rotation(self, node: Node) -> None:
        """Tokens of the older key and of the newer one are good side by side."""
        old = await node.token(ALICE)
        await node.gateway.directory.rotate_secret("demo")
        new = await node.token(ALICE)
        assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
        assert [await code_of(node, token) for token in (old, new)] == [200, 200]

    async def test_after_a_restart_of_the_key(self, node: Node) -> None:
        """A key that the app no longer has makes its tokens forged, also those that were used before."""
        token = await node.token(ALICE)
        assert await code_of(node, token) == 200
        await node.gateway.directory.rotate_secret("demo")
        node.rows("DELETE FROM app_key WHERE kid = ?", jwt.get_unverified_header(token)["kid"])
        node.gateway.directory.known.forget(Forget(app_id="demo", app=1))
        assert await code_of(node, token) == WRONG


class TestMissing:
    """What is not there."""

    async def test_no_token(self, node: Node) -> None:
        """No header and an empty one are the same."""
        assert [await code_of(node, token) for token in (None, "")] == [MISSING, MISSING]

    async def test_no_app(self, node: Node, alice: Caller) -> None:
        """`app_id` missing or empty is 10002 by name."""
        for app_id in (None, ""):
            caller = node.caller(app_id, alice.headers["access-token"])
            assert (await caller.get("/message/unread")).refused(10002, "app_id")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("app_id", ["nobody", "DEMO", "demo demo", "1", "\x80", "x" * 5000])
    async def test_no_such_app(self, node: Node, alice: Caller, app_id: str) -> None:
        """An app that is not there is 40000."""
        caller = node.caller(app_id, alice.headers["access-token"])
        assert (await caller.get("/message/unread")).refused(40000)


class TestBad:
    """What is not let in."""

    async def test_expired(self, node: Node) -> None:
        """402, also when it was good a moment ago."""
        assert await code_of(node, await sign(node, {"exp": 1_000_000_000})) == EXPIRED

    async def test_expired_while_in_use(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        """A remembered token expires like any other."""
        token = await sign(node)
        assert await code_of(node, token) == 200
        monkeypatch.setattr(node.gateway.directory, "_clock_ms", lambda: 4_000_000_000_000)
        assert await code_of(node, token) == EXPIRED

    async def test_expired_and_forged(self, node: Node) -> None:
        """Only an otherwise good token is told that it has expired."""
        token = await sign(node, {"exp": 1_000_000_000})
        assert await code_of(node, token[:-8] + "AAAAAAAA") == WRONG

    async def test_of_another_app(self, node: Node) -> None:
        """A token of one app is forged in another, whichever it says."""
        await node.gateway.directory.create_app("other")
        assert await code_of(node, await node.token(ALICE, "other")) == WRONG
        assert await code_of(node, await node.token(ALICE), "other") == WRONG
        assert await code_of(node, await sign(node, {"app": "other"})) == WRONG

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("spelling", ["none", "None", "NONE", "nOnE"])
    async def test_without_a_signature(self, node: Node, spelling: str) -> None:
        """`alg=none` is forged, however it is spelt, with a signature or without."""
        _, payload, signature = (await sign(node)).split(".")
        kid = jwt.get_unverified_header(await sign(node))["kid"]
        for told in ({"alg": spelling, "typ": "JWT"}, {"alg": spelling, "kid": kid}):
            header = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
            for end in ("", signature):
                assert await code_of(node, f"{header}.{payload}.{end}") == WRONG

    @pytest.mark.parametrize("algorithm", ["HS256", "HS384"])
    async def test_of_another_algorithm(self, node: Node, algorithm: str) -> None:
        """The algorithm is pinned: another one with the right key is forged."""
        assert await code_of(node, await sign(node, algorithm=algorithm)) == WRONG

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("kid", ["0" * 16, "", "../../etc/passwd", "x" * 500])
    async def test_of_an_unknown_key(self, node: Node, kid: str) -> None:
        """A `kid` that the app does not have is forged."""
        assert await code_of(node, await sign(node, header={"kid": kid})) == WRONG

    async def test_that_bring_their_own_key(self, node: Node) -> None:
        """What a header says about keys is not listened to."""
        token = jwt.encode(
            {"app": "demo", "sub": str(ALICE), "cluster": "c", "role": 2, "iat": 1, "exp": 4_000_000_000},
            b"k" * 64,
            "HS512",
            {"jwk": {"kty": "oct", "k": "a2tr"}, "jku": "http://127.0.0.1/", "x5u": "http://127.0.0.1/"},
        )
        assert await code_of(node, token) == WRONG

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("claim", "wrongs"),
        [
            ("sub", ["", "0", "-1", "x", "1.0", "0118", "\uff11\uff11\uff18", str(SAFE_MAX + 1), 118, None]),
            ("exp", ["x", 1e300, -1, 2**63]),
            ("role", [None, "2", [2]]),
            ("app", [None, "", "DEMO", 1]),
        ],
    )
    async def test_with_wrong_claims(self, node: Node, claim: str, wrongs: list[object]) -> None:
        """A signed token that does not say what one must say is no token."""
        for wrong in wrongs:
            assert await code_of(node, await sign(node, {claim: wrong})) == WRONG, wrong

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("token", ["x", "..", "a.b.c", "Bearer x", "e30.e30.e30", "\x80\xff", "." * 3000])
    async def test_that_are_none(self, node: Node, token: str) -> None:
        """Garbage is a forged token, not an error."""
        assert await code_of(node, token) == WRONG

    async def test_with_a_changed_byte(self, node: Node) -> None:
        """Whichever part is changed, the token is forged."""
        token = await sign(node)
        for part in (0, 1, 2):
            parts = token.split(".")
            parts[part] = parts[part][:-5] + ("AAAAA" if not parts[part].endswith("AAAAA") else "BBBBB")
            assert await code_of(node, ".".join(parts)) == WRONG

    async def test_for_the_reserved_user(self, node: Node, admin: Caller) -> None:
        """A user token cannot speak for `system`, nor for a group."""
        alice = await node.user(ALICE)
        for xid in (admin.xid, await alice.group()):
            assert await code_of(node, await sign(node, {"sub": str(xid)})) == WRONG

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("role", [0, 1, 3, -2, 2**62])
    async def test_only_role_2_is_an_admin(self, node: Node, role: int) -> None:
        """Any other role is a user's."""
        caller = node.caller("demo", await sign(node, {"role": role}))
        assert (
            await caller.post("/message/notify", {"type": 1, "targets": [BOB], "content_type": 6})
        ).code == 10010
