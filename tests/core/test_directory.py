"""Apps, users, and whom a request speaks for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.bus.base import Forget
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import SAFE_MAX, App, User
from tests.core.stage import Stage, app_of, group_of, open_stage, refused


async def token_of(stage: Stage, user: str | None, ttl_s: int | None = None) -> str:
    return (await stage.directory.token_for("demo", user, ttl_s)).token


class TestHeaders:
    """The four headers, judged in their order."""

    @pytest.mark.parametrize("app_id", [None, ""])
    async def test_an_app_is_wanted(self, stage: Stage, app_id: str | None) -> None:
        """Without `app_id` nothing else is looked at."""
        with refused(Kind.BAD_PARAMETER) as refusal:
            await stage.directory.principal(app_id, None, "x", "y")
        assert refusal.sentence.startswith("app_id")

    @pytest.mark.parametrize("app_id", ["other", "Demo", "\ud800", "a\0", "'", "d" * 100_000])
    async def test_an_unknown_app(self, stage: Stage, app_id: str) -> None:
        """An app that is not there is unknown, whatever it is called."""
        with refused(Kind.APP_UNKNOWN):
            await stage.directory.principal(app_id, "token", None, None)

    async def test_a_token_is_wanted(self, stage: Stage) -> None:
        """Without a token it is missing."""
        with refused(Kind.TOKEN_MISSING):
            await stage.directory.principal("demo", None, None, None)

    async def test_of_another_app(self, stage: Stage) -> None:
        """A token of one app opens no other."""
        await stage.app("other")
        with refused(Kind.TOKEN_ILLEGAL):
            await stage.directory.principal("other", await token_of(stage, "118"), None, None)

    async def test_an_expired_token(self, stage: Stage) -> None:
        """Time passes by the clock given."""
        token = await token_of(stage, "118", 60)
        stage.clock.move(s=60)
        with refused(Kind.TOKEN_EXPIRED):
            await stage.directory.principal("demo", token, None, None)

    @pytest.mark.parametrize(
        "number", ["x", "1.0", "1e3", "-5", str(SAFE_MAX + 1), "9" * 9999, "\u0661", "\ud800"]
    )
    async def test_a_header_that_is_no_id(self, stage: Stage, number: str) -> None:
        """An acting header that is no id is named."""
        token = await token_of(stage, None)
        for name, headers in (("user_id", (number, None)), ("group_id", (None, number))):
            with refused(Kind.BAD_PARAMETER) as refusal:
                await stage.directory.principal("demo", token, *headers)
            assert refusal.sentence.startswith(name)

    @pytest.mark.parametrize("nothing", [None, "", "0", "00", "-0"])
    async def test_nothing_and_zero_are_absent(self, stage: Stage, nothing: str | None) -> None:
        """Empty or 0 is the same as no header."""
        principal = await stage.directory.principal("demo", await token_of(stage, None), nothing, nothing)
        assert principal.admin_alone

    async def test_both_acting_headers(self, stage: Stage) -> None:
        """One cannot act for a user and for a group at once."""
        with refused(Kind.BAD_PARAMETER):
            await stage.directory.principal("demo", await token_of(stage, None), "5", "6")


class TestUserToken:
    """A user's token speaks for that user."""

    async def test_it_speaks_for_its_owner(self, stage: Stage) -> None:
        """The principal is the token's `sub`, with no rights beyond."""
        principal = await stage.user(118)
        assert (principal.user.xid, principal.admin, principal.as_user, principal.group_xid) == (
            118,
            False,
            False,
            0,
        )

    async def test_its_own_id_may_be_named(self, stage: Stage) -> None:
        """Naming oneself changes nothing."""
        token = await token_of(stage, "118")
        assert await stage.directory.principal("demo", token, "118", None) == await stage.user(118)

    async def test_nobody_else_may_be_named(self, stage: Stage) -> None:
        """Another user's id, or a group's, is not for users."""
        token = await token_of(stage, "118")
        for headers in (("119", None), (None, "119")):
            with refused(Kind.FORBIDDEN):
                await stage.directory.principal("demo", token, *headers)

    async def test_it_makes_its_user(self, stage: Stage) -> None:
        """In an open app a user is there from the first token that names it."""
        token, _ = stage.directory._tokens.issue(
            await app_of(stage), 118, admin=False, ttl_s=60, now_ms=stage.clock()
        )
        principal = await stage.directory.principal("demo", token, None, None)
        assert await stage.store.user(principal.app.id, 118) == principal.user

    async def test_a_registered_app_makes_nobody(self, stage: Stage) -> None:
        """Where registration is required, a token of an unknown user is of no use."""
        app = await stage.app("closed", registered=True)
        token, _ = stage.directory._tokens.issue(app, 118, admin=False, ttl_s=60, now_ms=stage.clock())
        with refused(Kind.USER_UNKNOWN):
            await stage.directory.principal("closed", token, None, None)
        assert await stage.store.user(app.id, 118) is Kind.USER_UNKNOWN

    async def test_it_cannot_be_a_groups(self, stage: Stage) -> None:
        """A `sub` that is a group's id, or the reserved user's, is no user's."""
        app = await app_of(stage)
        for xid in (await group_of(stage, 118), app.system_xid):
            token, _ = stage.directory._tokens.issue(app, xid, admin=False, ttl_s=60, now_ms=stage.clock())
            with refused(Kind.TOKEN_ILLEGAL):
                await stage.directory.principal("demo", token, None, None)


