"""
How the house has fared: samples of a few numbers over hours and days, in three steps of detail and one bounded file.

Counters are kept as they stand and become rates only when somebody looks, so a gap in the samples is a gap in the chart
and never a wrong rate. The newest hour is kept every five seconds, the newest day every minute, the newest week every
ten minutes.
"""

import os
from bisect import bisect_left
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

SERIES = 400
"""The most numbers of one sample; what names more is cut, so that the file stays bounded."""
_TIERS = ((5, 720), (60, 1440), (600, 1008))
"""Seconds between samples, and how many are kept."""
_GAP = 2.5
"""Samples further apart than so many steps have nothing between them."""


class Sample(Struct, frozen=True, array_like=True):
    """The numbers of one moment, by name. `at` is in seconds since 1970."""

    at: float
    values: dict[str, float]


class _File(Struct, frozen=True):
    format: Literal[1]
    tiers: list[list[Sample]]


class Points(Struct, frozen=True):
    """One line of a chart; None where nothing is known. `times` are in seconds since 1970."""

    times: list[float]
    lines: dict[str, list[float | None]]


class History:
    """The samples of one house. One writer; not thread-safe."""

    def __init__(self, path: Path) -> None:
        """Go on from what the file holds. A file that cannot be read is begun anew: it is only what was seen."""
        self._path = path
        self._tiers = [deque[Sample](maxlen=length) for _, length in _TIERS]
        try:
            stored = msgspec.msgpack.decode(path.read_bytes(), type=_File)
        except (OSError, msgspec.MsgspecError):
            return
        for tier, samples in zip(self._tiers, stored.tiers, strict=False):
            tier.extend(samples)

    def add(self, at: float, values: dict[str, float]) -> None:
        """Take in a sample; one that comes too early for a tier is left out of it. A clock set back begins anew."""
        sample = Sample(at, dict(list(values.items())[:SERIES]))
        for (step, _), tier in zip(_TIERS, self._tiers, strict=True):
            if tier and at < tier[-1].at:
                tier.clear()
            if not tier or at // step > tier[-1].at // step:
                tier.append(sample)

    def save(self) -> None:
        """Write everything in one piece. Raises OSError."""
        partial = self._path.with_suffix(f".{os.getpid()}.draft")
        partial.write_bytes(msgspec.msgpack.encode(_File(1, [list(tier) for tier in self._tiers])))
        partial.replace(self._path)

    def gauges(self, seconds: float, now: float, prefix: str) -> Points:
        """Return the numbers whose names start with `prefix` over the last so many seconds, by the rest of the name."""
        samples, gap = self._span(seconds, now)
        times: list[float] = []
        rows: list[dict[str, float]] = []
        for before, sample in zip([None, *samples], samples, strict=False):
            if before is not None and sample.at - before.at > gap:
                times.append(before.at + gap / 2)
                rows.append({})
            times.append(sample.at)
            rows.append(_under(sample, prefix))
        return _points(times, rows)

    def rates(self, seconds: float, now: float, prefix: str) -> Points:
        """Return by how much counters grew each second. A counter that fell has begun anew and says nothing there."""
        samples, gap = self._span(seconds, now)
        times: list[float] = []
        rows: list[dict[str, float]] = []
        for before, sample in pairwise(samples):
            passed = sample.at - before.at
            times.append(sample.at)
            if passed > gap:
                rows.append({})
                continue
            old = _under(before, prefix)
            new = _under(sample, prefix)
            # A counter nobody knew a step ago began at zero within it.
            rows.append({name: (n - old.get(name, 0)) / passed for name, n in new.items() if n >= old.get(name, 0)})
        return _points(times, rows)

    def growth(self, seconds: float, now: float, name: str) -> tuple[float, float]:
        """Return how much a counter grew within the last so many seconds, and since when that is known (else `now`)."""
        samples, _ = self._span(seconds, now)
        known = [sample for sample in samples if name in sample.values]
        if not known:
            return 0.0, now
        return max(0.0, known[-1].values[name] - known[0].values[name]), known[0].at

    def _span(self, seconds: float, now: float) -> tuple[list[Sample], float]:
        """Return the samples of a time, from the finest tier that reaches so far back, and what a gap is there."""
        for (step, length), tier in zip(_TIERS, self._tiers, strict=True):
            if seconds <= step * length or tier is self._tiers[-1]:
                start = bisect_left(tier, now - seconds, key=lambda sample: sample.at)
                return list(tier)[start:], step * _GAP
        return [], 0.0


def _under(sample: Sample, prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): n for name, n in sample.values.items() if name.startswith(prefix)}


def _points(times: list[float], rows: list[dict[str, float]]) -> Points:
    names = sorted({name for row in rows for name in row})
    return Points(times, {name: [row.get(name) for row in rows] for name in names})
