"""The native envelope `{code, message, data}` and its codes (lanying.md, Envelope and Codes)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from gateway.domain.errors import Kind, Problem

OK = 200
TOO_MANY = 429
UNAVAILABLE = 503

CODES: dict[Kind, tuple[int, int]] = {
    Kind.BAD_PARAMETER: (10002, OK),
    Kind.TOKEN_MISSING: (10003, OK),
    Kind.AUTH_TIMEOUT: (10003, OK),
    Kind.TOKEN_ILLEGAL: (10008, OK),
    Kind.TOKEN_EXPIRED: (402, OK),
    Kind.APP_UNKNOWN: (40000, OK),
    Kind.FORBIDDEN: (10010, OK),
    Kind.FROZEN: (10010, OK),
    Kind.BANNED: (10010, OK),
    Kind.ALL_BANNED: (10010, OK),
    Kind.GROUP_DISABLED: (10010, OK),
    Kind.BLOCKED: (10006, OK),
    Kind.DEVICES_FULL: (10010, OK),
    Kind.USER_UNKNOWN: (10000, OK),
    Kind.USER_EXISTS: (10004, OK),
    Kind.GROUP_UNKNOWN: (20001, OK),
    Kind.NOT_A_MEMBER: (20002, OK),
    Kind.GROUP_FULL: (20007, OK),
    Kind.GROUPS_FULL: (20008, OK),
    Kind.LIST_FULL: (20009, OK),
    Kind.OWNER_CANNOT_LEAVE: (20004, OK),
    Kind.HEIR_NOT_A_MEMBER: (20005, OK),
    Kind.ADMIN_ONLY: (20012, OK),
    Kind.OWNER_ONLY: (20013, OK),
    Kind.APPLICATION_GONE: (20014, OK),
    Kind.INVITATION_GONE: (20015, OK),
    Kind.ALREADY_A_MEMBER: (20017, OK),
    Kind.GROUP_BLOCKED: (20018, OK),
    Kind.TRANSACTION_CONFLICT: (60001, OK),
    Kind.RECALL_TOO_LATE: (60002, OK),
    Kind.MESSAGE_UNKNOWN: (60003, OK),
    Kind.RATE_LIMITED: (60004, TOO_MANY),
    Kind.STORAGE_FULL: (60005, OK),
    Kind.FILE_UNKNOWN: (60006, OK),
    Kind.PATH_UNKNOWN: (404, 404),
    Kind.METHOD_UNKNOWN: (405, 405),
    Kind.TOO_LARGE: (413, 413),
    Kind.OVERLOADED: (20000, UNAVAILABLE),
    Kind.STORE_FAILED: (20000, UNAVAILABLE),
    Kind.DRAINING: (20000, UNAVAILABLE),
    Kind.INTERNAL: (500, 500),
}
"""Every kind of problem with its code and HTTP status. 60001 and above are the gateway's own; the others are
the vendor's (vendors.md §1.2), who has 20007 to 20010 for the limits of groups, not told apart."""

_encoder = msgspec.json.Encoder()


class Asked(msgspec.Struct, frozen=True):
    """What a call reads of a request. Headers are found by their lower-case names."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True):
    """What goes back. `retry_after_s` (0: none) is advice for the header of that name."""

    status: int
    body: bytes
    retry_after_s: int = 0


Tell = Callable[[bytes | Problem | None], None]
"""Hears once what a call that was begun has come to: its envelope, its refusal, or None: call it after all."""


class _Envelope(msgspec.Struct):
    code: int
    message: str | None
    data: object


class _Sent(_Envelope):
    msg_ids: list[int]


class _Paged(_Envelope):
    cursor: str
    version: int


def code_of(kind: Kind) -> int:
    """The envelope's code for a kind of problem."""
    return CODES[kind][0]


def success(data: object) -> bytes:
    """The envelope of an answer."""
    return _encoder.encode(_Envelope(OK, None, data))


DONE = success(data=True)
"""The answer of every call that is a yes or no."""


def sent(first_msg_id: int, last_msg_id: int) -> bytes:
    """The answer of a send: the id of its message where there was one target only (lanying.md, Envelope)."""
    if first_msg_id != last_msg_id:
        return DONE
    return _encoder.encode(_Sent(OK, None, True, [first_msg_id]))  # noqa: FBT003 - members in their order


def paged(data: object, cursor: str, version: int) -> bytes:
    """The envelope of a page that `cursor` fetches the next one of (vendors.md §1.1, envelope)."""
    return _encoder.encode(_Paged(OK, None, data, cursor, version))


def refusal(problem: Problem) -> Reply:
    """The answer to a call that was refused."""
    code, status = CODES[problem.kind]
    body = _encoder.encode(_Envelope(code, problem.sentence, None))
    return Reply(status, body, problem.retry_after_s if status in {UNAVAILABLE, TOO_MANY} else 0)
