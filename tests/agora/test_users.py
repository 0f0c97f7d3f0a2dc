"""Users of an app as its backend sees and handles them (agora.md, Around them; vendors.md §3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.core.presence import Presence
from tests.agora.stage import Answer, Cloud
from tests.rest.stage import Json

GONE = (404, "service_resource_not_found")
OF_ONE = (
    "GET ", "PUT ", "DELETE ", "PUT /password", "GET /status", "GET /offline_msg_count",
    "GET /offline_msg_status/1", "POST /activate", "POST /deactivate", "POST /disconnect", "GET /contacts/users",
    "GET /blocks/users", "POST /blocks/users", "GET /joined_chatgroups", "GET /joined_chatrooms",
)  # fmt: skip
"""The calls about one user, by verb and what follows the name."""

KICKED, FROZEN = 4506, 4507
"""Why a device's connection is closed."""


async def entity(cloud: Cloud, name: str) -> Json:
    [found] = (await cloud.get(f"/users/{name}")).entities
    told: Json = found
    return told


class TestAccounts:
    """Making, showing, changing and deleting them."""

    async def test_one(self, cloud: Cloud) -> None:
        """An entity with these members, its name in lower case; the same when asked for, by name or UUID."""
        [made] = (await cloud.post("/users/", {"username": "Zoe", "password": "p", "nickname": "Z"})).entities
        assert made == {
            "uuid": made["uuid"], "type": "user", "created": made["created"], "modified": made["created"],
            "username": "zoe", "activated": True, "nickname": "Z",
        }  # fmt: skip
        assert type(made["created"]) is int
        for name in ("zoe", "ZOE/", "zoe?", made["uuid"]):
            assert await entity(cloud, name) == made

    async def test_all_or_none(self, cloud: Cloud) -> None:
        """With the name that is taken; nobody has come into being, nor does it by being asked for."""
        await cloud.users("ann")
        for other in ("ann", "ZOE"):
            answer = await cloud.post(
                "/users", [{"username": name, "password": "p"} for name in ("zoe", other)]
            )
            assert answer.refused(400, "duplicate_unique_property_exists", f"value of {other.lower()} exists")
        assert (await cloud.get("/users/zoe")).refused(*GONE)

    @pytest.mark.parametrize("count", [0, 61])
    async def test_how_many(self, cloud: Cloud, count: int) -> None:
        """1 to 60."""
        answer = await cloud.post("/users", [{"username": f"u{n}", "password": "p"} for n in range(count)])
        assert answer.refused(400, "illegal_argument", "1 to 60")

    async def test_pages(self, cloud: Cloud) -> None:
        """By a cursor, which the last page has not; each user once."""
        await cloud.users(*(f"u{number}" for number in range(5)))
        names, cursor = [], ""
        for _ in range(3):
            told = (await cloud.get(f"/users?limit=2{cursor}")).told
            assert told["count"] == len(told["entities"])
            names += [user["username"] for user in told["entities"]]
            cursor = f"&cursor={told['cursor']}" if "cursor" in told else ""
        assert (names, cursor) == ([f"u{number}" for number in range(5)], "")

    async def test_a_page_is_read_at_once(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        """What its users are called is not asked for user by user."""
        await cloud.post("/users", [{"username": n, "password": "p", "nickname": n.upper()} for n in "abc"])
        monkeypatch.setattr(type(cloud.node.gateway.store), "profile", None, raising=False)
        assert [user.get("nickname") for user in (await cloud.get("/users")).entities] == ["A", "B", "C"]

    async def test_a_new_password(self, cloud: Cloud) -> None:
        """Is the one from then on."""
        await cloud.users("ann")
        told = (await cloud.put("/users/ann/password", {"newpassword": "new"})).told
        assert told["action"] == "set user password"
        for password, status in (("ann", 400), ("new", 200)):
            asked = {"grant_type": "password", "username": "ann", "password": password}
            assert (await cloud.post("/token", asked, token="")).status == status

    async def test_a_long_password(self, cloud: Cloud) -> None:
        """Has 64 characters at the most, whatever they are."""
        await cloud.users("ann")
        longest = "ß" * 64
        assert (await cloud.put("/users/ann/password", {"newpassword": longest})).status == 200
        asked = {"grant_type": "password", "username": "ann", "password": longest}
        assert (await cloud.post("/token", asked, token="")).status == 200
        for answer in (
            await cloud.put("/users/ann/password", {"newpassword": longest + "x"}),
            await cloud.post("/users", {"username": "bob", "password": longest + "x"}),
        ):
            assert answer.refused(400, "illegal_argument", "not have more than 64 characters")

    async def test_a_nickname(self, cloud: Cloud) -> None:
        """Is told from then on; an empty one is none."""
        await cloud.users("ann")
        assert (await cloud.put("/users/ann", {"nickname": "A"})).entities[0]["nickname"] == "A"
        assert (await entity(cloud, "ann"))["nickname"] == "A"
        assert "nickname" not in (await cloud.put("/users/ann", {"nickname": ""})).entities[0]

    async def test_deleted(self, cloud: Cloud) -> None:
        """Told once more, and gone."""
        await cloud.users("ann")
        told = await entity(cloud, "ann")
        assert (await cloud.delete("/users/ann", {"ignored": True})).entities == [told]
        assert (await cloud.get("/users/ann")).refused(*GONE)
        assert (await cloud.delete("/users/ann")).refused(*GONE)

    async def test_in_bulk(self, cloud: Cloud) -> None:
        """Nobody is deleted who is not named."""
        await cloud.users("ann")
        for query in ("", "?limit=10"):
            assert (await cloud.delete(f"/users{query}")).refused(403, "forbidden_op")
        assert (await entity(cloud, "ann"))["username"] == "ann"

    async def test_nobody(self, cloud: Cloud) -> None:
        """Is nobody to every call, also in an app where users come into being by being written to."""
        body = {"newpassword": "p", "nickname": "n", "usernames": ["ann"]}
        for call in OF_ONE:
            verb, _, path = call.partition(" ")
            assert (await cloud.call(verb, f"/users/zoe{path}", body)).refused(*GONE), call
        for verb in ("GET", "PUT", "DELETE"):
            assert (await cloud.call(verb, "/metadata/user/zoe", body)).refused(*GONE), verb
        assert (await cloud.get("/users")).entities == []


class TestDevices:
    """What is told of them, and done to them."""

    async def test_status(self, cloud: Cloud) -> None:
        """Online while a device is connected, to whichever node; who is nobody is offline in a batch."""
        await cloud.users("ann", "bob")
        ann = await cloud.phone("ann")
        async with ann.device(1) as device:
            await device.hear("live")
            assert (await cloud.get("/users/ann/status")).data == {"ann": "online"}
            told = await cloud.post("/users/batch/status", {"usernames": ["ann", "bob", "zoe"]})
            assert told.data == [{"ann": "online"}, {"bob": "offline"}, {"zoe": "offline"}]
            told = await cloud.post("/users/batch/status", {"usernames": ["zoe", "bob", "ANN", "ann"]})
            assert [list(one.values()) for one in told.data] == [["offline"]] * 2 + [["online"]] * 2
        assert (await cloud.get("/users/bob/status")).data == {"bob": "offline"}

    @pytest.mark.one_node("counts what one node asks its store")
    async def test_status_of_many(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        """The store is asked once for all of them."""
        names = [f"user{number}" for number in range(60)]
        await cloud.users(*names)
        asked: list[int] = []
        present = Presence.present

        async def counted(presence: Presence, user_ids: Sequence[int]) -> set[int]:
            asked.append(len(user_ids))
            return await present(presence, user_ids)

        monkeypatch.setattr(Presence, "present", counted)
        told = await cloud.post("/users/batch/status", {"usernames": [*names, "zoe"]})
        assert told.data == [{name: "offline"} for name in (*names, "zoe")]
        assert asked == [60]

    @pytest.mark.parametrize("verb", ["GET", "POST"])
    async def test_disconnected(self, cloud: Cloud, verb: str) -> None:
        """The device is told to go; it may come back."""
        await cloud.users("ann")
        ann = await cloud.phone("ann")
        async with ann.device(1) as device:
            await device.hear("live")
            assert (await cloud.call(verb, "/users/ann/disconnect")).data == {"result": True}
            assert (await device.hear("bye"))[-1]["code"] == KICKED
        again = await cloud.phone("ann")
        async with again.device(1) as device:
            await device.hear("live")

    async def test_deactivated(self, cloud: Cloud) -> None:
        """The device is told to go, and no token is had until the user is activated again."""
        await cloud.users("ann")
        ann = await cloud.phone("ann")
        asked = {"grant_type": "password", "username": "ann", "password": "ann"}
        async with ann.device(1) as device:
            await device.hear("live")
            [told] = (await cloud.post("/users/ann/deactivate")).entities
            assert (told["username"], told["activated"]) == ("ann", False)
            assert (await device.hear("bye"))[-1]["code"] == FROZEN
        assert (await entity(cloud, "ann"))["activated"] is False
        assert (await cloud.post("/token", asked, token="")).refused(401, "unauthorized")
        assert (await cloud.post("/users/ann/activate")).told["action"] == "activate user"
        assert (await entity(cloud, "ann"))["activated"] is True
        assert (await cloud.post("/token", asked, token="")).status == 200

    async def test_what_waits(self, cloud: Cloud) -> None:
        """Counted, and told of each message, until a device has got it."""
        await cloud.users("ann", "bob")
        [first] = (await cloud.send("bob", sender="ann")).values()
        [second] = (await cloud.send("bob", sender="ann")).values()

        async def told(name: str) -> tuple[int, list[str]]:
            count = (await cloud.get(f"/users/{name}/offline_msg_count")).data[name]
            found = [
                (await cloud.get(f"/users/{name}/offline_msg_status/{msg_id}")).data
                for msg_id in (first, second, "999")
            ]
            return count, [each[msg_id] for each, msg_id in zip(found, (first, second, "999"), strict=True)]

        assert await told("bob") == (2, ["undelivered", "undelivered", "delivered"])
        assert await told("ann") == (0, ["delivered"] * 3)
        bob = await cloud.phone("bob")
        async with bob.device(1) as device:
            frames = [frame for frame in await device.hear("live") if frame["op"] == "message"]
            await device.ack(frames[0]["timeline"], frames[0]["seq"])
            assert await told("bob") == (1, ["delivered", "undelivered", "delivered"])


class TestLists:
    """Contacts, blocks and metadata."""

    async def test_contacts(self, cloud: Cloud) -> None:
        """Each is the other's; both calls tell of the other as an entity."""
        await cloud.users("ann", "bob")
        bob = await entity(cloud, "bob")
        for _ in range(2):
            assert (await cloud.post("/users/ann/contacts/users/bob/")).entities == [bob]
        for name, other in (("ann", "bob"), ("bob", "ann")):
            told = (await cloud.get(f"/users/{name}/contacts/users")).told
            assert (told["data"], told["count"]) == ([other], 1)
        assert (await cloud.delete("/users/ann/contacts/users/bob")).entities == [bob]
        assert (await cloud.get("/users/bob/contacts/users")).data == []

    async def test_blocks(self, cloud: Cloud) -> None:
        """Bind the device of who is blocked, and not what the backend sends."""
        await cloud.users("ann", "bob")
        ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
        order: Json = {"type": 1, "targets": [ann.xid], "content_type": 0, "content": "x"}
        assert (await cloud.post("/users/ann/blocks/users/", {"usernames": ["BOB"]})).data == ["bob"]
        assert (await cloud.get("/users/ann/blocks/users/")).data == ["bob"]
        async with bob.device(1) as device:
            await device.hear("live")
            assert (await device.ask("send", **order))["op"] == "error"
            assert list(await cloud.send("ann", sender="bob")) == ["ann"]
            assert (await cloud.delete("/users/ann/blocks/users/bob")).entities[0]["username"] == "bob"
            assert (await device.ask("send", **order))["op"] == "ok"

    @pytest.mark.parametrize("label", ["application/x-www-form-urlencoded", "application/json", "text/plain"])
    async def test_metadata(self, cloud: Cloud, label: str) -> None:
        """A form or JSON, whatever the label says; what is told stays until it is told otherwise."""
        await cloud.users("ann")
        headers = {"Content-Type": label}

        async def put(body: object) -> Answer:
            return await cloud.put("/metadata/user/ann", body, headers=headers)

        assert (await put(b"avatar=http%3A%2F%2Fx&ext=a+b")).data == {"avatar": "http://x", "ext": "a b"}
        held = {"avatar": "http://x", "ext": "a b", "nick": "A"}
        assert (await put({"nick": "A"})).data == held
        assert (await cloud.get("/metadata/user/ann")).data == held
        asked = {"targets": ["ann", "zoe"], "properties": ["nick"]}
        assert (await cloud.post("/metadata/user/get", asked)).data == {"ann": {"nick": "A"}}
        assert (await put(b"[1]")).refused(400, "invalid_request_body")
        assert (await cloud.delete("/metadata/user/ann")).data is True
        assert (await cloud.get("/metadata/user/ann")).data == {}
