"""Drives the whole of ease-restapi against a gateway: ease.py URL ORG APP CLIENT_ID CLIENT_SECRET, in an empty folder.

It tells as JSON which cases passed, and which failed with what.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import requests
from ease_restapi import config, service, simplify
from ease_restapi.service import ease_auth
from PIL import Image

Case = tuple[str, Callable[[], object]]
"""A call's name, with what the case is about where there are several, and what must come out true."""

DOWNLOADS = Path("download")
THUMBNAIL = 170
"""Pixels of the longer side, where nobody says."""


def configure(url: str, org: str, app: str, client_id: str, client_secret: str) -> None:
    """Set what its users write into its configuration; registration is open."""
    config.HOST_SERVER, config.APP_ORG, config.APP_NAME = url, org, app
    config.CLIENT_ID, config.CLIENT_SECRET = client_id, client_secret
    config.APP_ADMIN_USERNAME, config.APP_ADMIN_PASSWORD = "manager", "manager-password"
    config.OPEN_OR_CREDIT = False


def got(answer: tuple[bool, Any]) -> Any:
    """What a call has brought; whatever was refused fails the case."""
    success, told = answer
    assert success, told
    return told


def data(answer: tuple[bool, Any]) -> Any:
    return got(answer)["data"]


def names(answer: tuple[bool, Any]) -> list[str]:
    """The users that an answer lists."""
    return [user["username"] for user in got(answer)["entities"]]


def tokens() -> Iterator[Case]:
    """Calls by which it comes to a token."""
    app = service.AppClientAuth(config.CLIENT_ID, config.CLIENT_SECRET)
    yield "AppClientAuth", lambda: app.get_token() != "None"
    names(service.create_user_credit(app, "manager", "manager-password"))
    user = service.AppAdminAccountAuth("manager", "manager-password")
    yield "AppAdminAccountAuth", lambda: user.get_token() != "None"
    yield "AppAdminAccountAuth: for the app", lambda: names(service.pickup_users(user))
    org = service.OrgAdminAccountAuth("manager", "manager-password")
    yield "OrgAdminAccountAuth", lambda: org.get_token() != "None"
    yield "APP_AUTH", lambda: service.APP_AUTH() is None
    yield "get_token_client", ease_auth.get_token_client
    yield "get_token_account", lambda: ease_auth.get_token_account("manager", "manager-password")


def users(app: Any) -> Iterator[Case]:
    """Calls about users, their friends and their blocks."""
    yield "create_user_credit", lambda: names(service.create_user_credit(app, "ann", "old")) == ["ann"]
    batch = [{"username": name, "password": name} for name in ("bob", "cid", "dee")]
    yield "create_users", lambda: names(service.create_users(app, batch)) == ["bob", "cid", "dee"]
    yield "create_user_open", lambda: names(service.create_user_open("eve", "eve")) == ["eve"]
    yield "pickup_user", lambda: names(service.pickup_user(app, "ann")) == ["ann"]
    yield "pickup_users", lambda: set(names(service.pickup_users(app, 20))) >= {"ann", "bob", "cid", "eve"}
    first = got(service.pickup_users(app, 2))
    next_ones = names(service.pickup_users(app, 2, first["cursor"]))
    yield "pickup_users: by pages", lambda: len({*names((True, first)), *next_ones}) == 4
    yield "select_users", lambda: "ann" in names(service.select_users(app))
    ann_alone = "select * where username='ann'"
    yield "select_users: by a query", lambda: names(service.select_users(app, ann_alone)) == ["ann"]
    yield "passwd_user", lambda: got(service.passwd_user(app, "ann", "new"))["action"] == "set user password"
    yield "modify_nickname", lambda: names(service.modify_nickname(app, "ann", "Ann")) == ["ann"]
    yield "look_user_status", lambda: data(service.look_user_status(app, "ann")) == {"ann": "offline"}
    yield "create_friend", lambda: names(service.create_friend(app, "ann", "bob")) == ["bob"]
    yield "detail_friend", lambda: data(service.detail_friend(app, "ann")) == ["bob"]
    yield "delete_friend", lambda: names(service.delete_friend(app, "ann", "bob")) == ["bob"]
    yield "add_user_blacklist", lambda: data(service.add_user_blacklist(app, "ann", ["bob"])) == ["bob"]
    yield "pickup_user_blacklist", lambda: data(service.pickup_user_blacklist(app, "ann")) == ["bob"]
    yield "del_user_blacklist", lambda: names(service.del_user_blacklist(app, "ann", "bob")) == ["bob"]
    yield "delete_user", lambda: names(service.delete_user(app, "dee")) == ["dee"]
    yield "delete_users", lambda: got(service.delete_users(app, "order by created desc", 1))


def groups(app: Any) -> Iterator[Case]:
    """Calls about one group."""
    asked = service.build_group_data("g", "a group", "ann", public=True)
    yield "build_group_data", lambda: (asked["groupname"], asked["members"]) == ("g", [])
    group = data(service.create_group(app, asked))["groupid"]
    yield "create_group", lambda: group
    yield (
        "add_group_users",
        lambda: data(service.add_group_users(app, group, ["bob"]))["newmembers"] == ["bob"],
    )
    yield "user_join_group", lambda: data(service.user_join_group(app, group, "cid"))["result"] is True
    yield "pickup_group_users", lambda: len(data(service.pickup_group_users(app, group))) == 3
    yield "pickup_user_group", lambda: data(service.pickup_user_group(app, "bob"))[0]["groupid"] == group
    yield "details_group", lambda: data(service.details_group(app, group))[0]["name"] == "g"
    yield "pickup_groups", lambda: data(service.pickup_groups(app))[0]["groupid"] == group
    yield "modify_group", lambda: data(service.modify_group(app, group, groupname="h")) == {"groupname": True}
    yield "user_kick_group", lambda: data(service.user_kick_group(app, group, "cid"))["result"] is True
    text = service.build_message_data("hi", [group], "chatgroups", "ann", key="value")
    yield "build_message_data", lambda: data(service.send_txt_message(app, text)) == {group: "success"}
    yield "delete_group", lambda: data(service.delete_group(app, group))["success"] is True


