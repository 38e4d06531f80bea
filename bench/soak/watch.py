"""What is seen of a running house from outside, every few seconds: memory, handles, threads, disk, and what waits."""

import json
import os
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

from msgspec import Struct

from bench.house import House
from customhouse.app.lanes import lanes

PARTS = {
    "log/received": "log/received",
    "log/owed": "log/owed",
    "log/receipts": "log/receipts",
    "state": "state",
    "lake/events": "lake/events",
    "lake/trail": "lake/trail",
    "lake/receipts": "lake/receipts",
}
"""Parts of the data folder, whose sizes are told apart."""


class Sight(Struct, frozen=True):
    """One look. Bytes, and seconds since the watch began."""

    at: float
    processes: dict[str, dict[str, int]]
    """By process: `rss`, `pss`, `private`, `files`, `sockets`, `threads`."""
    disk: dict[str, int]
    sent: int
    """Events the door has made durable."""
    unjudged: int
    undelivered: int
    oldest: float
    """Seconds for which the oldest event has waited for the lake."""
    load: float
    """Processes of the whole machine that want to run, averaged over a minute."""


class Watch:
    """Looks at a house until it is told to stop, and remembers when each commit of the lake became visible."""

    def __init__(self, house: House, every: float) -> None:
        """Begin to look."""
        self.sights: list[Sight] = []
        self.visible: dict[int, float] = {}
        """By the last position a commit holds: when readers could see it (seconds since 1970)."""
        self.troubles: list[str] = []
        self._house = house
        self._every = every
        self._began = time.monotonic()
        self._read: set[str] = set()
        self._done = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Look once more and stop."""
        self._done.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._done.wait(self._every):
            try:
                self._look()
            except (OSError, ValueError) as error:  # a process that is gone, a page that failed: the soak has failed
                self.troubles.append(f"{time.monotonic() - self._began:.0f} s: {type(error).__name__}: {error}")

    def _look(self) -> None:
        self._commits()
        self._house.get("console", "/metrics")
        lake = lanes(self._house.place).get("lake", {})
        self.sights.append(
            Sight(
                at=time.monotonic() - self._began,
                processes={kind: process(pid) for kind, pid in self._house.pids.items()},
                disk={name: size(self._house.place.data / path) for name, path in PARTS.items()},
                sent=self._house.received(),
                unjudged=self._house.received() - self._house.judged(),
                undelivered=int(lake.get("lag_events", 0)),
                oldest=float(lake.get("oldest_seconds", 0.0)),
                load=os.getloadavg()[0],
            )
        )

    def _commits(self) -> None:
        """Take in new commits; the log of a table is cleaned, but not within minutes."""
        for path in sorted((self._house.place.lake / "events").glob("_delta_log/*.json")):
            if path.name not in self._read:
                self._read.add(path.name)
                self.visible |= dict.fromkeys(_versions(path), path.stat().st_mtime)


def process(pid: int) -> dict[str, int]:
    """Return what a process holds."""
    folder = Path(f"/proc/{pid}")
    rollup = _fields(folder / "smaps_rollup")
    return {
        "rss": rollup["Rss"] * 1024,
        "pss": rollup["Pss"] * 1024,
        "private": (rollup["Pss_Anon"] + rollup["Pss_Shmem"]) * 1024,
        **_handles(folder / "fd"),
        "threads": _fields(folder / "status")["Threads"],
    }


def _handles(folder: Path) -> dict[str, int]:
    """Count open handles; they may close while they are counted."""
    kinds = []
    for handle in folder.iterdir():
        try:
            kinds.append(str(handle.readlink()).startswith("socket:"))
        except FileNotFoundError:
            continue
    return {"files": kinds.count(False), "sockets": kinds.count(True)}


def size(folder: Path) -> int:
    """Return the bytes a folder takes on disk; files may go while it is counted."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _versions(path: Path) -> list[int]:
    actions: list[dict[str, Any]] = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [action["txn"]["version"] for action in actions if "txn" in action]


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers of a file of `/proc`, by name."""
    found = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found
