"""All scenarios, in the order of the README's table."""

from __future__ import annotations

from scripts.benchlib.groups import GROUPS
from scripts.benchlib.growth import GROWTH, MEMBERS
from scripts.benchlib.idle import IDLE
from scripts.benchlib.mixed import GROUPS_500
from scripts.benchlib.pressure import FASTER_THAN_DISK
from scripts.benchlib.pushes import ONLINE_ONLY, RATE_500
from scripts.benchlib.reads import HISTORY, UNREAD
from scripts.benchlib.scenario import Scenario
from scripts.benchlib.sends import SEND_1, SEND_256
from scripts.benchlib.slow import NEVER_READING
from scripts.benchlib.storms import STORMS
from scripts.benchlib.uploads import UPLOADS

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        SEND_256,
        SEND_1,
        RATE_500,
        *GROUPS,
        GROUPS_500,
        ONLINE_ONLY,
        *IDLE,
        *STORMS,
        NEVER_READING,
        HISTORY,
        UNREAD,
        GROWTH,
        MEMBERS,
        FASTER_THAN_DISK,
        UPLOADS,
    )
}  # fmt: skip
"""By name."""
