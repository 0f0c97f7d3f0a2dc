"""The configuration of one gateway: `config.toml`, over it the environment, judged once and then frozen.

Every mistake is one sentence that names the key as its author wrote it: a misspelt key, a wrong type and a
number out of range are refused at the start, never ignored.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from gateway.domain.limits import Limits

DEFAULT_PATH = Path("config.toml")

# The description of each type is the second half of its refusal: "server.port must be …".
_Text = Annotated[str, Meta(min_length=1, pattern=r"^[^\x00]*$", description="text, and not empty")]
_Port = Annotated[int, Meta(ge=0, le=65_535, description="a whole number from 0 to 65535")]
_Days = Annotated[int, Meta(ge=0, le=36_500, description="a whole number of days from 0 to 36500")]
_Step = Annotated[int, Meta(ge=60, le=31_622_400, description="a whole number from 60 to 31622400")]
_Level = Annotated[
    Literal["debug", "info", "warning", "error"], Meta(description="one of debug, info, warning and error")
]
# A browser sends an origin without a path, so that one with a slash at its end would never match.
_ORIGIN = r"[a-z][a-z0-9+.-]*://[^/\s,]+"
_CorsOrigins = Annotated[
    tuple[Annotated[str, Meta(pattern=rf"^(\*|{_ORIGIN})$")], ...],
    Meta(description='a list of origins such as "https://chat.example.org", or "*"'),
]
_WsOrigins = Annotated[
    tuple[Annotated[str, Meta(pattern=rf"^{_ORIGIN}$")], ...],
    Meta(description='a list of origins such as "https://chat.example.org"'),
]
# Both are judged here whole: what a driver says of a URL that it does not understand may show a part of a password.
_USER = r"([^@/?#]*@)?"
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\[\]@/?#:,]*)(:\d{1,5})?"
_REST = r"(/[^?#]*)?(\?[^#]*)?"
_PRINTED = r"(?=[\x21-\x7e]*$)"
_StoreUrl = Annotated[
    str,
    Meta(
        pattern=rf"^{_PRINTED}(postgres(ql)?://{_USER}{_HOST}(,{_HOST})*{_REST})?$",
        description="empty (SQLite), or a URL such as postgresql://user:password@host:5432/database",
    ),
]
_BusUrl = Annotated[
    str,
    Meta(
        pattern=rf"^{_PRINTED}(rediss?://{_USER}{_HOST}{_REST}|unix://{_USER}/[^?#]+(\?[^#]*)?"
        rf"|sentinels?://{_USER}{_HOST}(,{_HOST})*/[^/?#]+|rediss?-cluster://{_USER}{_HOST}(,{_HOST})*)?$",
        description="empty (no other nodes), or a URL such as redis://user:password@host:6379/0",
    ),
]
_BlobsUrl = Annotated[
    str,
    Meta(
        pattern=rf"^{_PRINTED}(s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](/[^?#]*)?|file:///[^?#]+)?$",
        description="empty (a folder in server.data), or a URL such as s3://bucket/prefix or file:///mnt/files",
    ),
]
_Endpoint = Annotated[
    str,
    Meta(
        pattern=rf"^{_PRINTED}(https?://(\[[0-9A-Fa-f:.]+\]|[^\[\]@/?#:,]+)(:\d{{1,5}})?/?)?$",
        description="empty (AWS), or where another S3 is, such as https://minio.example.org:9000",
    ),
]
_File = Annotated[str, Meta(pattern=r"^[^\x00]*$", description="a path, or empty")]
_Prefix = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$", description="1 to 64 letters, digits and any of _ . : -"),
]
_Secret = Annotated[
    str, Meta(pattern=r"^[\x21-\x7e]{0,256}$", description="empty, or up to 256 characters without spaces")
]
_PublicUrl = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?)?$",
        description="empty, or an http:// or https:// URL without a slash at its end",
    ),
]
_MessageBytes = Annotated[int, Meta(ge=1, le=65_536, description="a whole number from 1 to 65536")]
_RecallWindow = Annotated[int, Meta(ge=0, le=604_800, description="a whole number from 0 to 604800")]
_Yes = Annotated[bool, Meta(description="true or false")]


class ConfigError(ValueError):
    """The configuration cannot be used; its text is one sentence for whoever wrote it."""


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the gateway listens and where it keeps its data; port 0 takes any free one."""

    host: _Text = "127.0.0.1"
    port: _Port = 8080
    data: _Text = "./data"


