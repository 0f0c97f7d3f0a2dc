"""What is refused, in the dialect's codes (netease.md, Codes; vendors.md §2.4)."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.errors import Kind, Problem

SUCCESS = 200
FORBIDDEN, NOT_FOUND, PARAMETER, RATE, FAILED, UNAVAILABLE = 403, 404, 414, 416, 500, 503
APP_UNKNOWN = 101303
ACCOUNT_UNKNOWN, ACCOUNT_EXISTS, ACCOUNT_FROZEN, ACCOUNT_BLOCKED = 102404, 102405, 102422, 102426
NOT_YOURS, CLIENT_ID_USED, TOO_LATE, NOT_REVOCABLE, TOO_MANY_PUSHED = 107303, 107306, 107314, 107315, 107316
NOBODY_SENSES, MESSAGE_UNKNOWN, TO_ONESELF = 107330, 107404, 107429
TEAM_UNKNOWN, TEAM_BANNED = 108404, 108423
MEMBER_UNKNOWN, MEMBER_BANNED = 109404, 109424
MISMATCH = 110302

BAD_HEADER = "bad http header"
NOT_SERVED = "not served"


class Fault(Exception):
    """A refusal as the dialect says it; `retry_after_s` (0: none) is advice.

    Nothing of the refused call has been done when it is raised.
    """

    def __init__(self, code: int, sentence: str, *, retry_after_s: int = 0) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.retry_after_s = retry_after_s


TABLE: dict[Kind, int] = {
    Kind.BAD_PARAMETER: PARAMETER,
    Kind.TOKEN_MISSING: PARAMETER,
    Kind.TOKEN_EXPIRED: PARAMETER,
    Kind.TOKEN_ILLEGAL: PARAMETER,
    Kind.AUTH_TIMEOUT: PARAMETER,
    Kind.APP_UNKNOWN: APP_UNKNOWN,
    Kind.FORBIDDEN: FORBIDDEN,
    Kind.FROZEN: ACCOUNT_FROZEN,
    Kind.BLOCKED: ACCOUNT_BLOCKED,
    Kind.BANNED: MEMBER_BANNED,
    Kind.ALL_BANNED: TEAM_BANNED,
    Kind.GROUP_DISABLED: TEAM_BANNED,
    Kind.USER_UNKNOWN: ACCOUNT_UNKNOWN,
    Kind.USER_EXISTS: ACCOUNT_EXISTS,
    Kind.GROUP_UNKNOWN: TEAM_UNKNOWN,
    Kind.NOT_A_MEMBER: MEMBER_UNKNOWN,
    Kind.GROUP_FULL: FORBIDDEN,
    Kind.GROUPS_FULL: FORBIDDEN,
    Kind.DEVICES_FULL: FORBIDDEN,
    Kind.LIST_FULL: FORBIDDEN,
    Kind.OWNER_CANNOT_LEAVE: FORBIDDEN,
    Kind.OWNER_ONLY: FORBIDDEN,
    Kind.ADMIN_ONLY: FORBIDDEN,
    Kind.HEIR_NOT_A_MEMBER: MEMBER_UNKNOWN,
    Kind.APPLICATION_GONE: FORBIDDEN,
    Kind.INVITATION_GONE: FORBIDDEN,
    # Whoever is let in twice is in.
    Kind.ALREADY_A_MEMBER: SUCCESS,
    Kind.GROUP_BLOCKED: FORBIDDEN,
    Kind.TRANSACTION_CONFLICT: CLIENT_ID_USED,
    Kind.RECALL_TOO_LATE: TOO_LATE,
    Kind.MESSAGE_UNKNOWN: MESSAGE_UNKNOWN,
    Kind.FILE_UNKNOWN: NOT_FOUND,
    Kind.PATH_UNKNOWN: NOT_FOUND,
    Kind.METHOD_UNKNOWN: NOT_FOUND,
    Kind.TOO_LARGE: PARAMETER,
    Kind.RATE_LIMITED: RATE,
    Kind.STORAGE_FULL: FORBIDDEN,
    Kind.OVERLOADED: UNAVAILABLE,
    Kind.STORE_FAILED: UNAVAILABLE,
    Kind.DRAINING: UNAVAILABLE,
    Kind.INTERNAL: FAILED,
}
"""Every kind of problem, as this dialect says it."""


def fault_of(problem: Problem) -> Fault:
    """Say a problem of the core in the dialect."""
    code = TABLE[problem.kind]
    retry_after_s = problem.retry_after_s if code in {UNAVAILABLE, RATE} else 0
    return Fault(code, problem.sentence, retry_after_s=retry_after_s)


def renamed(problem: Problem, members: Mapping[str, str]) -> Problem:
    """The same problem by the `members` of a call: what the core names in a sentence, as this call names it."""
    member, _, why = problem.sentence.partition(": ")
    sentence = f"{members.get(member, member)}: {why}" if why else member
    return Problem(problem.kind, sentence, retry_after_ms=problem.retry_after_ms)


def illegal(member: str, why: str) -> Fault:
    """A member of a request that is missing or wrong, named."""
    return Fault(PARAMETER, f"{member}: {why}")


def not_served() -> Fault:
    """There is no such path here, or none for this verb."""
    return Fault(NOT_FOUND, NOT_SERVED)
