"""Tokens: what is good, and everything that is not."""

from __future__ import annotations

import base64
import hmac
import time
import tracemalloc
from random import Random
from typing import Any

import jwt
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.tokens import TOKEN_CHARS_MAX, Claims, Tokens
from gateway.domain.errors import Kind, Problem
from gateway.domain.model import FOREVER, SAFE_MAX, App
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
    return Tokens()


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

    def test_one_for_ever_has_no_exp(self, tokens: Tokens) -> None:
        """It says again that it does not expire, whoever has made it."""
        token, expires_ms = tokens.issue(APP, 118, admin=False, ttl_s=None, now_ms=NOW)
        assert expires_ms == FOREVER
        claims = jwt.decode(token, OLD, ["HS512"], options={"verify_iat": False})
        assert claims == {key: value for key, value in CLAIMS.items() if key != "exp"}
        for taken in (token, signed(claims)):
            assert tokens.verify(APP, taken, FOREVER - 1) == Claims(118, False, NOW, FOREVER)

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
        """The last good moment is the one before `exp`."""
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
        """An app's key signs for that app only."""
        token = issued(tokens, OTHER)
        assert tokens.verify(OTHER, token, NOW).xid == 118
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, token, NOW)

    def test_of_another_app_with_the_same_key(self, tokens: Tokens) -> None:
        """Even where two apps share a key, what is good for one is not good for the other."""
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

    @pytest.mark.parametrize("claim", ["app", "sub", "role", "iat", "cluster"])
    def test_without_a_claim(self, tokens: Tokens, claim: str) -> None:
        """All claims of the vendor but `exp` are wanted."""
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

    def test_one_of_a_dropped_key(self, tokens: Tokens) -> None:
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
        tokens = Tokens()
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
        tokens = Tokens()
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

    def test_a_forged_one_costs_one_signature(self, tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
        """A flood of garbage is cheap: nothing is computed for a key that is not there, and the claims are not read."""
        computed: list[bytes] = []
        original = hmac.digest

        def counted(key: bytes, data: bytes, by: Any) -> bytes:
            computed.append(data)
            return original(key, data, by)

        monkeypatch.setattr(hmac, "digest", counted)
        monkeypatch.setattr(tokens, "_payloads", None)
        for token in (
            "a.b.c",
            signed(CLAIMS, kid="gone"),
            signed(CLAIMS, alg="HS256"),
            "A" * TOKEN_CHARS_MAX,
        ):
            computed.clear()
            with refused(Kind.TOKEN_ILLEGAL):
                tokens.verify(APP, token, NOW)
            assert computed == []
        token = signed(CLAIMS, FOREIGN)
        computed.clear()
        with refused(Kind.TOKEN_ILLEGAL):
            tokens.verify(APP, token, NOW)
        assert computed == [token.rpartition(".")[0].encode()]


def jwt_json(value: object) -> bytes:
    import json

    return json.dumps(value).encode()


def packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def forged(head: bytes, body: bytes, secret: bytes = OLD) -> str:
    """A token of a header and claims as they are written, rightly signed."""
    signed_part = f"{packed(head)}.{packed(body)}"
    return f"{signed_part}.{packed(hmac.digest(secret, signed_part.encode(), 'sha512'))}"


class TestAsStrictAsPyJwt:
    """What is verified here by hand is taken by PyJWT too, and says the same there."""

    def agree(self, token: str) -> bool:
        """Whether a token is taken; if so PyJWT takes it, too."""
        try:
            claims = Tokens().verify(APP, token, NOW)
        except Problem:
            return False
        said = jwt.decode(token, OLD, ["HS512"], options={"verify_exp": False, "verify_iat": False})
        assert (claims.xid, claims.exp_ms) == (
            int(said["sub"]),
            said["exp"] * 1000 if "exp" in said else FOREVER,
        )
        return True

    @settings(deadline=None, max_examples=300)
    @given(st.data())
    def test_a_changed_one(self, data: st.DataObject) -> None:
        """Any character replaced, added or left out of a good token makes it no token, for both."""
        token = issued(Tokens())
        at = data.draw(st.integers(0, len(token) - 1))
        put = data.draw(st.text("Ab1-_.=+/ \n\0", max_size=2))
        changed = token[:at] + put + token[at + data.draw(st.integers(0, 2)) :]
        assert self.agree(changed) is (changed == token)

    @pytest.mark.parametrize("more", ["=", "==", "\n", " ", ".", "A", ".A"])
    def test_one_with_more_at_its_end(self, more: str) -> None:
        """Nothing follows a signature, no padding either (RFC 7515 §2)."""
        assert not self.agree(issued(Tokens()) + more)

    def test_a_signature_written_otherwise(self) -> None:
        """Of the signature's last character four bits count for nothing: only one way to write them is right."""
        token = issued(Tokens())
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        taken = [last for last in alphabet if self.agree(token[:-1] + last)]
        assert taken == [token[-1]]

    @pytest.mark.parametrize(
        "head",
        [
            b'{"alg": "HS512", "kid": "old", "crit": ["b64"], "b64": false}',
            b'{"alg": "HS512", "kid": "old", "crit": ["b64"], "b64": true}',
            b'{"alg": "HS512", "kid": "old", "crit": ["exp"]}',
            b'{"alg": "HS512", "kid": "old", "crit": []}',
            b'{"alg": "HS512", "kid": "old", "crit": null}',
            b'{"alg": "HS512", "kid": "old", "b64": false}',
            b'{"alg": "HS512", "kid": ["old"]}',
            b'{"alg": ["HS512"], "kid": "old"}',
            b'{"alg": "hs512", "kid": "old"}',
            b'{"kid": "old"}',
            b'["HS512", "old"]',
            b'{"alg": "HS512", "kid": "old"',
            b"",
        ],
    )
    def test_a_header_that_wants_more(self, head: bytes) -> None:
        """Rightly signed or not: a header of another algorithm, or one that has to be understood, is refused."""
        assert not self.agree(forged(head, msgspec.json.encode(CLAIMS)))

    @pytest.mark.parametrize(
        "head", [b'{"alg":"HS512","kid":"old"}', b' {"kid": "old", "alg": "HS512", "x": {}}']
    )
    def test_a_header_written_otherwise(self, head: bytes) -> None:
        """Order, spaces and members that say nothing to us do not matter."""
        assert self.agree(forged(head, msgspec.json.encode(CLAIMS)))

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 1000])
    def test_claims_that_are_none(self, body: bytes) -> None:
        """A right signature makes no claims of what is none."""
        assert not self.agree(forged(b'{"alg":"HS512","kid":"old"}', body))
