"""Nobody comes into being by a send or an invitation that is refused (netease.md, Accounts: unknown ones are made)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.principal import Principal
from gateway.domain.limits import Limits
from tests.netease.stage import Answer, Cloud, open_cloud
from tests.rest.stage import Json
from tests.rest.test_limits import PACED, limit

BATCH = "/v2/conversations/messages"
HI: Json = {"message_type": 0, "text": "hi"}
NOWHERE: Json = {"message_config": {"offline_enabled": False, "history_enabled": False}}


def users(cloud: Cloud) -> int:
    """How many users there are, the reserved one among them."""
    [[count]] = cloud.node.rows('SELECT count(*) FROM "user"')
    return int(count)


async def send(cloud: Cloud, sender: str, receiver: str, **members: object) -> Answer:
    """Send a text to one."""
    return await cloud.post(f"/v2/conversations/{sender}|1|{receiver}/messages", {"message": HI} | members)


async def batch(cloud: Cloud, sender: str, *receivers: str, **members: object) -> Answer:
    """Send a text to many."""
    return await cloud.post(BATCH, {"sender_id": sender, "receiver_ids": receivers, "message": HI} | members)


async def freeze(cloud: Cloud, account: str) -> None:
    """Let an account act no more."""
    assert (await cloud.patch(f"/v2/accounts/{account}/actions/disable", {"enabled": False})).data


class TestSends:
    """To users who are not there yet, by senders who need not be either."""

    @pytest.mark.parametrize("more", [{}, NOWHERE])
    async def test_a_sender_who_may_not(self, cloud: Cloud, more: Json) -> None:
        """A frozen one is refused before there is anybody to get it; freed it makes them."""
        await cloud.phone("ann")
        await freeze(cloud, "ann")
        before = users(cloud)
        assert (await send(cloud, "ann", "eve", **more)).refused(102422, "sender_id")
        assert (await batch(cloud, "ann", "eve", "fay", **more)).refused(102422, "sender_id")
        assert users(cloud) == before
        assert (await cloud.patch("/v2/accounts/ann/actions/disable", {"enabled": True})).data
        assert (await send(cloud, "ann", "eve", **more)).data
        assert users(cloud) == before + 1

    async def test_a_full_app(self, cloud: Cloud) -> None:
        """What it has no room for makes nobody, to the byte; what is kept nowhere needs none."""
        assert (await send(cloud, "ann", "bob")).data
        one = (await limit(cloud.node))["stored_bytes"]
        await limit(cloud.node, storage_bytes_max=2 * one - 1)
        before = users(cloud)
        assert (await send(cloud, "ann", "eve")).refused(403, "stores as much")
        assert (await send(cloud, "dan", "bob")).refused(403, "stores as much")
        assert (await batch(cloud, "dan", "eve", "fay")).refused(403, "stores as much")
        assert users(cloud) == before
        assert (await send(cloud, "ann", "fay", **NOWHERE)).data
        await limit(cloud.node, storage_bytes_max=2 * one)
        assert (await batch(cloud, "ann", "eve", "gus")).refused(403, "stores as much")
        assert (await send(cloud, "ann", "eve")).data
        assert users(cloud) == before + 2

    @pytest.mark.usefixtures("still")
    async def test_an_app_that_sends_too_fast(self, tmp_path: Path) -> None:
        """Waits for its turn once, and not again for those who come into being by it."""
        async with open_cloud(tmp_path / "data", PACED) as cloud:
            await limit(cloud.node, sends_per_s=2)
            assert (await batch(cloud, "ann", "bob", "cid", "dan", "eve")).data["failed_list"] == []
            before = users(cloud)
            assert (await send(cloud, "ann", "fay")).refused(416)
            assert (await send(cloud, "ann", "fay", **NOWHERE)).refused(416)
            assert (await batch(cloud, "gus", "fay", "hal")).refused(416)
            assert users(cloud) == before

    @pytest.mark.usefixtures("still")
    @pytest.mark.parametrize("more", [{}, NOWHERE])
    async def test_a_turn_is_taken_once(self, tmp_path: Path, more: Json) -> None:
        """Of a send that makes its receiver as of any other: as many pass at once."""
        async with open_cloud(tmp_path / "data", PACED) as cloud:
            await limit(cloud.node, sends_per_s=20)
            told = [(await send(cloud, "ann", f"eve{place}", **more)).json["code"] for place in range(2)]
            assert told == [200, 200]

    async def test_what_a_node_takes_no_more_of(self, tmp_path: Path) -> None:
        """By the gateway's own bounds of a message, too."""
        async with open_cloud(tmp_path / "data", Limits(content_bytes_max=1)) as cloud:
            before = users(cloud)
            assert (await send(cloud, "ann", "bob")).refused(414, "message.text")
            assert (await batch(cloud, "ann", "bob")).refused(414, "message.text")
            assert users(cloud) == before

    async def test_what_reaches_nobody(self, cloud: Cloud) -> None:
        """Makes no sender, in whichever way its receivers are nobody."""
        before = users(cloud)
        assert (await send(cloud, "dan", "a%20b")).refused(102404, "receiver_id")
        failed = (await batch(cloud, "dan", "a b", "system", "#7")).data["failed_list"]
        assert [one["error_code"] for one in failed] == [102404, 403, 102404]
        assert users(cloud) == before


