"""The shell scripts: what they say when something is missing, and what they do not do twice.

A checkout in a temporary folder gets the real scripts and a PATH with nothing on it but the shell's own tools
and Pythons that lie about themselves; no network and no real virtual environment is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import WAIT_S

ROOT = Path(__file__).parent.parent
TOOLS = ("cat", "cksum", "dirname", "grep", "mv", "rm", "sh", "tail")

# A Python that runs the scripts' questions under a lie, and makes a .venv whose python is the fake pip.
LIAR = """
import os, pathlib, sys
{lie}
here = pathlib.Path({bin!r})
with open(here / "calls", "a") as calls:
    calls.write(" ".join(["{name}", *sys.argv[1:]]).splitlines()[0] + "\\n")
if sys.argv[1] == "-c":
    code = sys.argv[2]
    sys.argv = ["-c"]
    exec(code)
else:
    venv = pathlib.Path(sys.argv[-1])
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    (venv / "bin" / "python").unlink(missing_ok=True)
    (venv / "bin" / "python").symlink_to(here / "pip")
"""

OLD = "sys.version_info = (3, 10, 13, 'final', 0)"
NO_VENV = "sys.modules['ensurepip'] = None"
OLD_SQLITE = "import sqlite3; sqlite3.sqlite_version_info = (3, 34, 1); sqlite3.sqlite_version = '3.34.1'"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def executable(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


class Checkout:
    """The scripts in a folder of their own, with a PATH of their own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None, tool
            (self.bin / tool).symlink_to(found)
        (self.root / "tests").mkdir(parents=True)
        shutil.copytree(ROOT / "scripts", self.root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "requirements.lock", "tests/requirements.lock"):
            shutil.copy(ROOT / name, self.root / name)
        self.pip("exit 0")

    def python(self, name: str, lie: str = "") -> None:
        """Puts a Python on the PATH; the lie is what it does before it answers."""
        program = self.bin / f"{name}.py"
        program.write_text(LIAR.format(lie=lie, bin=str(self.bin), name=name), encoding="utf-8")
        executable(self.bin / name, f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')

    def pip(self, script: str) -> None:
        """What the python inside .venv does, which is only asked for pip."""
        executable(self.bin / "pip", f'#!/bin/sh\necho "pip $*" >>"{self.bin}/calls"\n{script}\n')

    def calls(self) -> list[str]:
        """What the Pythons were asked since the last time, questions about themselves left out."""
        path = self.bin / "calls"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if " -c" not in line]

    def __call__(self, script: str, *args: str) -> subprocess.CompletedProcess[str]:
        """Runs a script from another folder."""
        return subprocess.run(
            [self.root / "scripts" / script, *args],
            cwd=self.bin,
            env={"PATH": str(self.bin), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )

    def refusal(self) -> str:
        """What set-up says when it gives up; the announcement that it has begun is left out."""
        done = self("setup", "requirements.lock")
        assert done.returncode == 2
        assert done.stdout == ""
        said = [line for line in done.stderr.splitlines() if not line.startswith("Setting up")]
        assert len(said) == 1, done.stderr
        return said[0]

    def set_up(self, lock: str = "requirements.lock") -> list[str]:
        """Runs a set-up that succeeds, and says what it did."""
        self.calls()
        done = self("setup", lock)
        assert done.returncode == 0, done.stderr
        return self.calls()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


NEEDS = "The gateway needs Python 3.11 or newer with venv and SQLite 3.37 or newer: "


class TestMissing:
    """One sentence on stderr and exit code 2."""

    def test_no_python(self, checkout: Checkout) -> None:
        """A machine without Python is told so."""
        assert checkout.refusal() == NEEDS + "no python3 was found."

    def test_an_old_python(self, checkout: Checkout) -> None:
        """Python 3.10 is too old."""
        checkout.python("python3", OLD)
        assert checkout.refusal() == NEEDS + "Python 3.10 is too old."

    def test_no_venv(self, checkout: Checkout) -> None:
        """Debian's Python without its venv package is told which package."""
        checkout.python("python3", NO_VENV)
        package = f"(on Debian and Ubuntu: the package python{VERSION}-venv)"
        assert checkout.refusal() == NEEDS + f"Python {VERSION} has no ensurepip module {package}."

    def test_an_old_sqlite(self, checkout: Checkout) -> None:
        """SQLite 3.34 has no STRICT tables."""
        checkout.python("python3", OLD_SQLITE)
        says = f"Python {VERSION} comes with SQLite 3.34.1, which is older than 3.37."
        assert checkout.refusal() == NEEDS + says

    def test_a_shim_without_its_python(self, checkout: Checkout) -> None:
        """A version manager's command that does not run is as good as none."""
        executable(checkout.bin / "python3.13", "#!/bin/sh\necho 'not installed' >&2\nexit 127\n")
        assert checkout.refusal() == NEEDS + "no python3 was found."

    def test_no_folder_for_the_venv(self, checkout: Checkout) -> None:
        """When .venv cannot be made, the reason is the sentence's end."""
        checkout.python("python3", "if sys.argv[1] == '-m': sys.exit('No space left on device')")
        assert checkout.refusal() == "The gateway's .venv could not be made: No space left on device."

    def test_no_network(self, checkout: Checkout) -> None:
        """A pip that cannot connect is a missing network."""
        checkout.python("python3")
        checkout.pip(
            "echo 'Failed to establish a new connection: [Errno 111]'; echo 'ERROR: none found'; exit 1"
        )
        says = (
            "The packages could not be downloaded, there seems to be no network (the log is .venv/setup.log)."
        )
        assert checkout.refusal() == says

    def test_a_wrong_hash(self, checkout: Checkout) -> None:
        """Any other trouble of pip is told in pip's words."""
        checkout.python("python3")
        checkout.pip("echo 'ERROR: hashes do not match'; exit 1")
        says = "The packages could not be installed: ERROR: hashes do not match (the log is .venv/setup.log)."
        assert checkout.refusal() == says

    def test_run_and_test_pass_it_on(self, checkout: Checkout) -> None:
        """Both commands end where their set-up does."""
        assert [checkout(name).returncode for name in ("run", "test")] == [2, 2]


class TestSetup:
    """What is done, and what is not done twice."""

    def test_the_first_one_makes_all(self, checkout: Checkout) -> None:
        """A fresh checkout gets a venv, the lock by its hashes, and the project itself without a download."""
        checkout.python("python3")
        venv, packages, project = checkout.set_up()
        assert venv == f"python3 -m venv --clear {checkout.root}/.venv"
        assert packages.endswith(f"--require-hashes -r {checkout.root}/requirements.lock")
        assert project.endswith(f"--no-deps --no-build-isolation -e {checkout.root}")

    def test_the_second_one_does_nothing(self, checkout: Checkout) -> None:
        """Without a change neither Python nor pip is asked, so it needs no network and no time."""
        checkout.python("python3")
        checkout.set_up()
        checkout.python("python3", "sys.exit('asked')")
        assert checkout.set_up() == []

    def test_the_newest_good_python_is_taken(self, checkout: Checkout) -> None:
        """A new Python that lacks something gives way to an older one that is whole."""
        checkout.python("python3.14", NO_VENV)
        checkout.python("python3.12")
        checkout.python("python3.11")
        assert checkout.set_up()[0].startswith("python3.12 -m venv ")

    def test_a_changed_lock_is_installed(self, checkout: Checkout) -> None:
        """After a pull with another lock the packages are brought up to it, in the venv there is."""
        checkout.python("python3")
        checkout.set_up()
        with (checkout.root / "requirements.lock").open("a", encoding="utf-8") as lock:
            lock.write("# changed\n")
        assert [call.split()[0] for call in checkout.set_up()] == ["pip", "pip"]

    def test_an_interrupted_one_is_made_anew(self, checkout: Checkout) -> None:
        """A venv whose set-up did not finish is not built upon."""
        checkout.python("python3")
        checkout.pip("exit 1")
        assert checkout("setup").returncode == 2
        checkout.pip("exit 0")
        assert "venv --clear" in checkout.set_up()[0]

    def test_an_interrupted_change_is_made_anew(self, checkout: Checkout) -> None:
        """Nor is one that was good before a change that did not finish."""
        checkout.python("python3")
        checkout.set_up()
        (checkout.root / "requirements.lock").write_text("# changed\n", encoding="utf-8")
        checkout.pip("exit 1")
        assert checkout("setup").returncode == 2
        checkout.pip("exit 0")
        assert "venv --clear" in checkout.set_up()[0]

    def test_a_moved_one_is_made_anew(self, checkout: Checkout) -> None:
        """A checkout that was moved gets a new venv, since the old one points to where it was."""
        checkout.python("python3")
        checkout.set_up()
        checkout.root = checkout.root.rename(checkout.root.with_name("elsewhere"))
        assert "venv --clear" in checkout.set_up()[0]

    def test_a_lost_python_is_made_anew(self, checkout: Checkout) -> None:
        """When the Python behind .venv was removed, the next set-up takes another."""
        checkout.python("python3")
        checkout.set_up()
        python = checkout.root / ".venv/bin/python"
        python.unlink()
        python.symlink_to(checkout.bin / "removed")
        assert "venv --clear" in checkout.set_up()[0]

    def test_the_tests_lock_serves_both(self, checkout: Checkout) -> None:
        """Who has set up for the tests can run at once."""
        checkout.python("python3")
        checkout.set_up("tests/requirements.lock")
        assert checkout.set_up("requirements.lock") == []

    def test_the_runtime_lock_lacks_the_tools(self, checkout: Checkout) -> None:
        """Who has run still gets the test tools, into the same venv."""
        checkout.python("python3")
        checkout.set_up("requirements.lock")
        packages, _project = checkout.set_up("tests/requirements.lock")
        assert packages.endswith("tests/requirements.lock")

    def test_two_at_once_make_one(self, checkout: Checkout) -> None:
        """The second of two waits for the first and then finds its work done."""
        checkout.python("python3")
        command = [checkout.root / "scripts" / "setup"]
        environ = {"PATH": str(checkout.bin)}
        both = [subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) for _ in range(2)]
        assert [process.wait(timeout=WAIT_S) for process in both] == [0, 0]
        assert len(checkout.calls()) == 3


