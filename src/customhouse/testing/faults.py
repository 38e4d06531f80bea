"""
Faults on purpose, at named points of the road: what chaos tests hand in where every other day has `no_fault`.

A rule reads `point=deed@n`, several separated by `;`: at the n-th time the point is passed (every time with `@*`), do
`kill` (SIGKILL this process), `eio` or `enospc` (raise that OSError), or `sleep:SECONDS`. A point may end in `*`, and may
stand behind the kind of process it is meant for: `collector/log.before_sync:received=kill@3`.

Rules are given once for all processes (`CUSTOMHOUSE_FAULTS`), or in a folder with one file per kind of process, which
counts anew whenever it changes (`CUSTOMHOUSE_FAULTS_FOLDER`). A process removes its file before it kills itself: so the
test sees that the point was reached, and the process that is started instead lives.
"""

import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from msgspec import Struct

from customhouse.model.contracts import Fault, no_fault

VARIABLE = "CUSTOMHOUSE_FAULTS"
FOLDER_VARIABLE = "CUSTOMHOUSE_FAULTS_FOLDER"


class Rule(Struct, frozen=True):
    """One fault: where, what, and at which time of passing (0 for every time)."""

    point: str
    deed: str
    nth: int
    kind: str = ""
    """The kind of process it is meant for; empty for every kind."""


def parse(text: str) -> list[Rule]:
    """Read rules. Raises ValueError in words when one cannot be read."""
    rules = []
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        place, equals, rest = part.partition("=")
        kind, _, point = place.rpartition("/")
        deed, _, nth = rest.partition("@")
        known = deed in ("kill", "eio", "enospc") or deed.startswith("sleep:")
        if not equals or not known or not (nth in ("", "*") or nth.isdigit()):
            raise ValueError(f"a fault reads [kind/]point=kill|eio|enospc|sleep:SECONDS@n, not {part!r}")
        rules.append(Rule(point, deed, 0 if nth == "*" else int(nth or 1), kind))
    return rules


def from_environment(environment: Mapping[str, str], kind: str) -> Fault:
    """Return the faults asked for in the environment for a kind of process; none, at no cost, when there are none."""
    if folder := environment.get(FOLDER_VARIABLE, ""):
        return FaultsFile(Path(folder) / kind)
    mine = [rule for rule in parse(environment.get(VARIABLE, "")) if rule.kind in ("", kind)]
    return Faults(mine) if mine else no_fault


class Faults:
    """Counts how often each point is passed and does what the rules say."""

    def __init__(self, rules: list[Rule]) -> None:
        """Start counting from nothing."""
        self._rules = rules
        self._passed: Counter[Rule] = Counter()

    def __call__(self, point: str) -> None:
        """Pass a point."""
        for deed in self.due(point):
            do(deed)

    def due(self, point: str) -> list[str]:
        """Count one passing of a point; return what is to be done there."""
        deeds = []
        for rule in self._rules:
            if point == rule.point or (rule.point.endswith("*") and point.startswith(rule.point[:-1])):
                self._passed[rule] += 1
                if rule.nth in (0, self._passed[rule]):
                    deeds.append(rule.deed)
        return deeds


class FaultsFile:
    """The rules in a file, which may come, change and go while the process runs. Safe from any thread."""

    def __init__(self, path: Path) -> None:
        """Name the file; it need not be there."""
        self._path = path
        self._lock = Lock()
        self._seen: tuple[int, int] = (0, 0)
        self._faults = Faults([])

    def __call__(self, point: str) -> None:
        """Pass a point."""
        with self._lock:
            self._look()
            deeds = self._faults.due(point)
            if "kill" in deeds:
                self._path.unlink(missing_ok=True)
        for deed in deeds:
            do(deed)

    def _look(self) -> None:
        """Take in the file if it is another than the last time."""
        try:
            found = self._path.stat()
            seen = (found.st_ino, found.st_mtime_ns)
            if seen != self._seen:
                self._faults, self._seen = Faults(parse(self._path.read_text())), seen
        except FileNotFoundError:
            self._faults, self._seen = Faults([]), (0, 0)


def do(deed: str) -> None:
    """Do what a rule says. Raises OSError for the errors of a disk."""
    if deed == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif deed == "eio":
        raise OSError(errno.EIO, "input/output error, on purpose")
    elif deed == "enospc":
        raise OSError(errno.ENOSPC, "no space left on device, on purpose")
    else:
        time.sleep(float(deed.partition(":")[2]))
