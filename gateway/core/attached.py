"""The devices that are attached to this node, by user."""

from __future__ import annotations

from gateway.core.connection import Connection


class Attached(dict[int, tuple[Connection, ...]]):
    """A user's connections by the user's id, nearly always one; `by_app`: how many each app has."""

    __slots__ = ("by_app",)

    def __init__(self) -> None:
        super().__init__()
        self.by_app: dict[int, int] = {}

    @property
    def connections(self) -> list[Connection]:
        """Return all of them."""
        return [connection for devices in self.values() for connection in devices]

    def put(self, connection: Connection) -> Connection | None:
        """Take a connection in; return the older one of the same device, whose place it takes."""
        devices = self.get(connection.user.id, ())
        older = next((other for other in devices if other.device_sn == connection.device_sn), None)
        self[connection.user.id] = (*(other for other in devices if other is not older), connection)
        if older is None:
            app = connection.app.id
            self.by_app[app] = self.by_app.get(app, 0) + 1
        return older

    def drop(self, connection: Connection) -> None:
        """Forget a connection, if it is one."""
        devices = self.get(connection.user.id, ())
        if connection in devices:
            left = tuple(other for other in devices if other is not connection)
            if left:
                self[connection.user.id] = left
            else:
                del self[connection.user.id]
            app = connection.app.id
            self.by_app[app] -= 1
            if not self.by_app[app]:
                del self.by_app[app]
