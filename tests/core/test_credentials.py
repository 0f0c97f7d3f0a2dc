"""Apps as dialects call them, the secrets of their backends, and tokens as facades give them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.errors import Kind
from gateway.domain.model import FOREVER, State
from gateway.store.sqlite import SqliteStore
from tests.core.stage import Stage, app_of, refused

NAME = "org/app"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that the store is asked for."""
    names: list[str] = []
    for call in ("alias", "secrets"):
        real: Callable[..., Any] = getattr(SqliteStore, call)

        async def listen(store: SqliteStore, *args: Any, real: Callable[..., Any] = real) -> Any:
            names.append(args[-1])
            return await real(store, *args)

        monkeypatch.setattr(SqliteStore, call, listen)
    return names


class TestNames:
    """An app is found by what a dialect calls it."""

    async def test_the_store_is_asked_once(self, stage: Stage, asked: list[str]) -> None:
        """It is the very tenant that its own name finds."""
        await stage.directory.credentials.call("demo", "agora", NAME)
        found = await stage.directory.tenant_by("agora", NAME)
        assert found is await stage.directory.tenant_by("agora", NAME)
        assert found is await stage.directory.known.tenant("demo")
        assert asked == [NAME]

    async def test_another_name_holds_at_once(self, stage: Stage) -> None:
        """The one before finds nothing any more, or whom it names since."""
        call, find = stage.directory.credentials.call, stage.directory.tenant_by
        await stage.app("other")
        await call("demo", "agora", NAME)
        assert (await find("agora", NAME)).app.app_id == "demo"
        await call("demo", "agora", "org/renamed")
        with refused(Kind.APP_UNKNOWN):
            await find("agora", NAME)
        await call("other", "agora", NAME)
        assert (await find("agora", NAME)).app.app_id == "other"
        assert (await find("agora", "org/renamed")).app.app_id == "demo"

    async def test_what_an_app_has_changed_is_seen_by_either_name(self, stage: Stage) -> None:
        """Its keys and limits are those of now."""
        await stage.directory.credentials.call("demo", "agora", NAME)
        await stage.directory.tenant_by("agora", NAME)
        await stage.directory.set_limits("demo", {"sends_per_s": 5})
        assert (await stage.directory.tenant_by("agora", NAME)).app.limits.sends_per_s == 5

    @pytest.mark.parametrize("name", ["", "no/body", "\ud800", "a\0", "'", "d" * 100_000])
    async def test_an_unknown_name(self, stage: Stage, name: str) -> None:
        """Whatever it is, there is no such app."""
        with refused(Kind.APP_UNKNOWN):
            await stage.directory.tenant_by("agora", name)

    async def test_what_may_not_be_a_name(self, stage: Stage) -> None:
        """Nor may one that another app has, nor be for an app that is not there."""
        call = stage.directory.credentials.call
        await stage.app("other")
        await call("other", "agora", NAME)
        for dialect, name in (
            ("agora", NAME),
            ("agora", "a b"),
            ("agora", ""),
            ("Agora", "a/b"),
            ("", "a/b"),
        ):
            with refused(Kind.BAD_PARAMETER):
                await call("demo", dialect, name)
        with refused(Kind.APP_UNKNOWN):
            await call("nobody", "agora", "a/b")


class TestSecrets:
    """Backends prove who they are by secrets that are good for a name."""

    async def test_one_that_is_drawn(self, stage: Stage) -> None:
        """Name and secret are another each time, and good at once."""
        pairs = [await stage.directory.credentials.add("demo", "agora") for _ in range(3)]
        assert len({word for pair in pairs for word in pair}) == 6
        app = await app_of(stage)
        for name, secret in pairs:
            assert list(await stage.directory.credential(app, "agora", name)) == [secret]

    async def test_the_store_is_asked_once(self, stage: Stage, asked: list[str]) -> None:
        """For a name that is good; another may be good a moment later."""
        app = await app_of(stage)
        await stage.directory.credentials.add("demo", "agora", "id", "secret")
        for name in ("id", "id", "od", "od", "\0"):
            await stage.directory.credential(app, "agora", name)
        assert asked == ["id", "od", "od"]

    async def test_what_has_changed_holds_at_once(self, stage: Stage) -> None:
        """A secret more, and none any more."""
        app, credentials = await app_of(stage), stage.directory.credentials
        await credentials.add("demo", "agora", "id", "one")
        assert list(await stage.directory.credential(app, "agora", "id")) == ["one"]
        stage.clock.move(s=1)
        await credentials.add("demo", "agora", "id", "two")
        assert list(await stage.directory.credential(app, "agora", "id")) == ["two", "one"]
        await credentials.drop("demo", "agora", "id")
        assert list(await stage.directory.credential(app, "agora", "id")) == []

    async def test_only_the_newest_is_left(self, stage: Stage) -> None:
        """At once; where there is none nothing is left."""
        app, credentials = await app_of(stage), stage.directory.credentials
        for secret in ("one", "two"):
            await credentials.add("demo", "netease", "key", secret)
            stage.clock.move(s=1)
        assert list(await stage.directory.credential(app, "netease", "key")) == ["two", "one"]
        await credentials.drop_older("demo", "netease", "key")
        assert list(await stage.directory.credential(app, "netease", "key")) == ["two"]
        with refused(Kind.BAD_PARAMETER):
            await credentials.drop_older("demo", "agora", "key")

    async def test_what_another_store_knows_is_asked_anew(self, stage: Stage, asked: list[str]) -> None:
        """When everything is forgotten this is, too."""
        app = await app_of(stage)
        await stage.directory.credentials.add("demo", "agora", "id", "secret")
        await stage.directory.credential(app, "agora", "id")
        stage.directory.known.forget_all()
        await stage.directory.credential(app, "agora", "id")
        assert asked == ["id", "id"]

    async def test_what_may_not_be(self, stage: Stage) -> None:
        """A secret that no header could carry, more than an app may have, a name to drop that has none."""
        credentials = stage.directory.credentials
        for secret in ("a b", "\0", "ä", "x" * 257):
            with refused(Kind.BAD_PARAMETER):
                await credentials.add("demo", "agora", "id", secret)
        with refused(Kind.BAD_PARAMETER):
            await credentials.drop("demo", "agora", "id")
        for number in range(stage.limits.credentials_max):
            await credentials.add("demo", "agora", "id", f"s{number}")
        with refused(Kind.BAD_PARAMETER):
            await credentials.add("demo", "agora", "id", "one more")
        with refused(Kind.BAD_PARAMETER):
            await credentials.add("demo", "agora", "id", "more")


