"""Messages that were sent elsewhere, brought into the history of their conversations one by one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.core.principal import Principal
from gateway.core.recalls import JUDGE_TRIES, restless
from gateway.core.space import check_space
from gateway.core.writer import Writer
from gateway.domain import rules
from gateway.domain.drafts import ImportDraft, Imported, MessageDraft, Refused
from gateway.domain.errors import Kind, Problem, bad
from gateway.domain.limits import Limits
from gateway.domain.model import RELATING, ROOM, SAFE_MAX, Scope
from gateway.domain.naming import may_be_called
from gateway.store.base import Store


class ImportOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it was sent elsewhere, to one user or group; `from_xid` 0: by the reserved user.

    `shown_at` is when (ms; 0: now), as it is shown; in a conversation messages are in the order of their imports.
    `settled`: everybody had read it. `from_name` and `target_name` stand in place of an id: whoever is called so, made
    by the import where there is nobody yet, and by none that is refused.
    """

    scope: Scope
    target: int
    ctype: int
    content: str
    attachment: str = ""
    ext: str = ""
    config: str = ""
    from_xid: int = 0
    shown_at: int = 0
    settled: bool = False
    from_name: str = ""
    target_name: str = ""


class Imports:
    """Imports messages for an app's administrator: nobody is sent them, and no receipt tells of them.

    They are not judged: whoever sent them may not be in the group any more, or be blocked or frozen by now. What every
    message must keep to, sizes and what the app may store, they must too.
    """

    def __init__(self, store: Store, writer: Writer, limits: Limits, clock_ms: Callable[[], int]) -> None:
        self._store = store
        self._writer = writer
        self._limits = limits
        self._now = clock_ms

    async def judge(self, principal: Principal, order: ImportOrder) -> None:
        """Raise what an import would be refused for, its parties apart: they may have to be made for it.

        What other messages take meanwhile may still leave no room for it.
        """
        self._check(principal, order)
        texts = order.content, order.attachment, order.ext, order.config
        await check_space(self._store, principal.app, 1, *texts)

    async def import_one(self, principal: Principal, order: ImportOrder) -> int:
        """Bring a message into the history of its conversation; return its id once it is committed.

        Raises:
            Problem: `FORBIDDEN` for who is no administrator, `BAD_PARAMETER`, `USER_UNKNOWN`, `GROUP_UNKNOWN` (also of
                a chatroom, which keeps no history), `STORAGE_FULL`.
        """
        self._check(principal, order)
        for _ in range(JUDGE_TRIES):
            judged = () if order.scope is Scope.USER else (await self._version(principal, order.target),)
            match await self._writer.submit(self._draft(principal, order, judged)):
                case Imported(msg_id):
                    return msg_id
                case Refused(kind, sentence):
                    raise Problem(kind, sentence)
                case _:
                    continue
        raise restless()

    def _check(self, principal: Principal, order: ImportOrder) -> None:
        if not principal.admin_alone:
            raise Problem(Kind.FORBIDDEN, "only an app admin imports messages")
        if order.ctype >= RELATING:
            raise bad("content_type", f"{order.ctype} is about another message, and is not imported")
        if not 0 <= order.shown_at <= SAFE_MAX:
            raise bad("shown_at", f"it must be 0 to {SAFE_MAX}")
        texts = order.content, order.attachment, order.ext, order.config
        rules.check_body(order.ctype, *texts, self._limits)
        for name in filter(None, (order.from_name, order.target_name)):
            if not may_be_called(name, self._limits):
                raise Problem(Kind.USER_UNKNOWN, f"there is nobody called {name}")
        app = principal.app
        if app.limits.message_bytes_max:
            rules.check_together(*texts, app.limits.message_bytes_max)
        if order.scope is Scope.USER and order.target == app.system_xid:
            raise Problem(Kind.FORBIDDEN, "target: the app's reserved user receives nothing")

    async def _version(self, principal: Principal, group_xid: int) -> int:
        """The version of a group that stands: it does until another one comes."""
        group = (await self._store.groups(principal.app.id, [group_xid])).get(group_xid)
        if group is None or group.type == ROOM:
            raise Problem(Kind.GROUP_UNKNOWN, f"target: there is no group {group_xid}")
        return group.facts_version

    def _draft(self, principal: Principal, order: ImportOrder, judged: tuple[int, ...]) -> ImportDraft:
        app, at = principal.app, self._now()
        sender = order.from_xid or (0 if order.from_name else app.system_xid)
        message = MessageDraft(
            app.id,
            sender,
            0,
            order.scope,
            (order.target,),
            order.ctype,
            order.content,
            order.attachment,
            order.config,
            order.ext,
            at,
            copied=sender != app.system_xid,
            judged=judged,
            create=not app.registered,
            unjudged=True,
        )
        return ImportDraft(
            message=message,
            shown_at=order.shown_at or at,
            settled=order.settled,
            sender_name=order.from_name,
            target_name=order.target_name,
        )
