"""The one closed family of what can go wrong for a caller.

A `Problem` carries a kind and a sentence. Facades map every `Kind` to their dialect's code by a total table;
a test walks the enum, so a new kind cannot be forgotten by any of them.
"""

from __future__ import annotations

import enum

_RETRY_AFTER_MS = 1_000


class Kind(enum.Enum):
    """What went wrong, in the core's own words. One member, one meaning, whatever the dialect."""

    BAD_PARAMETER = "bad_parameter"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - a kind of problem, not a secret
    TOKEN_ILLEGAL = "token_illegal"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    AUTH_TIMEOUT = "auth_timeout"
    APP_UNKNOWN = "app_unknown"
    FORBIDDEN = "forbidden"
    FROZEN = "frozen"
    BLOCKED = "blocked"
    BANNED = "banned"
    ALL_BANNED = "all_banned"
    GROUP_DISABLED = "group_disabled"
    USER_UNKNOWN = "user_unknown"
    USER_EXISTS = "user_exists"
    GROUP_UNKNOWN = "group_unknown"
    NOT_A_MEMBER = "not_a_member"
    GROUP_FULL = "group_full"
    GROUPS_FULL = "groups_full"
    DEVICES_FULL = "devices_full"
    OWNER_CANNOT_LEAVE = "owner_cannot_leave"
    OWNER_ONLY = "owner_only"
    ADMIN_ONLY = "admin_only"
    HEIR_NOT_A_MEMBER = "heir_not_a_member"
    APPLICATION_GONE = "application_gone"
    INVITATION_GONE = "invitation_gone"
    ALREADY_A_MEMBER = "already_a_member"
    GROUP_BLOCKED = "group_blocked"
    LIST_FULL = "list_full"
    TRANSACTION_CONFLICT = "transaction_conflict"
    RECALL_TOO_LATE = "recall_too_late"
    MESSAGE_UNKNOWN = "message_unknown"
    FILE_UNKNOWN = "file_unknown"
    PATH_UNKNOWN = "path_unknown"
    METHOD_UNKNOWN = "method_unknown"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    STORAGE_FULL = "storage_full"
    OVERLOADED = "overloaded"
    STORE_FAILED = "store_failed"
    DRAINING = "draining"
    INTERNAL = "internal"


class Problem(Exception):
    """A refusal that the caller is told: `kind` decides the code, `sentence` is for a person.

    Nothing of the refused call has been done when it is raised.
    """

    def __init__(self, kind: Kind, sentence: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence
        self.retry_after_ms = retry_after_ms

    @property
    def retry_after_s(self) -> int:
        """In how many whole seconds to come again, where coming again helps: never sooner than advised."""
        return -(-(self.retry_after_ms or _RETRY_AFTER_MS) // 1000)


def reused(key: str, what: str) -> Problem:
    """The key of a request was used for another one (`TRANSACTION_CONFLICT`); only numbers are a `transaction_id`."""
    named = "the key of this request" if key[:1].isalpha() else f"transaction_id {key}"
    return Problem(Kind.TRANSACTION_CONFLICT, f"{named} was used for another {what}")


def storage_full() -> Problem:
    """There is no room for it in what its app may store (`STORAGE_FULL`)."""
    return Problem(Kind.STORAGE_FULL, "the app stores as much as it may")


def bad(member: str, why: str) -> Problem:
    """A wrong, missing or oversized member of a request, named (`BAD_PARAMETER`)."""
    return Problem(Kind.BAD_PARAMETER, f"{member}: {why}")
