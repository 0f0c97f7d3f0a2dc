"""Apps by the command line: made and shown, their keys and tokens, their names in dialects, their limits.

What is said of an app is tried beside a running server and without one.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from tests.servers import ServerProcess, command, sentence

TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that neither stop nor change it."""
    with ServerProcess(tmp_path_factory.mktemp("cli") / "data") as running:
        yield running


@pytest.fixture(scope="module", params=["beside a running server", "without one"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the app `demo`, with and without a server that owns it."""
    if request.param == "without one":
        folder = tmp_path_factory.mktemp("cold") / "data"
        assert command("app", "create", "demo", "--data", folder).returncode == 0
        return folder
    running: ServerProcess = request.getfixturevalue("server")
    return running.data


def test_an_app_that_was_created_is_listed_and_shown(data: Path) -> None:
    """The list has one app a line; the key stays unseen."""
    created = command("app", "create", "shop", "--registered", "--data", data)
    assert created.returncode == 0
    assert re.search(r"^users +registered$", created.stdout, re.MULTILINE)
    assert command("app", "list", "--data", data).stdout.splitlines() == ["demo", "shop"]
    assert command("app", "show", "shop", "--data", data).stdout == created.stdout
    assert "secret" not in created.stdout


def test_what_cannot_be_done_is_one_sentence(data: Path) -> None:
    """An app that exists already cannot be created."""
    assert "there is an app demo already" in sentence(command("app", "create", "demo", "--data", data), 1)


def test_the_secret_is_shown_where_it_is_asked_for(data: Path) -> None:
    """It is the very key that tokens are signed with."""
    shown = command("app", "show", "demo", "--secret", "--json", "--data", data)
    told = json.loads(shown.stdout)
    token = command("token", "--app", "demo", "--admin", "--data", data).stdout.strip()
    jwt.decode(token, base64.b64decode(told["secret"]), algorithms=["HS512"])
    assert jwt.get_unverified_header(token)["kid"] == told["kid"]


def test_after_a_rotation_tokens_are_signed_by_the_new_key(data: Path) -> None:
    """The new key signs, and the old one is still good."""
    before = json.loads(command("app", "show", "demo", "--json", "--data", data).stdout)
    rotated = command("app", "rotate-secret", "demo", "--data", data)
    assert rotated.returncode == 0
    after = json.loads(command("app", "show", "demo", "--json", "--data", data).stdout)
    assert after["kid"] not in before["kids"]
    assert set(after["kids"]) == {*before["kids"], after["kid"]}
    token = command("token", "--app", "demo", "--user", "alice", "--data", data).stdout.strip()
    assert jwt.get_unverified_header(token)["kid"] == after["kid"]


def test_a_rotation_beside_a_running_server_breaks_no_token(server: ServerProcess) -> None:
    """The server takes the old token and the new one, at once."""
    old = server.token("alice")
    assert server.get("/message/unread", old)[1]["code"] == 200
    assert command("app", "rotate-secret", "demo", "--data", server.data).returncode == 0
    new = command("token", "--app", "demo", "--user", "alice", "--data", server.data).stdout.strip()
    assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
    assert [server.get("/message/unread", token)[1]["code"] for token in (old, new)] == [200, 200]


def test_token_prints_a_token_and_nothing_else(data: Path) -> None:
    """So that it can stand in $(…); it lives as long as was asked for."""
    run = command("token", "--app", "demo", "--user", "4711", "--ttl", "60", "--data", data)
    assert (run.returncode, run.stderr) == (0, "")
    assert TOKEN.fullmatch(run.stdout.removesuffix("\n"))
    claims = jwt.decode(run.stdout.strip(), options={"verify_signature": False})
    assert claims["sub"] == "4711"
    assert claims["exp"] - claims["iat"] == 60


@pytest.mark.parametrize("who", [(), ("--user", "alice", "--admin")])
def test_token_wants_one_of_user_and_admin(server: ServerProcess, who: tuple[str, ...]) -> None:
    """Neither and both are one sentence."""
    assert "--user or --admin" in sentence(command("token", "--app", "demo", *who, "--data", server.data), 2)


# -- agora ------------------------------------------------------------------------------------------------


def test_an_agora_backend_finds_its_app(data: Path) -> None:
    """By name, with a client id and a secret that are printed once, and are another each time."""
    assert command("app", "create", "chat", "--data", data).returncode == 0
    pair = re.compile(r"client id +(\S+)\nclient secret +(\S+)\n")
    made = [command("app", "agora", "chat", "--name", "org/chat", "--data", data) for _ in range(2)]
    pairs = [match.groups() for run in made if (match := pair.fullmatch(run.stdout))]
    assert len({word for found in pairs for word in found}) == 4
    shown = command("app", "agora", "chat", "--data", data).stdout
    assert [line.split() for line in shown.splitlines()] == [
        ["name", "org/chat"],
        *(["client", "id", name] for name, _ in pairs),
    ]
    dropped = command("app", "agora", "chat", "--drop", pairs[0][0], "--data", data)
    assert dropped.returncode == 0
    assert pairs[0][0] not in dropped.stdout
    assert pairs[1][0] in dropped.stdout


def test_no_agora_backend_is_told_a_name_whose_paths_are_not_the_dialects(data: Path) -> None:
    """Where the native dialect is, and what clients make shorter, nobody would ever find the app."""
    assert command("app", "create", "hidden", "--data", data).returncode == 0
    for name, why in (
        ("message/app", "under /message/"),
        ("org/..", "ORG_NAME/APP_NAME"),
        ("org", "ORG_NAME/APP_NAME"),
    ):
        assert why in sentence(command("app", "agora", "hidden", "--name", name, "--data", data), 2)
    assert "none" in command("app", "agora", "hidden", "--data", data).stdout


def test_secrets_of_ones_own_come_by_the_environment(data: Path) -> None:
    """A client's, and the certificate of an App ID; neither is shown, and without one nothing is done."""
    assert command("app", "create", "moved", "--data", data).returncode == 0
    app_id, agora = "0123456789ABCDEF" * 2, ("app", "agora", "moved", "--data", data)
    for options, secret in (
        (("--client-id", "YXA6mine"), "YXA6secret"),
        (("--certificate-of", app_id), "fedcba9876543210" * 2),
    ):
        assert "set GATEWAY_SECRET" in sentence(command(*agora, *options), 2)
        made = command(*agora, *options, env={"GATEWAY_SECRET": secret})
        assert made.returncode == 0
        assert secret not in made.stdout
    held = [line.split() for line in command(*agora).stdout.splitlines()]
    assert held == [["name", "none"], ["client", "id", "YXA6mine"], ["App", "ID", app_id.lower()]]
    assert app_id.lower() not in command(*agora, "--drop", app_id).stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--name", "org"), "ORG_NAME/APP_NAME"),
        (("--certificate-of", "xyz"), "32 hexadecimal digits"),
        (("--certificate-of", "0" * 32), "32 hexadecimal digits"),
        (("--certificate-of", "0" * 32, "--client-id", "c"), "one after the other"),
        (("--drop", "nothing"), "there is no credential nothing"),
    ],
)
def test_what_agora_cannot_be_told(data: Path, options: tuple[str, ...], told: str) -> None:
    """One sentence each."""
    run = command("app", "agora", "demo", *options, "--data", data, env={"GATEWAY_SECRET": "short"})
    assert told in sentence(run, 1 if options[0] == "--drop" else 2)


