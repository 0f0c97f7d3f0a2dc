"""What the edge sees of the core."""

from __future__ import annotations

import dataclasses

from gateway.core.accounts import Accounts
from gateway.core.answers import Answers
from gateway.core.broadcast import Broadcasts
from gateway.core.conversations import Conversations
from gateway.core.directory import Directory
from gateway.core.erasing import Erasing
from gateway.core.files import Files
from gateway.core.groups import Groups
from gateway.core.looking import Looking
from gateway.core.messaging import Messaging
from gateway.core.receipts import Receipts
from gateway.core.records import Records
from gateway.core.rooms import Rooms
from gateway.core.roster import Roster
from gateway.core.signals import Signals
from gateway.core.users import Users


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The services that every dialect calls."""

    accounts: Accounts
    answers: Answers
    broadcasts: Broadcasts
    directory: Directory
    erasing: Erasing
    files: Files
    groups: Groups
    rooms: Rooms
    messaging: Messaging
    conversations: Conversations
    looking: Looking
    records: Records
    receipts: Receipts
    signals: Signals
    users: Users
    roster: Roster