class Edge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who serves HTTP, and which web pages may talk to the gateway; without `ws_origins` any may open the channel.

    `public_url` is how the world calls it, where an answer names a URL of its own.
    """

    front_door: _Yes = True
    public_url: _PublicUrl = ""
    cors_origins: _CorsOrigins = ()
    ws_origins: _WsOrigins = ()


class Store(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where everything is kept: on SQLite in `server.data`, or on a PostgreSQL that many nodes share."""

    url: _StoreUrl = ""
    pgbouncer: _Yes = False


class Bus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What carries hints between nodes. `tls_ca`: a file of certificates to trust instead of the system's.

    `prefix` begins the name of every channel: gateways that share a server differ in it.
    """

    url: _BusUrl = ""
    tls_ca: _File = ""
    prefix: _Prefix = "gateway"


class Blobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the bytes of files are kept: a folder, or a bucket whose keys are the environment's (`AWS_…`)."""

    url: _BlobsUrl = ""
    endpoint: _Endpoint = ""


class Files(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long files are kept (0 days: as long as messages)."""

    days: _Days = 0


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long messages are kept (0 days: for ever), and from what jump on the clock is not believed."""

    days: _Days = 0
    clock_step_max_s: _Step = 259_200


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may read `/metrics`: whoever bears the token, nobody where there is none."""

    token: _Secret = ""


class Agora(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dialect of Agora Chat and Easemob.

    `message_bytes_max` is of a message's `body` and `ext` together; `recall_window_s` 0 lets nothing be recalled.
    """

    message_bytes_max: _MessageBytes = 5_120
    recall_window_s: _RecallWindow = 120
    open_registration: _Yes = False
    open_downloads: _Yes = False
    import_download: _Yes = False
    vendor_rates: _Yes = False


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much the gateway says."""

    level: _Level = "info"


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration; `Config()` is the default that `config.toml` documents."""

    server: Server = Server()
    edge: Edge = Edge()
    store: Store = Store()
    bus: Bus = Bus()
    blobs: Blobs = Blobs()
    files: Files = Files()
    limits: Limits = Limits()
    retention: Retention = Retention()
    metrics: Metrics = Metrics()
    agora: Agora = Agora()
    log: Log = Log()


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": Server,
    "edge": Edge,
    "store": Store,
    "bus": Bus,
    "blobs": Blobs,
    "files": Files,
    "limits": Limits,
    "retention": Retention,
    "metrics": Metrics,
    "agora": Agora,
    "log": Log,
}

# Where one limit bounds a part of what another bounds, the part may not be the greater.
_PARTS_AND_WHOLES = (
    ("page_default", "page_max"),
    ("unread_max", "unread_scan_max"),
    ("content_bytes_max", "body_bytes_max"),
    ("attachment_bytes_max", "body_bytes_max"),
    ("ext_bytes_max", "body_bytes_max"),
    ("config_bytes_max", "body_bytes_max"),
    ("body_bytes_max", "batch_bytes_max"),
    ("batch_bytes_max", "queue_bytes_max"),
    ("batch_rows_max", "queue_rows_max"),
)

