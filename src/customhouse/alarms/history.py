"""
Counts over the last minutes: how much came to quarantine, how often the door refused, how often a process began anew.

Processes count from their own start, so their numbers fall back when they start again. What is kept here only grows.
"""

from msgspec import Struct, field

from customhouse.alarms.reading import Reading

_SAMPLES = 120
"""How many samples span the longest time anybody counts over."""


class Sample(Struct, frozen=True):
    """Sums at one moment. Keys are `judged`, `refusals`, `quarantined:<reason>`, `restarts:<process>`."""

    at: float
    sums: dict[str, int]


class History(Struct):
    """What has been counted, bounded in time. Kept over restarts of whoever watches."""

    samples: list[Sample] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=dict)
    raw: dict[str, int] = field(default_factory=dict)
    """Counts as they were last read."""

    def take(self, reading: Reading, longest: float) -> None:
        """Add one reading; what is older than `longest` seconds is let go."""
        if self.samples and reading.at < self.samples[-1].at:
            self.samples.clear()  # the clock was set back: times of before mean nothing now
        if not self.samples:
            self.samples.append(Sample(reading.at, dict(self.sums)))
        first = not self.raw
        for key, value in _counts(reading).items():
            before = self.raw.get(key)
            if before is not None:
                self.sums[key] = self.sums.get(key, 0) + (value - before if value >= before else value)
            elif not first and ":" in key:  # a reason or a process that was never counted before began at zero
                self.sums[key] = self.sums.get(key, 0) + value
            self.raw[key] = value
        if reading.at - self.samples[-1].at >= longest / _SAMPLES:
            self.samples.append(Sample(reading.at, dict(self.sums)))
        while len(self.samples) > 1 and self.samples[1].at <= reading.at - longest:
            del self.samples[0]

    def within(self, key: str, seconds: float, at: float) -> int:
        """Return how much was counted in the seconds before `at`, or since the first sample when that is less."""
        base = self.samples[0] if self.samples else Sample(at, self.sums)
        for sample in reversed(self.samples):
            if sample.at <= at - seconds:
                base = sample
                break
        return self.sums.get(key, 0) - base.sums.get(key, 0)

    def kinds(self, prefix: str) -> list[str]:
        """Return the keys that begin with a prefix."""
        return sorted(key for key in self.sums if key.startswith(prefix))


def _counts(reading: Reading) -> dict[str, int]:
    """Return what a reading counts, by key."""
    found: dict[str, int] = {}
    if reading.judged is not None:
        found["judged"] = reading.judged
    if reading.refusals is not None:
        found["refusals"] = reading.refusals
    found |= {f"quarantined:{reason}": count for reason, count in (reading.quarantined or {}).items()}
    found |= {f"restarts:{process}": count for process, count in (reading.restarts or {}).items()}
    return found
