"""The machine: its Python, its clock, and the limits it sets to a process. What cannot be found out is left out."""

import ctypes
import platform
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from customhouse.alarms.words import size, span
from customhouse.app.process import announcement
from customhouse.app.windows.inspection.finding import Finding, ok, problem, warning
from customhouse.app.workspace import Workspace
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.frames import OWED_TOPIC, RECEIPTS_TOPIC, RECEIVED_TOPIC

_FILES = 1024
_MEMORY = 512 * 1024 * 1024
"""Bytes: less than this for everything is too little to run in."""
_AHEAD_SECONDS = 5.0
_UNSYNCHRONISED = 0x40
_STATUS_OFFSET = 40
"""Of `status` in `struct timex` where a long has 8 bytes."""
_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60


def machine(place: Workspace) -> Iterator[Finding]:
    """Yield what there is to say of the machine."""
    yield ok("python", platform.python_version())
    yield _synchronised(clock_status())
    if place.log.exists():
        yield _against_the_log(place)
    yield _files(_open_files(place))
    yield from _memory()


def clock_status() -> int | None:
    """Return the kernel's own word on its clock (`STA_…` bits), or None where it gives none."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    buffer = ctypes.create_string_buffer(512)  # all zero: nothing is set, only read
    try:
        answered: int = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    return None if answered < 0 else int.from_bytes(buffer.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], sys.byteorder)


def _synchronised(status: int | None) -> Finding:
    if status is None:
        return ok("clock", "this system does not tell whether it is synchronised")
    if status & _UNSYNCHRONISED:
        told = "the system clock is not synchronised; times of receipt, and the correction of clients, rest on it"
        return warning("clock", told, "timedatectl set-ntp true, or run chrony")
    return ok("clock", "synchronised")


def _against_the_log(place: Workspace) -> Finding:
    """Tell whether the clock has gone back behind what is written."""
    log = EmbeddedLog(place.log)
    try:
        newest = max(
            (
                frame.at
                for topic in (RECEIVED_TOPIC, OWED_TOPIC, RECEIPTS_TOPIC)
                for partition in log.partitions(topic)
                if (frame := log.last(topic, partition))
            ),
            default=0,
        )
    finally:
        log.close()
    ahead = newest / 1e6 - time.time()
    if ahead > _AHEAD_SECONDS:
        told = f"the clock went back: the newest frame of the log was written {span(ahead)} in the future"
        return problem("clock and log", told, "set the clock right: timedatectl set-ntp true, then look again")
    return ok("clock and log", "time has only gone forward")


def _open_files(place: Workspace) -> int:
    """Return how many files the door may open, or this process while there is none."""
    running = announcement(place, "collector")
    if running:
        try:
            text = Path(f"/proc/{running.pid}/limits").read_text(encoding="ascii")
        except OSError:
            text = ""
        for line in text.splitlines():
            words = line.removeprefix("Max open files").split()
            if line.startswith("Max open files") and words[0].isdigit():
                return int(words[0])
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _files(soft: int) -> Finding:
    if 0 <= soft < _FILES:
        told = f"{soft:,} per process: few connections at once"
        return warning("open files", told, f"ulimit -n {_FILES * 8}, or LimitNOFILE={_FILES * 8} in the systemd unit")
    return ok("open files", "no limit" if soft < 0 else f"{soft:,} per process")


def _memory() -> Iterator[Finding]:
    """Say how much memory there is, as the tightest of machine, control group and process limit sees it."""
    bounds = {"the machine": _available(), "the control group": _cgroup(_CGROUP, _own_group())}
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    bounds["ulimit -v"] = soft if soft > 0 else None
    known = {name: bytes_ for name, bytes_ in bounds.items() if bytes_ is not None and bytes_ < _UNLIMITED}
    if not known:
        return
    name = min(known, key=lambda each: known[each])
    told = f"{size(known[name])} to be had, bounded by {name}"
    if known[name] < _MEMORY:
        yield warning("memory", told, "give it 1 GB or more: docker run --memory 1g, MemoryMax=1G, or a larger machine")
    else:
        yield ok("memory", told)


def _available() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _own_group() -> str:
    """Return the path of this process's control group, of version 2 or the memory one of version 1."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "/"
    parts = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    return next((path for _, kinds, path in parts if not kinds or "memory" in kinds.split(",")), "/")


def _cgroup(root: Path, group: str) -> int | None:
    """Return what is left of the memory a control group may use; None when nothing bounds it."""
    inside = group.lstrip("/")
    for folder, most, used in (
        (root / inside, "memory.max", "memory.current"),
        (root, "memory.max", "memory.current"),
        (root / "memory" / inside, "memory.limit_in_bytes", "memory.usage_in_bytes"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            bound = (folder / most).read_text(encoding="ascii").strip()
            now = int((folder / used).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if bound.isdigit():
            return max(0, int(bound) - now)
    return None
