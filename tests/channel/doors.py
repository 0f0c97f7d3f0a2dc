"""Devices at the front door, as its tests see them."""

from __future__ import annotations

from gateway.edge.frontdoor.device import DeviceSocket
from tests.channel.stage import Stage


def device(stage: Stage, uid: int) -> DeviceSocket:
    """The gateway's socket of a user's only device."""
    sink = stage.connection(uid).sink
    assert isinstance(sink, DeviceSocket)
    return sink