class TestGrants:
    """Tokens for whom a facade has judged."""

    async def test_a_users_token(self, stage: Stage) -> None:
        """Good for as long as was asked for."""
        app, user = await app_of(stage), (await stage.user(118)).user
        grant = stage.directory.grant(app, user, 60)
        assert (grant.xid, grant.expires_ms) == (118, stage.clock() + 60_000)
        assert (await stage.directory.judge_token(app, grant.token)).user == user
        stage.clock.move(s=60)
        with refused(Kind.TOKEN_EXPIRED):
            await stage.directory.judge_token(app, grant.token)

    async def test_an_administrators_token_for_ever(self, stage: Stage) -> None:
        """It speaks for the app, and no time ends it."""
        app = await app_of(stage)
        grant = stage.directory.grant(app, None, None)
        assert (grant.xid, grant.expires_ms) == (app.system_xid, FOREVER)
        stage.clock.move(s=100 * 365 * 24 * 3600)
        assert (await stage.directory.judge_token(app, grant.token)).admin_alone
        assert await stage.directory.identify("demo", grant.token) == (
            await stage.directory.judge_token(app, grant.token),
            FOREVER,
        )

    async def test_who_gets_none(self, stage: Stage) -> None:
        """Who is frozen, and who is deleted; nor is there one for no time."""
        app, user = await app_of(stage), (await stage.user(118)).user
        await stage.store.set_state(app.id, [118], State.FROZEN, 1, create=False)
        frozen = await stage.store.user(app.id, 118)
        assert not isinstance(frozen, Kind)
        with refused(Kind.FROZEN):
            stage.directory.grant(app, frozen, 60)
        await stage.store.set_state(app.id, [118], State.DELETED, 1, create=False)
        deleted = await stage.store.user(app.id, 118)
        assert not isinstance(deleted, Kind)
        with refused(Kind.USER_UNKNOWN):
            stage.directory.grant(app, deleted, 60)
        for ttl_s in (0, -1, stage.limits.token_ttl_max_s + 1):
            with refused(Kind.BAD_PARAMETER):
                stage.directory.grant(app, user, ttl_s)

    async def test_a_token_of_another_app(self, stage: Stage) -> None:
        """Opens nothing here; nor does none."""
        app, other = await app_of(stage), await stage.app("other")
        with refused(Kind.TOKEN_ILLEGAL):
            await stage.directory.judge_token(app, stage.directory.grant(other, None, 60).token)
        with refused(Kind.TOKEN_MISSING):
            await stage.directory.judge_token(app, None)


class TestPasswords:
    """A user of an app that is known logs in by name."""

    async def test_by_name_and_by_number(self, stage: Stage) -> None:
        """The token is good for as long as was asked for."""
        app = await app_of(stage)
        user = await stage.directory.register("demo", "alice", "secret")
        for name in ("alice", str(user.xid)):
            grant = await stage.directory.login_in(app, name, "secret", None)
            assert (grant.xid, grant.expires_ms) == (user.xid, FOREVER)

    @pytest.mark.parametrize("name", ["bob", "0", "0118", "118", "9" * 17, "", "\ud800", "a\0", "system"])
    async def test_who_is_nobody(self, stage: Stage, name: str) -> None:
        """The same sentence as for a wrong password."""
        app = await app_of(stage)
        await stage.directory.register("demo", "alice", "secret")
        sentences = set()
        for who in (name, "alice"):
            with refused(Kind.FORBIDDEN) as refusal:
                await stage.directory.login_in(app, who, "guess", 60)
            sentences.add(refusal.sentence)
        assert len(sentences) == 1