def messages(app: Any) -> Iterator[Case]:
    """Calls that send, each to bob, and those about what was sent."""
    to, sent = ["bob"], {"bob": "success"}
    text = service.MessageTxtData("hi", to)()
    yield "MessageTxtData", lambda: text["from"] is None
    yield "send_txt_message", lambda: data(service.send_txt_message(app, text)) == sent
    picture = service.MessageImgData("http://host/a", "a.png", "secret", to, username="ann")()
    yield "MessageImgData", lambda: picture["msg"]["type"] == "img"
    yield "send_img_message", lambda: data(service.send_img_message(app, picture)) == sent
    sound = service.MessageAudioData("http://host/a", "a.amr", 10, "secret", to, username="ann")()
    yield "MessageAudioData", lambda: sound["msg"]["type"] == "audio"
    yield "send_audio_message", lambda: data(service.send_audio_message(app, sound)) == sent
    film = service.MessageVideoData(
        "a.mp4", "http://host/t", 10, "secret", 58103, "secret", "http://host/a", to, username="ann", key=1
    )()
    yield "MessageVideoData", lambda: film["msg"]["type"] == "video"
    yield "send_video_message", lambda: data(service.send_video_message(app, film)) == sent
    command = service.MessageTransmissionData("action", to, username="ann")()
    yield "MessageTransmissionData", lambda: command["msg"]["type"] == "cmd"
    yield "send_transmission_message", lambda: data(service.send_transmission_message(app, command)) == sent
    yield "offline_msg_count", lambda: data(service.offline_msg_count(app, "bob"))["bob"] == 5
    yield "export_chat_message", lambda: got(service.export_chat_message(app, limit=5))
    yield (
        "export_chat_message: by a query",
        lambda: got(service.export_chat_message(app, "order by timestamp")),
    )
    yield "export_chat_media", lambda: service.export_chat_media() is None


@contextlib.contextmanager
def headers_as_text() -> Iterator[None]:
    """Let headers be what they could be when it was written."""
    ask = requests.Session.request

    def request(session: requests.Session, *args: Any, **more: Any) -> requests.Response:
        more["headers"] = {name: str(value) for name, value in more["headers"].items()}
        return ask(session, *args, **more)

    with mock.patch.object(requests.Session, "request", request):
        yield


def files(app: Any) -> Iterator[Case]:
    """Calls about files, of which one is made."""
    picture = Path("noise.png")
    Image.effect_noise((400, 300), 50).save(picture)
    yield "upload_media", lambda: got(service.upload_media(app, str(picture)))
    with headers_as_text():
        told = got(service.upload_media(app, str(picture)))["entities"][0]
    uuid, secret = told["uuid"], told["share-secret"]
    yield "upload_media: headers as text", lambda: uuid and secret
    yield "download_media", lambda: service.download_media(app, uuid, secret) == 0
    yield "download_media: its bytes", lambda: (DOWNLOADS / uuid).read_bytes() == picture.read_bytes()
    yield "download_thumbnail", lambda: service.download_thumbnail(app, uuid, secret) == 0
    with headers_as_text():
        service.download_thumbnail(app, uuid, secret)
    thumbnail = DOWNLOADS / f"thumb_{uuid}"
    yield "download_thumbnail: headers as text", lambda: max(Image.open(thumbnail).size) == THUMBNAIL


def local() -> Iterator[Case]:
    """Calls that are made beside those of one's own accounts."""
    profile = SimpleNamespace(ring_join=False, name="Joe")
    yield "join_easemob_local", lambda: simplify.join_easemob_local(profile, "joe@host", b"joe").ring_join
    yield "passwd_easemob_user", lambda: simplify.passwd_easemob_user("joe@host", b"new")
    yield "change_easemob_nickname", lambda: simplify.change_easemob_nickname("joe@host", "Joseph")


def run(cases: Iterator[Case]) -> tuple[list[str], dict[str, str]]:
    """Try all cases: those that passed, and what was wrong with the others."""
    passed, failed = [], {}
    for name, came_out in cases:
        try:
            assert came_out(), "it came out otherwise"
            passed.append(name)
        except Exception as error:  # noqa: BLE001 - whatever it raises is what is asked for
            failed[name] = f"{type(error).__name__}: {error}"
    return passed, failed


def calls() -> set[str]:
    """All that it offers."""
    offered = [service, simplify, ease_auth]
    return {
        name
        for module in offered
        for name, call in vars(module).items()
        if callable(call) and str(call.__module__).startswith("ease_restapi")
    }


def cases() -> Iterator[Case]:
    yield from tokens()
    app = service.AppClientAuth(config.CLIENT_ID, config.CLIENT_SECRET)
    for family in (users, groups, messages, files):
        yield from family(app)
    yield from local()


def main() -> None:
    configure(*sys.argv[1:])
    # It prints its tokens.
    with contextlib.redirect_stdout(io.StringIO()):
        passed, failed = run(cases())
    untried = calls() - {name.partition(":")[0] for name in (*passed, *failed)}
    json.dump({"passed": passed, "failed": failed, "untried": sorted(untried)}, sys.stdout)


if __name__ == "__main__":
    main()
