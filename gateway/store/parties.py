"""What rows about apps, users and groups mean, the same on every engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.errors import Kind
from gateway.domain.model import SAFE_MAX, App, AppLimits, Facts, Group, State, User

RECALL_WINDOW_MS = 24 * 3600 * 1000
"""How long a sender may recall, for a new app (lanying.md, recall)."""


def to_app(row: Sequence[Any], keys: Mapping[str, bytes]) -> App:
    """Build an app of its id, app_id, system, xid of system, registered, recall_window_ms, signing_kid and limits."""
    app, app_id, system, system_xid, registered, recall_window_ms, signing_kid, *bounds = row
    return App(
        id=app,
        app_id=app_id,
        system_id=system,
        system_xid=system_xid,
        registered=bool(registered),
        recall_window_ms=recall_window_ms,
        signing_kid=signing_kid,
        keys=dict(keys),
        limits=to_limits(bounds),
    )


def to_limits(row: Sequence[int]) -> AppLimits:
    """Build an app's limits of their columns, which have the names of its members, in their order."""
    return AppLimits(**dict(zip(AppLimits.__struct_fields__, row, strict=True)))


def to_user(row: Sequence[Any]) -> User:
    """Build a user of its id, xid, name, password, state, valid_from_ms and created_at."""
    return User(
        id=row[0],
        xid=row[1],
        name=row[2],
        password=row[3],
        state=State(row[4]),
        valid_from_ms=row[5],
        created_at=row[6],
    )


def found_users(rows: Iterable[Sequence[Any]]) -> dict[int, User | Kind]:
    """Build users by their xids, of the columns of `to_user`: of what has an xid and is no user the id is None."""
    return {row[1]: Kind.BAD_PARAMETER if row[0] is None else to_user(row) for row in rows}


def to_group(row: Sequence[Any]) -> Group:
    """Build a group of its columns, in the order of its members."""
    return msgspec.convert(dict(zip(Group.__struct_fields__, row, strict=True)), Group, strict=False)


def to_facts(row: Sequence[Any]) -> Facts:
    """Build what judging needs of its columns, in the order of its members."""
    group_id, version, owner, member, admin, kind, until, all_until, trusted, disabled = row
    return Facts(
        group_id,
        version,
        bool(owner),
        bool(member),
        bool(admin),
        kind,
        until,
        all_until,
        bool(trusted),
        bool(disabled),
    )


def as_xid(user: str) -> int | None:
    """Read what an operator calls a user by: an id, or None where it must be a name."""
    is_xid = user.isascii() and user.isdigit() and len(user) <= len(str(SAFE_MAX))
    return int(user) if is_xid else None
