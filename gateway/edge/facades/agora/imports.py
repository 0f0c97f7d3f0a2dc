"""POST /messages/users/import and /messages/chatgroups/import: messages of another service, as history (agora.md)."""

from __future__ import annotations

import msgspec

from gateway.core.imports import ImportOrder
from gateway.domain.model import Scope
from gateway.edge.facades.agora.asking import At
from gateway.edge.facades.agora.bodies import TYPES, config_of
from gateway.edge.facades.agora.faults import FORBIDDEN, Fault, illegal, unsendable
from gateway.edge.facades.agora.fetching import with_files
from gateway.edge.facades.agora.groups_and_rooms import group_called
from gateway.edge.facades.agora.members import Members
from gateway.edge.facades.agora.messages import body_of, check_ext
from gateway.edge.facades.agora.names import is_admin

AHEAD_MS = 60_000
"""How far before our clock an imported message's own time may be."""


async def import_to_user(at: At) -> bytes:
    """POST /messages/users/import."""
    asked = await _asked(at)
    xid, name = await at.xid_or_name(asked.identifier("target") or "")
    return await _import(at, asked, Scope.USER, xid, name)


async def import_to_group(at: At) -> bytes:
    """POST /messages/chatgroups/import."""
    asked = await _asked(at)
    return await _import(at, asked, Scope.GROUP, await group_called(at, asked.identifier("target") or ""))


async def _asked(at: At) -> Members:
    """What is asked for, with every member that must be there."""
    await at.administrator()
    asked = await at.members()
    if not asked.identifier("from"):
        raise unsendable("param from can't be empty")
    if not asked.identifier("target"):
        raise unsendable("param target can't be empty")
    body = asked.object("body")
    if body is None or not list(body):
        raise unsendable("message body not allow empty")
    if asked.choice("type", TYPES) is None:
        raise unsendable("type not allow empty")
    check_ext(asked)
    if asked.flag("need_download") and not at.settings.import_download:
        raise Fault(FORBIDDEN, "forbidden_op", "need_download: files are not fetched here")
    return asked


async def _import(at: At, asked: Members, scope: Scope, target: int, target_name: str = "") -> bytes:
    """Import a message. Whoever comes into being by it does with it, and not by one that is refused."""
    principal, messaging = await at.administrator(), at.core.messaging
    sender = asked.identifier("from") or ""
    xid, name = (0, "") if is_admin(sender) else await at.xid_or_name(sender)
    # Judged before anything is fetched for it, and then as it is kept.
    await messaging.judge_import(principal, _order_of(at, asked, scope))
    async with with_files(at, asked) as brought:
        order = _order_of(at, brought.asked, scope)
        if brought.files:
            # They are to go with whom they are of, who has to be there first.
            user = None if is_admin(sender) else await at.user_called(sender, make=True)
            await brought.keep(user)
        order = msgspec.structs.replace(
            order, target=target, target_name=target_name, from_xid=xid, from_name=name
        )
        msg_id = await messaging.import_one(principal, order)
    return at.told(data={"msg_id": str(msg_id)}, entities=[])


def _order_of(at: At, asked: Members, scope: Scope) -> ImportOrder:
    """What an import asks of the core, its parties apart. Raises a `Fault` for what is wrong in the message."""
    shown_at = asked.integer("msg_timestamp")
    if shown_at is not None and not 1 <= shown_at <= at.now() + AHEAD_MS:
        raise illegal("msg_timestamp", "it must be ms since 1970, and not lie ahead")
    body, ext = body_of(at, asked), asked.raw("ext")
    return ImportOrder(
        scope=scope,
        target=0,
        ctype=body.ctype,
        content=body.content,
        attachment=body.attachment,
        ext=ext.decode() if ext else "",
        config=config_of(body.type, {}),
        shown_at=shown_at or 0,
        settled=asked.flag("is_ack_read"),
    )
