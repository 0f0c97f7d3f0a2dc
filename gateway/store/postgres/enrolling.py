"""Making users that have a password, many at once, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.errors import Kind
from gateway.domain.model import Account, State, User
from gateway.domain.naming import number_of
from gateway.store.postgres.lane import Conn
from gateway.store.postgres.users import find_user, find_user_named, make_user, take_xid

# Names are given by one transaction after the other; heads come after the app's row.
_LOCK = "SELECT system FROM app WHERE id = $1 FOR NO KEY UPDATE"
_STANDS = "SELECT state FROM timeline WHERE id = $1 FOR NO KEY UPDATE"
_CLAIM = """
UPDATE "user" SET password = $2, nickname = $3 WHERE id = $1 AND (password = $2 OR $4 AND password = '') RETURNING 1
"""
_STATE = "UPDATE timeline SET state = $2 WHERE id = $1"


class TakenError(Exception):
    """Undoes a transaction, and says which name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


async def enroll(
    conn: Conn, app: int, accounts: Sequence[Account], at: int, *, claim: bool, literal: bool
) -> list[User]:
    """Make users, all or none; raises `TakenError`.

    A record of a password that is there already was written by an earlier try, whose connection was lost: no two are
    alike by chance.
    """
    system_id = await conn.fetchval(_LOCK, app)
    # In the order of heads, as everybody locks them: those of numbers by number, then those that are given one.
    xids = [0 if literal else number_of(account.name) for account in accounts]
    order = sorted(range(len(accounts)), key=lambda place: xids[place] or float("inf"))
    made: dict[int, User] = {}
    named: set[str] = set()
    for place in order:
        account = accounts[place]
        if account.name in named:
            raise TakenError(account.name)
        named.add(account.name)
        user = await _made(conn, app, account, xids[place], at, claim=claim)
        if user.id == system_id:
            raise TakenError(account.name)
        made[place] = user
    return [made[place] for place in range(len(accounts))]


async def _made(conn: Conn, app: int, account: Account, xid: int, at: int, *, claim: bool) -> User:
    holder = await _holder(conn, app, account.name, xid)
    if holder is None:
        user_id = None
        while user_id is None:
            user_id = await make_user(
                conn, app, xid or await take_xid(conn, app), at, None if xid else account.name
            )
            if user_id is None and xid:
                raise TakenError(account.name)
    else:
        user_id = holder.id
    state = await conn.fetchval(_STANDS, user_id)
    # Whom nobody had is one's own to give a password to.
    claimed = _CLAIM, user_id, account.password, account.nickname, claim or holder is None
    if state == State.DELETED or not await conn.fetchval(*claimed):
        raise TakenError(account.name)
    if account.state is not None:
        await conn.execute(_STATE, user_id, account.state)
    user = await _holder(conn, app, account.name, xid)
    assert user is not None, "it has just been made"
    return user


async def _holder(conn: Conn, app: int, name: str, xid: int) -> User | None:
    """Who has a name; raises `TakenError` where something else has the id that it is."""
    found = await find_user(conn, app, xid) if xid else await find_user_named(conn, app, name)
    if found is Kind.BAD_PARAMETER:
        raise TakenError(name)
    return found if isinstance(found, User) else None
