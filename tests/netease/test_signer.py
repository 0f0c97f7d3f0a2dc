"""The program by which the vendor's customers sign their calls, as it is, against a gateway (vendors.md §4).

It reads a spreadsheet of bodies and writes one with a nonce for each, the MD5 of the body, and a checksum.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path

import pytest

from tests import foreign
from tests.netease.stage import APP_KEY, APP_SECRET, Cloud
from tests.rest.stage import Json

pytestmark = pytest.mark.one_node("who signs does not know how many nodes there are")

SDK = Path(__file__).with_name("sdk")


@pytest.fixture(scope="session")
def packages(pytestconfig: pytest.Config) -> Path:
    """The program, and what it needs."""
    assert pytestconfig.cache is not None
    kind = f"signer-{sys.hexversion:x}"
    return foreign.installed(
        pytestconfig.cache.mkdir("netease-clients"), kind, [SDK / "requirements.txt"], _install
    )


def _install(folder: Path) -> None:
    foreign.install(folder, *foreign.PIP, "--only-binary", ":all:", "--target", ".", "-r", "requirements.txt")


CALLS: list[tuple[str, str, Json | None]] = [
    ("POST", "/v2/conversations/ann|1|bob/messages", {"message": {"message_type": 0, "text": "hi"}}),
    ("POST", "/v2/conversations/ann%7C1%7Cbob/messages", {"message": {"message_type": 0, "text": "中国"}}),
    ("POST", "/v2/accounts", {"account_id": "zoe"}),
    ("GET", "/v2/accounts/ann", None),
]


def row(verb: str, path: str, body: Json | None, secret: str = APP_SECRET) -> Json:
    """A row of the sheet. What has no body is signed by its verb and path: a nonce may be anything."""
    told = f"{verb} {path}" if body is None else json.dumps(body, ensure_ascii=False)
    return {"AppKey": APP_KEY, "AppSecret": secret, "CurTime": int(time.time()), "Body": told}


def headers(signed: Json) -> dict[str, str]:
    """What a call sends of a row that was signed."""
    named = {"AppKey": "AppKey", "Nonce": "MD5", "CurTime": "CurTime", "CheckSum": "CheckSum"}
    return {name: str(signed[column]) for name, column in named.items()}


async def test_what_it_has_signed_is_let_in(cloud: Cloud, packages: Path) -> None:
    """Each call, by the headers that it made for it; and none that it has signed with another secret."""
    rows = [row(*call) for call in CALLS] + [row(*CALLS[-1], secret="not-the-apps")]
    sheet = cloud.node.folder.with_name("rows.json")
    sheet.write_text(json.dumps(rows), encoding="utf-8")
    signed = await foreign.run_python(packages, sheet.parent, SDK / "sign.py", sheet)
    bodies = [one["Body"] for one in rows]
    assert [one["Body"] for one in signed] == bodies
    assert [one["MD5"] for one in signed] == [
        hashlib.md5(body.encode()).hexdigest()  # noqa: S324 - the program's
        for body in bodies
    ]
    for (verb, path, body), made in zip(CALLS, signed[:-1], strict=True):
        told = None if body is None else made["Body"].encode()
        assert (await cloud.call(verb, path, told, headers=headers(made))).data
    refused = await cloud.get(CALLS[-1][1], headers=headers(signed[-1]))
    assert refused.refused(414, "bad http header")
