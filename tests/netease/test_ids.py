"""Ids in paths, however they are written (netease.md, Conversation id and Accounts)."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.netease.stage import Answer, Cloud
from tests.rest.stage import Json

TEXT: Json = {"message": {"message_type": 0, "text": "hi"}}

SAME = "ann|1|bob ann%7C1%7Cbob ann%7c1%7cbob ann|1%7Cbob %61nn%7C%31%7Cbo%62 ANN|1|Bob %41NN%7C1%7CBOB"

NONE = f"""
    ann ann|1 ann|1|bob| |ann|1|bob ann|1|bob|x |1|bob ann||bob ann|1| || %7C%7C ann%2F1%2Fbob
    ann%257C1%257Cbob ann%7C1%257Cbob ann%1|bob
    ann|0|bob ann|4|bob ann|01|bob ann|-1|bob ann|1.0|bob ann|x|bob ann|%201|bob ann|%EF%BC%91|bob ann|%D9%A1|bob
    ann|2|bob ann|2|0 ann|2|-5 ann|3|05 ann|2|5x ann|2|%235 ann|2|%EF%BC%95 ann|2|9007199254740992 ann|2|{"9" * 40}
    ann|1|b%00b %00|1|bob ann%00 ann|1|%FF %C3|1|bob ann|1|%ED%A0%80 ann|1|%C0%AF
"""
"""What names no conversation: parts, types, numbers of teams, and bytes."""

NEW = f"a@b.example-c_d - _ @ .. null true 118 0 007 1000000000001 {'x' * 32}"

NOBODY = f"""
    {"x" * 33} {"x" * 3_000} a%20b ann%20 a+b a%2Fb a%25b a%zz a% a:b a;b a,b a%0Ab
    %C3%A4 %E4%B8%AD %F0%9F%98%80 ann%CC%88 %EF%BD%81nn a%E2%80%8Bb %E2%84%AAate %C4%B0da %C5%BFam
    %23 %230 %2301 %23118 %23x %23-1 %239007199254740992 %23{"9" * 60}
"""
"""What nobody is called. In lower case the sign of Kelvin and a capital I with a dot are letters of a to z."""


async def send(cloud: Cloud, conversation: str, query: str = "", members: Json | None = None) -> Answer:
    """Send a text into a conversation, named as it stands in the path."""
    return await cloud.post(f"/v2/conversations/{conversation}/messages{query}", TEXT | (members or {}))


async def told(cloud: Cloud, account: str) -> int:
    """How many messages an account has that it has not read."""
    return sum(number for _, number in await (await cloud.phone(account)).unread())


class TestWritten:
    """Ways to write the same conversation."""

    async def test_the_same(self, cloud: Cloud) -> None:
        """Percents are decoded once, and accounts have no capitals."""
        for conversation in SAME.split():
            item = (await send(cloud, conversation)).data
            who = (item["sender_id"], item["conversation_type"], item["receiver_id"])
            assert who == ("ann", 1, "bob"), conversation
        assert await told(cloud, "bob") == len(SAME.split())

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_none(self, cloud: Cloud) -> None:
        """Three parts, none of them empty, the type 1, 2 or 3, a team's number, all of it UTF-8 without NUL."""
        for conversation in NONE.split():
            assert (await send(cloud, conversation)).refused(414, ": "), conversation
        assert cloud.node.rows("SELECT count(*) FROM message") == [(0,)]

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_no_path(self, cloud: Cloud) -> None:
        """A slash cuts before anything is decoded, and a segment that is empty is one."""
        for conversation in ("ann|1|a/b", "/ann|1|bob", "ann|1|bob/"):
            assert (await send(cloud, conversation)).refused(404), conversation
        for conversation in ("", ".", ".."):
            assert (await send(cloud, conversation)).refused(414), conversation


@pytest.mark.parametrize("member", ["conversation_id", "conversationId"])
class TestToldTwice:
    """What the body or the query says of the conversation beside the path."""

    async def test_the_same(self, cloud: Cloud, member: str) -> None:
        """Is fine, in capitals too, and nothing is as good as not said."""
        for said in ("ann|1|bob", "ANN|1|bob", None):
            assert (await send(cloud, "ann%7C1%7Cbob", members={member: said})).data["receiver_id"] == "bob"
        for query in ("ann|1|bob", "ann%7C1%7CBOB", ""):
            assert (await send(cloud, "ann|1|bob", f"?{member}={query}")).data["receiver_id"] == "bob"

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_another(self, cloud: Cloud, member: str) -> None:
        """Is refused, and nothing is sent; what is none is none here as well."""
        for said in ("bob|1|ann", "ann|1|zoe", "ann|2|5"):
            assert (await send(cloud, "ann|1|bob", members={member: said})).refused(110302)
            assert (await send(cloud, "ann|1|bob", f"?{member}={quote(said)}")).refused(110302)
        for said in ("ann", "ann|1|", "ann|9|bob", "ann%7C1%7Cbob"):
            assert (await send(cloud, "ann|1|bob", members={member: said})).refused(414)
        assert await told(cloud, "bob") == 0


