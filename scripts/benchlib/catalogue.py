"""All scenarios, in the order of the README's table."""

from __future__ import annotations

from scripts.benchlib.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {}
"""By name."""
