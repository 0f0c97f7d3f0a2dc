"""Accounts in this process's memory: what a change means for tokens and principals from the same moment on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.core import passwords
from gateway.core.passwords import Cost
from gateway.core.users import Users
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import State, User
from tests.core.stage import Stage, app_of, open_stage, refused
from tests.patience import WAIT_S

BOB = 118


def users(stage: Stage) -> Users:
    return stage.core.users


async def token_of(stage: Stage, user: int | str = BOB) -> str:
    return (await stage.directory.token_for("demo", str(user))).token


async def enters(stage: Stage, token: str) -> User:
    """Whom a token speaks for, by both ways in."""
    identified, _ = await stage.directory.identify("demo", token)
    principal = await stage.directory.principal("demo", token, None, None)
    assert principal == identified
    return principal.user


async def delete(stage: Stage, xid: int, app_id: str = "demo") -> None:
    """Make a user a deleted one, as whoever deletes it will."""
    user = (await stage.user(xid, app_id)).user

    def work(conn: sqlite3.Connection) -> None:
        conn.execute("UPDATE timeline SET state = 2 WHERE id = ?", (user.id,))
        conn.execute("UPDATE user SET name = NULL, password = '' WHERE id = ?", (user.id,))

    await stage.store._write(work)
    stage.directory.known.user_changed(await app_of(stage, app_id), xid)


class TestFrozen:
    """Users who may not act."""

    async def test_at_once(self, stage: Stage) -> None:
        """A token that was good a moment ago is refused, and good again as soon as the user may act."""
        token, admin = await token_of(stage), await stage.admin()
        before = await enters(stage, token)
        for _ in range(2):
            await users(stage).freeze(admin, [BOB])
            for way in (stage.directory.identify("demo", token), stage.user(BOB)):
                with refused(Kind.FROZEN):
                    await way
        await users(stage).unfreeze(admin, [BOB])
        assert await enters(stage, token) == before

    async def test_an_administrator_looks_after_it(self, stage: Stage) -> None:
        """Acting for a frozen user is allowed; what it may not do is said where it is done."""
        await users(stage).freeze(await stage.admin(), [BOB])
        assert (await stage.admin(user_id=BOB)).user.state is State.FROZEN

    async def test_logging_in(self, stage: Stage) -> None:
        """Whoever knows the password learns of it, and nobody else."""
        user = await stage.directory.register("demo", "bob", "secret")
        await users(stage).freeze(await stage.admin(), [user.xid])
        with refused(Kind.FROZEN):
            await stage.directory.login_name("demo", "bob", "secret")
        with refused(Kind.FORBIDDEN):
            await stage.directory.login("demo", str(user.xid), "guess")

    async def test_a_read_that_it_overtook(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whom the store was asked for just before is asked for again, and does not get in."""
        token, admin = await token_of(stage), await stage.admin()
        stage.directory.known.user_changed(await app_of(stage), BOB)
        read, frozen = asyncio.Event(), asyncio.Event()
        original = type(stage.store).ensure_users

        async def slow(store: object, app: int, xids: Sequence[int], at: int) -> list[User | Kind]:
            found = await original(stage.store, app, xids, at)
            read.set()
            await frozen.wait()
            return found

        monkeypatch.setattr(type(stage.store), "ensure_users", slow)
        entering = asyncio.create_task(stage.directory.identify("demo", token))
        await read.wait()
        await users(stage).freeze(admin, [BOB])
        frozen.set()
        with refused(Kind.FROZEN):
            await entering

    async def test_who_may(self, stage: Stage) -> None:
        """Administrators; for a user they act for, that one, named or not; never `system`."""
        user = await stage.user(BOB)
        with refused(Kind.FORBIDDEN):
            await users(stage).freeze(user, [BOB])
        acting = await stage.admin(user_id=BOB)
        with refused(Kind.FORBIDDEN):
            await users(stage).freeze(acting, [BOB, 5])
        with refused(Kind.BAD_PARAMETER):
            await users(stage).freeze(await stage.admin(), [])
        with refused(Kind.BAD_PARAMETER):
            await users(stage).freeze(await stage.admin(), [(await app_of(stage)).system_xid])
        assert (await stage.user(BOB)).user.state is State.NORMAL
        await users(stage).freeze(acting, [])
        with refused(Kind.FROZEN):
            await stage.user(BOB)
        await users(stage).unfreeze(acting, [BOB])
        await stage.user(BOB)


class TestDeleted:
    """Users who are nobody any more."""

    async def test_it_does_not_get_in(self, stage: Stage) -> None:
        """Its token is illegal, by its id nobody logs in or acts, and the id stays taken."""
        user = await stage.directory.register("demo", "bob", "secret")
        token = await token_of(stage, user.xid)
        await delete(stage, user.xid)
        with refused(Kind.TOKEN_ILLEGAL):
            await enters(stage, token)
        for way in (
            stage.admin(user_id=user.xid),
            stage.directory.token_for("demo", str(user.xid)),
            users(stage).profile(await stage.admin(), user.xid),
            users(stage).freeze(await stage.admin(), [user.xid]),
            stage.core.roster.block(await stage.user(5), user.xid),
        ):
            with refused(Kind.USER_UNKNOWN):
                await way
        with refused(Kind.FORBIDDEN):
            await stage.directory.login_id("demo", user.xid, "secret")
        assert (await stage.directory.register("demo", "bob", "secret")).xid != user.xid

    async def test_where_registration_is_required(self, stage: Stage) -> None:
        """Whoever logs in by its id is told that it is not there."""
        await stage.app("closed", registered=True)
        user = await stage.directory.register("closed", "bob", "secret")
        await delete(stage, user.xid, "closed")
        with refused(Kind.USER_UNKNOWN):
            await stage.directory.login("closed", str(user.xid), "secret")


