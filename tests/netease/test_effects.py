"""What the options of a send do to devices, histories and counts (netease.md, the table)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.netease.stage import Answer, Cloud
from tests.rest.stage import Caller, Json

NOWHERE: Json = {"message_config": {"offline_enabled": False, "history_enabled": False}}


def told_of(frames: Sequence[Json]) -> list[str]:
    """The contents of the messages among frames."""
    return [frame["message"]["content"] for frame in frames if frame["op"] == "message"]


async def received(phone: Caller) -> list[str]:
    """What the first device of a user that never had one gets as it comes."""
    async with phone.device(9) as device:
        return told_of(await device.hear("live"))


async def ask(cloud: Cloud, conversation: str, text: str = "hi", **members: object) -> Answer:
    """Send a text, whatever comes of it."""
    asked = {"message": {"message_type": 0, "text": text}, **members}
    return await cloud.post(f"/v2/conversations/{conversation}/messages", asked)


async def test_what_is_not_counted(cloud: Cloud) -> None:
    """It is delivered and paged like any other, and is no unread one."""
    bob, ann_xid = await cloud.phone("bob"), await cloud.xid("ann")
    await cloud.send("ann|1|bob", text="counted")
    await cloud.send("ann|1|bob", text="not", message_config={"unread_enabled": False})
    assert await bob.unread() == [(ann_xid, 1)]
    assert await bob.history(ann_xid) == ["not", "counted"]
    assert await received(bob) == ["counted", "not"]


async def test_what_is_in_no_history(cloud: Cloud) -> None:
    """Both sides' devices get it, on their return too; no page has it and nothing counts it."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    await cloud.send("ann|1|bob", text="passing", message_config={"history_enabled": False})
    assert await bob.history(ann.xid) == await ann.history(bob.xid) == []
    assert await bob.unread() == []
    assert await received(bob) == await received(ann) == ["passing"]


async def test_what_is_not_kept_for_who_is_away(cloud: Cloud) -> None:
    """Alone it changes nothing; with no history either, who is connected gets it, and nobody else ever."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    await cloud.send("ann|1|bob", text="before", message_config={"offline_enabled": False})
    async with bob.device(1) as device:
        assert told_of(await device.hear("live")) == ["before"]
        told = await cloud.send("ann|1|bob", text="now", unread_enabled=False, **NOWHERE)
        frame = (await device.hear("message"))[-1]
    assert (frame["message"]["msg_id"], frame["message"]["timestamp"]) == (
        told["message_server_id"],
        told["create_time"],
    )
    assert set(frame) == {"op", "message"}
    await cloud.send("ann|1|bob", text="late", **NOWHERE)
    assert await received(ann) == ["before"]
    async with bob.device(2) as device:
        assert told_of(await device.hear("live")) == ["before"]
    assert await bob.history(ann.xid) == ["before"]


async def test_what_the_senders_devices_are_not_told(cloud: Cloud) -> None:
    """They are sent a copy of what a backend sends for their user, unless it says no; the history has it anyway."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    await cloud.send("ann|1|bob", text="both")
    await cloud.send("ann|1|bob", text="other side", message_config={"mutil_sync_enabled": False})
    assert await received(ann) == ["both"]
    assert await received(bob) == ["both", "other side"]
    assert await ann.history(bob.xid) == ["other side", "both"]


async def test_a_side_that_is_not_to_notice(cloud: Cloud) -> None:
    """Neither its devices nor its history have the message, and its list of conversations stays as it was."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    await cloud.send("ann|1|bob", text="to bob", sender_no_sense=True)
    assert await ann.unread() == []
    await cloud.send("ann|1|bob", text="to ann", receiver_no_sense=True)
    assert await bob.unread() == [(ann.xid, 1)]
    assert await received(ann) == await ann.history(bob.xid) == ["to ann"]
    assert await received(bob) == await bob.history(ann.xid) == ["to bob"]


async def test_a_side_that_is_not_to_notice_what_is_kept_nowhere(cloud: Cloud) -> None:
    """Only the other side's connected devices get it."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    async with ann.device(1) as anns, bob.device(1) as bobs:
        await anns.hear("live")
        await bobs.hear("live")
        await cloud.send("ann|1|bob", text="to bob", sender_no_sense=True, **NOWHERE)
        await cloud.send("ann|1|bob", text="to ann", receiver_no_sense=True, **NOWHERE)
        await cloud.send("ann|1|bob", text="both")
        assert told_of([await anns.hear_one(), await anns.hear_one()]) == ["to ann", "both"]
        assert told_of([await bobs.hear_one(), await bobs.hear_one()]) == ["to bob", "both"]


