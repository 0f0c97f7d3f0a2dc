"""Accounts: how one comes by a name, a password and a token, and what the operator asks for."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.directory import TOKEN_TTL_S
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX, User
from tests.core.stage import Stage, app_of, group_of, refused


class TestRegister:
    """Accounts with a name and a password."""

    async def test_it_makes_a_user_who_can_log_in(self, stage: Stage) -> None:
        """A registered user has an id of the server's and logs in by name and by id."""
        user = await stage.directory.register("demo", "alice", "secret")
        assert user.xid > 10**12
        by_name = await stage.directory.login_name("demo", "alice", "secret")
        by_id = await stage.directory.login_id("demo", user.xid, "secret")
        assert by_name.xid == by_id.xid == user.xid
        principal = await stage.directory.principal("demo", by_name.token, None, None)
        assert (principal.user.xid, principal.admin) == (user.xid, False)
        assert by_name.expires_ms == stage.clock() + TOKEN_TTL_S * 1000

    async def test_a_taken_name(self, stage: Stage) -> None:
        """A name is one user's, and the reserved user's is taken from the start."""
        await stage.directory.register("demo", "alice", "secret")
        for name in ("alice", "system"):
            with refused(Kind.USER_EXISTS):
                await stage.directory.register("demo", name, "other")

    async def test_two_at_once(self, stage: Stage) -> None:
        """Of two who want a name at the same time one gets it."""
        asked = [stage.directory.register("demo", "alice", secret) for secret in ("a", "b")]
        got = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(isinstance(one, User) for one in got) == [False, True]

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "12345",
            "al ice",
            "al-ice",
            "älice",
            "maxim",
            "Maxim_1",
            "mta",
            "MTAx",
            "a" * 65,
            "a\n",
            "\u0661",
        ],
    )
    async def test_names_that_may_not_be(self, stage: Stage, name: str) -> None:
        """Letters, digits and _, not digits only, not the vendor's own prefixes (vendors.md §1.4)."""
        with refused(Kind.BAD_PARAMETER) as refusal:
            await stage.directory.register("demo", name, "secret")
        assert refusal.sentence.startswith("username")

    @pytest.mark.parametrize("password", ["", "x" * 257, "é" * 129])
    async def test_passwords_that_may_not_be(self, stage: Stage, password: str) -> None:
        """A password has 1 to 256 bytes."""
        with refused(Kind.BAD_PARAMETER) as refusal:
            await stage.directory.register("demo", "alice", password)
        assert refusal.sentence.startswith("password")


