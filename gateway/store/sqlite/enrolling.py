"""Making users that have a password, many at once, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.domain.errors import Kind
from gateway.domain.model import Account, State, User
from gateway.domain.naming import number_of
from gateway.store.sqlite.lane import one
from gateway.store.sqlite.users import find_user, find_user_named, make_user, next_xid

_CLAIM = "UPDATE user SET password = ?2, nickname = ?3 WHERE id = ?1"
_STATE = "UPDATE timeline SET state = ?2 WHERE id = ?1"


def enroll(
    conn: sqlite3.Connection, app: int, accounts: Sequence[Account], at: int, *, claim: bool, literal: bool
) -> list[User] | str:
    """Make users, all or none; the name of one that is taken."""
    [system_id] = one(conn, "SELECT system FROM app WHERE id = ?", (app,))
    named: set[str] = set()
    for account in accounts:
        holder = _holder(conn, app, account.name, literal=literal)
        if isinstance(holder, User):
            free = (
                claim and holder.id != system_id and not holder.password and holder.state is not State.DELETED
            )
        else:
            free = holder is not Kind.BAD_PARAMETER
        if account.name in named or not free:
            return account.name
        named.add(account.name)
    return [_made(conn, app, account, at, literal=literal) for account in accounts]


def _holder(conn: sqlite3.Connection, app: int, name: str, *, literal: bool) -> User | Kind | None:
    """Who has a name, or what has the id that it is."""
    xid = 0 if literal else number_of(name)
    return find_user(conn, app, xid) if xid else find_user_named(conn, app, name)


def _made(conn: sqlite3.Connection, app: int, account: Account, at: int, *, literal: bool) -> User:
    holder = _holder(conn, app, account.name, literal=literal)
    xid = 0 if literal else number_of(account.name)
    if isinstance(holder, User):
        user_id = holder.id
    else:
        user_id = make_user(conn, app, xid or next_xid(conn, app), at, None if xid else account.name)
    conn.execute(_CLAIM, (user_id, account.password, account.nickname))
    if account.state is not None:
        conn.execute(_STATE, (user_id, account.state))
    made = _holder(conn, app, account.name, literal=literal)
    assert isinstance(made, User), "it has just been made"
    return made
