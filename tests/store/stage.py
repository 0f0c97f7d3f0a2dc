"""A store with one app in it, and short words for what its tests ask again and again."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from gateway.domain.drafts import (
    Answer,
    Appended,
    BroadcastText,
    Changed,
    CreateDraft,
    DeleteDraft,
    Draft,
    ImportDraft,
    Imported,
    Job,
    JobDraft,
    JobKind,
    MembershipDraft,
    MessageDraft,
    RecallDraft,
    Started,
    StepDraft,
    Stepped,
)
from gateway.domain.errors import Kind
from gateway.domain.limits import Limits
from gateway.domain.model import Action, App, Entry, Facts, Scope, User
from gateway.domain.positions import Ack, ReadDone, ReadMark, StatusChange
from gateway.store.base import History, Party, Recent, Store
from gateway.store.postgres.engine import PostgresOptions, PostgresStore
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.check import check_store
from tests.patience import patient
from tests.postgres import check as check_database
from tests.postgres import database_of, drop_database
from tests.sqlite import lay_tables

NOW = 1_700_000_000_000
THEN = 1_600_000_000_000
"""When messages that are imported were sent."""
LIMITS = Limits()
MIB = 1024 * 1024


async def open_store(engine: str, folder: Path, limits: Limits) -> Store:
    """Open the store of an engine; a folder stands for a database of its own."""
    if engine == "postgres":
        return await PostgresStore.open(through_pooler(await database_of(folder)), patient(limits))
    lay_tables(folder)
    return await SqliteStore.open(folder, limits)


def through_pooler(url: str) -> PostgresOptions:
    """How to reach a database: through PgBouncer where `GATEWAY_TEST_PGBOUNCER` (host:port) names one.

    It has to be one in front of the tests' own server, for whatever database it is asked for.
    """
    pooler = os.environ.get("GATEWAY_TEST_PGBOUNCER")
    if not pooler:
        return PostgresOptions(url=url)
    user = urlsplit(url).username or "postgres"
    path = urlsplit(url).path
    return PostgresOptions(url=f"postgresql://{user}@{pooler}{path}?sslmode=disable", pooled=True)


def check(engine: str, folder: Path) -> list[str]:
    """Ask the engine which of the store's laws are broken."""
    return check_database(folder) if engine == "postgres" else check_store(folder)


_OF_IMPORTS = {"shown_at", "settled", "sender_name", "target_name"}


