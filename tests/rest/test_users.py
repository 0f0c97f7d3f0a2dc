"""Users by REST: who may ask what of whom, and what freezing means for sends (lanying.md, Principals)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rest.stage import ALICE, BOB, CAROL, Caller, Json, Node, cheap_passwords, order

ABOUT: tuple[tuple[str, str, Json], ...] = (
    ("GET", "/user/online_status", {}),
    ("GET", "/user/device/list", {}),
    ("POST", "/user/device/remove", {"device_sn": 1}),
    ("DELETE", "/user/device/remove", {"device_sn": 1}),
    ("POST", "/user/kick", {}),
    ("PUT", "/user/kick", {}),
)
"""Calls about a user whom the query names."""


class TestPrincipals:
    """Who may ask."""

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(("verb", "path", "query"), ABOUT)
    async def test_about_oneself_or_by_an_administrator(
        self, node: Node, alice: Caller, admin: Caller, verb: str, path: str, query: Json
    ) -> None:
        """A user names nobody else; an administrator's token alone must name somebody, and nobody is `system`."""
        acting = await node.admin(user_id=BOB)
        for who, named in (
            (alice, {}),
            (alice, {"user_id": ALICE}),
            (admin, {"user_id": ALICE}),
            (acting, {}),
        ):
            assert (await who.call(verb, path, **query, **named)).code == 200
        for who in (alice, acting):
            assert (await who.call(verb, path, **query, user_id=CAROL)).refused(10010, "user_id")
        assert (await admin.call(verb, path, **query)).refused(10002, "user_id")
        assert (await admin.call(verb, path, **query, user_id=admin.xid)).refused(10002, "user_id")
        group = await alice.group()
        assert (await admin.call(verb, path, **query, user_id=group)).refused(10002, "user_id")
        owner = await node.admin(group_id=group)
        assert (await owner.call(verb, path, **query)).refused(10002, "group_id")

    @pytest.mark.parametrize(
        ("verb", "path", "body"),
        [
            ("POST", "/user/register/batch", {"list": [{"username": "ann", "password": "x"}]}),
            ("GET", "/user/list", None),
        ],
    )
    async def test_by_an_administrator_alone(
        self, node: Node, alice: Caller, admin: Caller, verb: str, path: str, body: Json | None
    ) -> None:
        """Not by users, and not in anybody's name."""
        cheap_passwords(node)
        assert (await alice.call(verb, path, body)).refused(10010)
        assert (await (await node.admin(user_id=ALICE)).call(verb, path, body)).refused(10002, "user_id")
        owner = await node.admin(group_id=await alice.group())
        assert (await owner.call(verb, path, body)).refused(10002, "group_id")
        assert (await admin.call(verb, path, body)).code == 200

    @pytest.mark.parametrize("path", ["/user/disable", "/user/enable"])
    async def test_freezing(self, node: Node, alice: Caller, admin: Caller, path: str) -> None:
        """Is for administrators, of users, and of those they act for."""
        group = await alice.group()
        acting, owner = await node.admin(user_id=ALICE), await node.admin(group_id=group)
        assert (await alice.call("PUT", path, {"list": [ALICE]})).refused(10010)
        assert (await owner.call("PUT", path, {"list": [ALICE]})).refused(10002, "group_id")
        assert (await acting.call("PUT", path, {"list": [BOB]})).refused(10010, "list")
        assert (await acting.call("PUT", path)).done
        for ids in ([], [admin.xid], [group], ["x"], [0], list(range(1, 1002))):
            assert (await admin.call("PUT", path, {"list": ids})).refused(10002, "list")
        assert (await admin.call("PUT", path)).refused(10002, "list")
        assert (await admin.call("PUT", path, {"list": [ALICE, str(BOB), ALICE]})).done


class TestFrozen:
    """What a frozen user may not, and what others still may."""

    @pytest.fixture(autouse=True)
    async def frozen(self, node: Node, alice: Caller, bob: Caller, admin: Caller) -> None:
        self.group = await bob.group(ALICE)
        self.msg_id = await alice.send(BOB, "before", transaction_id=7)
        assert (await admin.call("PUT", "/user/disable", {"list": [ALICE]})).done

    async def test_every_call(self, alice: Caller) -> None:
        """With its token is refused, also the repeat of a send."""
        for answer in (
            await alice.get("/message/unread"),
            await alice.get("/user/profile"),
            await alice.ask_send([BOB], "before", transaction_id=7),
        ):
            assert answer.refused(10010, "frozen")

    async def test_nobody_sends_in_its_name(self, node: Node, admin: Caller) -> None:
        """By `from_user_id`, by the header, to users, to groups, as a notification; a repeat is answered."""
        acting = await node.admin(user_id=ALICE)
        body = order([BOB], from_user_id=ALICE)
        for answer in (
            await admin.ask_send([BOB], from_user_id=ALICE),
            await admin.ask_send([self.group], from_user_id=ALICE, type=2),
            await admin.post("/message/notify", body),
            await acting.ask_send([BOB]),
            await acting.ask_send([self.group], type=2),
        ):
            assert answer.refused(10010, str(ALICE), "frozen")
        assert await acting.send(BOB, "before", transaction_id=7) == self.msg_id
        # Its things may be looked after.
        assert await acting.history(BOB) == ["before"]
        assert (await acting.recall(BOB, self.msg_id)).done

    async def test_what_is_sent_to_it_waits(self, admin: Caller, alice: Caller, bob: Caller) -> None:
        """Until it may act again."""
        await bob.send(ALICE, "meanwhile")
        assert (await admin.call("PUT", "/user/enable", {"list": [ALICE]})).done
        assert await alice.history(BOB) == ["meanwhile", "before"]
        await alice.send(BOB, "after")


