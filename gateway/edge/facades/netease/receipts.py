"""That messages have been read, and by whom (netease.md, Siblings: read receipts)."""

from __future__ import annotations

import msgspec

from gateway.edge.decode import Body, Number, identifier
from gateway.edge.facades.netease.asking import At
from gateway.edge.facades.netease.places import opposite_xid

_FROM, _TO, _MESSAGE = "from_account_id", "to_account_id", "message_server_id"


class _ToUser(msgspec.Struct):
    from_account_id: str | None = None
    to_account_id: str | None = None
    message_server_id: Number = None


class Told(msgspec.Struct):
    """When a receipt was given."""

    timestamp: int


_to_user = Body(_ToUser)


async def to_user(at: At) -> Told:
    """`POST /messages/actions/p2p_read_receipt`: the conversation is read up to this message."""
    asked = await at.body(_to_user)
    msg_id = identifier(asked.message_server_id, _MESSAGE)
    reader = await at.account(asked.from_account_id, _FROM, make=True)
    other_xid = await opposite_xid(at, asked.to_account_id, _TO)
    await at.core.receipts.read(at.acting_for(reader), other_xid, msg_id)
    return Told(at.now())
