"""What can go wrong for a client, in one file."""

from __future__ import annotations


class RestError(Exception):
    """The gateway refused a call, or something before it did.

    `code` is the envelope's; where the answer was no envelope (a proxy's error page, say) it is the HTTP
    status. `retry_after_s` is the server's advice in seconds, None where it gave none. Repeating a send with
    the same `transaction_id` is always safe.
    """

    def __init__(self, code: int, message: str, http_status: int, retry_after_s: float | None = None) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.message = message
        self.http_status = http_status
        self.retry_after_s = retry_after_s


class ClosedError(Exception):
    """The server wants no more of this device: a bad or expired token, replaced, kicked, frozen.

    `code` is the close code (4500 to 4999), or the HTTP status where even the upgrade was refused.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason or 'closed for good'} ({code})")
        self.code = code
        self.reason = reason


class CallError(Exception):
    """The server refused a `send`, `read`, `recall` or `signal`; nothing of it was done.

    `retry_after_s` is the server's advice in seconds, None where it gave none.
    """

    def __init__(self, code: int, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class LostError(Exception):
    """No answer came: the call may or may not have been executed.

    Repeating a send is safe where it has a `transaction_id`.
    """
