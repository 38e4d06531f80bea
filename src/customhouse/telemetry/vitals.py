"""
What a process costs: processor time, memory, open files. Read from `/proc` on Linux; elsewhere what the system tells.

Memory is told three ways, because resident memory counts shared pages once per process and mapped files of the log as if
they were ours: the budget of the house is in private bytes.
"""

import os
import sys
import time
from pathlib import Path

from msgspec import Struct


class Vitals(Struct, frozen=True):
    """Facts about this process. A number that the system does not tell is -1."""

    cpu_seconds: float
    resident_bytes: int
    proportional_bytes: int
    """Shared pages divided by the number of processes that share them (PSS)."""
    private_bytes: int
    """Proportional bytes without mapped files."""
    open_fds: int


def vitals() -> Vitals:
    """Read the vitals of this process. Takes up to a few milliseconds: not for every event."""
    parts = _rollup()
    anonymous, shared = parts.get("Pss_Anon", -1), parts.get("Pss_Shmem", 0)
    return Vitals(
        cpu_seconds=time.process_time(),
        resident_bytes=parts.get("Rss", -1) if parts else _peak(),
        proportional_bytes=parts.get("Pss", -1),
        private_bytes=anonymous + shared if anonymous >= 0 else -1,
        open_fds=_open_fds(),
    )


def _rollup() -> dict[str, int]:
    """Return the sums of `/proc/self/smaps_rollup` in bytes, or nothing where there is no such file."""
    try:
        text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return {}
    parts = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            parts[words[0].rstrip(":")] = int(words[1]) * 1024
    return parts


def _peak() -> int:
    """Return the most memory ever resident: all that macOS tells without an extra library."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _open_fds() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder)) - 1  # noqa: PTH208  a count, of names only; less the one that counts
        except OSError:
            continue
    return -1
