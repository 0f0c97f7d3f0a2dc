"""How long tests wait for what must come, and gateways in tests for what a busy machine brings late."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.bus.options import BusOptions
from gateway.domain.limits import Limits

WAIT_S = 100.0
"""It ends what hangs, and proves no speed: a machine that stands still for seconds makes no test fail."""

LATE_S = 3 * WAIT_S
"""After which it is given up in tests: no test waits so long for what goes on only because of that."""

_LATE_MS = int(LATE_S * 1000)
_GIVING_UP = (
    "answers_wait_ms",
    "pool_wait_ms",
    "statement_timeout_ms",
    "store_retry_ms",
    "node_timeout_ms",
    "auth_timeout_ms",
    "header_timeout_ms",
    "body_timeout_ms",
    "fetch_timeout_ms",
    "thumbnail_timeout_ms",
    "broadcast_wait_ms",
)
"""After these times a gateway takes the store, another node or a caller for gone, or tells what is done so far."""

ENVIRONMENT = {f"GATEWAY_LIMITS_{name.upper()}": str(_LATE_MS) for name in (*_GIVING_UP, "drain_ms")}
"""By which a real gateway gives nobody up either, and no drain is cut short."""

_DAY_MS = 24 * 3_600_000
_TIDYING = ("expiry_sweep_ms", "retention_sweep_ms")
"""So often it removes by itself what is too old; a test that wants it removed does so, and sees how much went."""

_USUAL = Limits()


def patient(limits: Limits) -> Limits:
    """These limits, by which nobody is given up for being late, nor what is old removed, but where a test says so."""
    late = dict.fromkeys(_GIVING_UP, _LATE_MS) | dict.fromkeys(_TIDYING, _DAY_MS)
    unsaid: dict[str, Any] = {
        name: ms for name, ms in late.items() if getattr(limits, name) == getattr(_USUAL, name)
    }
    return msgspec.structs.replace(limits, **unsaid)


class PatientBus(BusOptions, frozen=True, kw_only=True):
    """A bus that is not given up where its server stands still: what is said meanwhile is heard later.

    Given up, it is made again and heads are compared, but a note is lost, and a test waits for it in vain.
    """

    beats_missed_max: int = _LATE_MS // 1_000
    connect_timeout_ms: int = _LATE_MS
