"""A house of its own for each measurement: real processes, a plan that knows the events, one lake."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from bench.load import KEY, definitions
from bench.units import cpu_of, within
from customhouse.app.process import KINDS, announcement
from customhouse.app.rules import take_in
from customhouse.app.workspace import Workspace
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC, decode_owed
from customhouse.tables.commits import Commits

_MAIN = (sys.executable, "-m", "customhouse.cli.main")


def workspace(folder: Path) -> Workspace:
    """Write a workspace into a folder."""
    root = folder / "house"
    (root / "plan").mkdir(parents=True)
    (root / "customhouse.yaml").write_text(
        yaml.safe_dump(
            {
                "format": 1,
                "name": "bench",
                "listen": {"port": 0},
                "console": {"port": 0},
                "sources": {"bench": {"write_key": KEY}},
                "destinations": {"lake": {"type": "lake"}},
                "routes": [{"to": "lake"}],
            }
        )
    )
    for name, definition in definitions().items():
        (root / "plan" / f"{name.lower().replace(' ', '_')}.yaml").write_text(yaml.safe_dump(definition))
    return Workspace(root, root / ".data")


@contextmanager
def parts(scratch: Path, *kinds: str) -> Iterator["House"]:
    """Run some of the processes by themselves; the others' work is done, or not, by the measurement."""
    with TemporaryDirectory(dir=scratch) as folder:
        place = workspace(Path(folder))
        place.prepare()
        take_in(place, {})
        with running(place, *kinds) as house:
            yield house


@contextmanager
def running(place: Workspace, *kinds: str) -> Iterator["House"]:
    """Run processes in a prepared workspace."""
    said = ["--workspace", str(place.root), "--data", str(place.data)]
    started = [subprocess.Popen([*_MAIN, "process", kind, *said]) for kind in kinds]
    try:
        within(30, lambda: all(announcement(place, kind) for kind in kinds), "processes ready")
        yield House(place, {kind: process.pid for kind, process in zip(kinds, started, strict=True)})
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait(60)


@contextmanager
def whole(scratch: Path) -> Iterator["House"]:
    """Run `customhouse run`, all of it."""
    with TemporaryDirectory(dir=scratch) as folder, opened(workspace(Path(folder))) as house:
        yield house


@contextmanager
def opened(place: Workspace) -> Iterator["House"]:
    """Run `customhouse run` in a workspace that is there."""
    said = ["--workspace", str(place.root), "--data", str(place.data)]
    supervisor = subprocess.Popen([*_MAIN, "run", *said], stdout=subprocess.DEVNULL)
    try:
        within(60, lambda: all(announcement(place, kind) for kind in KINDS), "the house is open")
        house = House(place, {"supervisor": supervisor.pid})
        house.pids |= house.announced()
        yield house
    finally:
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait(90)


class House:
    """Processes that run, and what can be seen of them from outside."""

    def __init__(self, place: Workspace, pids: dict[str, int]) -> None:
        """Look at a workspace and its processes."""
        self.place = place
        self.pids = pids
        self._log = EmbeddedLog(place.log)

    def port(self, kind: str) -> int:
        """Return where a process listens."""
        said = announcement(self.place, kind)
        if said is None:
            raise RuntimeError(f"{kind} is not running")
        return said.port

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds each process has used so far."""
        return {kind: cpu_of([pid]) for kind, pid in self.pids.items()}

    def received(self) -> int:
        """Return how many events the door has made durable."""
        last = self._log.last(RECEIVED_TOPIC, 0)
        return last.total + last.count if last else 0

    def delivered(self) -> bool:
        """Tell whether lake and trail hold everything that is owed."""
        last = self._log.last(OWED_TOPIC, 0)
        reached = [self._upto(table) for table in ("events", "trail")]
        return last is not None and min(reached) >= last.last

    def judged(self) -> int:
        """Return how many of the received events the pipeline has judged, as its newest frame says."""
        last = self._log.last(OWED_TOPIC, 0)
        return decode_owed(last.body).total if last else 0

    def announced(self) -> dict[str, int]:
        """Return the process id that runs now, by kind."""
        found = {kind: announcement(self.place, kind) for kind in KINDS}
        return {str(kind): said.pid for kind, said in found.items() if said}

    def owed(self) -> int:
        """Return how many copies the pipeline has written down as owed."""
        last = self._log.last(OWED_TOPIC, 0)
        return last.total + last.count if last else 0

    def _upto(self, table: str) -> int:
        """Return how far a table has come, as its own commits say."""
        folder = self.place.lake / table
        if not (folder / "_delta_log").is_dir():
            return -1
        _, notes = Commits(folder).notes()
        return max((noted.version for app, noted in notes.items() if app == "owed-0"), default=-1)

    def get(self, kind: str, path: str) -> bytes:
        """Return what a process answers to a GET."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port(kind)}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run a command of `customhouse` in this workspace, insist on its exit code, and return what it prints."""
        place = ["--workspace", str(self.place.root), "--data", str(self.place.data)]
        run = subprocess.run(
            [*_MAIN, *arguments, *place],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
        )
        if run.returncode != code:
            raise RuntimeError(f"customhouse {arguments[0]} ended with {run.returncode}: {run.stderr}")
        return run.stdout
