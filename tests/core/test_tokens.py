"""Tokens: what is good, and everything that is not."""

from __future__ import annotations

import base64
import time
import tracemalloc
from random import Random
from typing import Any

import jwt
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.tokens import Claims, Tokens
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX, App
from tests.core.stage import refused

NOW = 1_790_000_000_000
RANDOM = Random(7)
OLD, NEW, FOREIGN = (RANDOM.randbytes(64) for _ in range(3))

APP = App(
    id=1,
    app_id="demo",
    system_id=1,
    system_xid=10**12,
    registered=False,
    recall_window_ms=1,
    signing_kid="old",
    keys={"old": OLD},
)
OTHER = msgspec.structs.replace(APP, id=2, app_id="other", keys={"old": FOREIGN})
CLAIMS: dict[str, Any] = {
    "app": "demo",
    "sub": "118",
    "cluster": "gateway",
    "role": 1,
    "iat": NOW // 1000,
    "exp": NOW // 1000 + 60,
}


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(Limits())


def issued(tokens: Tokens, app: App = APP, *, admin: bool = False) -> str:
    return tokens.issue(app, 118, admin=admin, ttl_s=60, now_ms=NOW)[0]


def signed(claims: dict[str, Any], secret: bytes = OLD, **header: Any) -> str:
    """A token that somebody else's program made."""
    algorithm = header.pop("alg", "HS512")
    return jwt.encode(claims, secret, algorithm, {"kid": "old", **header})


class TestGood:
    """Tokens that are taken."""

    def test_what_was_issued_is_verified(self, tokens: Tokens) -> None:
        """A token says again what it was issued for."""
        token, expires_ms = tokens.issue(APP, 118, admin=False, ttl_s=60, now_ms=NOW)
        assert tokens.verify(APP, token, NOW) == Claims(xid=118, admin=False, iat_ms=NOW, exp_ms=expires_ms)
        assert expires_ms == NOW + 60_000

    def test_it_has_the_vendors_claims(self, tokens: Tokens) -> None:
        """Claims and header are those of vendors.md §1.1: sub a string, role 2 an administrator, HS512."""
        token = issued(tokens, admin=True)
        assert jwt.get_unverified_header(token) == {"alg": "HS512", "kid": "old", "typ": "JWT"}
        assert jwt.decode(token, options={"verify_signature": False}) == {**CLAIMS, "role": 2}

    def test_an_admins_token_says_so(self, tokens: Tokens) -> None:
        """Role 2 is an administrator."""
        assert tokens.verify(APP, issued(tokens, admin=True), NOW).admin

    def test_one_of_another_program_is_as_good(self, tokens: Tokens) -> None:
        """Whoever has the app's key can make tokens; claims that are not known are ignored."""
        assert tokens.verify(APP, signed({**CLAIMS, "more": [1]}), NOW).xid == 118

    def test_rotation_breaks_nobody(self, tokens: Tokens) -> None:
        """New tokens are signed with the new key; those of the old one stay good."""
        before = issued(tokens)
        rotated = msgspec.structs.replace(APP, signing_kid="new", keys={"old": OLD, "new": NEW})
        after = issued(tokens, rotated)
        assert jwt.get_unverified_header(after)["kid"] == "new"
        assert tokens.verify(rotated, before, NOW) == tokens.verify(rotated, after, NOW)

    def test_the_clock_is_the_callers(self, tokens: Tokens) -> None:
        """A token from the future of this machine's own clock, or its past, is judged by the time given."""
        past_ms = 1_000_000_000_000
        token, _ = tokens.issue(APP, 118, admin=False, ttl_s=60, now_ms=past_ms)
        assert tokens.verify(APP, token, past_ms).xid == 118
        future_ms = time.time_ns() // 1_000_000 + 10**9
        token, _ = tokens.issue(APP, 118, admin=False, ttl_s=60, now_ms=future_ms)
        assert tokens.verify(APP, token, future_ms).xid == 118


