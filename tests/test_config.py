"""The configuration: what it reads, what it refuses, and that the file in the repository tells the truth."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from gateway.bus.options import BusOptions
from gateway.config import Blobs, Bus, Config, ConfigError, Log, Server, Store, load_config
from gateway.domain.limits import Limits

SECTIONS = "server, edge, store, bus, blobs, files, limits, retention, metrics, agora, log"
SHIPPED = Path(__file__).parent.parent / "config.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def refusal(path: Path | None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ or {})
    return str(caught.value)


class TestShippedFile:
    """The commented default at the top level."""

    def test_it_is_the_default(self) -> None:
        """Loading the shipped file changes nothing."""
        assert load_config(SHIPPED, {}) == Config()

    def test_it_documents_every_key_with_its_default(self) -> None:
        """With its commented keys switched on, the file names every key, each with its true default."""
        text = re.sub(r"^# (\w+ = )", r"\1", SHIPPED.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert tomllib.loads(text) == msgspec.json.decode(msgspec.json.encode(Config()))

    def test_every_default_may_be_stated(self, file: Path) -> None:
        """No default is out of its own range: the file with all keys switched on loads."""
        text = re.sub(r"^# (\w+ = )", r"\1", SHIPPED.read_text(encoding="utf-8"), flags=re.MULTILINE)
        file.write_text(text, encoding="utf-8")
        assert load_config(file, {}) == Config()


class TestFile:
    """What is read, and from where."""

    def test_nothing_is_needed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a file and variables the defaults hold."""
        monkeypatch.chdir(tmp_path)
        assert load_config(None, {}) == Config()

    def test_the_current_folder_is_looked_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a path, config.toml of the current folder is read."""
        monkeypatch.chdir(tmp_path)
        Path("config.toml").write_text("[server]\nport = 9001\n", encoding="utf-8")
        assert load_config(None, {}) == Config(server=Server(port=9001))

    def test_a_named_file_is_read(self, file: Path) -> None:
        """A path that is given is the one that is read, and its keys leave the others alone."""
        file.write_text('[log]\nlevel = "debug"\n[limits]\npage_max = 50\n', encoding="utf-8")
        assert load_config(file, {}) == Config(log=Log(level="debug"), limits=Limits(page_max=50))

    def test_lists_are_read(self, file: Path) -> None:
        """A TOML list becomes the list of origins, in its order."""
        file.write_text('[edge]\ncors_origins = ["https://b.example", "*"]\n', encoding="utf-8")
        assert load_config(file, {}).edge.cors_origins == ("https://b.example", "*")

    def test_a_named_file_must_exist(self, file: Path) -> None:
        """A path that leads nowhere is an error, not the defaults."""
        assert refusal(file) == f"the configuration file {file} does not exist"

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        """A path that cannot be read says why."""
        assert refusal(tmp_path) == f"the configuration file {tmp_path} cannot be read: Is a directory"

    def test_it_must_be_toml(self, file: Path) -> None:
        """A file that is not TOML is refused with the place of the mistake."""
        file.write_text("[server]\nport 8080\n", encoding="utf-8")
        assert refusal(file).startswith(f"the configuration file {file} is not TOML: ")
        assert "line 2" in refusal(file)

    def test_it_must_be_utf8(self, file: Path) -> None:
        """Bytes that are not UTF-8 are refused."""
        file.write_bytes(b'[server]\nhost = "\xff"\n')
        assert refusal(file) == f"the configuration file {file} is not UTF-8"

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("[server]\nprot = 1", "unknown key server.prot in {file}"),
            ("[limits]\nPage_max = 1", "unknown key limits.Page_max in {file}"),
            (
                "[servers]",
                f"unknown key servers in {{file}}; its sections are {SECTIONS}",
            ),
            (
                "port = 1",
                f"unknown key port in {{file}}; its sections are {SECTIONS}",
            ),
            ("server = 1", "server in {file} must be a section, written as [server]"),
        ],
    )
    def test_unknown_keys_are_named(self, file: Path, text: str, sentence: str) -> None:
        """A key that does not exist is refused by its name, wherever it stands."""
        file.write_text(text, encoding="utf-8")
        assert refusal(file) == sentence.format(file=file)

    @pytest.mark.parametrize(
        ("text", "key", "rest"),
        [
            ("[server]\nport = '80'", "server.port", "a whole number from 0 to 65535, not '80'"),
            ("[server]\nport = 65536", "server.port", "a whole number from 0 to 65535, not 65536"),
            ("[server]\nport = -1", "server.port", "a whole number from 0 to 65535, not -1"),
            ("[server]\nport = true", "server.port", "a whole number from 0 to 65535, not True"),
            ("[server]\nhost = ''", "server.host", "text, and not empty, not ''"),
            ("[server]\ndata = 1", "server.data", "text, and not empty, not 1"),
            ('[server]\ndata = "a\\u0000b"', "server.data", "text, and not empty, not 'a\\x00b'"),
            ("[log]\nlevel = 'loud'", "log.level", "one of debug, info, warning and error, not 'loud'"),
            ("[retention]\ndays = -1", "retention.days", "a whole number of days from 0 to 36500, not -1"),
            (
                "[retention]\nclock_step_max_s = 59",
                "retention.clock_step_max_s",
                "a whole number from 60 to 31622400, not 59",
            ),
            ("[limits]\nreaders = 0", "limits.readers", "a whole number from 1 to 64, not 0"),
            ("[limits]\npage_max = 1.5", "limits.page_max", "a whole number from 1 to 10000000, not 1.5"),
            (
                "[limits]\ndrain_ms = 86400001",
                "limits.drain_ms",
                "a whole number from 1 to 86400000, not 86400001",
            ),
            (
                "[limits]\nbody_bytes_max = 1073741825",
                "limits.body_bytes_max",
                "a whole number from 1 to 1073741824, not 1073741825",
            ),
            (
                "[limits]\ntoken_ttl_max_s = 3162240001",
                "limits.token_ttl_max_s",
                "a whole number from 1 to 3162240000, not 3162240001",
            ),
            (
                "[edge]\nws_origins = ['https://a.example/']",
                "edge.ws_origins",
                "a list of origins such as \"https://chat.example.org\", not ['https://a.example/']",
            ),
            (
                "[edge]\ncors_origins = '*'",
                "edge.cors_origins",
                'a list of origins such as "https://chat.example.org", or "*", not \'*\'',
            ),
        ],
    )
    def test_wrong_values_are_named(self, file: Path, text: str, key: str, rest: str) -> None:
        """A value of the wrong type or out of range is one sentence: the key, what it may be, what it was."""
        file.write_text(text, encoding="utf-8")
        assert refusal(file) == f"{key} in {file} must be {rest}"

    @pytest.mark.parametrize("port", [0, 65_535])
    def test_the_ends_of_a_range_are_in_it(self, file: Path, port: int) -> None:
        """Port 0 (any free one) and 65535 are ports."""
        file.write_text(f"[server]\nport = {port}", encoding="utf-8")
        assert load_config(file, {}).server.port == port

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("page_max = 19", "limits.page_default (20) must not be above limits.page_max (19)"),
            (
                "content_bytes_max = 262145",
                "limits.content_bytes_max (262145) must not be above limits.body_bytes_max (262144)",
            ),
            (
                "batch_rows_max = 40001",
                "limits.batch_rows_max (40001) must not be above limits.queue_rows_max (40000)",
            ),
        ],
    )
    def test_a_part_is_not_above_its_whole(self, file: Path, text: str, sentence: str) -> None:
        """Limits that contradict each other are refused with both names."""
        file.write_text(f"[limits]\n{text}\n", encoding="utf-8")
        assert refusal(file) == sentence

    def test_equal_parts_and_wholes_agree(self, file: Path) -> None:
        """A part may be as great as its whole."""
        file.write_text("[limits]\npage_default = 30\npage_max = 30\n", encoding="utf-8")
        assert load_config(file, {}).limits.page_max == 30


class TestEnvironment:
    """The variables that go over the file."""

    def test_a_variable_goes_over_the_file(self, file: Path) -> None:
        """GATEWAY_SERVER_PORT wins over [server] port, and the rest of the file stays."""
        file.write_text('[server]\nport = 1\nhost = "::1"\n', encoding="utf-8")
        config = load_config(file, {"GATEWAY_SERVER_PORT": "9000"})
        assert config.server == Server(host="::1", port=9000)

    def test_a_variable_may_mend_a_contradiction(self, file: Path) -> None:
        """Limits are compared after both have been read, not one by one."""
        file.write_text("[limits]\npage_max = 5\n", encoding="utf-8")
        assert load_config(file, {"GATEWAY_LIMITS_PAGE_DEFAULT": "5"}).limits.page_default == 5

    @pytest.mark.parametrize("key", Limits.__struct_fields__)
    def test_every_limit_has_one(self, key: str) -> None:
        """Any limit can be set by its variable."""
        value = getattr(Limits(), key)
        config = load_config(SHIPPED, {f"GATEWAY_LIMITS_{key.upper()}": str(value)})
        assert config == Config()

    def test_limits_are_numbers(self) -> None:
        """The text of a variable is read as the number it is."""
        assert load_config(SHIPPED, {"GATEWAY_LIMITS_HEARTBEAT_MS": " 5000 "}).limits.heartbeat_ms == 5000

    @pytest.mark.parametrize(
        ("text", "origins"),
        [
            ("", ()),
            ("https://a.example", ("https://a.example",)),
            ("https://a.example, http://localhost:3000,", ("https://a.example", "http://localhost:3000")),
        ],
    )
    def test_lists_are_separated_by_commas(self, text: str, origins: tuple[str, ...]) -> None:
        """A variable holds a list with commas between; an empty one is the empty list."""
        assert load_config(SHIPPED, {"GATEWAY_EDGE_WS_ORIGINS": text}).edge.ws_origins == origins

    @pytest.mark.parametrize("name", ["GATEWAY_SERVER_PROT", "GATEWAY_SERVR_PORT", "GATEWAY_LOG_LEVEL_MAX"])
    def test_unknown_variables_are_named(self, name: str) -> None:
        """A variable that names no key is refused, not ignored."""
        assert refusal(SHIPPED, {name: "1"}) == f"unknown configuration variable {name} in the environment"

    def test_wrong_values_are_named(self) -> None:
        """A wrong value is refused under the variable's own name."""
        sentence = "GATEWAY_LIMITS_READERS must be a whole number from 1 to 64, not 'many'"
        assert refusal(SHIPPED, {"GATEWAY_LIMITS_READERS": "many"}) == sentence

    @pytest.mark.parametrize(
        "name",
        [
            "GATEWAY_TEST_SEED",
            "GATEWAY_SERVICE_HOST",
            "GATEWAY_PORT",
            "GATEWAY_PORT_8080_TCP",
            "GATEWAYS_SERVER_PORT",
            "gateway_server_port",
            "GATEWAY",
            "PATH",
        ],
    )
    def test_what_others_set_is_ignored(self, name: str) -> None:
        """Variables of the tests, of Kubernetes and of anybody else are not configuration."""
        assert load_config(SHIPPED, {name: "x"}) == Config()


