"""Messages of a backend to users, groups and chatrooms (agora.md, The seed's calls)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.limits import Limits
from tests.agora.stage import Cloud, open_cloud
from tests.rest.stage import Json

TEXT: Json = {"type": "txt", "body": {"msg": "hi"}}


class TestToUsers:
    """POST /messages/users."""

    async def test_each_target_gets_a_message(self, cloud: Cloud) -> None:
        """Told by name as it was written, with the id as a decimal string; one named twice gets one."""
        answer = await cloud.post("/messages/users", {"from": "ann", "to": ["bob", "Cid", "bob"], **TEXT})
        data = answer.data
        assert set(data) == {"bob", "Cid"}
        assert all(isinstance(msg_id, str) and int(msg_id) > 0 for msg_id in data.values())
        assert answer.told["path"] == "/messages/users"
        assert answer.told["action"] == "post"

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("asked", "described"),
        [
            ({"from": ""}, "param from can't be empty"),
            ({"to": None}, "param to can't be empty"),
            ({"to": []}, "param to can't be empty"),
            ({"to": [f"u{n}" for n in range(601)]}, "params to's size can't exceed limit 600"),
            ({"type": None}, "param type can't be empty"),
            ({"type": "gif"}, "param type can't be empty"),
            ({"body": None}, "param body can't be empty"),
            ({"body": {}}, "param body can't be empty"),
            ({"body": "hi"}, "param body can't be empty"),
            ({"ext": "x"}, "param ext must be JSONObject"),
        ],
    )
    async def test_what_is_wrong_is_told_in_the_vendors_words(
        self, cloud: Cloud, asked: Json, described: str
    ) -> None:
        """And nothing is sent."""
        whole = {"from": "ann", "to": ["bob"], **TEXT, **asked}
        assert (await cloud.post("/messages/users", whole)).refused(400, "message_send_error", described)

    async def test_it_is_too_large(self, cloud: Cloud) -> None:
        """Body and ext together; exactly as much as may be is fine."""
        room = 5_120 - len('{"msg": ""}') - len('{"a": "b"}')
        fits, answer = [
            await cloud.post(
                "/messages/users",
                {"to": ["bob"], "type": "txt", "body": {"msg": "x" * (room + more)}, "ext": {"a": "b"}},
            )
            for more in (0, 1)
        ]
        assert fits.status == 200
        assert answer.refused(413, "message_send_error", "message is too large")
        assert answer.json["error_code"] == 14007
        assert answer.json["exception"] == "MessageSendException"

    async def test_an_ext_is_too_large(self, tmp_path: Path) -> None:
        """Where a message may have more, `ext` may have as much as the core keeps of it."""
        async with open_cloud(tmp_path / "other", message_bytes_max=65_536) as cloud:
            room = Limits().ext_bytes_max - len('{"a": ""}')
            fits, answer = [
                await cloud.post(
                    "/messages/users", {"to": ["bob"], **TEXT, "ext": {"a": "x" * (room + more)}}
                )
                for more in (0, 1)
            ]
        assert fits.status == 200
        assert answer.refused(413, "message_send_error", "message is too large")

    async def test_what_is_only_kept_is_too_large(self, cloud: Cloud) -> None:
        """It is no part of `body` and `ext`, but bounded too."""
        room = Limits().config_bytes_max - len('{"type":"txt","env":""}')
        fits, answer = [
            await cloud.post("/messages/users", {"to": ["bob"], **TEXT, "env": "x" * (room + more)})
            for more in (0, 1)
        ]
        assert fits.status == 200
        assert answer.refused(413, "message_send_error", "message is too large")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("road", "wrong"),
        [
            ("users", {"sync_device": "perhaps"}),
            ("chatgroups", {"sync_device": "perhaps"}),
            ("chatgroups", {"roam_ignore_users": "bob"}),
            ("chatrooms", {"chatroom_msg_level": "urgent"}),
        ],
    )
    async def test_what_is_wrong_makes_nobody(self, cloud: Cloud, road: str, wrong: Json) -> None:
        """Neither sender nor targets come into being by what is refused, whichever member it is."""
        asked = {"from": "ann", "to": ["bob"], **TEXT, **wrong}
        assert (await cloud.post(f"/messages/{road}", asked)).refused(400, "illegal_argument")
        answer = await cloud.post(
            f"/messages/{road}", {**asked, **dict.fromkeys(wrong)}, headers={"X-Transaction-Id": "x"}
        )
        assert answer.refused(400, "illegal_argument")
        assert (await cloud.get("/users")).entities == []

    async def test_nobody_is_admin(self, cloud: Cloud) -> None:
        """Without a sender the receiver alone sees it; the app's administrator receives nothing."""
        assert set(await cloud.send("bob")) == {"bob"}
        assert set(await cloud.send("admin", "bob")) == {"bob"}
        answer = await cloud.post("/messages/users", {"to": ["admin"], **TEXT})
        assert answer.refused(404, "service_resource_not_found")

    async def test_names_that_can_be_none_are_left_out(self, cloud: Cloud) -> None:
        """Where there is another; else there is nobody."""
        assert set(await cloud.send("bob", "no name!")) == {"bob"}
        answer = await cloud.post("/messages/users", {"to": ["no name!"], **TEXT})
        assert answer.refused(404, "service_resource_not_found")

    async def test_a_repeat_by_transaction(self, cloud: Cloud) -> None:
        """Gets its first answer, name by name; another content is a conflict."""
        header = {"X-Transaction-Id": "77"}
        asked = {"from": "ann", "to": ["bob", "cid"], **TEXT}
        first = (await cloud.post("/messages/users", asked, headers=header)).data
        assert (await cloud.post("/messages/users", asked, headers=header)).data == first
        other = await cloud.post("/messages/users", {**asked, "body": {"msg": "ho"}}, headers=header)
        assert other.refused(409, "illegal_argument")


class TestToGroups:
    """POST /messages/chatgroups and /messages/chatrooms."""

    async def test_a_group(self, cloud: Cloud) -> None:
        """Whoever is named may send; groups that are not there are left out."""
        created = await cloud.post("/chatgroups", {"groupname": "g", "owner": "ann", "members": ["bob"]})
        group = created.data["groupid"]
        asked = {"from": "zoe", "to": [group, "99"], **TEXT}
        assert set((await cloud.post("/messages/chatgroups", asked)).data) == {group}
        answer = await cloud.post("/messages/chatrooms", asked)
        assert answer.refused(404, "service_resource_not_found")
        shown = (await cloud.get(f"/chatgroups/{group}")).data
        assert shown[0]["affiliations"] == [{"member": "bob"}, {"owner": "ann"}]
        assert shown[0]["affiliations_count"] == 2
