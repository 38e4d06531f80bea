"""
How things are measured: CPU time, of this process or of others, and the unit everything is compared with.

The unit is one generic `msgspec.json.decode` of the same events, measured in the same run and around every round: a
figure divided by it means about the same on any machine, and on a machine that others keep busy. What it decodes is
kept until the pass is over, as a program would keep it: decoding one event over and over, in a warm cache, costs a third.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.load import events

_TICK = os.sysconf("SC_CLK_TCK")
_LIBRARIES = ("msgspec", "pyarrow", "numpy", "uvloop", "httptools", "deltalake", "jsonschema-rs", "isal")


class Scale(Struct, frozen=True):
    """How much is measured."""

    quick: bool
    scratch: Path

    def of(self, full: int, quick: int) -> int:
        """Return the number for the whole measurement, or for the quick one."""
        return quick if self.quick else full


class Sample(Struct, frozen=True):
    """One figure of one round, and what the unit cost around that round."""

    value: float
    unit: float


class Unit:
    """One generic decode of an event, in CPU microseconds."""

    def __init__(self) -> None:
        """Make the events once."""
        self._bodies = events(1000)
        self.bytes = statistics.mean(len(body) for body in self._bodies)

    def measure(self) -> float:
        """Return the median of a few passes."""
        return statistics.median(self._once() for _ in range(5))

    def _once(self) -> float:
        began = time.process_time()
        kept = [msgspec.json.decode(body) for body in self._bodies]
        return (time.process_time() - began) / len(kept) * 1e6


def cpu_of(pids: Iterable[int]) -> float:
    """Return the CPU seconds processes have used so far, all their threads included. Linux only."""
    return sum(_cpu(pid) for pid in pids)


def private_bytes(pid: int) -> int:
    """Return what memory a process costs: its proportional share, without what is merely mapped from files."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def within(seconds: float, reached: Callable[[], bool], what: str, pause: float = 0.02) -> None:
    """Wait until something is true. Raises TimeoutError, saying what was waited for."""
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


def quantile(values: list[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    cpu = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": f"{names[0] if names else platform.processor()} x{os.cpu_count()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def others_busy() -> float:
    """Return how many cores others use right now, measured over a quarter of a second."""
    before, own = _busy(), time.process_time()
    time.sleep(0.25)
    after = _busy()
    return max(0.0, (after - before - (time.process_time() - own)) / 0.25)


def _busy() -> float:
    user, nice, system, _idle, _wait, irq, soft = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + soft) / _TICK


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
