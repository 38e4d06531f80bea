"""
A whole customhouse in a folder of its own, run as the real processes a user would run.

Tests say what the workspace holds and what to break; they see what a user sees: the door's address, the command line,
the books and the lake. Everything waits with a bound, and what the processes said is kept and shown when a test fails.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

KINDS = ("collector", "pipeline", "delivery", "console")
KEY = "integration-key"
START_SECONDS = 30.0
STOP_SECONDS = 60.0
CLI_SECONDS = 60.0
_LOG_TAIL = 12_000
_CUSTOMHOUSE = (sys.executable, "-m", "customhouse.cli.main")

_houses: "weakref.WeakSet[House]" = weakref.WeakSet()


class House:
    """One workspace and its processes. Use it as a context manager, or call `start` and `stop`."""

    def __init__(self, folder: Path, *, plan: Mapping[str, Any] | None = None, **configuration: Any) -> None:
        """
        Write a workspace into `folder`.

        `configuration` is what stands in customhouse.yaml, above one source `app` with the key KEY and a lake that gets
        everything. `plan` maps file names to event definitions.
        """
        self.folder = folder
        self.data = folder / ".data"
        self.log_file = folder / "house.log"
        self.configuration: dict[str, Any] = {
            "name": folder.name[:100] or "house",
            "sources": {"app": {"write_key": KEY}},
            "destinations": {"lake": {"type": "lake", "flush_seconds": 0.2}},
            "routes": [{"to": "lake"}],
        } | configuration
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        (folder / "plan").mkdir(parents=True, exist_ok=True)
        self.write(**self.configuration)
        for name, event in (plan or {}).items():
            self.plan(name, event)
        _houses.add(self)

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Take over a workspace that is there already, as it is."""
        path = folder / "customhouse.yaml"
        text = path.read_text()
        house = cls(folder)
        path.write_text(text)
        house.configuration = yaml.safe_load(text)
        return house

    def __enter__(self) -> Self:
        """Start, unless a test has done so with faults."""
        if self._process is None:
            self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        """Stop in order; after a failure, at once."""
        if kind is None:
            self.stop()
        else:
            self.kill_all()

    # The workspace.

    def write(self, **changes: Any) -> None:
        """Write customhouse.yaml with changes at its top level."""
        self.configuration |= changes
        (self.folder / "customhouse.yaml").write_text(yaml.safe_dump(self.configuration, sort_keys=False))

    def plan(self, name: str, event: Mapping[str, Any]) -> None:
        """Write one file of the plan; `name` without its ending."""
        path = self.folder / "plan" / f"{name}.yaml"
        path.write_text(yaml.safe_dump(dict(event), sort_keys=False))

    # The processes.

    def start(self, *, faults: str = "", port: int | None = None, wait: bool = True, **environment: str) -> "House":
        """
        Run everything and wait until it is ready.

        The door keeps its port over restarts, as it would in real life; the console takes any. `faults` is handed to
        every process (`CUSTOMHOUSE_FAULTS`).
        """
        assert self._process is None, "the house runs already"
        for kind in KINDS:
            self._said(kind).unlink(missing_ok=True)
        chosen = self._port if port is None else port
        command = [*_CUSTOMHOUSE, "run", "--workspace", str(self.folder), "--port", str(chosen), "--console-port", "0"]
        variables = _environment() | ({"CUSTOMHOUSE_FAULTS": faults} if faults else {}) | environment
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.kill_all()
                raise
        return self

    def wait_ready(self, timeout: float = START_SECONDS) -> None:
        """Wait until every process has said that it is ready."""
        self.wait_until(lambda: len(self.pids()) == len(KINDS), timeout, "all processes ready")

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Send SIGTERM, wait for the orderly end, and insist that it was one."""
        if self._process is None:
            return
        process, children = self._process, self._children()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise AssertionError(f"the house did not end within {timeout} s of SIGTERM") from None
        self._process = None
        left = [pid for pid in children if _lives(pid)]
        assert code == 0, f"the house ended with code {code}"
        assert not left, f"processes outlived the house: {left}"

    def kill(self, kind: str) -> int:
        """SIGKILL one process of a kind; returns its pid. The supervisor starts it again."""
        pid = self.pids()[kind]
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_all(self) -> None:
        """SIGKILL the supervisor first and then every process of it, as a power cut would."""
        if self._process is None:
            return
        children = self._children()
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._process = None
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait_until(lambda: not any(map(_lives, children)), STOP_SECONDS, "killed processes are gone", alive=False)

    def forsake(self) -> None:
        """SIGKILL the supervisor alone; its processes find out by themselves. The house may be started again at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._process = None

    def signal(self, number: int) -> None:
        """Send a signal to the supervisor."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def supervisor(self) -> int:
        """The process id of `customhouse run`."""
        assert self._process is not None
        return self._process.pid

    def announcements(self) -> dict[str, dict[str, Any]]:
        """Return what each living process said of itself when it was ready, by kind."""
        found = {}
        for kind in KINDS:
            try:
                said = json.loads(self._said(kind).read_bytes())
            except (OSError, ValueError):
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(said["pid"], 0)
                found[kind] = said
        return found

    def pids(self) -> dict[str, int]:
        """Return the process id of every process that is ready, by kind."""
        return {kind: said["pid"] for kind, said in self.announcements().items()}

    @property
    def url(self) -> str:
        """Where the door listens."""
        return f"http://127.0.0.1:{self._port_of('collector')}"

    @property
    def console_url(self) -> str:
        """Where the console listens."""
        return f"http://127.0.0.1:{self._port_of('console')}"

    # The windows.

    def cli(self, *args: str, timeout: float = CLI_SECONDS, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `customhouse VERB … --workspace FOLDER`."""
        return customhouse(*args, "--workspace", str(self.folder), timeout=timeout, **environment)

    def cli_json(self, *args: str, codes: tuple[int, ...] = (0,)) -> Any:
        """Run a verb with `--json`, insist on its exit code, and return what it printed."""
        done = self.cli(*args, "--json")
        assert done.returncode in codes, f"{args} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def balance(self) -> dict[str, Any]:
        """Return the trial balance; the exit code must agree with what is unaccounted for."""
        done = self.cli("balance", "--json")
        assert done.returncode in (0, 1), done.stdout + done.stderr
        books = json.loads(done.stdout)
        assert (done.returncode == 1) == (books["unaccounted"] != 0), "exit code and balance disagree"
        return books

    def sql(self, query: str) -> list[dict[str, Any]]:
        """Ask the lake."""
        return self.cli_json("sql", query)

    # Waiting.

    def wait_until(
        self, predicate: Callable[[], Any], timeout: float = 30.0, what: str = "", *, alive: bool = True
    ) -> Any:
        """Wait until a predicate holds and return its value; fail when it does not in time, or the house ended."""
        until = time.monotonic() + timeout
        while True:
            value = predicate()
            if value:
                return value
            if alive and self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"the house ended with code {self._process.returncode} before: {what}")
            assert time.monotonic() < until, f"not within {timeout} s: {what or predicate}"
            time.sleep(0.05)

    def settled(self, timeout: float = 60.0, *, acknowledged: int = 0, ignore: tuple[str, ...] = ()) -> dict[str, Any]:
        """
        Wait until nothing is in flight and at least so many events are in the books; return the balance.

        `ignore` names accounts in flight that may stay, such as a dead destination's `owed:hook`.
        """

        def quiet() -> dict[str, Any] | None:
            books = self.balance()
            waiting = {name: n for name, n in books["in_flight"].items() if n and name not in ignore}
            return books if not waiting and books["acknowledged"] >= acknowledged else None

        return self.wait_until(quiet, timeout, "nothing in flight")

    def log(self) -> str:
        """Return what the processes said."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    # Inside.

    def _said(self, kind: str) -> Path:
        return self.data / "run" / f"{kind}.json"

    def _port_of(self, kind: str) -> int:
        said = self.wait_until(lambda: self.announcements().get(kind), START_SECONDS, f"{kind} ready")
        return said["port"]

    def _children(self) -> list[int]:
        """Return the processes of the supervisor, ready or not."""
        if self._process is None:
            return []
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, timeout=10, check=True
        )
        pairs = [line.split() for line in listed.stdout.splitlines()]
        return [int(pid) for pid, parent in pairs if parent == str(self._process.pid)]


def customhouse(
    *args: str, folder: Path | None = None, timeout: float = CLI_SECONDS, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder, with nothing of our own environment but what is general."""
    return subprocess.run(
        [*_CUSTOMHOUSE, *args], cwd=folder, env=_environment() | environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def free_port() -> int:
    """Return a port nobody listens on, below those the system hands out for outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def last_words() -> Iterator[tuple[str, str]]:
    """Yield a heading and the end of the log of every house there is, for the report of a failed test."""
    for house in list(_houses):
        if house.log_file.exists():
            yield f"house {house.folder}", house.log()[-_LOG_TAIL:]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CUSTOMHOUSE_")}


def _lives(pid: int) -> bool:
    """Tell whether a process is there and not merely waiting to be buried."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, timeout=10, check=False
    )
    return not state.stdout.strip().startswith("Z") and bool(state.stdout.strip())
