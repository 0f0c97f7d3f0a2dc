"""Users as answers show them (vendors.md §3.3)."""

from __future__ import annotations

import msgspec

from gateway.domain.model import App, State, User
from gateway.edge.facades.agora.names import called, user_uuid


class UserShape(msgspec.Struct):
    """A user as an entity; without a nickname that member is not there."""

    uuid: str
    type: str
    created: int
    modified: int
    username: str
    activated: bool
    nickname: str | msgspec.UnsetType = msgspec.UNSET


def user_shape(app: App, user: User, nickname: str = "") -> UserShape:
    """How a user is told of."""
    return UserShape(
        uuid=user_uuid(app, user.xid),
        type="user",
        created=user.created_at,
        modified=user.created_at,
        username=called(app, user),
        activated=user.state is State.NORMAL,
        nickname=nickname or msgspec.UNSET,
    )
