"""How long tests wait for what must come."""

from __future__ import annotations

WAIT_S = 100.0
"""It ends what hangs, and proves no speed: a machine that stands still for seconds makes no test fail."""