class TestPassword:
    """Passwords, and the tokens issued before they were changed."""

    @pytest.mark.parametrize("into_second_ms", [0, 1, 999])
    async def test_tokens_of_the_same_second(self, stage: Stage, into_second_ms: int) -> None:
        """What was issued before is no longer good, what is issued after is, however often it is changed."""
        user = await stage.directory.register("demo", "bob", "secret 0")
        admin = await stage.admin()
        stage.clock.now_ms += into_second_ms
        good = await token_of(stage, user.xid)
        for number in range(1, 4):
            principal = await stage.directory.principal("demo", good, None, None)
            if number == 2:
                await users(stage).change_password(admin, user.xid, None, f"secret {number}")
            else:
                old, new = f"secret {number - 1}", f"secret {number}"
                await users(stage).change_password(principal, 0, old, new)
            with refused(Kind.TOKEN_ILLEGAL):
                await enters(stage, good)
            good = (await stage.directory.login_name("demo", "bob", f"secret {number}")).token
            assert (await enters(stage, good)).xid == user.xid
            assert (await enters(stage, await token_of(stage, user.xid))).xid == user.xid
        with refused(Kind.FORBIDDEN):
            await stage.directory.login_name("demo", "bob", "secret 2")

    async def test_a_wrong_old_one(self, stage: Stage) -> None:
        """Changes nothing; nor does one for a user who has none."""
        named = await stage.directory.register("demo", "bob", "secret")
        for xid in (named.xid, BOB):
            principal = await stage.user(xid)
            for old in ("guess", ""):
                with refused(Kind.FORBIDDEN):
                    await users(stage).change_password(principal, 0, old, "new")
            with refused(Kind.BAD_PARAMETER):
                await users(stage).change_password(principal, 0, None, "new")
            with refused(Kind.BAD_PARAMETER):
                await users(stage).change_password(principal, 0, "secret", "")
            assert await stage.user(xid) == principal

    async def test_two_at_once(self, stage: Stage) -> None:
        """Of two who know the old one, one has changed it, and the other is told."""
        await stage.directory.register("demo", "bob", "secret")
        named = (await stage.directory.token_for("demo", "bob")).xid
        principal = await stage.user(named)
        done = await asyncio.gather(
            *(users(stage).change_password(principal, 0, "secret", new) for new in ("one", "two")),
            return_exceptions=True,
        )
        assert sorted(one is None for one in done) == [False, True]

    async def test_an_administrator_sets_the_first(self, stage: Stage) -> None:
        """Of a user who came into being by being named, or by this."""
        for xid, admin in ((BOB, await stage.admin(user_id=BOB)), (119, await stage.admin())):
            await users(stage).change_password(admin, 119 if admin.admin_alone else 0, None, "new")
            assert (await stage.directory.login_id("demo", xid, "new")).xid == xid


