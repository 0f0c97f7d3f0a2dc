"""Clients that others have written, as they are, against a gateway (vendors.md §4).

What a client has that fails here stands in a list, with the reason. The lists are exact: what is on one must fail.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.edge.facades.agora.asking import ALIAS
from tests import foreign
from tests.agora import clients
from tests.agora.stage import (
    APP,
    CLIENT_ID,
    CLIENT_SECRET,
    ORG,
    VENDOR_APP_ID,
    VENDOR_CERTIFICATE,
    Cloud,
    open_cloud,
)
from tests.patience import WAIT_S
from tests.rest.stage import Json

_NO_QUERIES = "pages of messages by a query language are not served (agora.md, absent on purpose)"
_WANTS_QUERIES = f"takes its message from where {_NO_QUERIES}, and then waits for a user without a name"

EASEMOB_CASES = 58
EASEMOB_FAILS = {
    "log Test Export log Should return OK": _NO_QUERIES,
    "Message Test Send through message Should return OK": (
        "sends a txt without `msg`, in the name of a list; its own documentation has type cmd and a string"
    ),
}
EASEMOB_HANGS = "Get user offline msg status"
EASEMOB_WAITS = f'User Test {EASEMOB_HANGS} "after all" hook'
EASEMOB_HANGING = {
    f'User Test {EASEMOB_HANGS} "before all" hook': _WANTS_QUERIES,
    EASEMOB_WAITS: _WANTS_QUERIES,
}

_NO_CONSOLE = "wants an account of the vendor's console, which has an administrator's rights by a password"
_PAIR = "takes a whole answer of requests for a pair"
_HEADERS = (
    "has a header that is no text, which requests has refused since 2.11; with one that is text it works"
)

EASE_FAILS = {
    "AppAdminAccountAuth: for the app": _NO_CONSOLE,
    "OrgAdminAccountAuth": _NO_CONSOLE,
    "passwd_easemob_user": _NO_CONSOLE,
    "change_easemob_nickname": _NO_CONSOLE,
    "get_token_client": _PAIR,
    "get_token_account": _PAIR,
    "upload_media": _HEADERS,
    "download_thumbnail": _HEADERS,
    "delete_users": "users that nobody names are not deleted (agora.md, absent on purpose)",
    "select_users: by a query": "users are not looked for by a query language; it says so",
    "export_chat_message": _NO_QUERIES,
    "export_chat_message: by a query": f"encodes a text as if it were bytes; {_NO_QUERIES}",
}


def _cache(config: pytest.Config) -> Path:
    assert config.cache is not None
    return config.cache.mkdir("agora-clients")


@pytest.fixture(scope="session")
def modules(pytestconfig: pytest.Config) -> Path:
    """The clients from npm."""
    return clients.npm_clients(_cache(pytestconfig))


@pytest.fixture(scope="session")
def packages(pytestconfig: pytest.Config) -> Path:
    """The clients from PyPI."""
    return clients.python_clients(_cache(pytestconfig))


def otherwise(told: Json, listed: dict[str, str]) -> dict[str, str]:
    """The cases that came out otherwise than their list says, each with how."""
    failed: dict[str, str] = told["failed"]
    passed = {case: "it passes" for case in listed if case not in failed}
    return passed | {case: said for case, said in failed.items() if case not in listed}


class TestEasemobSdk:
    """npm easemob-sdk, by its own suite."""

    @pytest.fixture(autouse=True)
    async def app(self, cloud: Cloud, modules: Path) -> None:
        """An app that is named as in the suite's configuration."""
        told = modules.joinpath("easemob-sdk", "test", "config.js").read_text(encoding="utf-8")
        config = dict(re.findall(r"(\w+)\s*: '(.*)'", told))
        directory = cloud.node.gateway.directory
        await directory.create_app("unittest", registered=True)
        await directory.credentials.call("unittest", ALIAS, f"{config['org_name']}/{config['app_name']}")
        await directory.credentials.add("unittest", ALIAS, config["client_id"], config["client_secret"])

    async def test_its_own_suite(self, cloud: Cloud, modules: Path) -> None:
        """Every case passes, but those on the list."""
        told = await mocha(cloud, modules, "--grep", EASEMOB_HANGS, "--invert")
        assert otherwise(told, EASEMOB_FAILS) == {}
        assert len(told["passed"]) == EASEMOB_CASES - len(EASEMOB_FAILS)

    async def test_what_would_hang(self, cloud: Cloud, modules: Path) -> None:
        """What cleans up after one case never comes to its end, so that it alone is not waited for long."""
        told = await mocha(cloud, modules, "--grep", EASEMOB_HANGS, HANGS=EASEMOB_WAITS)
        assert otherwise(told, EASEMOB_HANGING) == {}
        assert told["passed"] == []


