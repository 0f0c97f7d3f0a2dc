#!/usr/bin/env python3
"""Puts a gateway under load over real sockets and says what it cost and whether anything was lost.

    .venv/bin/python scripts/load.py --spawn --devices 1000 --messages 20000
    .venv/bin/python scripts/load.py --spawn --devices 1000 --messages 20000 --to group --senders 8
    .venv/bin/python scripts/load.py --spawn --devices 10000 --idle
    .venv/bin/python scripts/load.py --spawn --neighbour
    .venv/bin/python scripts/load.py --spawn --nodes 2 --devices 1000 --messages 20000
    .venv/bin/python scripts/load.py --url http://127.0.0.1:8080 --data ./data --pid 1234

Exit code 0: everything that was answered reached every device it was owed to, once and in order. 1: something
did not, or one app feels another's flood too much. 2: the run could not begin. Only loopback addresses are ever
spoken to.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import ipaddress
import os
import resource
import sys
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import uvloop

# A program is started by its path: make the project's own modules importable from wherever that is.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.loadlib.crowd import Target
from scripts.loadlib.neighbour import Neighbours
from scripts.loadlib.neighbour import Options as Pairing
from scripts.loadlib.report import Report, save, show
from scripts.loadlib.scenario import Options, Scenario
from scripts.loadlib.server import Signer, Spawned, machine, make_app, signer_of
from scripts.loadlib.services import Postgres, Redis
from scripts.loadlib.verdict import Verdict, save_verdict, show_verdict

T = TypeVar("T")

_OK, _DIRTY, _NOT_BEGUN = 0, 1, 2
_FILES_BESIDE = 100
_DEVICES, _DEVICES_OF_TWO = 1_000, 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one load and return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        if given.neighbour:
            verdict = _neighbours(given)
            show_verdict(verdict)
            if given.json is not None:
                save_verdict(verdict, given.json)
            return _DIRTY if verdict.failures else _OK
        options = _options(given)
        _allow_files(options.devices + options.senders + _FILES_BESIDE)
        report = _spawned(given, options) if given.spawn else _pointed(given, options)
    except (ValueError, RuntimeError, OSError) as why:
        print(why, file=sys.stderr)
        return _NOT_BEGUN
    show(report)
    if given.json is not None:
        save(report, given.json)
    return _DIRTY if report.failures else _OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    server = parser.add_argument_group("the server")
    where = server.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--spawn", action="store_true", help="start one of our own, on core 0, with the load on core 1"
    )
    where.add_argument("--url", help="use one that runs: http://127.0.0.1:8080")
    server.add_argument(
        "--nodes",
        type=int,
        choices=(0, 1, 2),
        default=0,
        help="with --spawn: 0 one on SQLite (default), 1 one on PostgreSQL, 2 two with Redis between them: sends go "
        "to the first, devices to the second. PostgreSQL and Redis are started too, and want the set-up of the tests",
    )
    server.add_argument(
        "--kill-redis", action="store_true", help="with --nodes 2: Redis dies when all devices are connected"
    )
    server.add_argument("--pid", type=int, default=0, help="its process, to measure it (with --url)")
    server.add_argument("--data", type=Path, help="its data folder, to read the app's secret (with --url)")
    server.add_argument("--app", default="demo", help="the app (default: demo)")
    server.add_argument("--kid", help="the id of the app's key (with --url, instead of --data)")
    server.add_argument("--secret", help="the app's key in base64 (with --url, instead of --data)")
    server.add_argument("--folder", type=Path, help="where --spawn makes its temporary data folder")
    server.add_argument("--no-pin", action="store_true", help="leave the choice of cores to the system")
    load = parser.add_argument_group("the load")
    load.add_argument(
        "--devices",
        type=int,
        help="users with one device each (default: 1000; with --neighbour 100 in each app)",
    )
    load.add_argument(
        "--users", type=int, default=0, help="users, where more than have a device (default: one for each)"
    )
    load.add_argument("--senders", type=int, default=256, help="calls at a time (default: 256)")
    load.add_argument("--messages", type=int, default=20_000, help="sends in all (default: 20000)")
    load.add_argument("--rate", type=float, default=0.0, help="sends per second; 0: flat out (default)")
    load.add_argument("--to", choices=("users", "group"), default="users", help="users (default) or group")
    load.add_argument(
        "--group-size", type=int, default=0, help="members of each group (default: all devices)"
    )
    load.add_argument("--text-bytes", type=int, default=100, help="length of each message (default: 100)")
    load.add_argument("--no-transaction-ids", action="store_true", help="send without transaction_id")
    load.add_argument(
        "--no-ack", action="store_true", help="devices never ack, so one that lags never catches up"
    )
    load.add_argument("--ack-ms", type=int, default=500, help="how long a device gathers acks (default: 500)")
    load.add_argument("--idle", action="store_true", help="only connect, and measure memory")
    load.add_argument("--hold", type=float, default=5.0, help="seconds to hold idle devices (default: 5)")
    two = parser.add_argument_group("two apps")
    two.add_argument(
        "--neighbour",
        action="store_true",
        help="an app at a steady rate, alone and beside one that sends flat out by --senders (with --spawn)",
    )
    two.add_argument(
        "--sends-per-s", type=int, default=500, help="the loud app's limit; 0: none (default: 500)"
    )
    two.add_argument("--quiet-rate", type=float, default=100.0, help="the quiet app's sends (default: 100/s)")
    two.add_argument("--quiet-senders", type=int, default=8, help="the quiet app's callers (default: 8)")
    two.add_argument("--rounds", type=int, default=5, help="how often both are measured (default: 5)")
    two.add_argument("--span", type=float, default=3.0, help="seconds of each measurement (default: 3)")
    two.add_argument(
        "--ratio-max",
        type=float,
        default=2.0,
        help="how many times the quiet app's p99 may become beside the flood (default: 2)",
    )
    end = parser.add_argument_group("the end")
    end.add_argument(
        "--linger", type=float, default=30.0, help="seconds to wait for stragglers (default: 30)"
    )
    end.add_argument(
        "--timeout", type=float, default=600.0, help="seconds to connect and send for at most (default: 600)"
    )
    end.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    return parser


def _options(given: argparse.Namespace) -> Options:
    devices = _DEVICES if given.devices is None else given.devices
    group_size = given.group_size or devices
    if min(devices, given.senders, given.messages, group_size, given.ack_ms) < 1:
        raise ValueError("devices, senders, messages, group size and ack time must be at least 1")
    if group_size > devices:
        raise ValueError("a group cannot have more members than there are devices")
    return Options(
        devices=devices,
        users=max(devices, given.users),
        senders=given.senders,
        messages=given.messages,
        rate=given.rate,
        to_group=given.to == "group",
        group_size=group_size,
        text_bytes=given.text_bytes,
        transaction_ids=not given.no_transaction_ids,
        acks=not given.no_ack,
        ack_ms=given.ack_ms,
        idle=given.idle,
        hold_s=given.hold,
        linger_s=given.linger,
        timeout_s=given.timeout,
    )


def _spawned(given: argparse.Namespace, options: Options) -> Report:
    """Run against a server that lives as long as the run."""
    with _server(given) as ours:
        server, receiver = ours.server, ours.receiver
        signer = signer_of(server.data, given.app)
        devices = (receiver.port, receiver.pid) if receiver else None
        named = machine(server.data.parent)
        target = Target("127.0.0.1", server.port, server.pid, signer, named, ours.cores, devices)
        scenario = Scenario(options, target)
        if ours.redis and given.kill_redis:
            scenario.on_connected = ours.redis.kill
        elif ours.redis:
            scenario.redis_commands = ours.redis.commands
        report = _run(scenario.run())
    for one in (server, receiver):
        if one is not None and one.code:
            report.failures.append(f"the server ended with exit code {one.code}")
    return report


def _neighbours(given: argparse.Namespace) -> Verdict:
    """Run two apps on a server that lives as long as the run."""
    if not given.spawn:
        raise ValueError("--neighbour makes apps of its own, and so it needs --spawn")
    devices = _DEVICES_OF_TWO if given.devices is None else given.devices
    counts = (devices, given.senders, given.quiet_senders, given.rounds)
    if min(counts) < 1 or given.sends_per_s < 0 or min(given.quiet_rate, given.span) <= 0:
        raise ValueError("devices, callers, rounds, the quiet rate and the span must be more than nothing")
    _allow_files(2 * devices + given.senders + given.quiet_senders + _FILES_BESIDE)
    options = Pairing(
        devices=devices,
        quiet_rate=given.quiet_rate,
        quiet_senders=given.quiet_senders,
        loud_senders=given.senders,
        loud_limit=given.sends_per_s,
        rounds=given.rounds,
        span_s=given.span,
        ratio_max=given.ratio_max,
        text_bytes=given.text_bytes,
        linger_s=given.linger,
        timeout_s=given.timeout,
    )
    with _server(given) as ours:
        server, cores = ours.server, ours.cores
        named = machine(server.data.parent)
        quiet, loud = (
            Target("127.0.0.1", server.port, server.pid, make_app(server.data, app, limit), named, cores)
            for app, limit in (("quiet", 0), ("loud", options.loud_limit))
        )
        verdict = _run(Neighbours(options, quiet, loud).run())
    if server.code:
        verdict.failures.append(f"the server ended with exit code {server.code}")
    return verdict


class _Ours(NamedTuple):
    """The servers of a run: where sends go, where devices go (None: there too), and the Redis between them."""

    server: Spawned
    receiver: Spawned | None
    redis: Redis | None
    cores: tuple[int, int] | None


@contextlib.contextmanager
def _server(given: argparse.Namespace) -> Iterator[_Ours]:
    """Servers of our own, and the cores that they and we are pinned to from here on."""
    allowed = sorted(os.sched_getaffinity(0))
    alone = given.no_pin or given.nodes or len(allowed) < 2  # noqa: PLR2004 - one each
    cores = None if alone else (allowed[0], allowed[1])
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gwload-", dir=given.folder)))
        settings, redis = "", None
        if given.nodes:
            postgres = Postgres()
            stack.callback(postgres.close)
            settings = f'[store]\nurl = "{postgres.url}"\n'
        if given.nodes > 1:
            redis = Redis(folder)
            stack.callback(redis.close)
            settings += f'[bus]\nurl = "redis://127.0.0.1:{redis.port}"\n'
        servers = []
        for number in range(max(1, given.nodes)):
            server = Spawned(folder / f"data{number}", cores[0] if cores else None, settings)
            stack.callback(server.stop)
            server.wait_ready()
            servers.append(server)
        if cores:
            os.sched_setaffinity(0, {cores[1]})
        yield _Ours(servers[0], servers[1] if given.nodes > 1 else None, redis, cores)


def _pointed(given: argparse.Namespace, options: Options) -> Report:
    """Run against a server that somebody else started."""
    host, port = _loopback(given.url)
    if given.kid and given.secret:
        signer = Signer(given.app, given.kid, given.secret)
    elif given.data is not None:
        signer = signer_of(given.data, given.app)
    else:
        raise ValueError("--url needs --data, or --kid and --secret, to make tokens with")
    return _run(Scenario(options, Target(host, port, given.pid, signer, machine(given.data))).run())


def _loopback(url: str) -> tuple[str, int]:
    """Take an address of this machine apart. Raises `ValueError` for any other."""
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    try:
        ours = ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        ours = False
    if parts.scheme != "http" or not ours:
        raise ValueError(f"{url} is not an http URL of a loopback address (127.0.0.1, say)")
    return host, parts.port or 80


def _allow_files(count: int) -> None:
    """Raise the limit on open files as far as this run needs. A server started later inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise ValueError(f"this takes {count:,} open files, and the limit is {hard:,}")
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _run(load: Coroutine[Any, Any, T]) -> T:
    # A collection in the middle would be measured as the server's latency, and there are hardly any cycles.
    gc.disable()
    return uvloop.run(load)


if __name__ == "__main__":
    sys.exit(main())