async def test_a_note_to_oneself(cloud: Cloud) -> None:
    """It is there once, whichever side is not to notice it."""
    ann = await cloud.phone("ann")
    await cloud.send("ann|1|ann")
    await cloud.send("ann|1|ann", sender_no_sense=True)
    await cloud.send("ann|1|ann", receiver_no_sense=True)
    assert await received(ann) == await ann.history(ann.xid) == ["hi"] * 3


async def test_members_that_are_not_to_notice(cloud: Cloud) -> None:
    """What the others of a team are not to notice goes to its sender alone, and lies in the team's conversation."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    team = await ann.group(bob.xid)
    told = await cloud.send(f"ann|2|{team}", text="mine", receiver_no_sense=True)
    assert told["receiver_id"] == str(team)
    assert await ann.history(team) == await received(ann) == ["mine"]
    assert await bob.history(team) == await received(bob) == []
    refused = await ask(cloud, f"ann|2|{team}", receiver_no_sense=True, **NOWHERE)
    assert refused.refused(414, "message_config")


async def test_some_members_of_a_team(cloud: Cloud) -> None:
    """Those that are named get it, in the team's conversation, and its sender has it; the others do not."""
    ann, bob, cid = [await cloud.phone(name) for name in ("ann", "bob", "cid")]
    team = await ann.group(bob.xid, cid.xid)
    for kind, wanted in (
        (2, {"receiver_account_ids": ["BOB", "bob"]}),
        (3, {"receiver_account_ids": ["bob"]}),
    ):
        told = await cloud.send(f"ann|{kind}|{team}", target_option=wanted | {"inclusive": True})
        assert told["receiver_id"] == str(team)
    assert await bob.history(team) == await received(bob) == ["hi", "hi"]
    assert await ann.history(team) == ["hi", "hi"]
    assert await cid.history(team) == await received(cid) == []


async def test_targets_that_cannot_be(cloud: Cloud) -> None:
    """A stranger is refused or, where that is not to be checked, left out; what is not served is refused."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    await cloud.phone("cid")
    team = await ann.group(bob.xid)
    for stranger in ("cid", "nobody", "", "system"):
        target: Json = {"receiver_account_ids": [stranger, "bob"]}
        assert (await ask(cloud, f"ann|2|{team}", target_option=target)).refused(109404)
        unchecked = target | {"check_team_member_valid": False}
        assert (await ask(cloud, f"ann|2|{team}", f"{stranger}!", target_option=unchecked)).data
        alone = {"receiver_account_ids": [stranger], "check_team_member_valid": False}
        assert (await ask(cloud, f"ann|2|{team}", target_option=alone)).refused(109404)
    assert await bob.history(team) == ["system!", "!", "nobody!", "cid!"]
    for wrong, member in (
        ({}, "target_option.receiver_account_ids"),
        ({"receiver_account_ids": []}, "target_option.receiver_account_ids"),
        ({"receiver_account_ids": ["bob"] * 1_001}, "target_option.receiver_account_ids"),
        ({"receiver_account_ids": ["bob"], "inclusive": False}, "target_option.inclusive"),
        (
            {"receiver_account_ids": ["bob"], "visible_to_new_member": True},
            "target_option.visible_to_new_member",
        ),
        (
            {"receiver_account_ids": ["bob"], "check_team_member_valid": 1},
            "target_option.check_team_member_valid",
        ),
    ):
        assert (await ask(cloud, f"ann|2|{team}", target_option=wrong)).refused(414, member)
    some = {"receiver_account_ids": ["bob", "ann"]}
    thread = {"thread_root": {"message_server_id": 1}}
    assert (await ask(cloud, f"ann|2|{team}", target_option=some, thread_config=thread)).refused(
        414, "thread_config"
    )
    assert (await ask(cloud, f"ann|2|{team}", target_option=some, **NOWHERE)).refused(414, "message_config")
    assert (await cloud.get("/v2/accounts/nobody")).refused(102404)


async def test_bans_that_are_not_asked(cloud: Cloud) -> None:
    """Each option goes over its own ban alone; membership is asked all the same."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    team = await ann.group(bob.xid)
    banned = {"group_id": team, "user_list": [bob.xid], "duration": 10}
    assert (await ann.post("/group/ban", banned)).code == 200
    assert (await ask(cloud, f"bob|2|{team}")).refused(109424, "conversation_id: ")
    every, own = {"ignore_chat_banned": True}, {"ignore_member_chat_banned": True}
    assert (await ask(cloud, f"bob|2|{team}", team_option=every)).refused(109424)
    assert (await ask(cloud, f"bob|2|{team}", superteam_option=own)).refused(109424)
    assert (await ask(cloud, f"bob|2|{team}", team_option=own)).data
    assert (await ask(cloud, f"bob|3|{team}", superteam_option=own)).data
    assert (await ann.post("/group/unban", {"group_id": team, "user_list": [bob.xid]})).code == 200
    assert (await ann.post("/group/settings/ban_all", {"group_id": team, "duration": 10})).code == 200
    assert (await ask(cloud, f"bob|2|{team}")).refused(108423)
    assert (await ask(cloud, f"bob|2|{team}", team_option=own)).refused(108423)
    assert (await ask(cloud, f"bob|2|{team}", team_option=every)).data
    assert (await ask(cloud, f"ann|2|{team}")).data
    assert (await ask(cloud, f"cid|2|{team}", team_option=every | own)).refused(109404)


