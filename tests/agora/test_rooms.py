"""Chatrooms as a backend keeps them (agora.md, Around them; vendors.md §3.7)."""

from __future__ import annotations

import pytest

from tests.agora.stage import Cloud

GONE = (404, "service_resource_not_found")


async def test_made_and_shown(cloud: Cloud) -> None:
    """With all that was said of it; a list has less of each, by pages."""
    asked = {"name": "r", "description": "d", "maxusers": 50, "owner": "Ann", "members": ["bob"]}
    data = (await cloud.post("/chatrooms/", asked)).data
    assert set(data) == {"id"}
    [told] = (await cloud.get(f"/chatrooms/{data['id']}/")).data
    assert told == {
        "id": data["id"], "name": "r", "description": "d", "membersonly": False, "allowinvites": False,
        "maxusers": 50, "owner": "ann", "created": told["created"], "affiliations_count": 2,
        "affiliations": [{"member": "bob"}, {"owner": "ann"}], "public": True,
    }  # fmt: skip
    other, group = await cloud.room(), await cloud.group()
    first = (await cloud.get("/chatrooms?limit=1")).told
    assert first["data"] == [{"id": data["id"], "name": "r", "owner": "ann", "affiliations_count": 2}]
    last = (await cloud.get(f"/chatrooms?limit=1&cursor={first['cursor']}")).told
    assert [room["id"] for room in last["data"]] == [other]
    assert "cursor" not in last
    assert (await cloud.get(f"/chatrooms/{group}")).refused(*GONE)


async def test_changed_and_ended(cloud: Cloud) -> None:
    """Its name is told back as a group's."""
    room = await cloud.room()
    asked = {"name": "n", "description": "d", "maxusers": 5}
    told = (await cloud.put(f"/chatrooms/{room}", asked)).data
    assert told == {"groupname": True, "description": True, "maxusers": True}
    [shown] = (await cloud.get(f"/chatrooms/{room}")).data
    assert (shown["name"], shown["description"], shown["maxusers"]) == ("n", "d", 5)
    assert (await cloud.delete(f"/chatrooms/{room}")).data == {"success": True, "id": room}
    assert (await cloud.delete(f"/chatrooms/{room}")).refused(*GONE)


async def test_members(cloud: Cloud) -> None:
    """Are listed rows: added and removed, one or many, told of one by one."""
    room = await cloud.room()
    path, told = f"/chatrooms/{room}/users", {"id": room, "action": "add_member"}
    assert (await cloud.post(f"{path}/bob")).data == {"result": True, **told, "user": "bob"}
    many = await cloud.post(path, {"usernames": ["cid", "no name!"]})
    assert many.data == {"newmembers": ["cid"], **told}
    page = (await cloud.get(f"{path}?pagenum=1&pagesize=2")).told
    assert (page["data"], page["count"]) == ([{"owner": "ann"}, {"member": "bob"}], 2)
    assert (await cloud.get("/users/bob/joined_chatrooms")).data == [{"id": room, "name": "r"}]
    told["action"] = "remove_member"
    assert (await cloud.delete(f"{path}/bob")).data == {"result": True, **told, "user": "bob"}
    assert (await cloud.delete(f"{path}/bob")).refused(403, "forbidden_op", "users [bob] are not members")
    strange = {name: f"user: {name} doesn't exist in group: {room}" for name in ("bob", "no name!")}
    assert (await cloud.delete(f"{path}/cid,bob,no%20name!")).data == [
        {"result": True, **told, "user": "cid"},
        *({"result": False, **told, "user": name, "reason": why} for name, why in strange.items()),
    ]


async def test_a_page_counts_at_once(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is listed, and who is connected and has come in, each once; not list by list."""
    rooms = [await cloud.room(), await cloud.room()]
    for name in ("bob", "cid"):
        await cloud.post(f"/chatrooms/{rooms[0]}/users/{name}")
    monkeypatch.setattr(type(cloud.node.gateway.store), "listed", None, raising=False)
    bob, dan = await cloud.phone("bob"), await cloud.phone("dan")
    async with bob.device(1) as first, dan.device(1) as second:
        for device in (first, second):
            await device.hear("live")
            assert (await device.ask("join", room_id=int(rooms[0])))["op"] == "ok"
        data = (await cloud.get("/chatrooms")).data
    assert [(room["id"], room["affiliations_count"]) for room in data] == [(rooms[0], 4), (rooms[1], 1)]


async def test_the_owner_stays(cloud: Cloud) -> None:
    """And with it whoever was named beside it."""
    room = await cloud.room()
    path = f"/chatrooms/{room}/users"
    await cloud.post(f"{path}/bob")
    for names in ("ann", "bob,ann"):
        assert (await cloud.delete(f"{path}/{names}")).refused(403, "forbidden_op")
    assert (await cloud.get(path)).data == [{"owner": "ann"}, {"member": "bob"}]
    assert (await cloud.get("/users/ann/joined_chatrooms")).data == [{"id": room, "name": "r"}]


async def test_who_hears(cloud: Cloud) -> None:
    """Is who is connected and has come in; a listed row alone hears nothing, and who is removed is put out."""
    room = await cloud.room()
    await cloud.post(f"/chatrooms/{room}/users", {"usernames": ["bob", "cid"]})
    bob, cid = await cloud.phone("bob"), await cloud.phone("cid")
    async with bob.device(1) as inside, cid.device(1) as outside:
        await inside.hear("live")
        await outside.hear("live")
        assert (await inside.ask("join", room_id=int(room)))["op"] == "ok"
        await cloud.tell("chatrooms", [room], sender="ann", text="heard")
        assert (await inside.hear("message"))[-1]["message"]["content"] == "heard"
        await cloud.send("cid", sender="ann", text="first")
        assert (await outside.hear("message"))[-1]["message"]["content"] == "first"
        assert (await cloud.delete(f"/chatrooms/{room}/users/bob")).data["result"] is True
        await cloud.tell("chatrooms", [room], sender="ann", text="missed")
        await cloud.send("bob", sender="ann", text="after")
        heard = [frame for frame in await inside.hear("message") if frame["op"] == "message"]
        assert [frame["message"]["content"] for frame in heard] == ["after"]
