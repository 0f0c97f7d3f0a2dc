"""What PostgreSQL does for a statement where tables are large: it searches an index, or goes through all there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

SMALL = {"meta", "app", "usage", "node"}
"""Tables that may be scanned: they have few rows for each app, or one for each node."""

_FIRST_COLUMNS = """
SELECT c.relname, a.attname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_attribute AS a ON a.attrelid = i.indexrelid AND a.attnum = 1
"""
_MANY = "generate_series(1000000, 1008000) AS n"
_FILL = f"""
INSERT INTO timeline (id, app, xid, kind) SELECT n, 1, n, 1 + (n % 10 = 0)::integer FROM {_MANY};
INSERT INTO "user" (id, app, created_at) SELECT n, 1, 1 FROM {_MANY} WHERE n % 10 > 0;
INSERT INTO grp (id, app, owner, name, description, avatar, type, members, created_at, updated_at)
    SELECT n, 1, n + 1, '', '', '', n % 3, 1, 1, 1 FROM {_MANY} WHERE n % 10 = 0;
INSERT INTO newest (grp, msg_id) SELECT n, n FROM {_MANY} WHERE n % 10 = 0;
INSERT INTO stay (grp, usr, from_seq, to_seq, from_msg, to_msg, read, deleted, delivered, joined_at)
    SELECT 1000000 + (n % 200) * 10, n, 1, 3, 1, 5, n, 1, n, 1 FROM {_MANY};
INSERT INTO stay (grp, usr, from_seq, from_msg, read, deleted, delivered, joined_at)
    SELECT 1000000 + (n % 200) * 10, n, 1, 1, n, 1, n, 1 FROM {_MANY};
INSERT INTO body (id, refs, size, content, attachment, config, ext) SELECT n, 1, 1, '', '', '', '' FROM {_MANY};
INSERT INTO message (msg_id, target, peer, sender, device_sn, seq, ctype, flags, at, body, shown, related)
    SELECT n, n + 1, n, n, 0, 1, 0, 0, 1, n, 1, (n % 2) * (n - 1) FROM {_MANY};
INSERT INTO entry (t, seq, kind, msg_id, data) SELECT n, 1, 1, n, '' FROM {_MANY};
INSERT INTO conversation (usr, opp, last) SELECT n, n + 1, n FROM {_MANY};
INSERT INTO dedup (app, sender_xid, key, digest, draft) SELECT 1, n, 'k', 'd', n FROM {_MANY};
INSERT INTO answer (draft, first_msg_id, last_msg_id) SELECT n, n, n FROM {_MANY};
INSERT INTO ban (grp, usr, until, at) SELECT 1000000 + (n % 200) * 10, n, 1, 1 FROM {_MANY};
INSERT INTO grp_block (grp, usr, at) SELECT 1000000 + (n % 200) * 10, n, 1 FROM {_MANY};
INSERT INTO request (grp, usr, kind, inviter, reason, state, at, expires_at)
    SELECT 1000000 + (n % 200) * 10, n, 1 + n % 2, n - 1, '', 0, 1, 1 FROM {_MANY};
INSERT INTO listed (grp, usr, at) SELECT 1000000 + (n % 200) * 10, n, 1 FROM {_MANY};
INSERT INTO hidden (msg_id, usr) SELECT n, n + 1 FROM {_MANY};
INSERT INTO imported (msg_id, shown_at, place) SELECT n, 1, 0 FROM {_MANY};
ANALYZE;
"""
"""Enough rows of everything that changes are about: small tables are read as a whole, and rightly so."""


async def fill(conn: Any) -> None:
    """Make the tables large."""
    await conn.execute(_FILL)


class Listener:
    """A connection that notes what it is asked, and what would be done for it."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.asked: dict[str, list[str]] = {}

    async def _note(self, sql: str, params: tuple[Any, ...]) -> None:
        if sql.split(maxsplit=1)[0] in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
            self.asked[" ".join(sql.split())] = await scans(self._conn, sql, *params)

    async def execute(self, sql: str, *params: Any) -> Any:
        await self._note(sql, params)
        return await self._conn.execute(sql, *params)

    async def fetch(self, sql: str, *params: Any) -> Any:
        await self._note(sql, params)
        return await self._conn.fetch(sql, *params)

    async def fetchrow(self, sql: str, *params: Any) -> Any:
        await self._note(sql, params)
        return await self._conn.fetchrow(sql, *params)

    async def fetchval(self, sql: str, *params: Any) -> Any:
        await self._note(sql, params)
        return await self._conn.fetchval(sql, *params)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)


async def scans(conn: Any, sql: str, *params: Any) -> list[str]:
    """The steps of a statement's plan that go through a whole table or index."""
    firsts = dict(await conn.fetch(_FIRST_COLUMNS))
    [(plan,)] = await conn.fetch(f"EXPLAIN (FORMAT JSON) {sql}", *params)
    return [
        f"{step['Node Type']} of {step.get('Index Name', step.get('Relation Name'))}"
        for step in _steps(json.loads(plan)[0]["Plan"])
        if step.get("Relation Name") not in SMALL
        and (step["Node Type"] == "Seq Scan" or ("Index Name" in step and not _searches(step, firsts)))
    ]


def _searches(step: dict[str, Any], firsts: dict[str, str]) -> bool:
    """Whether a step finds its place in an index, by the column that the index is sorted by first."""
    return re.search(rf"\b{firsts[step['Index Name']]}\b", step.get("Index Cond", "")) is not None


def _steps(step: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield step
    for inner in step.get("Plans", ()):
        yield from _steps(inner)
