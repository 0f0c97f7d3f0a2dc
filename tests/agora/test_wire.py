"""How requests are read and what surrounds every answer (agora.md, Everywhere)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from gateway.config import Edge
from gateway.domain.limits import Limits
from gateway.edge.facades.agora.names import app_uuid
from gateway.edge.facades.agora.routes import ROUTES
from tests.agora.stage import APP, ORG, Answer, Cloud, open_cloud
from tests.rest.stage import Json

TEXT: Json = {"type": "txt", "body": {"msg": "hi"}}
SEND: Json = {"from": "ann", "to": ["bob"], **TEXT}
GONE = (404, "service_resource_not_found")
VERBS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


async def at(
    cloud: Cloud, verb: str, path: str, body: object = None, /, *, token: str | None = None
) -> Answer:
    """Call a path of this gateway as it is written, percents and all."""
    bearer = cloud.token if token is None else token
    url = URL(cloud.node.url + path, encoded=True)
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {bearer}"}
    async with cloud.node.http.request(verb, url, data=data, headers=headers) as response:
        return Answer(response.status, response.headers, await response.read())


async def raw(
    cloud: Cloud, head: str, *more: bytes, verb: str = "POST", path: str = "/messages/users"
) -> tuple[Answer, bytes]:
    """Write a request by hand; its answer, and what came before that."""
    first = f"{verb} {cloud.base}{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    bearer = f"Authorization: Bearer {cloud.token}\r\n"
    told = await cloud.node.raw([(first + bearer + head).encode(), *more])
    before, _, last = told.rpartition(b"HTTP/1.1 ")
    return Answer(int(last[:3]), {}, last.partition(b"\r\n\r\n")[2]), before


class TestEnvelope:
    """What is around `data` and `entities`."""

    async def test_success(self, cloud: Cloud) -> None:
        """These members in these types, and no others; JSON that nobody keeps."""
        answer = await cloud.post("/messages/users", SEND)
        told = answer.told
        data = told.pop("data")
        timestamp, duration = told.pop("timestamp"), told.pop("duration")
        assert told == {
            "action": "post",
            "application": app_uuid(await cloud.app()),
            "applicationName": APP,
            "organization": ORG,
            "path": "/messages/users",
            "uri": f"{cloud.node.url}/{ORG}/{APP}/messages/users",
        }
        assert set(data) == {"bob"}
        assert type(timestamp) is type(duration) is int
        assert 0 <= duration < 60_000 < timestamp
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"

    async def test_public_url(self, tmp_path: Path) -> None:
        """Where an operator has named one it is the one told, whatever host was asked."""
        edge = Edge(public_url="https://chat.example.org")
        async with open_cloud(tmp_path / "data", edge=edge) as cloud:
            told = (await cloud.post("/messages/users", SEND)).told
            assert told["uri"] == f"https://chat.example.org/{ORG}/{APP}/messages/users"

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize("host", ["chat.example.org:8080", "\xff", "a\xc3\xa4", '"', "[::1]"])
    async def test_hosts(self, cloud: Cloud, host: str) -> None:
        """A host is told back where it is one; what is none is refused or told as text."""
        first = f"GET {cloud.base}/users HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        bearer = f"Authorization: Bearer {cloud.token}\r\n\r\n"
        told = await cloud.node.raw((first + bearer).encode("latin-1"))
        status, _, body = told.partition(b"\r\n\r\n")
        assert status.split()[1] in {b"200", b"400"}
        if status.split()[1] == b"200" and host.isascii():
            assert json.loads(body)["uri"] == f"http://{host}/{ORG}/{APP}/users"


class TestPaths:
    """`/{org_name}/{app_name}/…`."""

    @pytest.mark.two_nodes_once
    @pytest.mark.parametrize(
        "path",
        [
            "/messages/users/",
            "/messages/users?",
            "/messages/users/?",
            "/messages/users?a=b&a=c",
            "/%6dessages/user%73",
        ],
    )
    async def test_ways_to_write_one(self, cloud: Cloud, path: str) -> None:
        """One slash at the end and an empty query are none, and percents are decoded; the plain path is told."""
        answer = await at(cloud, "POST", cloud.base + path, SEND)
        assert answer.told["path"] == "/messages/users"
        assert answer.told["uri"] == f"{cloud.node.url}{cloud.base}/messages/users"

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_what_is_no_path(self, cloud: Cloud) -> None:
        """Two slashes, a slash in percents, other letters, and what is no text are unknown."""
        for path in (
            *(
                "/messages/users//",
                "//messages/users",
                "/messages//users",
                "/messages%2fusers",
                "/Messages/users",
            ),
            *(
                "/messages/users%00",
                "/messages/users%0A",
                "/a%0Ab/users",
                "/messages/%ff",
                "/messages/users/x",
                "/",
                "/nothing",
                "/messages/us%C3%A9rs",
            ),
        ):
            assert (await at(cloud, "POST", cloud.base + path, SEND)).refused(*GONE), path

    @pytest.mark.one_node("what the facade refuses by itself")
    @pytest.mark.parametrize("verb", VERBS)
    async def test_an_app_alone(self, cloud: Cloud, verb: str) -> None:
        """Is no path of this dialect, and of nobody else's either where it is no app's."""
        for tail in ("", "/"):
            answer = await at(cloud, verb, f"/{ORG}/{APP}{tail}")
            if verb == "HEAD":
                assert answer.status == 405
            else:
                assert answer.refused(404, "service_resource_not_found")
        for path in ("/nobody/here", "/easy-org/%ff"):
            answer = await at(cloud, verb, path)
            assert answer.status == 404
            if verb != "HEAD":
                assert answer.json["code"] == 404

    async def test_unknown_apps(self, cloud: Cloud) -> None:
        """Are told before the token, the verb and the path, with what was asked for."""
        for org, app in ((ORG, "other"), ("other", APP), (ORG.upper(), APP), (ORG, "%00"), ("a%2Fb", APP)):
            for verb, path in (("GET", "/users"), ("POST", "/nowhere"), ("PATCH", "/messages/users")):
                answer = await at(cloud, verb, f"/{org}/{app}{path}", token="")
                assert answer.refused(404, "organization_application_not_found", f"from URI: {path}")

    async def test_percents_in_names(self, cloud: Cloud) -> None:
        """A segment is decoded once, and lists by commas after that."""
        await cloud.users("ann", "b.ob")
        assert (await at(cloud, "GET", f"{cloud.base}/users/b%2Eob")).entities[0]["username"] == "b.ob"
        assert (await at(cloud, "GET", f"{cloud.base}/users/B.OB")).entities[0]["username"] == "b.ob"
        group = await cloud.group("b.ob", "cid")
        answer = await at(cloud, "DELETE", f"{cloud.base}/chatgroups/{group}/users/b%2Eob%2CCID")
        assert [each["user"] for each in answer.data] == ["b.ob", "CID"]


class TestVerbs:
    """What a path has not."""

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_every_route(self, cloud: Cloud) -> None:
        """405 for each verb that no call has, HEAD among them, before the token; and no body with HEAD."""
        verbs: dict[str, set[str]] = {}
        for verb, path, _ in ROUTES:
            verbs.setdefault(path, set()).add(verb)
        for path, served in verbs.items():
            others = [
                verb
                for verb in VERBS
                if verb not in served
                and not any(verb in verbs[other] for other in verbs if fits(other, path))
            ]
            assert "HEAD" in others
            answers = await asyncio.gather(
                *(cloud.call(verb, f"/{path.replace('*', 'x')}", token="") for verb in others)
            )
            for verb, answer in zip(others, answers, strict=True):
                assert answer.status == 405, (verb, path)
                if verb == "HEAD":
                    assert answer.body == b""
                else:
                    assert answer.refused(405, "web_application", "Method Not Allowed")


def fits(pattern: str, path: str) -> bool:
    """Whether a path that is open in places is one that a pattern takes, too."""
    one, other = pattern.split("/"), path.replace("*", "x").split("/")
    return len(one) == len(other) and all(a in {"*", b} for a, b in zip(one, other, strict=True))


NONSENSE: Mapping[str, tuple[bytes, str]] = {
    "nothing": (b"", "json_parse"),
    "no JSON": (b"from=ann", "json_parse"),
    "cut off": (b'{"to":["bob"]', "json_parse"),
    "more than one": (b"{}{}", "json_parse"),
    "a single quote": (b"{'to':1}", "json_parse"),
    "a list": (b"[]", "invalid_request_body"),
    "a string": (b'"x"', "invalid_request_body"),
    "null": (b"null", "invalid_request_body"),
    "NaN": (b'{"to":NaN}', "json_parse"),
    "deep": (b'{"to":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "invalid_request_body"),
    "deep and open": (b'{"to":' + b"[" * 100_000, "invalid_request_body"),
    "NUL": (b'{"to":["a\\u0000b"]}', "invalid_request_body"),
    "half a pair": (b'{"to":["\\ud800"]}', "json_parse"),
    "no UTF-8": (b'{"to":["\xff"]}', "invalid_request_body"),
    "NUL as it is": (b'{"to":["\x00"]}', "json_parse"),
}


class TestBodies:
    """JSON by its bytes."""

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_nonsense(self, cloud: Cloud) -> None:
        """Is refused as no JSON, or as none that is taken."""
        told = {}
        for name, (body, _) in NONSENSE.items():
            answer = await cloud.post("/messages/users", body)
            assert answer.status == 400, (name, answer.body)
            told[name] = answer.json["error"]
            assert answer.refused(400, told[name])
        assert set(told.values()) <= {"json_parse", "invalid_request_body"}
        assert told == {name: error for name, (_, error) in NONSENSE.items()}

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_what_stands_deep_inside(self, cloud: Cloud) -> None:
        """Is looked at, too, where it would be kept as it was sent."""
        for part in (b'"\\u0000"', b'"\\ud800"', b'"\xff"', b"[" * 100 + b"]" * 100, b"NaN", b"1e999"):
            for member in (b"ext", b"body"):
                more = (
                    b'"body":{"msg":"x"},"ext":{"k":%s}' if member == b"ext" else b'"body":{"msg":"x","k":%s}'
                )
                body = b'{"to":["bob"],"type":"txt",' + more % part + b"}"
                answer = await cloud.post("/messages/users", body)
                assert answer.status in ({200, 400} if part == b"1e999" else {400}), (part, answer.body)

    async def test_any_content_type(self, cloud: Cloud) -> None:
        """The headers of the seed are not looked at, nor are others."""
        for headers in (
            {"Content-Type": "text/plain"}, {"Content-Type": ""}, {"Accept": "image/png"}, {"Accept": ""},
            {"Content-Type": "application/json; charset=latin-1"}, {"Content-Type": "multipart/form-data"},
        ):  # fmt: skip
            answer = await cloud.call("POST", "/messages/users", SEND, headers=headers)
            assert answer.status == 200, headers

    async def test_what_is_left_out(self, cloud: Cloud) -> None:
        """`null` is as good as absent, also with spaces around it, and unknown members are nothing."""
        body = b'{ "from" : null , "to":["bob"],"type":"txt","body": {"msg":"x"} , "ext" :null, "zzz":[1] }'
        assert set((await cloud.post("/messages/users", body)).data) == {"bob"}

    async def test_raw_bodies_are_kept_to_the_byte(self, cloud: Cloud) -> None:
        """A device has `ext` and `body` as they were written, numbers and escapes too."""
        body, ext = b'{"msg":"\\u00e4", "k" : 1.10e2}', b'{"n":12345678901234567890.0}'
        whole = b'{"to":["bob"],"type":"txt","body":%s,"ext":%s}' % (body, ext)
        assert (await cloud.post("/messages/users", whole)).status == 200
        [item] = (await (await cloud.phone("bob")).page((await cloud.app()).system_xid))["messages"]
        assert (item["content"], item["attachment"], item["ext"]) == ("ä", body.decode(), ext.decode())

    async def test_chunks(self, cloud: Cloud) -> None:
        """Are read like a body with a length, on DELETE and GET too."""
        body = json.dumps(SEND).encode()
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        answer, _ = await raw(cloud, "Transfer-Encoding: chunked\r\n\r\n", chunks)
        assert set(answer.data) == {"bob"}
        body = b'{"channel":"bob","type":"chat"}'
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        answer, _ = await raw(
            cloud, "Transfer-Encoding: chunked\r\n\r\n", chunks, verb="DELETE", path="/users/ann/user_channel"
        )
        assert answer.data == {"result": "ok"}
        answer, _ = await raw(cloud, f"Content-Length: {len(body)}\r\n\r\n", body, verb="GET", path="/users")
        assert answer.status == 200

    async def test_what_is_not_packed_as_it_says(self, cloud: Cloud) -> None:
        """It cannot be read, and the answer says that the connection ends: nobody puts another request into it."""
        first = (
            f"POST {cloud.base}/messages/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {cloud.token}\r\n"
        )
        lines = "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n"
        told = await cloud.node.raw([(first + lines).encode(), b"{}"])
        assert b"\r\nConnection: close\r\n" in told
        answer = Answer(int(told[9:12]), {}, told.partition(b"\r\n\r\n")[2])
        assert answer.refused(400, "illegal_argument", "body: it could not be read")

    async def test_expectations(self, cloud: Cloud) -> None:
        """Who waits to be asked for its body is asked, as curl does for a large one; others are not looked at."""
        body = json.dumps(SEND).encode()
        for expect in ("100-continue", "100-Continue", "wonders"):
            answer, before = await raw(
                cloud, f"Expect: {expect}\r\nContent-Length: {len(body)}\r\n\r\n", body
            )
            assert answer.status == 200
            assert before.startswith(b"HTTP/1.1 100") == (expect.lower() == "100-continue")

    @pytest.mark.parametrize("way", ["length", "chunks"])
    async def test_too_large(self, cloud: Cloud, way: str) -> None:
        """256 KiB are read, a byte more is 413 in the dialect."""
        most = Limits().body_bytes_max
        for more in (0, 1):
            body = json.dumps({**SEND, "pad": ""}).encode()
            body = body[:-2] + b"x" * (most + more - len(body)) + body[-2:]
            if way == "length":
                answer = await cloud.post("/messages/users", body)
            else:
                chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
                answer, _ = await raw(cloud, "Transfer-Encoding: chunked\r\n\r\n", chunks)
            assert answer.refused(413, "web_application") if more else answer.status == 200

    @pytest.mark.parametrize("road", ["users", "chatgroups", "chatrooms"])
    async def test_a_message_at_the_border(self, cloud: Cloud, road: str) -> None:
        """5,120 bytes as they were sent, of `body` and `ext` together, for any type."""
        target = {"users": "bob", "chatgroups": await cloud.group("bob"), "chatrooms": await cloud.room()}[
            road
        ]
        for kind, body in (("txt", {"msg": "ä"}), ("cmd", {"action": ""}), ("custom", {"customEvent": "e"})):
            for more in (0, 1):
                ext = {"k": ""}
                size = len(json.dumps(body, ensure_ascii=False).encode()) + len(json.dumps(ext))
                asked: Any = {
                    "to": [target],
                    "type": kind,
                    "body": body,
                    "ext": {"k": "x" * (5_120 - size + more)},
                }
                answer = await cloud.post(f"/messages/{road}", json.dumps(asked, ensure_ascii=False).encode())
                assert answer.status == (413 if more else 200), (kind, more, answer.body)


WRONG_EVENTS: list[object] = ["", "x" * 33, "a b", "ä", 1, [], {}]
WRONG_EXTS: list[object] = [{str(number): "" for number in range(17)}, [], "x", 1]


class TestMembers:
    """What a body of each type must have."""

    @pytest.mark.one_node("what the facade refuses by itself")
    @pytest.mark.parametrize(
        ("kind", "bodies", "named"),
        [
            ("txt", [{"msg": ""}, {"msg": None}, {"msg": 1}, {"msg": []}, {"text": "x"}], "body.msg"),
            (
                "custom",
                [{"customEvent": wrong} for wrong in WRONG_EVENTS],
                "body.customEvent",
            ),
            (
                "custom",
                [{"customExts": wrong} for wrong in WRONG_EXTS],
                "body.customExts",
            ),
        ],
    )
    async def test_what_is_enforced(
        self, cloud: Cloud, kind: str, bodies: Sequence[Json], named: str
    ) -> None:
        """Is named."""
        for body in bodies:
            answer = await cloud.post("/messages/users", {"to": ["bob"], "type": kind, "body": body})
            assert answer.refused(400, "illegal_argument", named), body

    @pytest.mark.one_node("what the facade refuses by itself")
    async def test_what_is_not(self, cloud: Cloud) -> None:
        """Goes as it is: the rest of each table is not looked at."""
        exts = {str(number): number for number in range(16)}
        for kind, body in (
            ("custom", {"customEvent": "Az09_-/." * 4, "customExts": exts}),
            ("custom", {"customEvent": None, "customExts": None}),
            *((kind, {"odd": [1, {}]}) for kind in ("img", "audio", "video", "file", "loc", "cmd", "custom")),
        ):
            answer = await cloud.post("/messages/users", {"to": ["bob"], "type": kind, "body": body})
            assert answer.status == 200, (kind, body, answer.body)


async def test_only_an_apps_token_sends(cloud: Cloud) -> None:
    """A user's does not, whatever the call; nor none, nor another's."""
    user = await cloud.node.token((await cloud.phone("ann")).xid)
    for verb, path in (
        *(
            ("POST", f"/messages/{road}")
            for road in ("users", "chatgroups", "chatrooms", "msg_recall", "recall")
        ),
        *(("POST", f"/messages/{road}/import") for road in ("users", "chatgroups")),
        *(("POST", "/messages"), ("POST", "/messages/chatgroups/users")),
        *(("DELETE", "/users/ann/user_channel"), ("GET", "/chatmessages/2026010100")),
    ):
        assert (await cloud.call(verb, path, {}, token=user)).refused(
            401, "unauthorized", "Unable to authenticate"
        )
        assert (await cloud.call(verb, path, {}, token="")).refused(
            401, "unauthorized", "expired access token"
        )
        assert (await cloud.call(verb, path, {}, token="x")).refused(401, "auth_bad_access_token")