class TestAdminToken:
    """An administrator's token."""

    async def test_alone_it_speaks_for_system(self, stage: Stage) -> None:
        """Without an acting header the principal is the app's reserved user."""
        principal = await stage.admin()
        assert (principal.user.id, principal.user.name) == (principal.app.system_id, "system")
        assert principal.admin_alone

    async def test_it_acts_for_a_user(self, stage: Stage) -> None:
        """With `user_id` it acts for that user, who is made in an open app."""
        principal = await stage.admin(user_id=5)
        assert (principal.user.xid, principal.as_user, principal.admin_alone) == (5, True, False)

    async def test_it_acts_for_nobody_unknown(self, stage: Stage) -> None:
        """Where registration is required, it acts for those who have."""
        await stage.app("closed", registered=True)
        with refused(Kind.USER_UNKNOWN):
            await stage.admin("closed", user_id=5)

    async def test_a_group_is_no_user(self, stage: Stage) -> None:
        """A group's id in `user_id` is the wrong kind of id."""
        with refused(Kind.BAD_PARAMETER):
            await stage.admin(user_id=await group_of(stage, 118))

    async def test_system_is_not_named(self, stage: Stage) -> None:
        """The reserved user is not acted for: it is who the token is."""
        with refused(Kind.BAD_PARAMETER):
            await stage.admin(user_id=(await app_of(stage)).system_xid)

    async def test_it_acts_as_a_groups_owner(self, stage: Stage) -> None:
        """With `group_id` the principal is the owner, bound to that group."""
        group_xid = await group_of(stage, 118)
        principal = await stage.admin(group_id=group_xid)
        assert (principal.user.xid, principal.group_xid, principal.admin_alone) == (118, group_xid, False)

    async def test_an_unknown_group(self, stage: Stage) -> None:
        """A group that is not there has no owner, and neither has a user."""
        await stage.user(118)
        for xid in (77, 118):
            with refused(Kind.GROUP_UNKNOWN):
                await stage.admin(group_id=xid)


class TestIdentify:
    """Tokens without headers, for the device channel."""

    async def test_it_says_until_when(self, stage: Stage) -> None:
        """The principal comes with the moment its token expires."""
        principal, expires_ms = await stage.directory.identify("demo", await token_of(stage, "118", 60))
        assert (principal, expires_ms) == (await stage.user(118), stage.clock() + 60_000)

    async def test_an_admins_is_system(self, stage: Stage) -> None:
        """An administrator's token is `system` here too."""
        principal, _ = await stage.directory.identify("demo", await token_of(stage, None))
        assert principal.admin_alone


class TestMemory:
    """What is remembered of apps and users."""

    async def test_the_store_is_asked_once(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """A token seen before costs no query."""
        token = await token_of(stage, "118")
        first = await stage.directory.principal("demo", token, None, None)
        for question in ("app", "user", "ensure_users", "user_named"):
            monkeypatch.setattr(stage.store, question, None)
        assert await stage.directory.principal("demo", token, None, None) == first

    async def test_who_comes_at_once_is_asked_for_together(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Tokens of many users that are not known yet cost one query, also of two apps one each."""
        await stage.directory.create_app("other")
        asked: list[list[int]] = []
        real = stage.store.ensure_users

        async def counted(app: int, xids: Sequence[int], at: int) -> list[User | Kind]:
            asked.append(list(xids))
            return await real(app, xids, at)

        tokens = [(await stage.directory.token_for("demo", str(xid))).token for xid in (1, 2, 3)]
        other = (await stage.directory.token_for("other", "1")).token
        stage.directory.known.forget_all()
        for app_id in ("demo", "other"):
            await stage.directory.known.tenant(app_id)
        monkeypatch.setattr(stage.store, "ensure_users", counted)
        found = await asyncio.gather(
            *(stage.directory.identify("demo", token) for token in tokens),
            stage.directory.identify("other", other),
        )
        assert [(who.app.app_id, who.user.xid) for who, _ in found] == [
            ("demo", 1), ("demo", 2), ("demo", 3), ("other", 1),
        ]  # fmt: skip
        assert asked == [[1, 2, 3], [1]]

    async def test_it_is_bounded(self, tmp_path: Path) -> None:
        """No more users are remembered than the limit says."""
        async with open_stage(tmp_path, Limits(cached_principals_max=3)) as stage:
            await stage.app()
            for xid in range(1, 10):
                await stage.user(xid)
            assert len(stage.directory.known._users) == 3

    async def test_a_rotated_key_is_used_at_once(self, stage: Stage) -> None:
        """After a rotation new tokens are signed with the new key, and old ones stay good."""
        before = await token_of(stage, "118")
        app = await stage.directory.rotate_secret("demo")
        after = await token_of(stage, "118")
        assert len(app.keys) == 2
        for token in (before, after):
            assert (await stage.directory.principal("demo", token, None, None)).app == app

    async def test_what_was_read_before_a_rotation_is_not_kept(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A read of the app that a rotation overtook does not bring the old keys back."""
        read, rotated = asyncio.Event(), asyncio.Event()
        original = type(stage.store).app

        async def slow(self: object, app_id: str) -> App | None:
            app = await original(stage.store, app_id)
            read.set()
            await rotated.wait()
            return app

        monkeypatch.setattr(type(stage.store), "app", slow)
        stage.directory.known.forget(Forget(app_id="demo", app=1))
        overtaken = asyncio.create_task(token_of(stage, "118"))
        await read.wait()
        app = await stage.directory.rotate_secret("demo")
        rotated.set()
        await overtaken
        assert (await stage.user(118)).app == app
