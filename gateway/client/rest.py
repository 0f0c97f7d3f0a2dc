"""The native REST calls, for backends and for the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import msgspec

from gateway.client.errors import RestError
from gateway.domain.model import Ctype, Scope

Envelope = dict[str, Any]

_OK = 200


class Rest:
    """The calls of one token. It opens nothing and retries nothing: `session` belongs to the caller.

    Every call raises `RestError` for anything but success, and lets `aiohttp.ClientError` and `TimeoutError`
    through: after those the call may or may not have been executed.
    """

    def __init__(self, base_url: str, app_id: str, token: str, session: aiohttp.ClientSession) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"app_id": app_id, "access-token": token}
        self._session = session

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
        user_id: int | None = None,
        group_id: int | None = None,
    ) -> Envelope:
        """Make one call and return its envelope `{code, message, data, …}`.

        `user_id` acts for that user and `group_id` as that group's owner; both want an admin token.
        """
        headers = dict(self._headers)
        if user_id is not None:
            headers["user_id"] = str(user_id)
        if group_id is not None:
            headers["group_id"] = str(group_id)
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = msgspec.json.encode(body)
        url = self._base_url + path
        async with self._session.request(method, url, data=data, params=query, headers=headers) as answer:
            return _opened(answer.status, answer.headers.get("Retry-After"), await answer.read())

    async def send(
        self,
        scope: Scope,
        targets: Sequence[int],
        content: str,
        *,
        content_type: Ctype = Ctype.TEXT,
        user_id: int | None = None,
        group_id: int | None = None,
        **members: str | int,
    ) -> list[int]:
        """Send one message to each target; it is committed when this returns.

        `members` are the others of the body: `attachment`, `config`, `ext`, `from_user_id`, `transaction_id`,
        `related_mid`, `online_only`, `expire_s`. The message's id comes back where there was exactly one target, and
        nothing otherwise.
        """
        body = _draft(scope, targets, content, content_type, members)
        answer = await self.call("POST", "/message/send", body=body, user_id=user_id, group_id=group_id)
        return list(answer.get("msg_ids", ()))

    async def notify(
        self,
        scope: Scope,
        targets: Sequence[int],
        content: str,
        *,
        content_type: Ctype = Ctype.TEXT,
        **members: str | int,
    ) -> list[int]:
        """Send a system notification; wants an admin token and answers as `send` does."""
        body = _draft(scope, targets, content, content_type, members)
        answer = await self.call("POST", "/message/notify", body=body)
        return list(answer.get("msg_ids", ()))

    async def recall(
        self, conversation_id: int, msg_id: int, *, user_id: int | None = None, group_id: int | None = None
    ) -> None:
        """Take a message back: its content is wiped for everyone. Repeating it is harmless."""
        body = {"conversation_id": conversation_id, "msg_id": msg_id}
        await self.call("POST", "/message/recall", body=body, user_id=user_id, group_id=group_id)

    async def conversation(
        self,
        opposite_id: int,
        *,
        msg_id_start: int = 0,
        limit: int = 20,
        user_id: int | None = None,
        group_id: int | None = None,
    ) -> dict[str, Any]:
        """Read a page of history, newest first: `{messages, next_msg_id, is_last, …}`.

        Feed `next_msg_id` back as `msg_id_start` to read on towards older messages, until `is_last`.
        """
        query = {"opposite_id": opposite_id, "msg_id_start": msg_id_start, "limit": limit}
        answer = await self.call(
            "GET", "/message/conversation", query=query, user_id=user_id, group_id=group_id
        )
        page: dict[str, Any] = answer["data"]
        return page

    async def unread(
        self, *, user_id: int | None = None, group_id: int | None = None
    ) -> list[dict[str, Any]]:
        """Read the recent conversations, newest first: `[{conversation_id: {uid, …}, num, …}]`."""
        answer = await self.call("GET", "/message/unread", user_id=user_id, group_id=group_id)
        return list(answer["data"])

    async def ack(
        self, conversation_id: int | None = None, msg_id: int | None = None, *, user_id: int | None = None
    ) -> None:
        """Mark as READ everything up to `msg_id`, or up to the conversation's newest message without one."""
        given = {"conversation_id": conversation_id, "msg_id": msg_id}
        query = {name: value for name, value in given.items() if value is not None}
        await self.call("GET", "/message/ack", query=query, user_id=user_id)

    async def readers(
        self,
        msg_id: int,
        *,
        cursor: str = "",
        limit: int = 1_000,
        user_id: int | None = None,
        group_id: int | None = None,
    ) -> tuple[dict[str, Any], str]:
        """Read who has read a group's message: `{read, unread, readers: [{user_id}]}`, and the cursor of the next page.

        The counts are of all; the cursor is empty after the last page.
        """
        query: dict[str, str | int] = {"msg_id": msg_id, "cursor": cursor, "limit": limit}
        answer = await self.call("GET", "/message/readers", query=query, user_id=user_id, group_id=group_id)
        return answer["data"], str(answer["cursor"])


def _draft(
    scope: Scope, targets: Sequence[int], content: str, content_type: Ctype, members: Mapping[str, str | int]
) -> dict[str, Any]:
    return {
        "type": int(scope),
        "targets": list(targets),
        "content_type": int(content_type),
        "content": content,
        **members,
    }


def _opened(http_status: int, retry_after: str | None, body: bytes) -> Envelope:
    """Return the envelope of an answer that means success; anything else is a `RestError`."""
    # HTTP also allows a date here; the gateway never sends one, and a proxy's is not worth a parser.
    retry_after_s = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
    try:
        envelope: Envelope = msgspec.json.decode(body, type=dict[str, Any])
        code = envelope["code"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
        message = f"HTTP {http_status}: the answer is not the gateway's"
        raise RestError(http_status, message, http_status, retry_after_s) from None
    if code != _OK:
        raise RestError(code, str(envelope.get("message")), http_status, retry_after_s)
    return envelope
