"""What the bus over Redis is told: where the server is, and the names and times that all nodes share."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

PARTITIONS = 8
"""On how many channels the timelines of all apps are heard; the same on all nodes.

Few, so that a flush of 100 sends is 8 publishes and not 200; more than one, so that a node with a handful of devices
need not hear everything. Channels of their own for 20,000 timelines cost 25 times the commands, more than twice the
CPU per hint and 4 MB of the server (scripts/bench_bus.py).
"""

_PORT = 6379
_SENTINEL_PORT = 26379
_PORT_MAX = 65_535

# Scheme: what is spoken to, and whether by TLS.
_SCHEMES = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("unix", False),
    "sentinel": ("sentinel", False),
    "sentinels": ("sentinel", True),
    "redis-cluster": ("cluster", False),
    "rediss-cluster": ("cluster", True),
}
_FORMS = {
    "single": "redis://host:port/db",
    "unix": "unix:///path/of/the.sock",
    "sentinel": "sentinel://host:port,host:port/service",
    "cluster": "redis-cluster://host:port,host:port",
}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A bus URL, taken apart. `mode`: single, unix, sentinel or cluster; `hosts` are tried one after the other."""

    mode: str
    tls: bool
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    service: str = ""
    username: str = ""
    password: str = ""
    name: str = ""

    def __repr__(self) -> str:
        return f"Place({self.name})"


class BusOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The bus of a node. All nodes of a gateway have the same `prefix` and `partitions`.

    `url` is one of `redis://` and `rediss://` `[user:password@]host:port/db`, `unix://[user:password@]/path?db=0`,
    `sentinel://` and `sentinels://` `[user:password@]host:port,host:port/service`, `redis-cluster://` and
    `rediss-cluster://` `[user:password@]host:port,host:port`; an `s` means TLS, also to Sentinels. User and password
    are those of Redis; Sentinels get them too where they ask for some. `tls_ca` is a file of certificates to trust
    instead of the system's.

    A node publishes a beat every `beat_ms` and gives its connections up when it has not heard `beats_missed_max` of
    them. It comes back after a random wait of at most `retry_ms_max`, which grows from failure to failure.
    """

    url: str
    tls_ca: str = ""
    prefix: str = "gateway"
    partitions: int = PARTITIONS
    beat_ms: int = 1_000
    beats_missed_max: int = 3
    connect_timeout_ms: int = 2_000
    retry_ms_max: int = 2_000

    def __repr__(self) -> str:
        return f"BusOptions({self.place.name})"

    @property
    def place(self) -> Place:
        """The URL, taken apart.

        Raises:
            ValueError: it is none; the sentence names no password.
        """
        return _place_of(self.url)


def _place_of(url: str) -> Place:
    scheme, colon, _ = url.partition("://")
    if not colon or scheme not in _SCHEMES:
        raise ValueError(f"a bus URL begins with one of {', '.join(f'{known}://' for known in _SCHEMES)}")
    mode, tls = _SCHEMES[scheme]
    form = _FORMS[mode]
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"a bus URL of this kind reads {form}") from None
    credentials, _, where = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    rest = unquote(parts.path.removeprefix("/"))
    db = given.pop("db", "0") if mode == "unix" else (rest or "0") if mode == "single" else "0"
    whole = where == "" and rest != "" if mode == "unix" else where != ""
    named = rest != "" if mode == "sentinel" else mode != "cluster" or rest == ""
    if given or parts.fragment or not whole or not named or not db.isdecimal():
        raise ValueError(f"a bus URL of this kind reads {form}")
    return Place(
        mode=mode,
        tls=tls,
        hosts=_hosts_of(where, _SENTINEL_PORT if mode == "sentinel" else _PORT, form) if where else (),
        path=unquote(parts.path) if mode == "unix" else "",
        db=int(db),
        service=rest if mode == "sentinel" else "",
        username=unquote(username),
        password=unquote(password),
        name=f"{scheme}://{where}{parts.path}",
    )


def _hosts_of(where: str, port: int, form: str) -> tuple[tuple[str, int], ...]:
    hosts = []
    for one in where.split(","):
        try:
            parts = urlsplit(f"//{one}")
            found = (parts.hostname or "", port if parts.port is None else parts.port)
        except ValueError:
            found = ("", 0)
        if not found[0] or not 0 < found[1] <= _PORT_MAX:
            raise ValueError(f"a bus URL of this kind reads {form}")
        hosts.append(found)
    return tuple(hosts)
