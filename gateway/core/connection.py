"""A device that is attached, and the transport that it is written to by."""

from __future__ import annotations

from typing import Protocol

from gateway.domain.model import App, User
from gateway.wire.close import Close
from gateway.wire.encoding import Encoding
from gateway.wire.session import Session


class Sink(Protocol):
    """The transport of one connection, as the hub needs it. Nothing here waits.

    `write` and `ping` raise `RuntimeError` where the socket is gone and nobody has noticed yet; `close` never does.
    Whoever makes one tells the hub, by `Hub.lag` and `Hub.drained`, when more than `transport_buffer_bytes_max` waits
    for the peer and when a quarter of that or less does: a fan-out asks nobody how full he is.
    """

    @property
    def encoding(self) -> Encoding:
        """What the frames that are written here must be encoded in."""

    @property
    def gone(self) -> bool:
        """Whether the socket is closed, or about to be."""

    def write(self, data: bytes) -> None:
        """Queue finished frames."""

    def buffered(self) -> int:
        """Return how many bytes wait here for the peer."""

    def unacknowledged(self) -> int:
        """Return how many bytes the peer has not taken yet, with those that have left here, as far as that is known."""

    def ping(self) -> None:
        """Queue a WebSocket ping."""

    def close(self, code: Close, reason: str, retry_after_ms: int | None) -> None:
        """Say `bye` and close; the socket is gone soon after, whatever the peer does."""


class Connection:
    """A device that is attached: its session, its transport, and what the node must remember of it.

    `attach_no`: what the store calls this connection, 0 until it has been asked. `detached`: the hub has forgotten it.
    `seen_at`: when an ack of it last had the store note that its device was seen.
    """

    __slots__ = (
        "app", "attach_no", "detached", "device_sn", "kept", "moment", "platform", "seen_at", "session", "sink",
        "user", "user_agent",
    )  # fmt: skip

    def __init__(self, app: App, user: User, device_sn: int, session: Session, sink: Sink) -> None:
        self.app = app
        self.user = user
        self.device_sn = device_sn
        self.session = session
        self.sink = sink
        self.platform = 0
        self.user_agent = ""
        self.attach_no = 0
        self.detached = False
        self.kept = False
        self.seen_at = 0
        # When it is looked at next, as the hub's wheel has it.
        self.moment = 0

    @property
    def over(self) -> bool:
        """Whether nobody is there any more, or is to be."""
        return self.session.ended or self.sink.gone
