"""
What the four kinds of process have in common: how they say that they are there, and how they are told to stop.

A process writes its own file under `run/`; the supervisor, the console and the CLI read it. When the supervisor is gone,
its processes go too: a second supervisor must be able to take over. Its processes wait until the old ones have ended,
because each kind is the one writer of its files.
"""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from customhouse.app.workspace import Workspace
from customhouse.model.contracts import Fault
from customhouse.model.errors import Unavailable
from customhouse.telemetry.logs import Logger
from customhouse.telemetry.measure import Meter

Kind = Literal["collector", "pipeline", "delivery", "console"]
KINDS: tuple[Kind, ...] = ("collector", "pipeline", "delivery", "console")
_PARENT_SECONDS = 0.5
_LOOK_SECONDS = 0.05
_METERS_SECONDS = 5.0
_PATIENCE = 60.0
"""Seconds a process waits for one of its kind to end: longer than any drain."""


class Announcement(Struct, frozen=True, kw_only=True):
    """What a process says of itself once it is ready."""

    kind: str
    pid: int
    config: int
    ready_at: float
    port: int = 0
    format: Literal[1] = 1


class Process:
    """One running process of the house: its place, its voice, and its two signals."""

    def __init__(self, workspace: Workspace, kind: Kind, logger: Logger, meter: Meter, fault: Fault) -> None:
        """
        Take over SIGTERM, SIGINT and SIGHUP, begin to watch the parent, and wait until this is the one of its kind.

        Raises Unavailable when another one of its kind stays.
        """
        self.workspace = workspace
        self.kind = kind
        self.logger = logger
        self.meter = meter
        self.fault = fault
        self.stop = threading.Event()
        self.reload = threading.Event()
        self.port = 0
        self._next_write = 0.0
        signal.signal(signal.SIGTERM, lambda *_: self.stop.set())
        signal.signal(signal.SIGINT, lambda *_: self.stop.set())
        signal.signal(signal.SIGHUP, lambda *_: self.reload.set())
        threading.Thread(target=self._watch_parent, args=(os.getppid(),), daemon=True).start()
        self._lock = _take(workspace.run / f"{kind}.lock", self.stop)

    def announce(self, config: int, port: int = 0) -> None:
        """Say that the process is ready, under which configuration, and on which port."""
        said = Announcement(kind=self.kind, pid=os.getpid(), config=config, ready_at=time.time(), port=port)
        write_whole(self.workspace.run / f"{self.kind}.json", msgspec.json.encode(said))
        self.logger.info("process.ready", config=config, port=port)

    def write_meters(self) -> None:
        """Leave the measurements where the console finds them, every few seconds."""
        if time.monotonic() >= self._next_write:
            self._next_write = time.monotonic() + _METERS_SECONDS
            with self.chore("measuring"):
                self.meter.write(self.workspace.run)

    @contextmanager
    def chore(self, name: str) -> Iterator[None]:
        """Do something beside the work: when a disk or a file fails it, say so, and go on with the work."""
        try:
            yield
        except (Unavailable, OSError) as error:
            self.logger.warning("process.chore_failed", chore=name, reason=str(error))

    def _watch_parent(self, parent: int) -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_SECONDS)
        self.logger.warning("process.orphaned", reason="the supervisor is gone")
        self.stop.set()


def _take(path: Path, stop: threading.Event) -> int:
    """Return a lock nobody else has as long as this process lives. Raises Unavailable when somebody keeps it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until or stop.wait(_LOOK_SECONDS):
                os.close(lock)
                raise Unavailable(f"another process has {path}") from None
        else:
            return lock


def announcement(workspace: Workspace, kind: str) -> Announcement | None:
    """Return what a process said of itself when it was ready, if it is still running."""
    try:
        said = msgspec.json.decode((workspace.run / f"{kind}.json").read_bytes(), type=Announcement)
        os.kill(said.pid, 0)
    except (OSError, msgspec.MsgspecError):
        return None
    return said


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file so that a reader sees the old one or the new one, never half."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
