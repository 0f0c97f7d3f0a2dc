"""Answers as the bytes that go out, in one write each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus

from gateway.edge.facades.native.envelope import OK, Reply


class Answers:
    """Makes the bytes of answers. `headers` are those of every answer; the clock tells seconds since 1970."""

    def __init__(self, headers: Mapping[str, str], now: Callable[[], float]) -> None:
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._now = now
        self._at = -1
        self._dated = ""
        self._ok = b""

    def bytes_of(self, reply: Reply, *, last: bool) -> bytes:
        """An answer, after which the connection is closed if it is the `last`."""
        at = int(self._now())
        if at != self._at:
            self._at = at
            self._dated = f"{self._headers}Date: {formatdate(at, usegmt=True)}\r\n"
            self._ok = self._head(OK)
        body = reply.body
        if reply.status == OK and not last:
            return b"%b%d\r\n\r\n%b" % (self._ok, len(body), body)
        head = self._head(reply.status, reply.retry_after_s, last=last)
        return b"%b%d\r\n\r\n%b" % (head, len(body), body)

    def _head(self, status: int, retry_after_s: int = 0, *, last: bool = False) -> bytes:
        """All before the body's length."""
        retry = f"Retry-After: {retry_after_s}\r\n" if retry_after_s else ""
        close = "Connection: close\r\n" if last else ""
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        return f"{line}{self._dated}{retry}{close}Content-Length: ".encode()
