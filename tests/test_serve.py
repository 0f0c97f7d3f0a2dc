"""`gateway serve`, as a person starts it: real processes, real terminals."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import stat
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from tests.patience import WAIT_S
from tests.servers import COMMAND, Program, ServerProcess, environment, gateway, sentence

INSTALLED = Path(sys.executable).with_name("gateway")
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that neither stop nor change it."""
    with ServerProcess(tmp_path_factory.mktemp("cli") / "data") as running:
        yield running


def test_the_first_start_makes_a_folder_for_its_owner_only(server: ServerProcess) -> None:
    """What is in the data folder is nobody else's business."""
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def test_the_control_socket_is_for_its_owner_only(server: ServerProcess) -> None:
    """Whoever may ask it for a token is whoever may read the store."""
    assert stat.S_IMODE((server.data / "control.sock").stat().st_mode) == 0o600


def test_the_first_start_makes_the_app_demo_with_alice_and_bob(server: ServerProcess) -> None:
    """The ids of both are there to be found, though nobody has named them yet."""
    assert server.ask(verb="list") == {"apps": ["demo"]}
    alice, bob = (server.ask(verb="find", app="demo", user=user)["xid"] for user in ("alice", "bob"))
    assert alice != bob


def test_a_later_start_makes_nothing(tmp_path: Path) -> None:
    """A second start finds the same app with the same key."""
    with ServerProcess(tmp_path / "data") as server:
        first = server.ask(verb="show", app="demo")
        assert server.term() == 0
        server.start()
        assert server.ask(verb="show", app="demo") == first


def test_nothing_secret_is_printed_where_there_is_no_terminal(server: ServerProcess) -> None:
    """A log holds neither tokens nor keys."""
    # It is ready a moment before it says so.
    server.program.expect("listening on")
    said = "\n".join(server.log)
    assert not TOKEN.search(said)
    assert server.ask(verb="show", app="demo")["secret"] not in said


class Greeting:
    """A server started on a terminal, and what it printed there for a newcomer."""

    def __init__(self, data: Path, program: tuple[str | Path, ...]) -> None:
        self.text = ""
        self._more = threading.Condition()
        terminal, inner = pty.openpty()
        # A narrow terminal must not break what is to be pasted.
        termios.tcsetwinsize(inner, (24, 40))
        self._terminal = terminal
        pid = os.posix_spawn(
            program[0],
            [str(part) for part in (*program, "serve", "--data", data, "--port", "0")],
            environment({"TERM": "xterm-256color"}),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, inner, 0),
                (os.POSIX_SPAWN_DUP2, inner, 1),
                (os.POSIX_SPAWN_DUP2, inner, 2),
            ],
        )
        os.close(inner)
        self.pid = pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._terminal, 4096)
            except OSError:  # Linux says EIO when nobody has the terminal open any more.
                return
            with self._more:
                self.text += part.decode().replace("\r", "")
                self._more.notify_all()

    def expect(self, part: str) -> None:
        with self._more:
            assert self._more.wait_for(lambda: part in self.text, WAIT_S), f"no {part} in: {self.text}"

    def line(self, start: str) -> str:
        """The one line to be pasted that has this."""
        [found] = [line.strip() for line in self.text.splitlines() if line.startswith("  ") and start in line]
        return found

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._reader.join(WAIT_S)
        os.close(self._terminal)


@pytest.fixture(scope="module", params=["installed", "module"])
def greeting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Greeting]:
    """A first start on a terminal, in a folder whose name a shell and a markup would both stumble over."""
    data = tmp_path_factory.mktemp("on a [bold]terminal") / "it's here"
    greeting = Greeting(data, (INSTALLED,) if request.param == "installed" else COMMAND)
    try:
        greeting.expect("listening on")
        yield greeting
    finally:
        greeting.close()


@pytest.fixture(scope="module")
def listener(greeting: Greeting) -> Iterator[Program]:
    """The printed listen line, pasted into a shell; it is live."""
    # exec, so that what is killed at the end is the command and not only its shell.
    with Program("sh", "-c", f"exec {greeting.line(' listen ')}") as program:
        program.expect('"live"')
        yield program


def test_a_terminal_is_told_the_url(greeting: Greeting) -> None:
    """The URL that the log names is the one that the greeting shows."""
    url = re.search(r"listening on (http://127\.0\.0\.1:\d+)", greeting.text)
    assert url is not None
    assert f"The gateway listens on {url[1]}" in greeting.text


def test_a_terminal_is_told_a_token_of_each_user(greeting: Greeting) -> None:
    """Both lines hold a token of just the user they name."""
    for name in ("alice", "bob"):
        told = re.search(rf"{name} is user (\d+), with the token (\S+)", greeting.text)
        assert told is not None
        claims = jwt.decode(told[2], options={"verify_signature": False})
        assert (claims["app"], claims["sub"]) == ("demo", told[1])


