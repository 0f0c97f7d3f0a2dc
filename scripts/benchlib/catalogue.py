"""All scenarios, in the order of the README's table."""

from __future__ import annotations

from scripts.benchlib.groups import GROUPS
from scripts.benchlib.idle import IDLE
from scripts.benchlib.pushes import ONLINE_ONLY, RATE_500
from scripts.benchlib.scenario import Scenario
from scripts.benchlib.sends import SEND_1, SEND_256

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        SEND_256,
        SEND_1,
        RATE_500,
        *GROUPS,
        ONLINE_ONLY,
        *IDLE,
    )
}  # fmt: skip
"""By name."""
