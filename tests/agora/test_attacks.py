"""What nobody comes by in this dialect, however it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.domain.limits import Limits
from gateway.edge.facades.agora.routes import ROUTES
from tests.agora.stage import Cloud, open_cloud
from tests.rest.stage import Json
from tests.rest.test_limits import limit

TEXT: Json = {"type": "txt", "body": {"msg": "hi"}}
TAKEN = "duplicate_unique_property_exists"


@pytest.fixture
async def open_door(tmp_path: Path) -> AsyncIterator[Cloud]:
    """A gateway where anybody may register."""
    async with open_cloud(
        tmp_path / "data", Limits(group_call_users_max=3), open_registration=True
    ) as opened:
        yield opened


class TestRegistering:
    """POST /users."""

    @pytest.mark.parametrize("token", [None, ""])
    async def test_the_reserved_user_is_nobodys(self, open_door: Cloud, token: str | None) -> None:
        """Neither by its name nor by its number, nor for the app's own token: it speaks for the app."""
        app = await open_door.node.gateway.store.app("demo")
        assert app is not None
        for name in ("system", "SYSTEM", str(app.system_xid), "admin"):
            answer = await open_door.post("/users", {"username": name, "password": "x"}, token=token)
            assert answer.status == 400, name
        login = {"app_id": "demo"}
        async with open_door.node.http.post(
            f"{open_door.node.url}/token/user", json={"username": "system", "password": "x"}, headers=login
        ) as response:
            assert "token" not in str((await response.json()).get("data"))

    async def test_who_is_there_is_nobodys_who_has_no_token(self, open_door: Cloud) -> None:
        """Somebody who was named may be known by tokens alone; the app's backend may give them a password."""
        await open_door.send("ann")
        account = {"username": "ann", "password": "x"}
        assert (await open_door.post("/users", account, token="")).refused(400, TAKEN, "value of ann exists")
        assert (await open_door.post("/users", account)).status == 200
        new = {"username": "bob", "password": "x"}
        assert (await open_door.post("/users", new, token="")).status == 200

    async def test_no_password_is_worked_on_for_what_is_refused(
        self, open_door: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The work is what an attack would be after."""

        async def worked(_password: str, _app: int) -> str:
            raise AssertionError

        await open_door.users("ann")
        monkeypatch.setattr(open_door.node.gateway.directory.passwords, "record", worked)
        for names in (["ann"], ["new", "new"]):
            asked = [{"username": name, "password": "x"} for name in names]
            assert (await open_door.post("/users", asked)).refused(400, TAKEN, f"value of {names[0]} exists")


class TestNames:
    """Whom a call names."""

    async def test_a_uuid_in_capitals_is_the_same_user(self, cloud: Cloud) -> None:
        """And none is made whose name looks like another's UUID."""
        await cloud.users("ann")
        uuid = (await cloud.get("/users/ann")).entities[0]["uuid"]
        assert (await cloud.get(f"/users/{uuid.upper()}")).entities[0]["username"] == "ann"
        assert [user["username"] for user in (await cloud.get("/users")).entities] == ["ann"]

    async def test_the_apps_uuid_is_nobodys_name(self, cloud: Cloud) -> None:
        """It looks like a user's: nobody is registered by it, or comes into being."""
        uuid = (await cloud.get("/users")).told["application"]
        answer = await cloud.post("/users", {"username": uuid, "password": "x"})
        assert answer.refused(400, "illegal_argument", "username")
        answer = await cloud.post("/messages/users", {"to": [uuid], **TEXT})
        assert answer.refused(404, "service_resource_not_found")

    async def test_a_users_token_is_for_little(self, cloud: Cloud) -> None:
        """Every call but those on files and on the user itself is refused, before what is asked is looked at."""
        await cloud.users("ann")
        grant = {"grant_type": "password", "username": "ann", "password": "ann"}
        token = (await cloud.post("/token", grant, token="")).told["access_token"]
        refused = 0
        for verb, path, _ in ROUTES:
            if path in {"token", "chatfiles", "chatfiles/*"}:
                continue
            answer = await cloud.call(verb, f"/{path.replace('*', '5')}", b"{", token=token)
            refused += answer.refused(401, "unauthorized", "Unable to authenticate")
        assert refused > 70
        answer = await cloud.post("/token", {"grant_type": "inherit", "username": "ann"}, token=token)
        assert answer.refused(401, "unauthorized", "Unable to authenticate")

    async def test_admin_in_capitals_is_the_administrator(self, cloud: Cloud) -> None:
        """Names are in lower case, also where they are the sender's."""
        assert (await cloud.send("ann", sender="Admin")).keys() == {"ann"}

    async def test_a_users_token_makes_nobody(self, cloud: Cloud) -> None:
        """Nor does it tell who is there: asking for others is refused alike."""
        await cloud.users("ann", "bob")
        grant = {"grant_type": "password", "username": "ann", "password": "ann"}
        token = (await cloud.post("/token", grant, token="")).told["access_token"]
        assert (await cloud.get("/users/ann", token=token)).status == 200
        for name in ("bob", "nobody", "admin"):
            assert (await cloud.get(f"/users/{name}", token=token)).refused(401, "unauthorized")
        assert [user["username"] for user in (await cloud.get("/users")).entities] == ["ann", "bob"]

    @pytest.mark.parametrize(
        ("path", "asked", "member"),
        [
            ("/chatgroups", {"owner": "ann", "groupname": "g"}, "members"),
            ("/chatrooms", {"owner": "ann", "name": "r"}, "members"),
            ("/users/ann/blocks/users", {}, "usernames"),
        ],
    )
    async def test_a_long_list_makes_nobody(
        self, open_door: Cloud, path: str, asked: Json, member: str
    ) -> None:
        """Each of them would be a user of its own; as many as may be are fine."""
        await open_door.users("ann")
        names = [f"u{n}" for n in range(61)]
        assert (await open_door.post(path, {**asked, member: names})).refused(400, "illegal_argument", member)
        assert len((await open_door.get("/users?limit=100")).entities) == 1
        assert (await open_door.post(path, {**asked, member: names[:3]})).status == 200


async def test_what_is_too_large_makes_nobody(open_door: Cloud) -> None:
    """Whom it goes to would be a user of its own; by what the app lets pass they are."""
    await limit(open_door.node, message_bytes_max=40)
    asked: Json = {"to": ["bob"], **TEXT}
    large = asked | {"body": {"msg": "x" * 41}}
    assert (await open_door.post("/messages/users", large)).status == 400
    assert (await open_door.get("/users?limit=100")).entities == []
    assert (await open_door.post("/messages/users", asked)).status == 200
    assert [one["username"] for one in (await open_door.get("/users?limit=100")).entities] == ["bob"]


class TestOddMembers:
    """Members of a body that are of another kind than they should be."""

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("odd", [[], {}, 1, True])
    async def test_a_type_that_is_no_string(self, cloud: Cloud, odd: object) -> None:
        """It is refused like one that there is not."""
        answer = await cloud.post("/messages/users", {"to": ["ann"], **TEXT, "type": odd})
        assert answer.refused(400, "message_send_error", "param type can't be empty")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5_000])
    @pytest.mark.parametrize(
        ("member", "inside"),
        [
            ("from", "{}"),
            ("to", "[{}]"),
            ("type", "{}"),
            ("env", '{{"deep": [{}]}}'),
            ("sync_device", "{}"),
            ("customEvent", "{}"),
            ("customExts", '{{"a": {}}}'),
        ],
    )
    async def test_a_number_out_of_range(self, cloud: Cloud, member: str, inside: str, number: str) -> None:
        """Is named with its member, wherever that is looked into."""
        told = f'"{member}": {inside.format(number)}'
        body = f'{{"k": 1, {told}}}' if member.startswith("custom") else '{"k": 1}'
        asked = f'{{"to": ["ann"], "type": "custom", "body": {body}, {told}}}'
        answer = await cloud.post("/messages/users", asked.encode())
        assert answer.refused(400, "illegal_argument", f"{member}: a number in it is out of range")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("odd", [[], {}, 1, "urgent"])
    async def test_a_level_that_is_none(self, cloud: Cloud, odd: object) -> None:
        """Named, and nothing is sent."""
        answer = await cloud.post("/messages/chatrooms", {"to": ["1"], **TEXT, "chatroom_msg_level": odd})
        assert answer.refused(400, "illegal_argument", "chatroom_msg_level")
