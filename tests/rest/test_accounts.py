"""Registration and log-in (vendors.md §1.4; lanying.md, users, tokens, groups)."""

from __future__ import annotations

import time

import pytest

from tests.rest.stage import ALICE, Caller, Node, cheap_passwords

SECRET = {"password": "s3cret"}


@pytest.fixture(autouse=True)
async def cheap(node: Node) -> None:
    cheap_passwords(node)


@pytest.fixture
def anybody(node: Node) -> Caller:
    """Who has no token yet."""
    return node.caller()


async def register(caller: Caller, name: str = "ann") -> int:
    return int((await caller.post("/user/register/v2", {"username": name, **SECRET})).data["user_id"])


class TestRegister:
    """POST /user/register/v2."""

    async def test_makes_a_user(self, anybody: Caller) -> None:
        """With only the `app_id` header; ids are the server's own."""
        told = (await anybody.post("/user/register/v2", {"username": "ann", **SECRET})).data
        assert told["username"] == "ann"
        assert told["user_id"] > 10**12

    async def test_taken(self, anybody: Caller) -> None:
        """A name is taken once, `system` by the app itself: 10004."""
        await register(anybody)
        for name in ("ann", "system"):
            assert (await anybody.post("/user/register/v2", {"username": name, **SECRET})).refused(
                10004, name
            )

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        "name", ["", "12345", "a b", "ünn", "a-b", "maxim1", "MTAx", "x" * 65, "a\n", "\uff11\uff12a"]
    )
    async def test_names_that_may_not_be(self, anybody: Caller, name: str) -> None:
        """Letters, digits and _ only, not digits alone, no reserved start, at most 64."""
        assert (await anybody.post("/user/register/v2", {"username": name, **SECRET})).refused(
            10002, "username"
        )

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("password", ["", "x" * 257, "ü" * 129])
    async def test_passwords_that_may_not_be(self, anybody: Caller, password: str) -> None:
        """1 to 256 bytes; the limit is named."""
        body = {"username": "ann", "password": password}
        assert (await anybody.post("/user/register/v2", body)).refused(10002, "password", "256")

    @pytest.mark.parametrize("missing", ["username", "password"])
    async def test_required(self, anybody: Caller, missing: str) -> None:
        """Missing, null or of another type it is refused by name."""
        for value in (None, 1, ["x"]):
            body = {"username": "ann", **SECRET, missing: value}
            assert (await anybody.post("/user/register/v2", body)).refused(10002, missing)

    async def test_without_an_app(self, node: Node) -> None:
        """10002 by name without one, 40000 with an unknown one."""
        body = {"username": "ann", **SECRET}
        assert (await node.caller(None).post("/user/register/v2", body)).refused(10002, "app_id")
        assert (await node.caller("nobody").post("/user/register/v2", body)).refused(40000)

    async def test_the_password_is_not_kept(self, node: Node, anybody: Caller) -> None:
        """The store has a record of it, not the password."""
        await register(anybody)
        [(record,)] = node.rows("SELECT password FROM user WHERE name = 'ann'")
        assert record.startswith("$scrypt$")
        assert SECRET["password"] not in record


class TestLogin:
    """POST /token/user and /token/id."""

    async def test_by_name_and_by_id(self, anybody: Caller) -> None:
        """Both give a token of that user, good until `expire` (ms since 1970)."""
        xid = await register(anybody)
        for path, who in (("/token/user", {"name": "ann"}), ("/token/id", {"user_id": str(xid)})):
            told = (await anybody.post(path, {**who, **SECRET, "device_guid": "g"})).data
            assert told["user_id"] == xid
            assert told["expire"] > time.time_ns() // 1_000_000
            logged_in = anybody.node.caller("demo", told["token"])
            await logged_in.send(ALICE)
            assert (await logged_in.page(ALICE))["messages"][0]["from_xid"]["uid"] == xid

    async def test_shape(self, anybody: Caller) -> None:
        """The members of vendors.md §1.4, all of them."""
        await register(anybody)
        told = (await anybody.post("/token/user", {"name": "ann", **SECRET})).data
        assert set(told) == {
            *("token", "user_id", "expire", "public_key", "encrypt_type"),
            *("store_token", "access_key_secret", "push_token"),
        }

    async def test_what_is_wrong_is_not_told(self, anybody: Caller) -> None:
        """A wrong password and no such user are one answer in an open app: 10010."""
        xid = await register(anybody)
        answers = [
            await anybody.post("/token/user", {"name": "ann", "password": "wrong"}),
            await anybody.post("/token/user", {"name": "nobody", "password": "wrong"}),
            await anybody.post("/token/id", {"user_id": xid, "password": "wrong"}),
            await anybody.post("/token/id", {"user_id": 4711, "password": "wrong"}),
        ]
        assert len({answer.body for answer in answers}) == 1
        assert answers[0].refused(10010)

    async def test_a_user_without_a_password(self, anybody: Caller, alice: Caller) -> None:
        """Who was made by being named cannot log in, nor can `system` or a group."""
        [system] = [(await anybody.node.admin()).xid]
        for xid in (ALICE, system, await alice.group()):
            for password in ("x", " "):
                assert (await anybody.post("/token/id", {"user_id": xid, "password": password})).refused(
                    10010
                )

    async def test_of_a_registered_app(self, node: Node) -> None:
        """Where registration is required an unknown user is told as such: 10000; a wrong password is not."""
        await node.gateway.directory.create_app("strict", registered=True)
        anybody = node.caller("strict")
        await register(anybody)
        assert (await anybody.post("/token/user", {"name": "nobody", **SECRET})).refused(10000)
        assert (await anybody.post("/token/user", {"name": "ann", "password": "x"})).refused(10010)

    async def test_of_another_app(self, node: Node, anybody: Caller) -> None:
        """A name and its password are good in their own app."""
        xid = await register(anybody)
        await node.gateway.directory.create_app("other")
        elsewhere = node.caller("other")
        assert (await elsewhere.post("/token/user", {"name": "ann", **SECRET})).refused(10010)
        assert (await elsewhere.post("/token/id", {"user_id": xid, **SECRET})).refused(10010)

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("name", ["' OR 1=1 --", "ann\u0000", "ANN", "a" * 65, "ünn"])
    async def test_odd_names(self, anybody: Caller, name: str) -> None:
        """Whatever the name, it is refused and no more."""
        await register(anybody)
        assert (await anybody.post("/token/user", {"name": name, **SECRET})).code in {10002, 10010}

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("header", ["access-token", "user_id", "group_id"])
    async def test_other_headers_do_not_matter(self, anybody: Caller, header: str) -> None:
        """These calls have no principal: what stands in the other headers is not looked at."""
        await register(anybody)
        anybody.headers[header] = "x"
        assert (await anybody.post("/token/user", {"name": "ann", **SECRET})).code == 200