BUSES = [
    "redis://cache.example",
    "rediss://me:secret@cache.example:6380/1",
    "redis://:secret@[::1]:6379",
    "unix:///run/redis.sock?db=1",
    "sentinel://me:secret@a.example:26379,b.example/bus",
    "sentinels://a.example/bus",
    "redis-cluster://a.example:7000,b.example:7001",
    "rediss-cluster://:secret@a.example",
]


class TestUrls:
    """Where the store and the bus are."""

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "postgresql://db.example/gateway",
            "postgres://me:p%40ss@db.example:5432/gateway?sslmode=require",
            "postgresql://me@a.example:5432,b.example:5433/gateway",
            "postgresql://me@[::1]:5432/gateway",
            "postgresql:///gateway?host=/run/postgresql",
        ],
    )
    def test_a_store(self, url: str) -> None:
        """What PostgreSQL understands as a URL: one server or several, over TCP or a UNIX socket."""
        assert load_config(SHIPPED, {"GATEWAY_STORE_URL": url}).store == Store(url=url)

    @pytest.mark.parametrize(
        "url",
        ["", "s3://bucket", "s3://my.bucket-1/some/prefix", "file:///mnt/files", "file:///mnt/my%20files"],
    )
    def test_blobs(self, url: str) -> None:
        """A bucket with or without a prefix, or a folder by its whole path."""
        assert load_config(SHIPPED, {"GATEWAY_BLOBS_URL": url}).blobs == Blobs(url=url)

    @pytest.mark.parametrize(
        "url", ["https://me:secret@s3.example", "s3.example:9000", "http://s3.example/bucket"]
    )
    def test_an_endpoint_is_an_address_alone(self, url: str) -> None:
        """Without credentials, which are the environment's, and without a bucket."""
        fine = load_config(SHIPPED, {"GATEWAY_BLOBS_ENDPOINT": "http://[::1]:9000"})
        assert fine.blobs == Blobs(endpoint="http://[::1]:9000")
        assert refusal(SHIPPED, {"GATEWAY_BLOBS_ENDPOINT": url}) == (
            "GATEWAY_BLOBS_ENDPOINT must be empty (AWS), or where another S3 is, "
            "such as https://minio.example.org:9000"
        )

    @pytest.mark.parametrize("url", ["", *BUSES])
    def test_a_bus(self, url: str) -> None:
        """What Redis is reached by: plain, with TLS, by a UNIX socket, by Sentinels, or as a cluster."""
        assert load_config(SHIPPED, {"GATEWAY_BUS_URL": url}).bus == Bus(url=url)

    @pytest.mark.parametrize("url", BUSES)
    def test_the_bus_understands_what_the_configuration_does(self, url: str) -> None:
        """No URL is taken here that the bus refuses then."""
        assert BusOptions(url=url).place.hosts or url.startswith("unix:")

    def test_prefix_of_channels(self, file: Path) -> None:
        """Something short that no pattern of an ACL could mistake."""
        file.write_text('[bus]\nprefix = "two words"\n', encoding="utf-8")
        assert refusal(file) == (
            f"bus.prefix in {file} must be 1 to 64 letters, digits and any of _ . : -, not 'two words'"
        )

    def test_pgbouncer_is_said(self, file: Path) -> None:
        """In the file and by a variable."""
        file.write_text("[store]\npgbouncer = true\n", encoding="utf-8")
        assert load_config(file, {}).store == load_config(None, {"GATEWAY_STORE_PGBOUNCER": "true"}).store
        assert refusal(file, {"GATEWAY_STORE_PGBOUNCER": "why"}) == (
            "GATEWAY_STORE_PGBOUNCER must be true or false, not 'why'"
        )

    @pytest.mark.parametrize(
        ("section", "url"),
        [
            ("store", "mysql://me:secret@db.example/gateway"),
            ("store", "postgresql:me:secret@db.example"),
            ("store", "postgresql://me:sec/ret@db.example/gateway"),
            ("store", "postgresql://me:sec#ret@db.example/gateway"),
            ("store", "postgresql://me:secret@db.example:port/gateway"),
            ("store", "postgresql://me:secret@db.example/gate way"),
            ("bus", "http://me:secret@cache.example"),
            ("bus", "redis://me:sec/ret@cache.example"),
            ("bus", "unix://"),
            ("bus", "sentinel://me:secret@cache.example"),
            ("bus", "redis-cluster://me:secret@cache.example/1"),
            ("blobs", "https://me:secret@cache.example/bucket"),
            ("blobs", "s3://me:secret@cache.example/bucket"),
            ("blobs", "file://cache.example"),
        ],
    )
    def test_what_is_not_understood_is_not_repeated(self, file: Path, section: str, url: str) -> None:
        """One sentence with an example, and nothing of the URL, which may hold a password anywhere."""
        file.write_text(f'[{section}]\nurl = "{url}"\n', encoding="utf-8")
        sentence = refusal(file)
        assert sentence.startswith(f"{section}.url in {file} must be empty (")
        assert not re.search(r"sec.?ret|db.example|cache.example", sentence)


def test_it_is_frozen() -> None:
    """What was judged once stays as it was."""
    with pytest.raises(AttributeError, match="immutable"):
        Config().server.port = 1  # type: ignore[misc]