class TestRun:
    """scripts/run."""

    def test_it_serves_with_the_arguments(self, checkout: Checkout) -> None:
        """What follows scripts/run is for gateway serve, word by word, in the caller's folder."""
        checkout.python("python3")
        checkout.set_up()
        executable(checkout.root / ".venv/bin/gateway", '#!/bin/sh\nprintf "%s|" "$@"\npwd\n')
        done = checkout("run", "--data", "a b")
        assert (done.returncode, done.stdout) == (0, f"serve|--data|a b|{os.path.realpath(checkout.bin)}\n")


class TestTest:
    """scripts/test."""

    TOOLS = ("ruff", "mypy", "lint-imports", "pytest", "coverage")

    @pytest.fixture
    def tested(self, checkout: Checkout) -> Checkout:
        checkout.python("python3")
        checkout.set_up("tests/requirements.lock")
        for tool in self.TOOLS:
            self.tool(checkout, tool, 0)
        return checkout

    def tool(self, checkout: Checkout, name: str, code: int) -> None:
        executable(checkout.root / ".venv/bin" / name, f'#!/bin/sh\necho "ran {name} $*"\nexit {code}\n')

    def ran(self, done: subprocess.CompletedProcess[str]) -> list[str]:
        lines = done.stdout.splitlines()
        return [line.removeprefix("ran ") for line in lines if line.startswith("ran ")]

    def test_it_runs_every_stage(self, tested: Checkout) -> None:
        """Without arguments everything is checked, coverage too."""
        done = tested("test")
        assert done.returncode == 0
        programs = [call.split()[0] for call in self.ran(done)]
        assert programs == ["ruff", "ruff", "lint-imports", "pytest", "mypy", "coverage", "coverage"]

    def test_arguments_are_for_pytest(self, tested: Checkout) -> None:
        """With arguments a part of the tests runs, and coverage is not asked for."""
        done = tested("test", "tests/domain", "-x")
        assert done.returncode == 0
        assert "pytest tests/domain -x" in self.ran(done)
        assert "coverage" not in done.stdout

    def test_failures_stop_nothing(self, tested: Checkout) -> None:
        """Later stages run after a failure, and the last line names all that failed."""
        self.tool(tested, "mypy", 1)
        self.tool(tested, "pytest", 5)
        done = tested("test")
        assert done.returncode == 1
        assert len(self.ran(done)) == 7
        assert done.stdout.splitlines()[-1] == "Failed: tests, types"

    @pytest.mark.parametrize("tool", TOOLS)
    def test_any_failure_fails_the_whole(self, tested: Checkout, tool: str) -> None:
        """No stage's failure is lost."""
        self.tool(tested, tool, 1)
        assert tested("test").returncode == 1


