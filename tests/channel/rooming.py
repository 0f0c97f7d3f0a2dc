"""Chatrooms as tests make them, and devices in them."""

from __future__ import annotations

from tests.channel.stage import ALICE, Frame, Peer, Stage


async def make(stage: Stage, owner: int = ALICE) -> int:
    made = await stage.call("POST", "/group/create", owner, json={"name": "r", "type": 2})
    xid: int = made["data"]["group_id"]
    return xid


async def joined(stage: Stage, room: int, uid: int, device_sn: int = 1) -> Peer:
    """Attach a device that is live and in a chatroom, at its head."""
    peer = await stage.live(uid, device_sn)
    assert (await join(peer, room))["op"] == "ok"
    return peer


async def join(peer: Peer, room: object, **members: object) -> Frame:
    return await peer.ask(op="join", ref="j", room_id=room, **members)