class Stage:
    """An open store. Users and groups are named by their xids; `system` is the app's reserved user's."""

    def __init__(self, engine: str, folder: Path, limits: Limits = LIMITS) -> None:
        self.engine = engine
        self.folder = folder
        self.limits = limits
        self.store: Store
        self.app: App

    async def __aenter__(self) -> Self:
        self.store = await open_store(self.engine, self.folder, self.limits)
        made = await self.store.create_app("demo", "k1", b"x" * 64, registered=False, at=NOW)
        assert made is not None
        self.app = made
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.store.close()
        if self.engine == "postgres" and kind is not None:
            await drop_database(self.folder)

    async def restart(self, limits: Limits | None = None) -> None:
        """Close the store and open it again, with other limits where given."""
        await self.store.close()
        self.store = await open_store(self.engine, self.folder, limits or self.limits)

    async def alter(self, statement: str) -> None:
        """Change a table behind the store's back, by a statement that every engine knows."""
        await self.store._write(lambda conn: conn.execute(statement))  # type: ignore[attr-defined]

    async def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Look into tables, by a query that every engine knows."""
        if self.engine == "postgres":
            found = await self.store._read(lambda conn: conn.fetch(query))  # type: ignore[attr-defined]
        else:
            found = await self.store._read(lambda conn: conn.execute(query).fetchall())  # type: ignore[attr-defined]
        return [tuple(row) for row in found]

    def check(self) -> list[str]:
        """Which laws are broken."""
        return check(self.engine, self.folder)

    # -- drafts -----------------------------------------------------------------------------------------

    def text(self, sender: int, *targets: int, **members: Any) -> MessageDraft:
        """A text to users; `members` are other members of the draft."""
        told: dict[str, Any] = {
            "app": self.app.id,
            "sender_xid": sender,
            "sender_sn": 0,
            "scope": Scope.USER,
            "targets": targets,
            "ctype": 0,
            "content": "hello",
            "attachment": "",
            "config": "",
            "ext": "",
            "at": NOW,
        }
        return MessageDraft(**{**told, **members})

    async def group_text(self, sender: int, *targets: int, **members: Any) -> MessageDraft:
        """A text to groups, judged by the facts of this moment."""
        facts = await self.store.facts(self.app.id, targets, sender)
        judged = tuple(fact.version if fact else 0 for fact in facts)
        return self.text(sender, *targets, **{"scope": Scope.GROUP, "judged": judged, **members})

    async def append(self, draft: Draft) -> Answer:
        """Append one draft alone."""
        [answer] = await self.store.append([draft])
        return answer

    async def send(self, sender: int, *targets: int, **members: Any) -> Appended:
        """Send a text to users."""
        answer = await self.append(self.text(sender, *targets, **members))
        assert isinstance(answer, Appended), answer
        return answer

    async def say(self, sender: int, *targets: int, **members: Any) -> Appended:
        """Send a text to groups."""
        answer = await self.append(await self.group_text(sender, *targets, **members))
        assert isinstance(answer, Appended), answer
        return answer

    async def imported(self, sender: int, target: int, **told: Any) -> ImportDraft:
        """A text that was sent elsewhere, to a user or a group."""
        party = await self.store.party(self.app.id, target)
        make = self.group_text if party and party.scope is Scope.GROUP else self._text_of
        members = {name: told.pop(name) for name in list(told) if name not in _OF_IMPORTS}
        message = await make(sender, target, **{"unjudged": True, **members})
        return ImportDraft(message=message, **{"shown_at": THEN, **told})

    async def _text_of(self, sender: int, *targets: int, **members: Any) -> MessageDraft:
        return self.text(sender, *targets, **members)

    async def bring(self, sender: int, target: int, **told: Any) -> int:
        """Import a text; return its id."""
        answer = await self.append(await self.imported(sender, target, **told))
        assert isinstance(answer, Imported), answer
        return answer.msg_id

    async def directed(self, sender: int, group: int, *only: int, **members: Any) -> MessageDraft:
        """A text to some members of a group, judged by the facts of this moment."""
        facts = await self.facts(group, sender)
        return self.text(sender, *only, **{"group_xid": group, "judged": (facts.version,), **members})

    async def whisper(self, sender: int, group: int, *only: int, **members: Any) -> Appended:
        """Send a text to some members of a group."""
        answer = await self.append(await self.directed(sender, group, *only, **members))
        assert isinstance(answer, Appended), answer
        return answer

    async def recall(self, msg_id: int) -> Changed:
        """Recall a message."""
        answer = await self.append(RecallDraft(app=self.app.id, msg_id=msg_id, at=NOW))
        assert isinstance(answer, Changed), answer
        return answer

    async def deletion(self, xid: int, opposite: int) -> DeleteDraft:
        """A conversation that a user hides."""
        party = await self.party(opposite)
        return DeleteDraft(
            app=self.app.id,
            user_id=await self.id(xid),
            user_xid=xid,
            opposite_id=party.id,
            opposite_xid=party.xid,
            scope=party.scope,
            at=NOW,
        )

    async def delete(self, xid: int, opposite: int) -> Answer:
        """Hide a conversation from a user."""
        return await self.append(await self.deletion(xid, opposite))

    async def put_off(self, xid: int, opposite: int) -> bool:
        """Keep a conversation off a user's recent list."""
        return await self.store.put_off(await self.id(xid), await self.party(opposite))

    # -- jobs -------------------------------------------------------------------------------------------

    async def start_broadcast(self, content: str = "all", key: str = "", digest: str = "") -> Answer:
        """Commit to a broadcast."""
        data = msgspec.json.encode(BroadcastText(ctype=0, content=content)).decode()
        return await self.append(
            JobDraft(app=self.app.id, kind=JobKind.BROADCAST, at=NOW, data=data, key=key, digest=digest)
        )

    async def broadcast(self, content: str = "all") -> Job:
        """Commit to a broadcast, nothing of which is sent yet."""
        answer = await self.start_broadcast(content)
        assert isinstance(answer, Started), answer
        return answer.job

    async def step(self, job: Job) -> Stepped:
        """Do the next page of a job."""
        answer = await self.append(StepDraft(app=job.app, job_id=job.id, at=NOW, rows=100, size=100))
        assert isinstance(answer, Stepped), answer
        return answer

    async def finish(self, job: Job) -> Job:
        """Do all pages of a job."""
        while not job.finished:
            job = (await self.step(job)).job
        return job

    # -- groups -----------------------------------------------------------------------------------------

    def creation(self, owner: int, *members: int, **told: Any) -> CreateDraft:
        """A new group."""
        named: dict[str, Any] = {"name": "g", "description": "", "avatar": "", "type": 0, "at": NOW}
        return CreateDraft(app=self.app.id, owner_xid=owner, member_xids=members, **{**named, **told})

    async def group(self, owner: int, *members: int) -> int:
        """Make a group and return its xid."""
        answer = await self.append(self.creation(owner, *members))
        assert isinstance(answer, Changed), answer
        assert answer.refused == {}
        return answer.xid

    async def membership(self, group: int, action: Action, *users: int, **told: Any) -> MembershipDraft:
        """A change of who is in a group, judged by the facts of this moment."""
        facts = await self.facts(group)
        draft = MembershipDraft(
            app=self.app.id,
            group_id=(await self.party(group)).id,
            group_xid=group,
            action=action,
            user_xids=users,
            judged=facts.version,
            at=NOW,
        )
        return MembershipDraft(
            **{name: told.get(name, getattr(draft, name)) for name in draft.__struct_fields__}
        )

    async def change(self, group: int, action: Action, *users: int) -> Changed:
        """Change who is in a group."""
        answer = await self.append(await self.membership(group, action, *users))
        assert isinstance(answer, Changed), answer
        return answer

    async def join(self, group: int, *users: int) -> Changed:
        """Let users join a group."""
        return await self.change(group, Action.JOINED, *users)

    async def kick(self, group: int, *users: int) -> Changed:
        """Put users out of a group."""
        return await self.change(group, Action.KICKED, *users)

    async def facts(self, group: int, xid: int = 0) -> Facts:
        """Read what judging a draft of `xid` to a group needs."""
        [found] = await self.store.facts(self.app.id, [group], xid)
        assert found is not None
        return found

    # -- who and what is there --------------------------------------------------------------------------

    async def party(self, xid: int) -> Party:
        """Find a user or group."""
        found = await self.store.party(self.app.id, xid)
        assert found is not None, f"there is no {xid}"
        return found

    async def id(self, xid: int) -> int:
        """Find the id of a user's or group's timeline."""
        return (await self.party(xid)).id

    async def user(self, xid: int) -> User:
        """Find or make a user."""
        [found] = await self.store.ensure_users(self.app.id, [xid], NOW)
        assert isinstance(found, User)
        return found

    async def users(self, *xids: int) -> None:
        """Make users in this order."""
        for xid in xids:
            await self.user(xid)

    async def entries(self, xid: int) -> list[Entry]:
        """Read all entries of a user's or group's timeline."""
        [page] = await self.store.pages([(await self.id(xid), 1)], 100_000, 1000 * MIB)
        assert [entry.seq for entry in page.entries] == list(range(page.floor + 1, page.head + 1))
        return page.entries

    async def history(self, xid: int, opposite: int, start: int = 0, limit: int = 100) -> History:
        """Page a conversation."""
        found = await self.store.history(await self.user(xid), await self.party(opposite), start, limit)
        assert isinstance(found, History), found
        return found

    async def shown(self, xid: int, opposite: int) -> list[int]:
        """List the ids of a conversation as a user sees it, newest first."""
        return [item.msg_id for item in (await self.history(xid, opposite)).items]

    async def statuses(self, xid: int, opposite: int) -> dict[int, str]:
        """Read the status of each message of a conversation, as a user sees it."""
        items = (await self.history(xid, opposite)).items
        return {item.msg_id: item.status.name for item in items}

    async def recent(self, xid: int, group: int = 0) -> list[Recent]:
        """List the recent conversations of a user."""
        return await self.store.recent(await self.id(xid), await self.id(group) if group else 0)

    # -- positions --------------------------------------------------------------------------------------

    async def acked(self, xid: int, timeline: int, seq: int, sn: int = 1) -> Ack:
        """An ack of a device: it holds the timeline of `timeline` up to `seq`."""
        return Ack(await self.id(xid), xid, sn, await self.id(timeline), seq)

    async def ack(self, xid: int, timeline: int, seq: int, sn: int = 1) -> list[StatusChange]:
        """Advance by one ack."""
        return (await self.store.advance([await self.acked(xid, timeline, seq, sn)])).changes

    async def mark(self, xid: int, opposite: int, msg_id: int = 0, sn: int = 0) -> ReadMark:
        """A READ of a user."""
        party = await self.party(opposite)
        return ReadMark(await self.id(xid), xid, party.id, party.xid, party.scope, msg_id, sn)

    async def read(self, xid: int, opposite: int, msg_id: int = 0, sn: int = 0) -> ReadDone:
        """Read a conversation up to `msg_id`, or its newest."""
        [done] = await self.store.read([await self.mark(xid, opposite, msg_id, sn)])
        assert not isinstance(done, Kind), done
        return done
