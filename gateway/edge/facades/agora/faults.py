"""What is refused, in the dialect's words (agora.md, Error; vendors.md §3.2, whose texts are kept to the letter)."""

from __future__ import annotations

import msgspec

from gateway.domain.errors import Kind, Problem

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 400, 401, 403, 404
NO_METHOD, CONFLICT, TOO_LARGE, TOO_MANY = 405, 409, 413, 429
FAILED, UNAVAILABLE = 500, 503

EXPIRED = "Unable to authenticate due to expired access token"
CORRUPT = "Unable to authenticate due to corrupt access token"
NOBODY = "Unable to authenticate"
RESOURCE = "Service resource not found"
INVALID_BODY = "Request body is invalid. Please check body is correct."
REACHED = "This request has reached api limit"
UNAVAILABLE_TEXT = "the service is unavailable, please try again later"

_EXCEPTIONS = {
    "unauthorized": "org.apache.usergrid.rest.exceptions.SecurityException",
    "auth_bad_access_token": "org.apache.usergrid.rest.exceptions.SecurityException",
    "message_send_error": "MessageSendException",
    "forbidden_op": "EasemobForbiddenOpException",
}
"""Where the vendor's own is known; elsewhere it is the error in camel case."""


class Fault(Exception):
    """A refusal as the dialect says it; `code` (0: none) is its `error_code`, `retry_after_s` (0: none) advice.

    Nothing of the refused call has been done when it is raised.
    """

    def __init__(
        self, status: int, error: str, description: str, *, code: int = 0, retry_after_s: int = 0
    ) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def exception(self) -> str:
        """The name of the vendor's class of errors."""
        known = _EXCEPTIONS.get(self.error)
        return known or "".join(word.capitalize() for word in self.error.split("_")) + "Exception"


class Saying(msgspec.Struct, frozen=True):
    """How a kind of problem is told. `description` "": the problem's own sentence."""

    status: int
    error: str
    description: str = ""


_RESOURCE = Saying(NOT_FOUND, "service_resource_not_found", RESOURCE)
_FORBIDDEN = Saying(FORBIDDEN, "forbidden_op")
_UNAVAILABLE = Saying(UNAVAILABLE, "service_unavailable", UNAVAILABLE_TEXT)
_EXPIRED = Saying(UNAUTHORIZED, "unauthorized", EXPIRED)

TABLE: dict[Kind, Saying] = {
    Kind.BAD_PARAMETER: Saying(BAD_REQUEST, "illegal_argument"),
    Kind.TOKEN_MISSING: _EXPIRED,
    Kind.TOKEN_EXPIRED: _EXPIRED,
    Kind.AUTH_TIMEOUT: _EXPIRED,
    Kind.TOKEN_ILLEGAL: Saying(UNAUTHORIZED, "auth_bad_access_token", CORRUPT),
    Kind.FROZEN: Saying(UNAUTHORIZED, "unauthorized", NOBODY),
    Kind.APP_UNKNOWN: Saying(NOT_FOUND, "organization_application_not_found"),
    Kind.FORBIDDEN: _FORBIDDEN,
    Kind.BLOCKED: _FORBIDDEN,
    Kind.BANNED: _FORBIDDEN,
    Kind.ALL_BANNED: _FORBIDDEN,
    Kind.GROUP_DISABLED: _FORBIDDEN,
    Kind.USER_UNKNOWN: _RESOURCE,
    Kind.USER_EXISTS: Saying(BAD_REQUEST, "duplicate_unique_property_exists"),
    Kind.GROUP_UNKNOWN: _RESOURCE,
    Kind.NOT_A_MEMBER: _FORBIDDEN,
    Kind.GROUP_FULL: _FORBIDDEN,
    Kind.GROUPS_FULL: _FORBIDDEN,
    Kind.DEVICES_FULL: _FORBIDDEN,
    Kind.LIST_FULL: _FORBIDDEN,
    Kind.OWNER_CANNOT_LEAVE: _FORBIDDEN,
    Kind.OWNER_ONLY: _FORBIDDEN,
    Kind.ADMIN_ONLY: _FORBIDDEN,
    Kind.HEIR_NOT_A_MEMBER: _FORBIDDEN,
    Kind.APPLICATION_GONE: _FORBIDDEN,
    Kind.INVITATION_GONE: _FORBIDDEN,
    Kind.ALREADY_A_MEMBER: _FORBIDDEN,
    Kind.GROUP_BLOCKED: _FORBIDDEN,
    Kind.TRANSACTION_CONFLICT: Saying(CONFLICT, "illegal_argument"),
    Kind.RECALL_TOO_LATE: _FORBIDDEN,
    Kind.MESSAGE_UNKNOWN: _RESOURCE,
    Kind.FILE_UNKNOWN: _RESOURCE,
    Kind.PATH_UNKNOWN: _RESOURCE,
    Kind.METHOD_UNKNOWN: Saying(NO_METHOD, "web_application", "Method Not Allowed"),
    Kind.TOO_LARGE: Saying(TOO_LARGE, "web_application", "Request Entity Too Large"),
    Kind.RATE_LIMITED: Saying(TOO_MANY, "reach_limit", REACHED),
    Kind.STORAGE_FULL: Saying(FORBIDDEN, "message_send_error", "message send reach limit"),
    Kind.OVERLOADED: _UNAVAILABLE,
    Kind.STORE_FAILED: _UNAVAILABLE,
    Kind.DRAINING: _UNAVAILABLE,
    Kind.INTERNAL: Saying(FAILED, "unsupported_service_operation", "the gateway failed"),
}
"""Every kind of problem, as this dialect says it."""


def fault_of(problem: Problem) -> Fault:
    """Say a problem of the core in the dialect."""
    saying = TABLE[problem.kind]
    retry_after_s = problem.retry_after_s if saying.status in {UNAVAILABLE, TOO_MANY} else 0
    description = saying.description or problem.sentence
    return Fault(saying.status, saying.error, description, retry_after_s=retry_after_s)


def not_found() -> Fault:
    """There is no such path, user, group, room or file."""
    return Fault(NOT_FOUND, "service_resource_not_found", RESOURCE)


def not_a_member(name: str) -> Fault:
    """A user that is not in a group or chatroom, though that was wanted, by name."""
    return Fault(FORBIDDEN, "forbidden_op", f"users [{name}] are not members of this group!")


def illegal(member: str, why: str) -> Fault:
    """A member of a request that is missing or wrong, named."""
    return Fault(BAD_REQUEST, "illegal_argument", f"{member}: {why}")


def unsendable(description: str) -> Fault:
    """A message that is not sent, with the vendor's text."""
    return Fault(BAD_REQUEST, "message_send_error", description)


def unauthorized(description: str = NOBODY) -> Fault:
    """Whoever asks may not."""
    return Fault(UNAUTHORIZED, "unauthorized", description)