class TestProfile:
    """/user/profile."""

    async def test_whose(self, node: Node, alice: Caller, admin: Caller) -> None:
        """One's own is changed by oneself and by administrators; nobody sees another's private part."""
        assert (await alice.post("/user/profile", {"nick_name": "A", "private_info": "s"})).done
        assert (await admin.call("PUT", "/user/profile", {"user_id": ALICE, "public_info": "p"})).done
        assert (await (await node.admin(user_id=ALICE)).post("/user/profile", {"avatar": "a"})).done
        public = {"nick_name": "A", "avatar": "a", "description": "", "public_info": "p"}
        whole = {"user_id": ALICE, "username": "", **public}
        acting = await node.admin(user_id=BOB)
        for who in (await node.user(BOB), acting):
            assert (await who.get("/user/profile", user_id=ALICE)).data == whole
            assert (await who.post("/user/profile", {"user_id": ALICE, "avatar": ""})).refused(10010)
        for who in (alice, admin):
            assert (await who.get("/user/profile", user_id=ALICE)).data == {**whole, "private_info": "s"}
        assert (await admin.get("/user/profile")).refused(10002, "user_id")
        owner = await node.admin(group_id=await alice.group())
        assert (await owner.get("/user/profile", user_id=BOB)).refused(10002, "group_id")

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("member", ["nick_name", "avatar", "description", "public_info", "private_info"])
    async def test_members(self, alice: Caller, member: str) -> None:
        """Each holds 4 KiB and is changed by itself; what is too long or no text is named, and nothing is changed."""
        longest = "é" * 2048
        assert (await alice.post("/user/profile", {member: longest})).done
        for wrong in (longest + "x", 5, "\0"):
            assert (await alice.post("/user/profile", {member: wrong})).refused(10002, member)
        assert (await alice.post("/user/profile", {})).done
        told = (await alice.get("/user/profile")).data
        assert told.pop(member) == longest
        assert set(told.values()) == {ALICE, ""}


class TestBatch:
    """/user/register/batch."""

    async def test_it_is_bounded(self, node: Node, admin: Caller) -> None:
        """One too many, and what is no list of accounts, are refused before anybody is made."""
        cheap_passwords(node)
        accounts = [{"username": f"user_{number}", "password": "pw"} for number in range(101)]
        for wrong in (accounts, [], None, 5, ["x"], [{"username": 5}]):
            assert (await admin.post("/user/register/batch", {"list": wrong})).refused(10002, "list")
        assert (await admin.get("/user/list")).data == []
        made = (await admin.post("/user/register/batch", {"list": accounts[:100]})).data
        assert all(one["success"] for one in made)
        pages: list[Any] = [(await admin.get("/user/list", page_num=number)).data for number in (1, 2, 3)]
        assert [len(page) for page in pages] == [50, 50, 0]
        assert [one["user_id"] for page in pages for one in page] == [one["user_id"] for one in made]

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        "query", [{"page_num": 0}, {"page_size": 0}, {"page_num": "x"}, {"page_num": 2**40}]
    )
    async def test_pages_there_are_not(self, admin: Caller, query: Json) -> None:
        """Are refused by name."""
        assert (await admin.get("/user/list", **query)).refused(10002, *query)


class TestPassword:
    """/user/change_password."""

    async def test_the_token_that_asked_is_spent(self, node: Node) -> None:
        """The client logs in anew, by name or id."""
        cheap_passwords(node)
        anybody = node.caller()
        account = {"username": "ann", "password": "s3cret"}
        xid = (await anybody.post("/user/register/v2", account)).data["user_id"]
        ann = node.caller(
            "demo", (await anybody.post("/token/login", {"login_name": "ann", **account})).data["token"]
        )
        change = {"old_password": "s3cret", "new_password": "n3w"}
        assert (await ann.post("/user/change_password", {**change, "old_password": "guess"})).refused(10010)
        assert (await ann.post("/user/change_password", {**change, "new_password": ""})).refused(
            10002, "new_password"
        )
        assert (await ann.post("/user/change_password", change)).done
        assert (await ann.get("/message/unread")).refused(10008)
        for login_name in ("ann", xid if isinstance(xid, str) else str(xid)):
            told = await anybody.post("/token/login", {"login_name": login_name, "password": "n3w"})
            assert (await node.caller("demo", told.data["token"]).get("/message/unread")).code == 200
        for login_name in ("ben", "4711", "9" * 30, "0", ""):
            assert (
                await anybody.post("/token/login", {"login_name": login_name, "password": "n3w"})
            ).refused(10010)