class TestLogin:
    """Who gets no token."""

    async def test_a_wrong_password(self, stage: Stage) -> None:
        """By name or by id, a wrong password is forbidden."""
        user = await stage.directory.register("demo", "alice", "secret")
        with refused(Kind.FORBIDDEN):
            await stage.directory.login_name("demo", "alice", "guess")
        with refused(Kind.FORBIDDEN):
            await stage.directory.login_id("demo", user.xid, "guess")

    async def test_accounts_cannot_be_told_apart(self, stage: Stage) -> None:
        """In an open app an unknown user, one without a password and a wrong password get the same answer."""
        await stage.directory.register("demo", "alice", "secret")
        await stage.user(118)
        group_xid = await group_of(stage, 118)
        sentences = set()
        for login in (
            stage.directory.login_name("demo", "alice", "guess"),
            stage.directory.login_name("demo", "nobody", "guess"),
            stage.directory.login_name("demo", "", ""),
            stage.directory.login_name("demo", "system", ""),
            stage.directory.login_id("demo", 118, ""),
            stage.directory.login_id("demo", 999, "guess"),
            stage.directory.login_id("demo", group_xid, "guess"),
        ):
            with refused(Kind.FORBIDDEN) as refusal:
                await login
            sentences.add(refusal.sentence)
        assert len(sentences) == 1

    async def test_an_unknown_user_of_a_registered_app(self, stage: Stage) -> None:
        """Where registration is required an unknown user is told so."""
        await stage.app("closed", registered=True)
        with refused(Kind.USER_UNKNOWN):
            await stage.directory.login_name("closed", "nobody", "guess")

    async def test_nobodys_password_is_checked_too(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every login costs one check of a password, whoever it is for."""
        checked = []

        async def matches(_password: str, record: str, _app: int) -> bool:
            checked.append(record)
            return False

        monkeypatch.setattr(stage.directory._passwords, "matches", matches)
        await stage.app("closed", registered=True)
        for app_id, kind in (("demo", Kind.FORBIDDEN), ("closed", Kind.USER_UNKNOWN)):
            with refused(kind):
                await stage.directory.login_name(app_id, "nobody", "guess")
            with refused(kind):
                await stage.directory.login_id(app_id, 5, "guess")
        assert checked == [""] * 4

    async def test_of_an_unknown_app(self, stage: Stage) -> None:
        """These calls have no token, but an app they have."""
        with refused(Kind.APP_UNKNOWN):
            await stage.directory.login_name("other", "alice", "secret")
        with refused(Kind.BAD_PARAMETER):
            await stage.directory.register(None, "alice", "secret")


class TestOperator:
    """What the operator asks for."""

    @pytest.mark.parametrize("app_id", ["", "-x", "a b", "a" * 65, "ä", "a\n", "a/b"])
    async def test_app_names_that_may_not_be(self, stage: Stage, app_id: str) -> None:
        """An app's name goes into headers and paths as it is."""
        with refused(Kind.BAD_PARAMETER):
            await stage.app(app_id)

    async def test_an_app_that_is_there(self, stage: Stage) -> None:
        """An app is made once."""
        with refused(Kind.BAD_PARAMETER):
            await stage.app("demo")

    async def test_secrets_are_random_and_long(self, stage: Stage) -> None:
        """Each app has a key of 64 bytes of its own."""
        apps = [await app_of(stage), await stage.app("other")]
        secrets = [app.keys[app.signing_kid] for app in apps]
        assert secrets[0] != secrets[1]
        assert {len(secret) for secret in secrets} == {64}

    async def test_no_app_no_rotation(self, stage: Stage) -> None:
        """There is no key to rotate of an app that is not there."""
        with refused(Kind.APP_UNKNOWN):
            await stage.directory.rotate_secret("other")

    async def test_a_token_by_name(self, stage: Stage) -> None:
        """A name in an open app makes its user, once, and without a password."""
        first = await stage.directory.token_for("demo", "alice")
        assert (await stage.directory.token_for("demo", "alice")).xid == first.xid
        with refused(Kind.FORBIDDEN):
            await stage.directory.login_name("demo", "alice", "")

    async def test_a_token_by_id(self, stage: Stage) -> None:
        """Digits are an id, also that of a user with a name."""
        named = await stage.directory.token_for("demo", "alice")
        assert (await stage.directory.token_for("demo", str(named.xid))).xid == named.xid
        assert (await stage.directory.token_for("demo", "0118")).xid == 118

    async def test_for_nobody_unknown(self, stage: Stage) -> None:
        """Where registration is required neither a name nor an id makes a user."""
        await stage.app("closed", registered=True)
        for user in ("alice", "118"):
            with refused(Kind.USER_UNKNOWN):
                await stage.directory.token_for("closed", user)

    async def test_for_no_user(self, stage: Stage) -> None:
        """There are no user tokens for groups, for `system`, or for what is no id and no name."""
        system_xid = (await app_of(stage)).system_xid
        group_xid = await group_of(stage, 118)
        for user in ("system", str(system_xid), str(group_xid), "0", str(SAFE_MAX + 1), "9" * 30, "a b", ""):
            with refused(Kind.BAD_PARAMETER):
                await stage.directory.token_for("demo", user)

    @pytest.mark.parametrize("ttl_s", [0, -1, Limits().token_ttl_max_s + 1])
    async def test_times_that_may_not_be(self, stage: Stage, ttl_s: int) -> None:
        """A token lives for a second at least, and not for ever."""
        with refused(Kind.BAD_PARAMETER):
            await stage.directory.token_for("demo", "118", ttl_s)
