"""Principals that are known at once: whom requests speak for, and when that is no longer believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.bus.base import Forget
from gateway.core.principal import Principal
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.store.sqlite import SqliteStore
from tests.core.stage import Stage, app_of, group_of, open_stage, refused

ALICE, BOB = 118, 119


async def token_of(stage: Stage, user: str | None, ttl_s: int | None = None) -> str:
    return (await stage.directory.token_for("demo", user, ttl_s)).token


async def ask(stage: Stage, token: str, user_header: str | None = None) -> Principal:
    return await stage.directory.principal("demo", token, user_header, None)


def recognised(stage: Stage, token: str | None, user_header: str | None = None) -> Principal | None:
    return stage.directory.recognise("demo", token, user_header, None)


class TestKnown:
    """What is known at once."""

    async def test_it_is_known_from_the_first_request_on(self, stage: Stage) -> None:
        """The second request of a token speaks for the same, by the same object."""
        token = await token_of(stage, str(ALICE))
        assert recognised(stage, token) is None
        first = await ask(stage, token)
        assert recognised(stage, token) is first
        assert await ask(stage, token) is first

    async def test_a_known_token_is_not_verified(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """That is what it is for."""
        token = await token_of(stage, str(ALICE))
        first = await ask(stage, token)
        monkeypatch.setattr(stage.directory, "_tokens", None)
        assert await ask(stage, token) is first

    async def test_other_headers_are_another_principal(self, stage: Stage) -> None:
        """An administrator's token speaks for whom the header names, each for itself."""
        token = await token_of(stage, None)
        alone, alice, bob = [await ask(stage, token, header) for header in (None, str(ALICE), str(BOB))]
        assert [found.user.xid for found in (alice, bob)] == [ALICE, BOB]
        assert alone.admin_alone
        assert recognised(stage, token) is alone
        assert recognised(stage, token, str(ALICE)) is alice
        assert recognised(stage, token, str(BOB)) is bob

    async def test_another_apps_header(self, stage: Stage) -> None:
        """A token that is known in one app is not known in another."""
        await stage.app("other")
        token = await token_of(stage, str(ALICE))
        await ask(stage, token)
        assert stage.directory.recognise("other", token, None, None) is None
        with refused(Kind.TOKEN_ILLEGAL):
            await stage.directory.principal("other", token, None, None)

    async def test_a_groups_owner_is_looked_up_each_time(self, stage: Stage) -> None:
        """The group may have another owner by the next request."""
        await stage.user(BOB)
        group_xid = await group_of(stage, ALICE)
        token, header = await token_of(stage, None), str(group_xid)
        assert (await stage.directory.principal("demo", token, None, header)).user.xid == ALICE
        assert stage.directory.recognise("demo", token, None, header) is None
        await stage.groups.destroy(await stage.user(ALICE), group_xid)
        with refused(Kind.GROUP_UNKNOWN):
            await stage.directory.principal("demo", token, None, header)


