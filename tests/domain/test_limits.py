"""The one table of bounds."""

from __future__ import annotations

import msgspec
import pytest

from gateway.domain.limits import Limits

LIMITS = Limits()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("body_bytes_max", 256 * 1024),
        ("content_bytes_max", 64 * 1024),
        ("attachment_bytes_max", 64 * 1024),
        ("ext_bytes_max", 16 * 1024),
        ("config_bytes_max", 16 * 1024),
        ("targets_max", 1_000),
        ("group_members_max", 5_000),
        ("groups_per_user_max", 1_000),
        ("devices_per_user_max", 20),
        ("page_max", 100),
        ("unacked_max", 500),
        ("recent_max", 500),
        ("unread_max", 999),
        ("unread_scan_max", 3_000),
        ("heartbeat_ms", 30_000),
        ("auth_timeout_ms", 10_000),
        ("ack_flush_ms", 200),
        ("reorder_grace_ms", 20),
        ("device_requests_per_s", 100),
        ("device_requests_burst", 200),
        ("signals_per_s", 20),
        ("signals_burst", 40),
        ("signal_bytes_max", 4_096),
    ],
)
def test_documented_limits(name: str, value: int) -> None:
    """The limits that the documents name have these values (lanying.md, Limits; design §3, §4, §6)."""
    assert getattr(LIMITS, name) == value


def test_idle_timeout() -> None:
    """The idle timeout is 2.5 heartbeats."""
    assert LIMITS.idle_timeout_ms == 75_000
    assert Limits(heartbeat_ms=1_001).idle_timeout_ms == 2_502


def test_a_frame_holds_the_greatest_body() -> None:
    """What fits into a request fits into a `send` frame with its `op` and `ref`."""
    assert LIMITS.frame_bytes_max > LIMITS.body_bytes_max


def test_unknown_limits_are_refused() -> None:
    """A limit that does not exist is refused by name."""
    with pytest.raises(msgspec.ValidationError, match="page_maximum"):
        msgspec.convert({"page_maximum": 5}, Limits)


def test_every_limit_is_a_positive_number() -> None:
    """There is no limit that stands for none."""
    assert all(value > 0 for value in msgspec.structs.asdict(LIMITS).values())
