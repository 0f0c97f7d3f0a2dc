"""The REST client, against a server that answers what the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from gateway.client.errors import RestError
from gateway.client.rest import Rest
from gateway.domain.model import Ctype, Scope


class Desk:
    """Notes the last request and answers with `answer`."""

    def __init__(self) -> None:
        self.base_url = ""
        self.answer: Callable[[], web.Response]
        self.will_say(data=True)
        self.method = ""
        self.path = ""
        self.query: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.body: Any = None

    def will_say(self, data: Any, **members: Any) -> None:
        self.answer = lambda: web.json_response({"code": 200, "message": None, "data": data, **members})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.method = request.method
        self.path = request.path
        self.query = dict(request.query)
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        text = await request.read()
        self.body = msgspec.json.decode(text) if text else None
        return self.answer()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", desk.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    desk.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield desk
    await runner.cleanup()


@pytest.fixture
async def rest(desk: Desk) -> AsyncIterator[Rest]:
    async with aiohttp.ClientSession() as session:
        yield Rest(desk.base_url + "/", "demo", "the-token", session)


async def test_every_call_says_who_asks(desk: Desk, rest: Rest) -> None:
    """The app and the token are headers of every call, and nobody is acted for unasked."""
    await rest.call("GET", "/message/unread")
    assert desk.headers["app_id"] == "demo"
    assert desk.headers["access-token"] == "the-token"
    assert "user_id" not in desk.headers
    assert "group_id" not in desk.headers


async def test_acts_for_others_by_headers(desk: Desk, rest: Rest) -> None:
    """`user_id` and `group_id` are the acting headers."""
    await rest.call("GET", "/message/unread", user_id=7, group_id=77)
    assert (desk.headers["user_id"], desk.headers["group_id"]) == ("7", "77")


async def test_returns_the_whole_envelope(desk: Desk, rest: Rest) -> None:
    """`call` hides nothing of a successful answer."""
    desk.will_say({"a": 1}, msg_ids=[5])
    envelope = await rest.call("POST", "/message/send", body={})
    assert envelope == {"code": 200, "message": None, "data": {"a": 1}, "msg_ids": [5]}


async def test_a_refusal_has_its_code_and_sentence(desk: Desk, rest: Rest) -> None:
    """Any code but 200 is an error, though HTTP says 200."""
    desk.answer = lambda: web.json_response({"code": 10010, "message": "not yours", "data": None})
    with pytest.raises(RestError, match="not yours") as refused:
        await rest.unread()
    error = refused.value
    assert (error.code, error.message, error.http_status) == (10010, "not yours", 200)
    assert error.retry_after_s is None


async def test_overload_has_its_advice(desk: Desk, rest: Rest) -> None:
    """`Retry-After` reaches the caller, in seconds."""
    body = {"code": 20000, "message": "full", "data": None}
    desk.answer = lambda: web.json_response(body, status=503, headers={"Retry-After": "3"})
    with pytest.raises(RestError) as refused:
        await rest.unread()
    assert (refused.value.http_status, refused.value.retry_after_s) == (503, 3.0)


@pytest.mark.parametrize("body", ["<html>Bad Gateway</html>", "{}", "[]", ""])
async def test_an_answer_of_somebody_else_is_an_error(desk: Desk, rest: Rest, body: str) -> None:
    """What is no envelope (a proxy's page) carries the HTTP status as its code."""
    desk.answer = lambda: web.Response(
        status=502, text=body, headers={"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}
    )
    with pytest.raises(RestError, match="not the gateway's") as refused:
        await rest.unread()
    assert (refused.value.code, refused.value.http_status, refused.value.retry_after_s) == (502, 502, None)


async def test_send(desk: Desk, rest: Rest) -> None:
    """`send` posts the draft and returns the one target's message id."""
    desk.will_say(True, msg_ids=[900])
    assert await rest.send(Scope.USER, [8], "hi", transaction_id=4, ext="{}") == [900]
    assert (desk.method, desk.path) == ("POST", "/message/send")
    assert desk.body == {
        "type": 1,
        "targets": [8],
        "content_type": 0,
        "content": "hi",
        "transaction_id": 4,
        "ext": "{}",
    }


async def test_send_online_only(desk: Desk, rest: Rest) -> None:
    """Whatever else a body may have goes with it, booleans as such."""
    desk.will_say(True, msg_ids=[900])
    await rest.send(Scope.USER, [8], "hi", online_only=True)
    assert desk.body["online_only"] is True


async def test_readers(desk: Desk, rest: Rest) -> None:
    """`readers` asks for a page and returns it with its cursor."""
    page = {"read": 2, "unread": 1, "readers": [{"user_id": 8}]}
    desk.will_say(page, cursor="8", version=3)
    assert await rest.readers(900, limit=1) == (page, "8")
    assert (desk.method, desk.path) == ("GET", "/message/readers")


async def test_send_to_many_returns_no_ids(desk: Desk, rest: Rest) -> None:
    """With several targets the server names no ids."""
    assert await rest.send(Scope.GROUP, [8, 9], "hi", user_id=7) == []
    assert desk.body["type"] == 2
    assert desk.headers["user_id"] == "7"


async def test_notify(desk: Desk, rest: Rest) -> None:
    """`notify` posts the draft to its own path."""
    desk.will_say(True, msg_ids=[901])
    assert await rest.notify(Scope.USER, [8], "{}", content_type=Ctype.COMMAND) == [901]
    assert desk.path == "/message/notify"
    assert desk.body["content_type"] == 6


async def test_recall(desk: Desk, rest: Rest) -> None:
    """`recall` names the conversation and the message."""
    await rest.recall(8, 900)
    assert (desk.method, desk.path) == ("POST", "/message/recall")
    assert desk.body == {"conversation_id": 8, "msg_id": 900}


async def test_conversation(desk: Desk, rest: Rest) -> None:
    """`conversation` asks for a page and returns it."""
    page = {"messages": [], "next_msg_id": 0, "is_last": True}
    desk.will_say(page)
    assert await rest.conversation(8, msg_id_start=900, limit=5) == page
    assert (desk.method, desk.path) == ("GET", "/message/conversation")
    assert desk.query == {"opposite_id": "8", "msg_id_start": "900", "limit": "5"}


async def test_unread(desk: Desk, rest: Rest) -> None:
    """`unread` returns the list."""
    desk.will_say([{"num": 1}])
    assert await rest.unread() == [{"num": 1}]
    assert desk.path == "/message/unread"


async def test_ack_names_only_what_is_given(desk: Desk, rest: Rest) -> None:
    """`ack` by message, by conversation or by both; what is not given is not said."""
    await rest.ack(msg_id=900)
    assert (desk.method, desk.path, desk.query) == ("GET", "/message/ack", {"msg_id": "900"})
    await rest.ack(8)
    assert desk.query == {"conversation_id": "8"}