class TestBatch:
    """Many accounts by one call."""

    async def test_who_logs_in_meanwhile(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Waits for one password of the batch, not for all of them."""
        await stage.directory.register("demo", "bob", "secret")
        worked_on: list[str] = []
        hashed = passwords._hashed

        def noted(password: str, cost: Cost, salt: bytes) -> bytes:
            worked_on.append(password)
            return hashed(password, cost, salt)

        monkeypatch.setattr(passwords, "_hashed", noted)
        accounts, admin = [(f"user_{number}", "pw") for number in range(50)], await stage.admin()
        async with _held_up(stage):
            batch = asyncio.create_task(users(stage).register(admin, accounts))
            await _queued(stage, 1)
            login = asyncio.create_task(stage.directory.login_name("demo", "bob", "secret"))
            await _queued(stage, 2)
        await login
        assert [one.reason for one in await batch] == [""] * 50
        assert worked_on == ["pw", "secret", *["pw"] * 49]

    async def test_each_by_itself(self, tmp_path: Path) -> None:
        """One that the queue has no room for is told so; those before and after it are made."""
        async with open_stage(tmp_path, Limits(password_queue_max=1)) as stage:
            await stage.app()
            admin, go_on = await stage.admin(), threading.Event()
            holding = asyncio.create_task(stage.directory.passwords._run(0, go_on.wait))
            await asyncio.sleep(0)
            [full] = await users(stage).register(admin, [("one", "pw")])
            go_on.set()
            await holding
            done = await users(stage).register(admin, [("one", "pw"), ("no name", "pw"), ("two", "")])
            assert full.reason.startswith("too many password checks")
            assert [(one.xid > 0, one.reason.partition(":")[0]) for one in done] == [
                (True, ""),
                (False, "username"),
                (False, "password"),
            ]


class TestQueueing:
    """The work on a password waits its turn, and what it was asked for may be true no more when it is done."""

    async def test_a_login_by_a_password_that_was_changed(self, stage: Stage) -> None:
        """It was the right one when it was asked for; its token would be younger than the change."""
        dora = await stage.directory.register("demo", "dora", "old")
        async with _held_up(stage):
            login = asyncio.create_task(stage.directory.login_name("demo", "dora", "old"))
            await _queued(stage, 1)
            assert await stage.store.set_password(dora.id, dora.password, "new", stage.clock())
            stage.clock.move(s=2)
        with refused(Kind.FORBIDDEN):
            await login

    @pytest.mark.parametrize("state", [State.FROZEN, State.DELETED])
    async def test_a_login_of_one_who_may_act_no_more(self, stage: Stage, state: State) -> None:
        """Nobody who was frozen or deleted meanwhile gets a token."""
        dora = await stage.directory.register("demo", "dora", "pw")
        async with _held_up(stage):
            login = asyncio.create_task(stage.directory.login_name("demo", "dora", "pw"))
            await _queued(stage, 1)
            if state is State.FROZEN:
                await users(stage).freeze(await stage.admin(), [dora.xid])
            else:
                await delete(stage, dora.xid)
        with refused(Kind.FROZEN if state is State.FROZEN else Kind.FORBIDDEN):
            await login

    async def test_a_change_for_one_who_is_deleted_meanwhile(self, stage: Stage) -> None:
        """An administrator is told that there is nobody any more."""
        dora = await stage.directory.register("demo", "dora", "pw")
        admin = await stage.admin()
        async with _held_up(stage):
            change = asyncio.create_task(users(stage).change_password(admin, dora.xid, None, "new"))
            await _queued(stage, 1)
            await delete(stage, dora.xid)
        with refused(Kind.USER_UNKNOWN):
            await change


@asynccontextmanager
async def _held_up(stage: Stage) -> AsyncIterator[None]:
    """Keep the thread that works on passwords at something else, from before the block begins to its end."""
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(WAIT_S)

    holding = asyncio.create_task(stage.directory.passwords._run(0, work))
    try:
        async with asyncio.timeout(WAIT_S):
            while not begun.is_set():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.001)
        yield
    finally:
        go_on.set()
        await holding


async def _queued(stage: Stage, count: int) -> None:
    """Wait until so much work on passwords waits behind what is under way."""
    async with asyncio.timeout(WAIT_S):
        while stage.directory.passwords._thread._work_queue.qsize() < count:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)


class TestWhom:
    """Whom a call is about."""

    async def test_looking_makes_nobody(self, stage: Stage) -> None:
        """In an open app a user who is not there yet has nothing, and is not there after it was looked at."""
        admin = await stage.admin()
        seen = await users(stage).profile(admin, 77)
        assert (seen.user.xid, seen.profile.nickname, seen.private) == (77, "", True)
        assert not (await users(stage).profile(await stage.user(BOB), 77)).private
        assert await users(stage).online(admin, 77) is False
        assert await users(stage).devices(admin, 77) == []
        await users(stage).kick(admin, 77, 0)
        await users(stage).remove_device(admin, 77, 1)
        assert await stage.store.party((await app_of(stage)).id, 77) is None

    async def test_what_is_private(self, stage: Stage) -> None:
        """Leaves the core for oneself and for administrators only."""
        bob, other = await stage.user(BOB), await stage.user(5)
        await users(stage).set_profile(bob, 0, {"private_info": "secret", "public_info": "told"})
        for who, told in ((bob, "secret"), (await stage.admin(), "secret"), (other, "")):
            profile = (await users(stage).profile(who, BOB)).profile
            assert (profile.public_info, profile.private_info) == ("told", told)

    async def test_where_registration_is_required(self, stage: Stage) -> None:
        """A user who is not there is unknown."""
        await stage.app("closed", registered=True)
        admin = await stage.admin("closed")
        for way in (
            users(stage).profile(admin, 77),
            users(stage).set_profile(admin, 77, {"nickname": "x"}),
            users(stage).devices(admin, 77),
            users(stage).freeze(admin, [77]),
            users(stage).change_password(admin, 77, None, "x"),
        ):
            with refused(Kind.USER_UNKNOWN):
                await way

    async def test_pages_end_somewhere(self, tmp_path: Path) -> None:
        """A page beyond the bound is refused before the store is asked; sizes are cut to what a page holds."""
        async with open_stage(tmp_path, Limits(user_list_max=4, page_max=2)) as stage:
            await stage.app()
            for xid in range(1, 8):
                await stage.user(xid)
            admin = await stage.admin()
            pages = [
                [user.xid for user in await users(stage).page(admin, number, 99)] for number in (1, 2, 3)
            ]
            assert pages == [[1, 2], [3, 4], [5, 6]]
            with refused(Kind.BAD_PARAMETER) as refusal:
                await users(stage).page(admin, 4, 99)
            assert refusal.sentence.startswith("page_num")