# -- netease ----------------------------------------------------------------------------------------------


def test_a_netease_backend_finds_its_app(data: Path) -> None:
    """By an AppKey and a secret that are printed once; made again they would lock the backends out."""
    assert command("app", "create", "yunxin", "--data", data).returncode == 0
    netease = ("app", "netease", "yunxin", "--data", data)
    assert command(*netease).stdout == "app key     none\n"
    made = re.fullmatch(
        r"app key     ([0-9a-f]{32})\napp secret  (\S{40,})\n", command(*netease, "--generate").stdout
    )
    assert made is not None
    key, secret = made.groups()
    assert command(*netease).stdout == f"app key     {key}\nsecrets     1\n"
    assert len(secret) > len(key)
    assert key in sentence(command(*netease, "--generate"), 2)


def test_a_netease_secret_is_changed_for_another(server: ServerProcess) -> None:
    """Both are good until the old one is dropped, and no third."""
    assert command("app", "create", "turned", "--data", server.data).returncode == 0
    netease = ("app", "netease", "turned", "--data", server.data)
    for option in ("--rotate", "--drop-old"):
        assert "no AppKey yet" in sentence(command(*netease, option), 2)
    assert command(*netease, "--generate").returncode == 0
    assert re.fullmatch(r"app secret  \S{40,}\n", command(*netease, "--rotate").stdout)
    assert "2 secrets are good" in sentence(command(*netease, "--rotate"), 2)
    for _ in range(2):
        assert command(*netease, "--drop-old").stdout.endswith("secrets     1\n")


