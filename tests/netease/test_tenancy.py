"""Two apps with the same accounts: to the backend of one nothing of the other is there (design promise 7)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.edge.facades.netease.asking import ALIAS
from gateway.edge.facades.netease.routes import ROUTES
from tests.netease.stage import Answer, Cloud, signed
from tests.rest.stage import Json

KEY, SECRET = "another-app-key", "another-fake-secret"
WORD = "nobody else's business"


class Theirs:
    """The other app's backend, which knows every id of this one's."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.team = self.in_team = self.between = 0

    async def call(self, verb: str, path: str, body: object = None) -> Answer:
        return await self.cloud.call(verb, path, body, headers=signed(KEY, SECRET))

    async def fill(self) -> None:
        """Let there be something in this app: Ann, Bob, a team, and a message in each place."""
        ann, bob = await self.cloud.phone("ann"), await self.cloud.phone("bob")
        # Teams of both apps have the same numbers: here there are more.
        for _ in range(5):
            self.team = await ann.group(bob.xid)
        assert (await ann.post("/group/info/name", {"group_id": self.team, "value": WORD})).done
        self.in_team = (await self.cloud.send(f"ann|2|{self.team}", WORD))["message_server_id"]
        self.between = (await self.cloud.send("ann|1|bob", WORD))["message_server_id"]

    async def seen(self) -> list[Any]:
        """All that this app sees of it."""
        asked = [
            *("/v2/accounts/ann", "/v2/accounts/bob", f"/v2.1/teams/{self.team}?team_type=1"),
            *(f"/v2.1/conversations/ann|2|{self.team}/messages", "/v2.1/conversations/ann|1|bob/messages"),
            f"/v2/messages/actions/team_read_receipt?team_id={self.team}&message_server_id={self.in_team}",
        ]
        return [(await self.cloud.get(path)).data for path in asked]

    def body(self, msg_id: int) -> Json:
        """One that names all of it, for whatever call."""
        return {
            "message": {
                "message_type": 0, "text": "x", "message_server_id": msg_id, "sender_id": "ann", "receiver_id": "bob",
                "time": 1,
            },
            "operator": "ann", "operator_id": "ann", "type": 1, "sender_id": "ann", "receiver_ids": ["bob"],
            "from_account_id": "bob", "to_account_id": "ann", "message_server_id": msg_id,
            "message_server_ids": [msg_id], "messages": [{"message_server_id": msg_id, "create_time": 1}],
            "team_id": self.team, "team_type": 1, "name": "mine", "owner_account_id": "ann", "account_id": "ann",
            "invite_account_ids": ["bob"], "chat_ban_account_ids": ["bob"], "chat_banned": True, "enabled": False,
            "configuration": {"enabled": False}, "token": "mine",
        }  # fmt: skip

    def query(self, msg_id: int) -> str:
        named: Json = {
            "team_id": self.team, "team_type": 1, "message_server_id": msg_id, "operator_id": "ann", "type": 2,
            "account_id": "bob", "kick_account_ids": "bob", "conversation_type": 1, "sender_id": "ann",
            "receiver_id": "bob",
        }  # fmt: skip
        return "&".join(f"{name}={value}" for name, value in named.items())


@pytest.fixture
async def theirs(cloud: Cloud) -> Theirs:
    directory = cloud.node.gateway.directory
    await directory.create_app("other")
    await directory.credentials.call("other", ALIAS, KEY)
    await directory.credentials.add("other", ALIAS, KEY, SECRET)
    made = Theirs(cloud)
    await made.fill()
    return made


async def test_every_call(theirs: Theirs) -> None:
    """With every id of this app, asked by the other: not a word of it is told, and nothing here is changed."""
    before = await theirs.seen()
    assert WORD in json.dumps(before)
    for verb, path, _ in ROUTES:
        for conversation, msg_id in (("ann|1|bob", theirs.between), (f"ann|2|{theirs.team}", theirs.in_team)):
            first = {"teams": str(theirs.team), "accounts": "ann"}.get(path.split("/")[1], conversation)
            said = path.replace("*", first, 1).replace("*", str(msg_id), 1)
            body = None if verb in {"GET", "DELETE"} else theirs.body(msg_id)
            answer = await theirs.call(verb, f"/{said}?{theirs.query(msg_id)}", body)
            assert answer.json["code"] not in {500, 503}, (verb, said)
            assert WORD not in answer.body.decode(), (verb, said)
    assert await theirs.seen() == before


async def test_the_codes(theirs: Theirs) -> None:
    """It is not there, in the words for what was never there."""
    assert (await theirs.call("GET", "/v2/accounts/ann")).refused(102404)
    await theirs.cloud.name("ann", "bob", app_id="other")
    for path, code in (
        (f"/v2.1/teams/{theirs.team}", 108404),
        (f"/v2.1/conversations/ann|1|bob/messages/{theirs.between}", 107404),
        (f"/v2.1/conversations/ann|2|{theirs.team}/messages/{theirs.in_team}", 108404),
        (f"/v2.1/conversations/ann|2|{theirs.team}/messages", 108404),
        (f"/v2/messages/actions/team_read_receipt?{theirs.query(theirs.in_team)}", 108404),
    ):
        assert (await theirs.call("GET", path)).refused(code), path
    assert (await theirs.call("GET", "/v2.1/conversations/ann|1|bob/messages")).data["items"] == []
    text = {"message": {"message_type": 0, "text": "x"}}
    assert (await theirs.call("POST", f"/v2/conversations/ann|2|{theirs.team}/messages", text)).refused(
        108404
    )
    for conversation, msg_id, code in (
        ("ann|1|bob", theirs.between, 107404),
        (f"ann|2|{theirs.team}", theirs.in_team, 108404),
    ):
        for kind in (2, 3):
            path = f"/v2/conversations/{conversation}/messages/{msg_id}?type={kind}"
            assert (await theirs.call("DELETE", path)).refused(code)
    reply = {**text, "thread_config": {"thread_root": {"message_server_id": theirs.between}}}
    assert (await theirs.call("POST", "/v2/conversations/ann|1|bob/messages", reply)).refused(107404)


async def test_the_same_ids(theirs: Theirs) -> None:
    """A client's id and a trace are each app's own: neither app's message is taken for a repeat of the other's."""
    asked = {"message": {"message_type": 0, "text": "mine", "message_client_id": "once"}}
    path = "/v2/conversations/ann|1|bob/messages"
    here = (await theirs.cloud.post(path, asked, trace="t")).data
    there = (await theirs.cloud.call("POST", path, asked, headers=signed(KEY, SECRET), trace="t")).data
    assert here["message_server_id"] != there["message_server_id"]
    found = (await theirs.call("GET", f"/v2.1{path[3:]}")).data["items"]
    assert [item["message_server_id"] for item in found] == [there["message_server_id"]]


async def test_secrets(theirs: Theirs) -> None:
    """One app's is not good for the other's key."""
    for headers in (signed(KEY), signed(secret=SECRET)):
        assert (await theirs.cloud.get("/v2/accounts/ann", headers=headers)).refused(414, "bad http header")