class TestAccounts:
    """Who may come into being by a name, and who is only looked for."""

    async def test_new_ones(self, cloud: Cloud) -> None:
        """Letters of a to z, digits and four signs, at most 32: digits are a name, and nobody's number."""
        for name in NEW.split():
            assert (await send(cloud, f"ann|1|{name}")).data["receiver_id"] == name
            phone = await cloud.phone(name)
            assert str(phone.xid) != name
            assert await told(cloud, name) == 1

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_nobody(self, cloud: Cloud) -> None:
        """By any other name nobody is made, nor by a number, which is a user's or no one's."""
        for there in ("ann", "kate", "ida", "sam"):
            await cloud.phone(there)
        users = cloud.node.rows("SELECT count(*) FROM user")
        for name in NOBODY.split():
            assert (await send(cloud, f"ann|1|{name}")).refused(102404), name
            assert (await send(cloud, f"{name}|1|ann")).refused(102404), name
        assert cloud.node.rows("SELECT count(*) FROM user") == users
        assert cloud.node.rows("SELECT count(*) FROM message") == [(0,)]

    async def test_who_has_no_name(self, cloud: Cloud) -> None:
        """Users of other dialects are called by their number and a sign, both ways; who has a name, by that alone."""
        nameless = await cloud.node.user(118)
        assert (await send(cloud, "ann|1|%23118")).data["receiver_id"] == "#118"
        assert (await send(cloud, "%23118|1|ann")).data["sender_id"] == "#118"
        ann = await cloud.xid("ann")
        assert await nameless.history(ann) == ["hi", "hi"]
        assert (await send(cloud, f"%23{ann}|1|bob")).refused(102404)

    async def test_who_is_there_already(self, cloud: Cloud) -> None:
        """By a name that is too long for a new one is found; one with capitals is another's than the one without."""
        long = "x" * 40
        for name in (long, "Kim"):
            await cloud.phone(name)
        assert (await send(cloud, f"ann|1|{long}")).data["receiver_id"] == long
        assert (await send(cloud, "ann|1|Kim")).data["receiver_id"] == "kim"
        assert [await told(cloud, name) for name in (long, "Kim", "kim")] == [1, 0, 1]

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_the_reserved_one(self, cloud: Cloud) -> None:
        """Is spoken for by nobody, under its name or its number."""
        number = (await cloud.app()).system_xid
        for name in ("system", "SYSTEM", "System"):
            assert (await send(cloud, f"{name}|1|ann")).refused(403)
        assert (await send(cloud, f"%23{number}|1|ann")).refused(102404)


async def test_in_other_segments(cloud: Cloud) -> None:
    """An account that is a segment by itself is decoded once, too."""
    await cloud.phone("a@b.c")
    for said in ("a@b.c", "a%40b.c", "A%40B%2Ec"):
        assert (await cloud.get(f"/v2/accounts/{said}")).data["account_id"] == "a@b.c"
    for said in ("a%2540b.c", "%23118", "%23"):
        assert (await cloud.get(f"/v2/accounts/{said}")).refused(102404)
    for said in ("%00", "a%00", "%ff", "%ED%A0%80"):
        assert (await cloud.get(f"/v2/accounts/{said}")).refused(414)


async def test_in_the_query(cloud: Cloud) -> None:
    """The same: what could not be kept is refused by its name before anybody is looked for."""
    path = f"/v2/team_members/actions/leave?team_id={await (await cloud.phone('ann')).group()}&account_id="
    await cloud.phone("a@b.c")
    for said in ("a@b.c", "A%40B%2ec"):
        assert (await cloud.delete(path + said)).data == {}
    for said in ("a%2540b.c", "%23118", "%23"):
        assert (await cloud.delete(path + said)).refused(102404)
    for said in ("%00", "a%00", "%ff", "%ED%A0%80"):
        assert (await cloud.delete(path + said)).refused(414, "account_id: ")