async def mocha(cloud: Cloud, modules: Path, *options: str, **env: str) -> Json:
    """Run the suite of easemob-sdk; which of its cases passed and which failed with what."""
    command: list[str | Path] = [modules / "mocha" / "bin" / "_mocha", *options]
    command += ["--timeout", str(int(WAIT_S * 1000))]
    command += ["--require", clients.SDK / "easemob.js", "--reporter", clients.SDK / "report.js"]
    command += [modules / "easemob-sdk" / "test"]
    told: Json = await clients.run_node(
        modules, cloud.node.folder, *command, GATEWAY_UNDER_TEST=cloud.node.url, **env
    )
    return told


class TestAgoraToken:
    """npm agora-token, which makes tokens by itself."""

    @pytest.fixture
    async def tokens(self, cloud: Cloud, modules: Path) -> dict[str, str]:
        """Tokens by what they are; those of a user are of ann's."""
        await cloud.users("ann")
        made: dict[str, str] = await clients.run_node(
            modules, cloud.node.folder, clients.SDK / "tokens.js", VENDOR_APP_ID, VENDOR_CERTIFICATE, "ann"
        )
        return made

    async def test_of_an_app(self, cloud: Cloud, tokens: dict[str, str]) -> None:
        """Speaks for the app, as it is and exchanged."""
        assert (await cloud.get("/users", token=tokens["app"])).status == 200
        assert (await cloud.get("/users", token=await exchanged(cloud, tokens["app"]))).status == 200

    @pytest.mark.parametrize("made", ["user", "user beside RTC and RTM", "user beside every service"])
    async def test_of_a_user(self, cloud: Cloud, tokens: dict[str, str], made: str) -> None:
        """Speaks for that user alone, as it is and exchanged; whatever else it is good for."""
        for token in (tokens[made], await exchanged(cloud, tokens[made])):
            assert (await cloud.get("/users/ann", token=token)).entities[0]["username"] == "ann"
            assert (await cloud.get("/users", token=token)).refused(401, "unauthorized")

    @pytest.mark.parametrize("made", ["no Chat", "user of another certificate"])
    async def test_of_nobody(self, cloud: Cloud, tokens: dict[str, str], made: str) -> None:
        """Is refused, as it is and for an exchange."""
        assert (await cloud.get("/users/ann", token=tokens[made])).refused(401, "auth_bad_access_token")
        answer = await cloud.post("/token", {"grant_type": "agora"}, token=tokens[made])
        assert answer.refused(401, "auth_bad_access_token")


async def exchanged(cloud: Cloud, token: str) -> str:
    """A token of ours for one of the vendor's."""
    told = (await cloud.post("/token", {"grant_type": "agora"}, token=token)).told
    return str(told["access_token"])


class TestEaseRestapi:
    """PyPI ease-restapi, which has no suite: `sdk/ease.py` makes each of its calls."""

    async def test_each_of_its_calls(self, tmp_path: Path, packages: Path) -> None:
        """Does what it is for, but those on the list."""
        async with open_cloud(tmp_path / "data", open_registration=True) as cloud:
            url = cloud.node.url
            command = (clients.SDK / "ease.py", url, ORG, APP, CLIENT_ID, CLIENT_SECRET)
            told = await foreign.run_python(packages, tmp_path, *command)
        assert told["untried"] == []
        assert otherwise(told, EASE_FAILS) == {}