def test_the_printed_send_line_sends_to_the_printed_listen_line(
    greeting: Greeting, listener: Program
) -> None:
    """Both work as they are pasted."""
    with Program("sh", "-c", greeting.line(" send ")) as sending:
        assert sending.wait() == 0, sending.lines
    assert f'"msg_id":{sending.lines[0]},' in listener.expect("Hello, Bob!")


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_the_printed_curl_line_sends_to_the_printed_listen_line(
    greeting: Greeting, listener: Program
) -> None:
    """It works as it is pasted."""
    with Program("sh", "-c", greeting.line("curl ")) as curl:
        assert curl.wait() == 0, curl.lines
    assert '"code":200' in curl.lines[0]
    listener.expect("Hello by REST")


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """It names the port, and leaves no folder behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = sentence(gateway("serve", "--data", tmp_path / "data", "--port", port), 2)
    assert f"port {port}: address already in use" in said
    assert not (tmp_path / "data").exists()


def test_a_folder_of_another_process_is_one_sentence(server: ServerProcess) -> None:
    """It names the process that has it."""
    said = sentence(gateway("serve", "--data", server.data, "--port", "0"), 2)
    assert f"in use by another gateway process (pid {server.pid})" in said


def test_a_file_instead_of_a_folder_is_one_sentence(tmp_path: Path) -> None:
    """What is there stays as it is."""
    (tmp_path / "data").write_text("mine")
    said = sentence(gateway("serve", "--data", tmp_path / "data", "--port", "0"), 2)
    assert str(tmp_path / "data") in said
    assert (tmp_path / "data").read_text() == "mine"


def test_a_store_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    """A file that SQLite does not know is not overwritten."""
    (tmp_path / "gateway.db").write_text("not a database, " * 1000)
    said = sentence(gateway("serve", "--data", tmp_path, "--port", "0"), 2)
    assert "not a database" in said
    assert (tmp_path / "gateway.db").read_text().startswith("not a database")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 1\n", "server.prot"),
        ("[sever]\nport = 1\n", "sever"),
        ("[server]\nport = 'x'\n", "server.port"),
        ("[server\n", "is not TOML"),
    ],
)
def test_a_bad_configuration_is_one_sentence(tmp_path: Path, text: str, named: str) -> None:
    """It names what is wrong, and nothing starts."""
    path = tmp_path / "my.toml"
    path.write_text(text)
    assert named in sentence(gateway("serve", "--config", path, "--data", tmp_path / "data"), 2)


def test_a_missing_configuration_is_one_sentence(tmp_path: Path) -> None:
    """A file that was named must be there."""
    said = sentence(gateway("check", "--config", tmp_path / "my.toml", "--data", tmp_path / "data"), 2)
    assert "my.toml does not exist" in said


def test_an_unknown_variable_is_one_sentence(tmp_path: Path) -> None:
    """A mistyped variable of the environment does not go unnoticed."""
    run = gateway("app", "list", "--data", tmp_path / "data", env={"GATEWAY_SERVER_PROT": "1"})
    assert "GATEWAY_SERVER_PROT" in sentence(run, 2)


def test_sigterm_drains_and_exits_with_0(tmp_path: Path) -> None:
    """A device that is connected hears `bye` before its socket goes."""
    with (
        ServerProcess(tmp_path / "data") as server,
        Program(*COMMAND, "listen", "--app", "demo", "--user", "bob", "--data", server.data) as listener,
    ):
        listener.expect('"live"')
        assert server.term() == 0
        assert '"code":4000' in listener.expect('"bye"')


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """A drain that would wait for a device, which answers no close, is not waited for when it is asked again."""
    with (
        ServerProcess(tmp_path / "data") as server,
        socket.create_connection(("127.0.0.1", server.port)) as device,
    ):
        device.settimeout(WAIT_S)
        device.sendall(
            b"GET /ws?app_id=demo&device_sn=1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            b"access-token: " + server.token("bob").encode() + b"\r\n\r\n"
        )
        heard = b""
        while b'"live"' not in heard:
            heard += device.recv(4096)
        # Heard as soon as it goes on: one by one, the second could come when the device was waited for long enough.
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            server.program.signal(number)
        assert server.program.wait() == 1


def test_healthz_and_readyz_of_a_server_that_is_well(server: ServerProcess) -> None:
    """Alive, and ready without reservations."""
    assert server.get("/healthz") == (200, {"status": "ok"})
    assert server.get("/readyz") == (200, {"ready": True, "reasons": []})
