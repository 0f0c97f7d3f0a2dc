"""What a user sees now, by a fresh read of the store and nothing held before.

The equations that hold at rest (everything committed has been written to every device; `==` compares whole
messages, with sender, texts and time, and whole lists of members):

1. *by frames*: `View.state` of a device that attaches for the first time, states `cursors` of 0 for its own timeline
   and every group its user is in, and reads nothing by REST `== read(…)`. REST and the device channel say the same.
2. *stale + frames*: `View.state` of any device, whatever it held when it came back and however often it was away,
   `== read(…)`. A device that states its cursors from its first attach on has never asked REST for messages. One that
   lets the store say where it starts asks REST for what lies before a start that is above what it holds (its first
   attach; not kept, and another device has acked since), once, when it hears `live`. Both ask for the members of a
   group at the start of a stay, and for its history where it shows it to who joins. From then on, frames alone keep
   them up.
3. *the list*: `/message/unread` names exactly the conversations of `read(…)` that have a message, and `num` counts
   the messages of others in them whose status, to this user, is not READ.
4. *status*: `View.statuses` of a device that asks, from the REST statuses at its last `live` and the receipts since,
   `==` the statuses of one's own messages to other users in `read(…)`. (In a group a receipt does not speak for older
   messages: who has got the newest may have come after them.)
5. *stays*: every entry of a group that a device holds lies within a stay of its user.

6. *what goes by itself*: of a message with a time of its own no frame tells when that comes, so a device hides it at
   its `expires_at`; after that 1 to 4 hold for it, whether it was wiped before it came, or held.
7. *what goes untold*: a text that was erased with its sender, or removed by age, is in no reading and no new device
   (1), while who holds it may show it for ever. So 2 and 4 hold for what a device shows without those, of which there
   must be no others: ids up to where retention has got, and what the store says was erased.
8. *directed messages* lie in the group's conversation, and in 1 to 5, though their entries are in users' timelines.
9. *chatrooms*: what a device that is in one shows of it, from where it came in without a hole (and less what is 7),
   `==` the pages of REST, as far as those reach. Of a device that joins now after 0 it is all the pages.
10. *erased users*: of such a one no token is good, its devices were sent away, nobody reads what it said or has it
    for a member, and 1 to 9 hold for all others.

Not in the equations: what came of a closed stay (a device keeps it, the store shows it to nobody), and chatrooms that
a device is outside of.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import aiohttp

from tests.day.view import Item, Shown, State
from tests.rest.stage import Answer, Caller

PAGE = 7
"""Small, so that most conversations take more than one page."""

NOT_ALLOWED, ILLEGAL_TOKEN = 10010, 10008
NOT_IN_IT = {20001, 20002}
"""The codes of a group that has ended and of one that the asker is not in."""


class UnansweredError(Exception):
    """The gateway is going down, or the user is frozen or erased: whoever asked asks again after the next attach."""


@dataclasses.dataclass(frozen=True)
class Fresh:
    """One reading. `unread` is the list as it came: conversations, newest first, with their numbers."""

    state: State
    statuses: dict[int, str]
    unread: list[tuple[int, int]]
    counted: dict[int, int]
    """What `unread` should say, counted from the history pages."""


async def ask(caller: Caller, path: str, **query: object) -> Answer:
    try:
        answer = await caller.get(path, **query)
    except aiohttp.ClientError as error:
        raise UnansweredError(path) from error
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE or answer.code in (NOT_ALLOWED, ILLEGAL_TOKEN):
        raise UnansweredError(path)
    return answer


async def whole(caller: Caller, conversation: int, limit: int = PAGE) -> list[Item] | None:
    """A conversation paged to its end, newest first; None where one may not look."""
    items: list[Item] = []
    start = 0
    while True:
        query = {"opposite_id": conversation, "msg_id_start": start, "limit": limit}
        answer = await ask(caller, "/message/conversation", **query)
        if answer.code in NOT_IN_IT:
            return None
        page = answer.data
        items += page["messages"]
        assert page["is_last"] == (page["next_msg_id"] == 0)
        if page["is_last"]:
            return items
        assert page["next_msg_id"] < items[-1]["msg_id"], "a page that does not lead to older ones"
        start = page["next_msg_id"]


async def members(caller: Caller, group: int) -> list[int] | None:
    """The members of a group paged to the end; None where one is not among them."""
    found: list[int] = []
    cursor = ""
    while True:
        query = {"group_id": group, "limit": PAGE, **({"cursor": cursor} if cursor else {})}
        answer = await ask(caller, "/group/member_list", **query)
        if answer.code in NOT_IN_IT:
            return None
        found += [member["user_id"] for member in answer.data]
        cursor = answer.envelope["cursor"]
        if not cursor:
            return found


async def shows_history(caller: Caller, group: int) -> bool:
    """Whether who joins a group may page back to before."""
    answer = await ask(caller, "/group/info", group_id=group)
    return answer.code == HTTPStatus.OK and bool(answer.data["history_visible"])


async def joined(caller: Caller) -> list[int]:
    found: list[int] = (await ask(caller, "/group/user_joined")).data
    return found


async def recent(caller: Caller) -> list[tuple[int, int]]:
    """The recent list: conversations, newest first, with the numbers of unread messages."""
    listed = (await ask(caller, "/message/unread")).data
    return [(item["conversation_id"]["uid"], item["num"]) for item in listed]


async def read(caller: Caller, parties: Iterable[int]) -> Fresh:
    """Read all there is for a user; `parties` are all users and groups there are."""
    conversations: dict[int, list[Shown]] = {}
    statuses: dict[int, str] = {}
    counted: dict[int, int] = {}
    groups = await joined(caller)
    for party in parties:
        items: list[Any] | None = await whole(caller, party)
        if not items:
            continue
        conversations[party] = [Shown.of(item) for item in reversed(items)]
        others = [item for item in items if item["from_xid"]["uid"] != caller.xid]
        counted[party] = sum(item["status"] != "READ" for item in others)
        if party not in groups and party != caller.xid:
            own = [item for item in items if item["from_xid"]["uid"] == caller.xid]
            statuses |= {item["msg_id"]: item["status"] for item in own}
    state = State(conversations, {group: frozenset(await members(caller, group) or ()) for group in groups})
    return Fresh(state, statuses, await recent(caller), counted)
