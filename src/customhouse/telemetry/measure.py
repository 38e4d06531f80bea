"""
Counters, gauges and durations of one process, and the small file in which others find them.

Each process writes its own file from time to time and the console reads them all: no process answers for another, and
none needs a port. Measuring costs a fraction of a microsecond, because the handle is looked up once and kept.
"""

import contextlib
import os
import time
from bisect import bisect_left
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from customhouse.telemetry.names import metric
from customhouse.telemetry.vitals import Vitals, vitals

BOUNDS = (
    *(1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper ends of the buckets of every histogram, in seconds; the last bucket has none."""

SUFFIX = ".metrics"

Labels = tuple[tuple[str, str], ...]


class Counter:
    """Counts up. One thread at a time."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        """Start at zero."""
        self.value = 0.0

    def add(self, count: float = 1) -> None:
        """Count some more."""
        self.value += count


class Gauge:
    """Holds the last value. One thread at a time."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        """Start at zero."""
        self.value = 0.0

    def set(self, value: float) -> None:
        """Hold this value from now on."""
        self.value = value


class Histogram:
    """Sorts durations into buckets. One thread at a time."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        """Start empty."""
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Take in one duration, in seconds."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Number(Struct, frozen=True, array_like=True):
    """The value of one counter or gauge."""

    name: str
    labels: Labels
    value: float


class Durations(Struct, frozen=True, array_like=True):
    """The buckets of one histogram, aligned with `BOUNDS`, and the sum of seconds."""

    name: str
    labels: Labels
    counts: list[int]
    total: float


class Snapshot(Struct, frozen=True, array_like=True):
    """Everything one process has measured since it started. Times in microseconds since 1970."""

    format: Literal[1]
    process: str
    pid: int
    started_at: int
    at: int
    vitals: Vitals
    counters: list[Number]
    gauges: list[Number]
    histograms: list[Durations]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


class Meter:
    """What one process measures. Ask for a handle once and keep it."""

    def __init__(self, process: str) -> None:
        """Measure for the process of this name, such as `collector`."""
        self.process = process
        self._started_at = _now()
        self._counters: dict[tuple[str, Labels], Counter] = {}
        self._gauges: dict[tuple[str, Labels], Gauge] = {}
        self._histograms: dict[tuple[str, Labels], Histogram] = {}

    def counter(self, name: str, **labels: str) -> Counter:
        """Return the counter of these labels. Raises Broken when `names` does not list it."""
        metric(name, "counter", labels)
        return self._counters.setdefault((name, _labels(labels)), Counter())

    def gauge(self, name: str, **labels: str) -> Gauge:
        """Return the gauge of these labels. Raises Broken when `names` does not list it."""
        metric(name, "gauge", labels)
        return self._gauges.setdefault((name, _labels(labels)), Gauge())

    def histogram(self, name: str, **labels: str) -> Histogram:
        """Return the histogram of these labels. Raises Broken when `names` does not list it."""
        metric(name, "histogram", labels)
        return self._histograms.setdefault((name, _labels(labels)), Histogram())

    def adopt(self, name: str, measured: Histogram, **labels: str) -> None:
        """Tell a histogram that somebody else keeps. Raises Broken when `names` does not list it."""
        metric(name, "histogram", labels)
        self._histograms[(name, _labels(labels))] = measured

    def take(self) -> Snapshot:
        """Return what has been measured so far."""
        return Snapshot(
            format=1,
            process=self.process,
            pid=os.getpid(),
            started_at=self._started_at,
            at=_now(),
            vitals=vitals(),
            counters=[Number(*key, counter.value) for key, counter in self._counters.items()],
            gauges=[Number(*key, gauge.value) for key, gauge in self._gauges.items()],
            histograms=[Durations(*key, list(held.counts), held.total) for key, held in self._histograms.items()],
        )

    def snapshot(self) -> bytes:
        """Return what has been measured so far as it stands in the file."""
        return _encoder.encode(self.take())

    def write(self, folder: Path) -> Path:
        """
        Write the snapshot into the folder, in a file named after the process, all at once, and return its path.

        A reader sees the old one or the new one. Not fsynced: after a power failure there is nothing to measure.
        """
        path = folder / f"{self.process}{SUFFIX}"
        draft = folder / f".{self.process}.{os.getpid()}.draft"
        try:
            draft.write_bytes(self.snapshot())
            draft.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        return path


def read_all(folder: Path, *, fresh: float = 60.0) -> list[Snapshot]:
    """
    Return the snapshots in a folder, by name of process.

    Leaves out what is older than `fresh` seconds (its process is gone), and what is no snapshot this version knows.
    """
    oldest = _now() - int(fresh * 1_000_000)
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            snapshot = _decoder.decode(path.read_bytes())
        except (OSError, msgspec.DecodeError):
            continue
        if snapshot.at >= oldest and all(len(held.counts) == len(BOUNDS) + 1 for held in snapshot.histograms):
            found.append(snapshot)
    return found


def _labels(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _now() -> int:
    return time.time_ns() // 1000