def test_a_netease_backend_brings_its_own_key(server: ServerProcess) -> None:
    """Its secret comes by the environment and is not shown; another key takes its place, and its secrets go."""
    for app in ("brought", "robbed"):
        assert command("app", "create", app, "--data", server.data).returncode == 0
    netease = ("app", "netease", "brought", "--data", server.data)
    assert "set GATEWAY_SECRET" in sentence(command(*netease, "--app-key", "k" * 32), 2)
    for secret, good in (("one", 1), ("two", 2)):
        told = command(*netease, "--app-key", "k" * 32, env={"GATEWAY_SECRET": secret})
        assert told.stdout == f"app key     {'k' * 32}\nsecrets     {good}\n"
    third = command(*netease, "--app-key", "k" * 32, env={"GATEWAY_SECRET": "three"})
    assert "--drop-old" in sentence(third, 2)
    other = command(*netease, "--app-key", "other", env={"GATEWAY_SECRET": "three"})
    assert other.stdout == "app key     other\nsecrets     1\n"
    back = command(*netease, "--app-key", "k" * 32, env={"GATEWAY_SECRET": "four"})
    assert back.stdout.endswith("secrets     1\n")
    robbed = ("app", "netease", "robbed", "--app-key", "k" * 32, "--data", server.data)
    assert "another app" in sentence(command(*robbed, env={"GATEWAY_SECRET": "x"}), 1)
    assert command("app", "netease", "robbed", "--data", server.data).stdout == "app key     none\n"
    assert "give one of" in sentence(command(*netease, "--rotate", "--drop-old"), 2)


# -- limits -----------------------------------------------------------------------------------------------


def test_limits_are_set_and_shown(data: Path) -> None:
    """What was set is shown with what is in use, by both commands; what is not named stays; 0 is none."""
    assert command("app", "create", "small", "--data", data).returncode == 0
    fresh = command("app", "limits", "small", "--data", data)
    assert fresh.stdout.splitlines() == [
        "sends per s    no bound of its own",
        "connections    no bound of its own, now 0",
        "message bytes  no bound of its own",
        "storage bytes  no bound of its own, now 0",
    ]
    limits = (
        "--sends-per-s",
        "50",
        "--connections",
        "7",
        "--message-bytes",
        "1000",
        "--storage-bytes",
        "9000",
    )
    assert command("app", "limits", "small", *limits, "--data", data).returncode == 0
    told = command("app", "limits", "small", "--connections", "0", "--data", data).stdout.splitlines()
    assert told == [
        "sends per s    50",
        "connections    no bound of its own, now 0",
        "message bytes  1000",
        "storage bytes  9000, now 0",
    ]
    shown = json.loads(command("app", "show", "small", "--json", "--data", data).stdout)["limits"]
    assert shown == {
        "sends_per_s": 50,
        "connections_max": 0,
        "message_bytes_max": 1000,
        "storage_bytes_max": 9000,
    }
    assert "message bytes  1000" in command("app", "show", "small", "--data", data).stdout


def test_limits_hold_at_once_in_a_running_server(server: ServerProcess) -> None:
    """The next call meets them, and what is stored is shown."""
    assert command("app", "create", "tight", "--data", server.data).returncode == 0
    send = ("send", "--app", "tight", "--to", "9", "--data", server.data)
    command("token", "--app", "tight", "--user", "9", "--data", server.data)
    assert command(*send, "hello").returncode == 0
    told = command("app", "limits", "tight", "--message-bytes", "4", "--data", server.data)
    assert "storage bytes  no bound of its own, now 305" in told.stdout
    assert "at most 4" in sentence(command(*send, "hello"), 1)


def test_no_limits_of_an_app_that_is_not_there(data: Path) -> None:
    """One sentence, and nothing is made."""
    asked = command("app", "limits", "nowhere", "--connections", "5", "--data", data)
    assert "there is no app nowhere" in sentence(asked, 1)
