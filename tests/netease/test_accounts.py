"""Accounts as a backend makes, shows, changes and puts them out (netease.md, Siblings)."""

from __future__ import annotations

import re

import pytest

from tests.netease.stage import Cloud
from tests.rest.stage import Answer, Caller

KICKED, FROZEN = 4506, 4507
"""Why a device's connection is closed."""


async def login(cloud: Cloud, account: str, token: str) -> Answer:
    """Trade an account's token for one of ours, as a device does."""
    return await cloud.node.caller().post("/token/user", {"name": account, "password": token})


async def lets_in(cloud: Cloud, account: str, token: str) -> bool:
    """Whether an account's token is good."""
    return (await login(cloud, account, token)).code == 200


async def device_of(cloud: Cloud, account: str, token: str) -> Caller:
    told = (await login(cloud, account, token)).data
    return cloud.node.caller("demo", told["token"])


class TestMaking:
    """`POST /im/v2/accounts`."""

    async def test_what_the_sdk_sends(self, cloud: Cloud) -> None:
        """The token comes back in this answer, and what is not kept here is taken without a word."""
        asked = {
            "account_id": "Amy",
            "token": "amys-token",
            "configuration": {"enabled": True, "p2p_chat_banned": False},
            "user_information": {"name": "Amy P.", "avatar": "https://example.com/a", "gender": 1},
            "antispam_configuration": {"enabled": True, "business_id_map": [{"type": 1, "business_id": "b"}]},
        }
        assert (await cloud.post("/v2/accounts", asked)).data == {
            "account_id": "amy",
            "token": "amys-token",
            "configuration": {"enabled": True},
            "user_information": {"name": "Amy P."},
        }
        shown = {"account_id": "amy", "configuration": {"enabled": True}}
        assert (await cloud.get("/v2/accounts/AMY")).data == shown

    @pytest.mark.parametrize("account", ["amy", "4711", "00", "a@b.example-1", "_"])
    async def test_devices_log_in_with_the_token(self, cloud: Cloud, account: str) -> None:
        """Drawn, with 128 bits, where none is given; whatever the name is made of. Digits are a name, not an id."""
        token = (await cloud.post("/v2/accounts", {"account_id": account})).data["token"]
        assert re.fullmatch("[0-9a-f]{32}", token)
        told = (await login(cloud, account, token)).data
        assert str(told["user_id"]) != account
        assert (await login(cloud, account, token[:-1])).refused(10010)
        phone = cloud.node.caller("demo", told["token"])
        await (await cloud.phone("bob")).send(told["user_id"], "to the account")
        async with phone.device(1) as device:
            frames = await device.hear("live")
            assert [frame["message"]["content"] for frame in frames if frame["op"] == "message"] == [
                "to the account"
            ]

    async def test_one_that_is_taken(self, cloud: Cloud) -> None:
        """In either case of the letters; the first token stays good."""
        await cloud.post("/v2/accounts", {"account_id": "amy", "token": "first"})
        for account in ("amy", "AMY"):
            again = await cloud.post("/v2/accounts", {"account_id": account, "token": "second"})
            assert again.refused(102405, "account_id: amy is taken")
        assert await lets_in(cloud, "amy", "first")

    async def test_who_was_only_named(self, cloud: Cloud) -> None:
        """Is the one that is made: what was sent to them is theirs."""
        xid = await cloud.xid("amy")
        token = (await cloud.post("/v2/accounts", {"account_id": "amy"})).data["token"]
        assert (await login(cloud, "amy", token)).data["user_id"] == xid

    async def test_one_that_may_not_act_yet(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is made so at once, though the store should never answer again, and nobody logs in."""
        monkeypatch.setattr(cloud.node.gateway.store, "set_state", None)
        asked = {"account_id": "amy", "configuration": {"enabled": False}}
        told = (await cloud.post("/v2/accounts", asked)).data
        assert told["configuration"] == {"enabled": False}
        assert not await lets_in(cloud, "amy", told["token"])
        assert (await cloud.get("/v2/accounts/amy")).data["configuration"] == {"enabled": False}

    async def test_who_was_only_named_and_may_not_act(self, cloud: Cloud) -> None:
        """Is put out at once."""
        amy = await cloud.phone("amy")
        async with amy.device(1) as device:
            await device.hear("live")
            asked = {"account_id": "amy", "configuration": {"enabled": False}}
            assert (await cloud.post("/v2/accounts", asked)).data["configuration"] == {"enabled": False}
            assert (await device.hear("bye"))[-1]["code"] == FROZEN

    @pytest.mark.parametrize(("enabled", "told"), [(None, False), (True, True)])
    async def test_who_was_only_named_and_frozen(
        self, cloud: Cloud, enabled: bool | None, *, told: bool
    ) -> None:
        """Stays so, unless it is said that they may act."""
        await cloud.name("amy")
        assert (await cloud.patch("/v2/accounts/amy/actions/disable", {"enabled": False})).data
        asked = {"account_id": "amy", "configuration": {"enabled": enabled}}
        assert (await cloud.post("/v2/accounts", asked)).data["configuration"] == {"enabled": told}
        assert (await cloud.get("/v2/accounts/amy")).data["configuration"] == {"enabled": told}

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("asked", "code", "told"),
        [
            ({}, 414, "account_id: "),
            ({"account_id": ""}, 414, "account_id: "),
            ({"account_id": None}, 414, "account_id: "),
            ({"account_id": 7}, 414, "account_id: "),
            ({"account_id": "a|b"}, 414, "account_id: "),
            ({"account_id": "a" * 33}, 414, "account_id: "),
            ({"account_id": "\N{KELVIN SIGN}"}, 414, "account_id: "),
            ({"account_id": "SYSTEM"}, 403, "account_id: "),
            ({"account_id": "a", "token": ""}, 414, "token: "),
            ({"account_id": "a", "token": "t" * 129}, 414, "token: "),
            ({"account_id": "a", "token": "\N{OLD PERSIAN SIGN A}" * 128}, 414, "token: "),
            ({"account_id": "a", "configuration": {"enabled": 1}}, 414, "configuration.enabled: "),
            ({"account_id": "a", "antispam_configuration": "on"}, 414, "antispam_configuration: "),
            ({"account_id": "a", "user_information": {"name": 5}}, 414, "user_information.name: "),
            ({"account_id": "a", "user_information": {"name": "n" * 4097}}, 414, "user_information.name: "),
            (b"{", 414, "body: "),
        ],
    )
    async def test_what_may_not_be(self, cloud: Cloud, asked: object, code: int, told: str) -> None:
        """The member is named, and nobody is made."""
        assert (await cloud.post("/v2/accounts", asked)).refused(code, told)
        assert (await cloud.get("/v2/accounts/a")).refused(102404, "account_id: ")


class TestChanging:
    """`PATCH /im/v2/accounts/{id}`, and the actions."""

    async def test_members_that_are_not_said_stay(self, cloud: Cloud) -> None:
        """The name as people see it and whether one may act, each by itself."""
        await cloud.post("/v2/accounts", {"account_id": "amy", "token": "t"})
        path = "/v2/accounts/amy"
        assert (await cloud.patch(path, {"user_information": {"name": "New"}})).data == {
            "account_id": "amy",
            "configuration": {"enabled": True},
        }
        told = (await cloud.patch(path, {"configuration": {"enabled": False}})).data
        assert told["configuration"] == {"enabled": False}
        assert (await cloud.patch(path, {})).data["configuration"] == {"enabled": False}
        assert (await cloud.patch(path, {"configuration": {"enabled": True}})).data["configuration"] == {
            "enabled": True
        }
        amy = await device_of(cloud, "amy", "t")
        assert (await amy.get("/user/profile")).data["nick_name"] == "New"

    async def test_another_token(self, cloud: Cloud) -> None:
        """The one before is good no longer, nor is what it was traded for."""
        await cloud.post("/v2/accounts", {"account_id": "amy", "token": "old"})
        amy = await device_of(cloud, "amy", "old")
        async with amy.device(1) as device:
            await device.hear("live")
            await cloud.node.greeted()
            assert (await cloud.patch("/v2/accounts/amy", {"token": "new"})).data["token"] == "new"
            assert 4500 <= (await device.hear("bye"))[-1]["code"] < 5000
        assert not await lets_in(cloud, "amy", "old")
        assert await lets_in(cloud, "amy", "new")
        assert (await cloud.patch("/v2/accounts/amy", {"token": ""})).refused(414, "token: ")

    async def test_a_token_that_is_drawn(self, cloud: Cloud) -> None:
        """Another each time; who had none has one then."""
        await cloud.xid("amy")
        drawn = []
        for _ in range(2):
            told = (await cloud.patch("/v2/accounts/amy/actions/refresh_token")).data
            assert told["account_id"] == "amy"
            drawn.append(told["token"])
        assert re.fullmatch("[0-9a-f]{32}", drawn[1])
        assert not await lets_in(cloud, "amy", drawn[0])
        assert await lets_in(cloud, "amy", drawn[1])

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v2/accounts/amy", {"configuration": {"enabled": False}}),
            ("/v2/accounts/amy/actions/disable", {"enabled": False, "need_kick": True}),
        ],
    )
    async def test_who_is_frozen_is_put_out(self, cloud: Cloud, path: str, body: object) -> None:
        """Its devices are told so and it sends nothing, until it may act again."""
        amy = await cloud.phone("amy")
        async with amy.device(1) as device:
            await device.hear("live")
            assert (await cloud.patch(path, body)).data == {
                "account_id": "amy",
                "configuration": {"enabled": False},
            }
            assert (await device.hear("bye"))[-1]["code"] == FROZEN
        assert (await amy.get("/message/unread")).refused(10010)
        again = await cloud.patch("/v2/accounts/amy/actions/disable", {"enabled": True})
        assert again.data["configuration"] == {"enabled": True}
        async with amy.device(1) as device:
            await device.hear("live")

    async def test_put_out_without_being_frozen(self, cloud: Cloud) -> None:
        """By a change that says so."""
        amy = await cloud.phone("amy")
        async with amy.device(1) as device:
            await device.hear("live")
            assert (await cloud.patch("/v2/accounts/amy", {"need_kick": True})).data["configuration"] == {
                "enabled": True
            }
            assert (await device.hear("bye"))[-1]["code"] == KICKED

    async def test_what_is_not_said(self, cloud: Cloud) -> None:
        """Whether an account is to be frozen must be."""
        await cloud.xid("amy")
        for body in (None, {}, {"enabled": None}):
            told = await cloud.patch("/v2/accounts/amy/actions/disable", body)
            assert told.refused(414, "enabled: ")

    @pytest.mark.parametrize(
        ("verb", "path", "body"),
        [
            ("GET", "", None),
            ("PATCH", "", {}),
            ("PATCH", "/actions/disable", {"enabled": True}),
            ("PATCH", "/actions/refresh_token", None),
            ("POST", "/actions/kick", {"type": 1}),
        ],
    )
    async def test_an_account_that_is_nobodys(self, cloud: Cloud, verb: str, path: str, body: object) -> None:
        """Is told to be so, and not made by that; the reserved one is handled by nobody."""
        for account, code in (("zoe", 102404), ("1000000000001", 102404), ("zoe", 102404), ("system", 403)):
            assert (await cloud.call(verb, f"/v2/accounts/{account}{path}", body)).refused(code, "account_id")

    async def test_a_user_without_a_name(self, cloud: Cloud) -> None:
        """Is called by the number, in the path encoded."""
        [phone] = await cloud.node.users(118)
        assert (await phone.get("/message/unread")).code == 200
        assert (await cloud.get("/v2/accounts/%23118")).data["account_id"] == "#118"
        assert (await cloud.get("/v2/accounts/118")).refused(102404)


class TestPuttingOut:
    """`POST /im/v2/accounts/{id}/actions/kick`: devices are named by their numbers."""

    @pytest.mark.parametrize(
        ("asked", "gone", "absent"),
        [
            (None, {"1", "2"}, []),
            ({"type": 1, "device_id_list": ["1"]}, {"1", "2"}, []),
            ({"type": "2", "device_id_list": ["2", "7", "2"]}, {"2"}, ["7"]),
            ({"type": 3, "device_id_list": ["2", "7"]}, {"1"}, []),
        ],
    )
    async def test_which(self, cloud: Cloud, asked: object, gone: set[str], absent: list[str]) -> None:
        """All, those named, or all but those; they may come back at once, and the others stay."""
        amy = await cloud.phone("amy")
        async with amy.device(1) as one, amy.device(2) as two:
            devices = {"1": one, "2": two}
            for device in devices.values():
                await device.hear("live")
            told = (await cloud.post("/v2/accounts/amy/actions/kick", asked)).data
            assert {device["device_id"] for device in told["success_list"]} == gone
            assert [(device["device_id"], device["error_code"]) for device in told["failed_list"]] == [
                (name, 404) for name in absent
            ]
            for name, device in devices.items():
                if name in gone:
                    assert (await device.hear("bye"))[-1]["code"] == KICKED
                else:
                    assert (await device.ask("ping"))["op"] == "pong"
        async with amy.device(1) as one:
            await one.hear("live")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        ("asked", "told"),
        [
            ({"type": 4}, "type: "),
            ({"type": 2}, "device_id_list: "),
            ({"type": 3, "device_id_list": []}, "device_id_list: "),
            ({"type": 2, "device_id_list": [str(number) for number in range(21)]}, "device_id_list: "),
            ({"type": 2, "device_id_list": [2]}, "device_id_list: "),
        ],
    )
    async def test_what_may_not_be(self, cloud: Cloud, asked: object, told: str) -> None:
        """The member is named."""
        await cloud.xid("amy")
        assert (await cloud.post("/v2/accounts/amy/actions/kick", asked)).refused(414, told)
