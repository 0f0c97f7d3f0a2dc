"""Every path that the vendor has (vendors.md §1.3) is served, or the README says that it is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.edge.facades.native.routes import ROUTES
from tests.rest.stage import Caller

pytestmark = pytest.mark.one_node("what the edge refuses by itself")

README = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
HEADING = "### Not served"

# Folder by folder; `a/{b,c}` is two paths, `a{,/b}` is `a` and `a/b`. One that ends in `*` stands for all below it.
VENDOR = {
    "message": "send notify broadcast recall conversation unread ack",
    "ai/message": "send",
    "token": "user id login",
    "user": """register/{v2,batch,anonymous,push} list profile{,/batch} online_status device/{list,remove} kick delete
        enable disable change_password{,_admin} nickname avatar username mobile public private authmode settings
        conversation/{pin,unpin,pin_list} push/* token/{bind,unbind}""",
    "group": """create destroy info{,/name,/avatar,/description,/ext,/batch} member_list members/display_name
        user_joined public_list invite{,/handle} invitation_list apply{,/handle} application_list kick leave ban unban
        banned_list block unblock blocked_list transfer admin/{add,remove} admin_list
        announcement{,/edit,/delete,/last,/list} file/{list,upload,delete,update_name}
        settings{,/allow_member_invitation,/allow_member_modify,/ban_all,/unban_all,/enable_read_ack,/hide_member_info}
        settings/{history_visible,require_admin_approval} msg/{mute_mode,push_mode} qrcode/{sign,invite}""",
    "roster": "list apply accept decline delete block unblock blocked_list may_message id name mobile ext",
    "file": "upload/{chat,avatar/user,avatar/group,forward} download/{chat,avatar}",
    "push": "notify certificate task/detail",
}


def spread(word: str) -> list[str]:
    """The paths that a word with braces stands for."""
    match = re.fullmatch(r"([^{]*)\{([^}]*)\}", word)
    return [match[1] + rest for rest in match[2].split(",")] if match else [word]


PATHS = [
    f"/{folder}/{path}" for folder, words in VENDOR.items() for word in words.split() for path in spread(word)
]
SERVED = {path for _, path, _ in ROUTES}
TABLE = re.findall(r"`(/[^`]*)`", README.partition(f"\n{HEADING}\n")[2].partition("\n#")[0])


def served(path: str) -> bool:
    """Whether a call answers this path, or any below it."""
    if path.endswith("*"):
        return any(found.startswith(path[:-1]) for found in SERVED)
    return path in SERVED


def test_each_path_is_served_or_named() -> None:
    """One of the two, and not both."""
    assert len(PATHS) == len(set(PATHS)) > 100
    assert [path for path in PATHS if not served(path) and path not in TABLE] == [], (
        "neither served nor named"
    )
    assert [path for path in TABLE if served(path)] == [], "served, and the README says it is not"


def test_the_readme_names_the_vendors_paths_once() -> None:
    """What is not the vendor's needs no word."""
    assert [path for path in TABLE if path not in PATHS] == []
    assert len(TABLE) == len(set(TABLE))


async def test_they_answer_404(alice: Caller) -> None:
    """In the envelope, by every verb, whoever asks."""
    for path in TABLE:
        for verb in ("GET", "POST", "PUT", "DELETE"):
            answer = await alice.call(verb, path.replace("*", "x"))
            assert answer.status == 404, (verb, path)
            assert answer.refused(404)