class TestRevoked:
    """What is no longer believed, from the moment its change is answered."""

    async def test_a_changed_password(self, stage: Stage) -> None:
        """Tokens issued before are no longer good."""
        await stage.directory.register("demo", "alice", "old")
        token = (await stage.directory.login_name("demo", "alice", "old")).token
        alice = await ask(stage, token)
        await stage.core.users.change_password(alice, 0, "old", "new")
        with refused(Kind.TOKEN_ILLEGAL):
            await ask(stage, token)

    async def test_a_frozen_user_and_a_thawed_one(self, stage: Stage) -> None:
        """Whoever is frozen is refused, and let in again once that is over."""
        token, admin = await token_of(stage, str(ALICE)), await stage.admin()
        await ask(stage, token)
        await stage.core.users.freeze(admin, [ALICE])
        with refused(Kind.FROZEN):
            await ask(stage, token)
        await stage.core.users.unfreeze(admin, [ALICE])
        assert (await ask(stage, token)).user.xid == ALICE

    async def test_a_deleted_user(self, stage: Stage) -> None:
        """Nobody speaks for who is no more: neither its token nor an administrator's."""
        token, admin = await token_of(stage, str(ALICE)), await token_of(stage, None)
        alice = await ask(stage, token)
        await ask(stage, admin, str(ALICE))
        await stage.core.erasing.erase(alice.app, alice.user)
        with refused(Kind.TOKEN_ILLEGAL):
            await ask(stage, token)
        with refused(Kind.USER_UNKNOWN):
            await ask(stage, admin, str(ALICE))

    async def test_limits_that_are_set(self, stage: Stage) -> None:
        """An app's new limits count for the next request, and no longer the old."""
        token = await token_of(stage, str(ALICE))
        await ask(stage, token)
        await stage.directory.set_limits("demo", {"sends_per_s": 7})
        assert recognised(stage, token) is None
        assert (await ask(stage, token)).app.limits.sends_per_s == 7

    async def test_a_rotated_key(self, stage: Stage) -> None:
        """A known token stays good, by its app as it is now."""
        token = await token_of(stage, str(ALICE))
        await ask(stage, token)
        app = await stage.directory.rotate_secret("demo")
        assert (await ask(stage, token)).app == app

    async def test_a_key_that_is_gone(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where an app's keys are others, what was signed by the old ones is forged."""
        token, app = await token_of(stage, str(ALICE)), await app_of(stage)
        await ask(stage, token)

        async def changed(_self: object, _app_id: str) -> object:
            return msgspec.structs.replace(app, keys={app.signing_kid: b"other" * 13})

        monkeypatch.setattr(SqliteStore, "app", changed)
        stage.directory.known.app_changed(app)
        with refused(Kind.TOKEN_ILLEGAL):
            await ask(stage, token)

    async def test_what_another_node_changed(self, stage: Stage) -> None:
        """A note from another node is heeded as what happens here."""
        token, app = await token_of(stage, str(ALICE)), await app_of(stage)
        for note in (Forget(app_id="demo", app=app.id), Forget(app_id="demo", app=app.id, xid=ALICE)):
            await ask(stage, token)
            stage.directory.known.forget(note)
            assert recognised(stage, token) is None

    async def test_another_epoch(self, stage: Stage) -> None:
        """Where the store has become another one nothing is believed."""
        token, admin = await token_of(stage, str(ALICE)), await token_of(stage, None)
        await ask(stage, token)
        await ask(stage, admin)
        stage.directory.known.forget_all()
        assert (recognised(stage, token), recognised(stage, admin)) == (None, None)

    async def test_nobody_else_is_forgotten(self, stage: Stage) -> None:
        """A user's change costs the others nothing."""
        alice, bob = await token_of(stage, str(ALICE)), await token_of(stage, str(BOB))
        await ask(stage, alice)
        await ask(stage, bob)
        stage.directory.known.user_changed(await app_of(stage), ALICE)
        assert recognised(stage, alice) is None
        assert recognised(stage, bob) is not None

    async def test_a_token_expires_while_it_is_known(self, stage: Stage) -> None:
        """The clock is looked at each time; the last good moment is the one before `exp`."""
        token = await token_of(stage, str(ALICE), 60)
        await ask(stage, token)
        stage.clock.now_ms += 59_999
        assert recognised(stage, token) is not None
        stage.clock.now_ms += 1
        assert recognised(stage, token) is None
        with refused(Kind.TOKEN_EXPIRED):
            await ask(stage, token)
        assert not len(stage.directory._principals)

    async def test_in_a_shared_store_it_ages(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where others write too, nothing is believed for longer than `sweep_ms`, however often it is asked."""
        monkeypatch.setattr(SqliteStore, "shared", property(lambda _: True))
        async with open_stage(tmp_path) as stage:
            await stage.app()
            token = await token_of(stage, str(ALICE))
            stage.directory.known.forget_all()
            await ask(stage, token)
            for _ in range(9):
                stage.clock.move(s=1)
                assert recognised(stage, token) is not None
            stage.clock.move(s=1)
            assert recognised(stage, token) is None

    async def test_a_change_while_it_is_looked_up(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A principal that was overtaken by a change of its app is answered, and not remembered."""
        token = await token_of(stage, str(ALICE))
        stage.directory.known.forget_all()
        original: Callable[..., Any] = SqliteStore.ensure_users

        async def overtaken(self: SqliteStore, *asked: Any) -> Any:
            found = await original(self, *asked)
            await stage.directory.set_limits("demo", {"sends_per_s": 7})
            monkeypatch.setattr(SqliteStore, "ensure_users", original)
            return found

        monkeypatch.setattr(SqliteStore, "ensure_users", overtaken)
        await ask(stage, token)
        assert recognised(stage, token) is None
        assert (await ask(stage, token)).app.limits.sends_per_s == 7


class TestBounded:
    """How much is remembered, and of whom."""

    async def test_no_more_than_the_limit(self, tmp_path: Path) -> None:
        """The one used least recently goes first."""
        async with open_stage(tmp_path, Limits(cached_principals_max=3)) as stage:
            await stage.app()
            tokens = [await token_of(stage, str(xid)) for xid in range(1, 5)]
            for token in tokens[:3]:
                await ask(stage, token)
            assert recognised(stage, tokens[0]) is not None
            await ask(stage, tokens[3])
            assert [recognised(stage, token) is not None for token in tokens] == [True, False, True, True]
            assert len(stage.directory._principals) == 3

    async def test_a_device_takes_no_room(self, stage: Stage) -> None:
        """A token that comes by the device channel is used once, and is not remembered."""
        for xid in range(1, 20):
            await stage.directory.identify("demo", await token_of(stage, str(xid)))
        assert not len(stage.directory._principals)

    async def test_forged_tokens_push_nobody_out(self, tmp_path: Path) -> None:
        """However many refused ones come, whoever is known stays known."""
        async with open_stage(tmp_path, Limits(cached_principals_max=3)) as stage:
            await stage.app()
            token = await token_of(stage, str(ALICE))
            await ask(stage, token)
            head, body, _ = token.split(".")
            for number in range(200):
                forged = f"{head}.{body}.{number:086d}"
                with refused(Kind.TOKEN_ILLEGAL):
                    await ask(stage, forged)
            with refused(Kind.FORBIDDEN):
                await ask(stage, await token_of(stage, str(BOB)), str(ALICE))
            assert recognised(stage, token) is not None
            assert len(stage.directory._principals) == 1

    async def test_long_headers_take_no_room(self, stage: Stage) -> None:
        """An id can be written with any number of zeros before it: such a header is obeyed, and not remembered."""
        token = await token_of(stage, None)
        for zeros in range(100, 110):
            assert (await ask(stage, token, "0" * zeros + str(ALICE))).user.xid == ALICE
        assert not len(stage.directory._principals)