class TestLocks:
    """What is committed."""

    def test_the_tests_lock_holds_the_other(self) -> None:
        """Each pin of the runtime lock, with its hashes, is in the tests' lock: tests run what users get."""
        assert pins(ROOT / "requirements.lock").items() <= pins(ROOT / "tests/requirements.lock").items()

    @pytest.mark.parametrize("lock", ["requirements.lock", "tests/requirements.lock"])
    def test_they_name_no_place(self, lock: str) -> None:
        """A lock says what to install, not where one machine found it."""
        text = (ROOT / lock).read_text(encoding="utf-8")
        assert "://" not in text
        assert not [line for line in text.splitlines() if line.startswith(("-", "/"))]

    @pytest.mark.parametrize("lock", ["requirements.lock", "tests/requirements.lock"])
    def test_every_pin_has_hashes(self, lock: str) -> None:
        """Nothing is installed that no hash covers."""
        assert all(pins(ROOT / lock).values())


def pins(lock: Path) -> dict[str, tuple[str, ...]]:
    """The requirements of a lock, each with its hashes."""
    found: dict[str, tuple[str, ...]] = {}
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines():
        word = line.removesuffix("\\").strip()
        if line.startswith("    --hash="):
            found[name] += (word,)
        elif word and not word.startswith("#"):
            name = word
            found[name] = ()
    return found
