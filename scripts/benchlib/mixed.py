"""Many groups and users at once, on devices that ack: a delivery with all that belongs to it."""

from __future__ import annotations

import asyncio
import time

from scripts.benchlib.fanout import bare
from scripts.benchlib.figures import Figure
from scripts.benchlib.groups import cost
from scripts.benchlib.programs import Programs
from scripts.benchlib.scenario import Measured, Rounds, Scenario, column
from scripts.benchlib.sockets import Fleet
from scripts.benchlib.town import pump_of, pumped, to_group, to_user, town
from scripts.loadlib.crowd import Crowd
from scripts.loadlib.histogram import Histogram
from scripts.loadlib.sender import Draft, Principal

_DEVICES = 5_000
_MEMBERS = 50
_GROUPS_EACH = 5
"""Groups that overlap, as those of a company do: each begins ten users after the one before it."""

_CALLERS = 64
_SENDS = 10_000
_BARE_MESSAGES = 6_400
_WARM_UP = 1_000
"""About one for each group: the rules' facts of all of them are known then."""

_APART = 7_919
"""A prime: users are sent to in an order that has nothing to do with who sends."""

_ACK_EVERY = 4
"""Entries of a timeline. By count and not by time: a slow machine would measure more acks for the same deliveries."""

_COMMITTED_S = 1.0
"""Then the last acks have come and are committed."""


class _Mixed:
    """Every other send goes to a group, the rest to users; devices ack."""

    def __init__(self) -> None:
        self._frame = b""
        """What the gateway wrote, which has the first turn: the floor writes the same."""

    async def gateway(self, programs: Programs) -> Measured:
        """Durable sends of 64 callers at a time, whom one finds all over the town, and to every group in turn."""
        sends = programs.count(_SENDS)
        with programs.gateway() as served:
            fleet = Fleet(served.program.port, tracked=True, ack_every=_ACK_EVERY)
            async with town(
                served, fleet, _devices(programs), group_size=_MEMBERS, groups_each=_GROUPS_EACH
            ) as crowd:
                await crowd.open_callers(len(crowd.groups), apart=_MEMBERS // _GROUPS_EACH)
                await _send(crowd, fleet, programs.count(_WARM_UP))
                fleet.latency = Histogram()
                first, began = fleet.messages, time.perf_counter()
                before, load_s = served.program.cost.cpu_s, time.process_time()
                answers = await _send(crowd, fleet, sends)
                seconds, load_s = time.perf_counter() - began, time.process_time() - load_s
                fleet.ack()
                await asyncio.sleep(_COMMITTED_S)
                cpu_s = served.program.cost.cpu_s - before
                fleet.check()
                self._frame = fleet.sample
                deliveries = fleet.messages - first
                return {
                    "cpu_us": cpu_s * 1e6 / deliveries,
                    "deliveries_s": deliveries / seconds,
                    "send_ms": answers.quantile_ms(0.99),
                    "delivery_ms": fleet.latency.quantile_ms(0.99),
                    "load_percent": load_s * 100 / seconds,
                }

    async def floor(self, programs: Programs) -> Measured:
        """As many messages in flight, to one group after the other; nobody acks."""
        messages = programs.count(_BARE_MESSAGES, _CALLERS)
        async with bare(programs, _devices(programs)) as floor:
            await floor.write(_MEMBERS, programs.count(_WARM_UP), _CALLERS, self._frame)
            before, count = floor.program.cost.cpu_s, floor.fleet.messages
            await floor.write(_MEMBERS, messages, _CALLERS, self._frame)
            cpu_s = floor.program.cost.cpu_s - before
            return {"cpu_us": cpu_s * 1e6 / (floor.fleet.messages - count)}

    def figures(self, rounds: Rounds) -> list[Figure]:
        """The cost of a delivery with its acks, how many there were, and how old they were."""
        told = (
            ("deliveries", "/s", "deliveries_s"),
            ("from send to device, p99", "ms", "delivery_ms"),
            ("sends, p99", "ms", "send_ms"),
            ("the load's core", "%", "load_percent"),
        )
        return [
            cost("groups-500", rounds, 2.0),
            *(
                Figure(name=f"groups-500: {name}", unit=unit, values=column(rounds, "gateway", measured))
                for name, unit, measured in told
            ),
        ]


def _devices(programs: Programs) -> int:
    """Whole groups of them."""
    return programs.count(_DEVICES // _MEMBERS) * _MEMBERS


async def _send(crowd: Crowd, fleet: Fleet, sends: int) -> Histogram:
    """Send, and wait for all that is owed; return how long the answers took."""
    grouped = to_group(crowd)
    # Never to oneself: a stride of less than all users leads to somebody else.
    single = to_user(
        lambda who, number: crowd.uid(
            (who.uid - crowd.uid(0) + 1 + number * _APART % (crowd.devices - 1)) % crowd.devices
        )
    )

    def draft(who: Principal, number: int) -> Draft:
        return (single if number % 2 else grouped)(who, number)

    turns = -(-len(crowd.callers) // _CALLERS)
    # Neighbours share groups: were they to call together, few devices would get all that is sent at a time.
    shifts = [crowd.callers[turn::turns] for turn in range(turns)]
    each = -(-sends // len(shifts))
    latency = Histogram()
    for callers in shifts:
        pump = pump_of(draft, each)
        pump.latency = latency
        # To a group it is owed to all members, to a user to that one and to who sent it.
        owed = fleet.messages + (each + 1) // 2 * _MEMBERS + each // 2 * 2
        await pumped(pump, callers)
        await fleet.reach(owed)
    return latency


_mixed = _Mixed()

GROUPS_500 = Scenario(
    "groups-500",
    "5,000 devices in 500 groups of 50, sends to groups and users, acks on",
    {"gateway": _mixed.gateway, "bare": _mixed.floor},
    _mixed.figures,
)
