"""
What flat means, said before it is measured.

The slope of a series is Theil–Sen's: the median of the slopes between all pairs of samples, which a few spikes do not
move. Only the second half of the run counts; the first is warming up. A series is flat when what its slope adds over
that half stays under its allowance. So a run sees leaks down to the allowance per half a run: longer runs see less.
"""

import statistics
from collections.abc import Sequence
from itertools import combinations

from msgspec import Struct

MEGABYTE = 1024 * 1024
_MOST_PAIRS = 200
"""Samples; a longer series is thinned out, evenly."""
_SHARE = 0.03
_ALLOWED = {"private": 6.0 * MEGABYTE, "files": 4.0, "sockets": 4.0, "threads": 1.0}
"""
What may be added over the second half whatever the level; memory also three percent of its median. A reader of a log
keeps a few segments open, and takes its time to have as many.
"""


class Trend(Struct, frozen=True):
    """How one series went in the second half of the run."""

    name: str
    level: float
    """Median."""
    slope: float
    """Per hour."""
    rise: float
    """What the slope adds over the half."""
    allowed: float

    @property
    def flat(self) -> bool:
        """Tell whether it rose by less than it may."""
        return self.rise <= self.allowed


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return Theil–Sen's slope of points (x, y), in y per x; 0 for fewer than two."""
    step = max(1, len(points) // _MOST_PAIRS)
    slopes = [(b - d) / (a - c) for (c, d), (a, b) in combinations(points[::step], 2) if a != c]
    return statistics.median(slopes) if slopes else 0.0


def trend(name: str, kind: str, points: Sequence[tuple[float, float]]) -> Trend:
    """Judge a series of (seconds, value) by the allowance of its kind."""
    until = points[-1][0]
    half = [point for point in points if point[0] >= until / 2]
    level = statistics.median(value for _, value in half)
    per_second = slope(half)
    allowed = max(_ALLOWED[kind], _SHARE * level if kind == "private" else 0.0)
    return Trend(name, level, per_second * 3600, per_second * (until - half[0][0]), allowed)