_DAY_MS = 24 * 3600 * 1000
_CENTURY_S = 100 * 366 * 24 * 3600
_GIB = 1 << 30
_COUNT_MAX = 10_000_000
# Above these the process would fail in ways that no limit explains: a stack too deep, a thread too many.
_TIGHT = {"json_depth_max": 200, "readers": 64}
# Pixels and bytes a second, of which there are more than of anything that is counted.
_WIDE = {"thumbnail_pixels_max": 1_000_000_000, "upload_bytes_per_s_max": 10_000_000_000}


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Reads the file, lays the `GATEWAY_<SECTION>_<KEY>` variables over it and judges the whole.

    Without a path `config.toml` of the current folder is read if it is there. Lists in variables are
    separated by commas.

    Raises:
        ConfigError: a named file that cannot be read, an unknown key, a wrong type, a value out of range.
    """
    sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    _take_file(path, sections)
    _take_environment(environ, sections)
    limits = Limits(**sections["limits"])
    for part, whole in _PARTS_AND_WHOLES:
        low, high = getattr(limits, part), getattr(limits, whole)
        if low > high:
            raise ConfigError(f"limits.{part} ({low}) must not be above limits.{whole} ({high})")
    return Config(
        server=Server(**sections["server"]),
        edge=Edge(**sections["edge"]),
        store=Store(**sections["store"]),
        bus=Bus(**sections["bus"]),
        blobs=Blobs(**sections["blobs"]),
        files=Files(**sections["files"]),
        limits=limits,
        retention=Retention(**sections["retention"]),
        metrics=Metrics(**sections["metrics"]),
        agora=Agora(**sections["agora"]),
        log=Log(**sections["log"]),
    )


def _take_file(path: Path | None, sections: dict[str, dict[str, Any]]) -> None:
    """Judges every key of the file into its section."""
    if path is None and not DEFAULT_PATH.exists():
        return
    path = path or DEFAULT_PATH
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"the configuration file {path} does not exist") from None
    except OSError as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the configuration file {path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the configuration file {path} is not TOML: {error}") from None
    for section, table in tables.items():
        if section not in _SECTIONS:
            raise ConfigError(f"unknown key {section} in {path}; its sections are {_listed(_SECTIONS)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{section} in {path} must be a section, written as [{section}]")
        for key, value in table.items():
            if key not in _SECTIONS[section].__struct_fields__:
                raise ConfigError(f"unknown key {section}.{key} in {path}")
            name = f"{section}.{key} in {path}"
            sections[section][key] = _judged(section, key, value, name=name, strict=True)


def _take_environment(environ: Mapping[str, str], sections: dict[str, dict[str, Any]]) -> None:
    """Judges every variable of the form GATEWAY_<SECTION>_<KEY> into its section."""
    for name, text in sorted(environ.items()):
        prefix, _, rest = name.partition("_")
        section, _, key = rest.lower().partition("_")
        if prefix != "GATEWAY" or not key or _foreign(section):
            continue
        if section not in _SECTIONS or key not in _SECTIONS[section].__struct_fields__:
            raise ConfigError(f"unknown configuration variable {name} in the environment")
        value: Any = text.strip()
        if section == "edge" and key.endswith("_origins"):
            value = [item.strip() for item in value.split(",") if item.strip()]
        sections[section][key] = _judged(section, key, value, name=name, strict=False)


def _foreign(section: str) -> bool:
    """Whether variables of this section are none of the configuration's business.

    The tests keep their own settings under GATEWAY_TEST_; and Kubernetes gives every container of a namespace
    that has a service named `gateway` its GATEWAY_SERVICE_… and GATEWAY_PORT_… variables.
    """
    return section in {"test", "service", "port"}


def _judged(section: str, key: str, value: object, *, name: str, strict: bool) -> object:
    """The value as the field's type; not strict, text is read as a number where one is due."""
    kind = _kind(section, key)
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError:
        expected = get_args(kind)[1].description
        # A URL may hold a password, and one that is wrong may hold it anywhere.
        told = "" if key in {"url", "endpoint", "token"} else f", not {value!r}"
        raise ConfigError(f"{name} must be {expected}{told}") from None


def _kind(section: str, key: str) -> Any:  # noqa: ANN401 - an annotation has no narrower type
    """The annotated type of one key; limits, which the ground declares plainly, get their bounds here."""
    if section != "limits":
        fields = msgspec.structs.fields(_SECTIONS[section])
        return next(field.type for field in fields if field.name == key)
    if "_bytes_" in key:
        greatest = _GIB
    elif key.endswith("_ms"):
        greatest = _DAY_MS
    elif key.endswith("_s"):
        greatest = _CENTURY_S
    else:
        greatest = {**_TIGHT, **_WIDE}.get(key, _COUNT_MAX)
    return Annotated[int, Meta(ge=1, le=greatest, description=f"a whole number from 1 to {greatest}")]


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names)