class TestWhoOnlyLooks:
    """Calls that are about what is there already."""

    async def test_at_a_conversation_of_nobody(self, cloud: Cloud) -> None:
        """They are made by it, as by any call, and there is nothing between them yet."""
        before = users(cloud)
        page = (await cloud.get("/v2.1/conversations/dan|1|eve/messages")).data
        assert (page["items"], page["has_more"]) == ([], False)
        assert users(cloud) == before + 2


class TestTeams:
    """Whoever is invited comes into being by it, where there is room for them and somebody may invite."""

    async def test_who_may_not_invite(self, cloud: Cloud, team: int) -> None:
        """A plain member, a stranger, and into what is no team."""
        await cloud.phone("zoe")
        room = await (await cloud.phone("ann")).group(kind=2)
        before = users(cloud)
        for operator, team_id, code in (
            ("bob", team, 403),
            ("zoe", team, 109404),
            ("ann", 4711, 108404),
            ("ann", room, 108404),
        ):
            asked = {"operator_id": operator, "team_id": team_id, "invite_account_ids": ["eve", "fay"]}
            assert (await cloud.post("/v2/team_members", asked)).refused(code), (operator, team_id)
        assert users(cloud) == before

    async def test_a_full_team(self, cloud: Cloud) -> None:
        """For whom there is no room is told so, and is nobody still; whether invited at its beginning or later."""
        before = users(cloud)
        asked = {"owner_account_id": "ann", "team_type": 1, "name": "t", "members_limit": 3}
        names = ["b", "c", "d", "e"]
        made = (await cloud.post("/v2.1/teams", asked | {"invite_account_ids": names})).data
        assert [(one["account_id"], one["error_code"]) for one in made["failed_list"]] == [
            ("d", 403),
            ("e", 403),
        ]
        assert made["team_info"]["member_count"] == 3
        more = {
            "operator_id": "ann",
            "team_id": made["team_info"]["team_id"],
            "invite_account_ids": ["b", "e"],
        }
        told = (await cloud.post("/v2/team_members", more)).data
        assert told["success_list"] == ["b"]
        assert [(one["account_id"], one["error_code"]) for one in told["failed_list"]] == [("e", 403)]
        assert users(cloud) == before + 3

    async def test_an_owner_who_goes_meanwhile(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        """Is nobody by then, and nobody comes into being for the team."""
        dan = await cloud.node.user(777)
        before = users(cloud)
        groups = cloud.node.gateway.core.groups
        places_at_first = groups.places_at_first

        async def room(principal: Principal, members_max: int) -> int:
            told = await places_at_first(principal, members_max)
            assert (await dan.post("/user/delete")).done
            return told

        monkeypatch.setattr(groups, "places_at_first", room)
        asked = {"owner_account_id": "#777", "name": "t", "invite_account_ids": ["eve"]}
        assert (await cloud.post("/v2.1/teams", asked)).refused(102404, "owner_account_id")
        assert users(cloud) == before

    async def test_an_owner_of_too_many(self, tmp_path: Path) -> None:
        """Begins no team more, and nobody comes into being for it; nor does an owner for a list that is too long."""
        async with open_cloud(tmp_path / "data", Limits(groups_per_user_max=1)) as cloud:
            asked = {"team_type": 1, "name": "t", "owner_account_id": "ann"}
            assert (await cloud.post("/v2.1/teams", asked)).data
            before = users(cloud)
            assert (await cloud.post("/v2.1/teams", asked | {"invite_account_ids": ["eve"]})).refused(403)
            many = {"owner_account_id": "dan", "invite_account_ids": [f"u{place}" for place in range(1_001)]}
            assert (await cloud.post("/v2.1/teams", asked | many)).refused(414, "invite_account_ids")
            assert users(cloud) == before