class TestExpired:
    """Tokens that were good once."""

    def test_it_expires_at_its_time(self, tokens: Tokens) -> None:
        """The last good moment is the one before `exp`, remembered or not."""
        token = issued(tokens)
        with refused(Kind.TOKEN_EXPIRED):
            tokens.verify(APP, token, NOW + 60_000)
        assert tokens.verify(APP, token, NOW + 59_999).xid == 118
        with refused(Kind.TOKEN_EXPIRED):
            tokens.verify(APP, token, NOW + 60_000)

    def test_a_forged_one_is_not_expired(self, tokens: Tokens) -> None:
        """Only a right signature earns the answer that time has passed."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, signed({**CLAIMS, "exp": 1}, FOREIGN), NOW)


class TestIllegal:
    """Tokens that are none of this app's."""

    @pytest.mark.parametrize("token", [None, ""])
    def test_none_is_missing(self, tokens: Tokens, token: str | None) -> None:
        """No token, or an empty one, is missing and not illegal."""
        with refused(Kind.TOKEN_MISSING):
            tokens.verify(APP, token, NOW)

    def test_of_another_app(self, tokens: Tokens) -> None:
        """An app's key signs for that app only, even where it is remembered as good there."""
        token = issued(tokens, OTHER)
        assert tokens.verify(OTHER, token, NOW).xid == 118
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, token, NOW)

    def test_of_another_app_with_the_same_key(self, tokens: Tokens) -> None:
        """Even where two apps share a key, what is remembered of one is not good for the other."""
        token = issued(tokens)
        assert tokens.verify(APP, token, NOW).xid == 118
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(msgspec.structs.replace(OTHER, keys=APP.keys), token, NOW)

    def test_that_claims_another_app(self, tokens: Tokens) -> None:
        """The claim `app` counts as well as the key."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, signed({**CLAIMS, "app": "other"}), NOW)

    @pytest.mark.parametrize("alg", ["HS256", "HS384"])
    def test_of_another_algorithm(self, tokens: Tokens, alg: str) -> None:
        """The algorithm is pinned, whatever the header says."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, signed(CLAIMS, alg=alg), NOW)

    def test_alg_none(self, tokens: Tokens) -> None:
        """A token without a signature is forged."""
        parts = [{"alg": "none", "kid": "old"}, CLAIMS]
        head, body = (
            base64.urlsafe_b64encode(msgspec.json.encode(part)).decode().rstrip("=") for part in parts
        )
        for token in (f"{head}.{body}.", f"{head}.{body}.AAAA"):
            with refused(Kind.TOKEN_ILLEGAL):
                tokens.verify(APP, token, NOW)

    def test_without_a_signature(self, tokens: Tokens) -> None:
        """A good token with its signature cut off is forged."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, issued(tokens).rpartition(".")[0] + ".", NOW)

    @pytest.mark.parametrize("header", [{"kid": "gone"}, {"kid": ""}])
    def test_of_a_key_that_is_not_there(self, tokens: Tokens, header: dict[str, Any]) -> None:
        """The header's kid chooses among the app's keys."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, signed(CLAIMS, **header), NOW)

    def test_without_a_kid(self, tokens: Tokens) -> None:
        """A header without a kid chooses no key."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, jwt.encode(CLAIMS, OLD, "HS512"), NOW)

    @pytest.mark.parametrize("claim", ["app", "sub", "role", "exp", "iat", "cluster"])
    def test_without_a_claim(self, tokens: Tokens, claim: str) -> None:
        """All claims of the vendor are wanted; a token without `exp` would be good for ever."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, signed({key: value for key, value in CLAIMS.items() if key != claim}), NOW)

    @pytest.mark.parametrize(
        "sub", ["0", "-1", "alice", "", "1.0", "01", "\u0661", str(SAFE_MAX + 1), "9" * 99]
    )
    def test_for_nobody(self, tokens: Tokens, sub: str) -> None:
        """`sub` is an id: 1 to 2^53 - 1, in ASCII digits."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, signed({**CLAIMS, "sub": sub}), NOW)

    @pytest.mark.parametrize("exp", ["1", True, None, -1, 1.5, 1e300, 10**15])
    def test_that_expires_at_no_time(self, tokens: Tokens, exp: Any) -> None:
        """`exp` is a whole number."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, signed({**CLAIMS, "exp": exp}), NOW)

    def test_a_remembered_one_of_a_dropped_key(self, tokens: Tokens) -> None:
        """When an app's key goes or changes, so do the tokens that were good by it."""
        token = issued(tokens)
        assert tokens.verify(APP, token, NOW).xid == 118
        for keys in ({"new": NEW}, {"old": NEW}):
            with refused(Kind.TOKEN_ILLEGAL):
                tokens.verify(msgspec.structs.replace(APP, keys=keys), token, NOW)

    @pytest.mark.parametrize("token", ["x", "..", "a.b.c", "\ud800", "\N{SNOWMAN}.a.b", "\0", "." * 5000])
    def test_garbage(self, tokens: Tokens, token: str) -> None:
        """Whatever a header can hold is refused in good order."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, token, NOW)

    @settings(deadline=None)
    @given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
    def test_fuzz(self, token: str) -> None:
        """No header, body or signature part brings anything but a refusal."""
        tokens = Tokens(Limits())
        for made in (
            f"{token}.e30.AA",
            f"e30.{token}.AA",
            f"eyJhbGciOiJIUzUxMiIsImtpZCI6Im9sZCJ9.e30.{token}",
        ):
            with refused(Kind.TOKEN_ILLEGAL):
                tokens.verify(APP, made, NOW)

    @settings(deadline=None)
    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4))
    def test_fuzzed_headers(self, value: Any) -> None:
        """A header may hold anything as its kid or algorithm."""
        tokens = Tokens(Limits())
        for header in (
            {"alg": "HS512", "kid": value},
            {"alg": value, "kid": "old"},
            {"crit": value, "kid": "old"},
        ):
            head = base64.urlsafe_b64encode(jwt_json(header)).decode().rstrip("=")
            with refused(Kind.TOKEN_ILLEGAL):
                tokens.verify(APP, f"{head}.e30.AA", NOW)

    def test_an_oversized_one_costs_nothing(self, tokens: Tokens) -> None:
        """A token far beyond any real one is not even decoded."""
        token = "A" * 1_000_000 + ".e30.AA"
        tracemalloc.start()
        try:
            with refused(Kind.TOKEN_ILLEGAL):
                tokens.verify(APP, token, NOW)
            assert tracemalloc.get_traced_memory()[1] < len(token)
        finally:
            tracemalloc.stop()


def jwt_json(value: object) -> bytes:
    import json

    return json.dumps(value).encode()


class TestMemory:
    """What is remembered."""

    def test_it_is_bounded(self) -> None:
        """No more tokens are remembered than the limit says."""
        tokens = Tokens(Limits(cached_principals_max=3))
        for xid in range(1, 10):
            tokens.verify(APP, tokens.issue(APP, xid, admin=False, ttl_s=60, now_ms=NOW)[0], NOW)
        assert len(tokens._verified) == 3

    def test_what_is_refused_is_not_remembered(self, tokens: Tokens) -> None:
        """Neither forged nor expired tokens take up room."""
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, signed(CLAIMS, FOREIGN), NOW)
        with refused(Kind.TOKEN_EXPIRED):
            tokens.verify(APP, issued(tokens), NOW + 60_000)
        assert len(tokens._verified) == 0