async def test_an_extension_is_the_apps_own(cloud: Cloud) -> None:
    """It goes to devices byte for byte, and is not told in the answer."""
    bob = await cloud.phone("bob")
    extension = '{ "a":\t1.0, "é":"\\u00e9"}'
    told = await cloud.send("ann|1|bob", extension=extension)
    assert "extension" not in told
    [item] = (await bob.page(await cloud.xid("ann")))["messages"]
    assert item["ext"] == extension


async def test_a_thread(cloud: Cloud) -> None:
    """An answer names the message it answers and the one that began it all; devices are told of that one."""
    bob = await cloud.phone("bob")
    root = (await cloud.send("ann|1|bob"))["message_server_id"]
    reply = await cloud.send("bob|1|ann", thread_config={"thread_root": {"message_server_id": root}})
    thread = {
        "thread_root": {"message_server_id": str(root), "sender_id": "ann", "create_time": "7"},
        "thread_reply": {"message_server_id": reply["message_server_id"], "message_client_id": "c"},
    }
    async with bob.device(1) as device:
        await device.hear("live")
        told = await cloud.send("ann|1|bob", thread_config=thread)
        item = (await device.hear("message"))[-1]["message"]
    shown = {
        "thread_root": {"message_server_id": root, "sender_id": "ann", "create_time": 7},
        "thread_reply": thread["thread_reply"],
    }
    assert told["thread_config"] == shown
    assert json.loads(item["config"])["nim"]["thread_config"] == shown
    assert item["related_mid"] == root


async def test_a_thread_of_another_conversation(cloud: Cloud) -> None:
    """Root and reply must both be there, and be seen by the sender; a retry gets its first answer all the same."""
    ann, bob = await cloud.phone("ann"), await cloud.phone("bob")
    team = await ann.group(bob.xid)
    here = (await cloud.send("ann|1|bob"))["message_server_id"]
    there = (await cloud.send(f"ann|2|{team}"))["message_server_id"]
    unseen = (await cloud.send("ann|1|bob", sender_no_sense=True))["message_server_id"]
    for root, reply in ((there, here), (here, there), (here, unseen), (unseen, here), (here, 10**15)):
        thread = {"thread_root": {"message_server_id": root}, "thread_reply": {"message_server_id": reply}}
        assert (await ask(cloud, "ann|1|bob", thread_config=thread)).refused(107404)
        assert (await ask(cloud, "ann|1|bob", thread_config=thread, **NOWHERE)).refused(107404)
    only_reply = {"thread_reply": {"message_server_id": there}}
    assert (await ask(cloud, f"ann|2|{team}", thread_config=only_reply)).data
    assert (await ask(cloud, f"cid|2|{team}", thread_config=only_reply)).refused(109404)
    path, asked = (
        "/v2/conversations/bob|1|ann/messages",
        {
            "message": {"message_type": 0, "text": "hi"},
            "thread_config": {"thread_root": {"message_server_id": here}},
        },
    )
    nowhere = await cloud.post(path, asked | NOWHERE)
    assert nowhere.data["thread_config"] == asked["thread_config"]
    one = {"receiver_account_ids": ["bob"]}
    assert (await ask(cloud, f"ann|2|{team}", target_option=one, thread_config=only_reply)).data
    first = await cloud.post(path, asked, trace="t-1")
    assert first.data
    assert (await ann.recall(bob.xid, here)).code == 200
    assert (await cloud.post(path, asked, trace="t-1")).body == first.body
    assert (await cloud.post(path, asked)).refused(107404, "thread_config: ")
