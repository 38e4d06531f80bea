"""
What became of every event the demo sent: acknowledged, refused with a reason, or given up. Nothing is left over.

Kept outside Customhouse on purpose, by the sender's own count, so that it can be held against the books.
"""

import math
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct, field

from customhouse.demo.mistakes import MISTAKES
from customhouse.demo.wire import Piece

_STEP = math.log(1.02)
_MOST_REASONS = 50
OTHER = "other"


class Times:
    """How long answers took, in buckets two hundredths apart: as small for a million answers as for ten."""

    def __init__(self) -> None:
        """Start empty."""
        self._buckets: Counter[int] = Counter()
        self._count = 0
        self._most = 0.0

    def add(self, seconds: float) -> None:
        """Note one answer."""
        self._buckets[round(math.log(max(seconds, 1e-6)) / _STEP)] += 1
        self._count += 1
        self._most = max(self._most, seconds)

    @property
    def most(self) -> float:
        """The longest, in seconds."""
        return self._most

    def quantile(self, share: float) -> float:
        """Return the seconds within which this share of the answers came; 0 before the first."""
        wanted = share * self._count
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(math.exp(bucket * _STEP), self._most)
        return 0.0


class Made(Struct, kw_only=True):
    """One kind of mistake in the report."""

    name: str
    acknowledged: int
    meaning: str
    becomes: str
    """The account it ends in, or what one sees of it, in a house with the shop's plan."""


class Report(Struct, kw_only=True):
    """Everything the demo knows at its end. Times in milliseconds unless said otherwise."""

    format: int = 1
    url: str
    sent: int
    acknowledged: int
    refused: dict[str, int]
    """Events by the reason the door gave."""
    given_up: int
    requests: int
    """Acknowledged or refused, without retries."""
    retries: int
    seconds: float
    per_second: float
    """Acknowledged events per second."""
    milliseconds: dict[str, float]
    """From a request's first try to its acknowledgement: p50, p90, p99, max."""
    kinds: dict[str, int]
    """Acknowledged events by type and name."""
    mistakes: list[Made]
    expected: dict[str, int]
    """Accounts in which acknowledged mistakes must end, in a house with the shop's plan and the usual limits."""
    receipt: str
    """Of the last acknowledgement, as `customhouse trace` takes it; empty when the door gives none."""


class Tally:
    """Counts while the demo runs."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.sent = 0
        self.acknowledged = 0
        self.given_up = 0
        self.requests = 0
        self.retries = 0
        self.refused: Counter[str] = Counter()
        self.times = Times()
        self.receipt = ""
        self._kinds: Counter[str] = Counter()
        self._mistakes: Counter[str] = Counter()
        self._expected: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """Events on their way: sent, and nobody knows yet."""
        return self.sent - self.acknowledged - sum(self.refused.values()) - self.given_up

    def took(self, pieces: Sequence[Piece], seconds: float, receipt: str) -> None:
        """Note an acknowledged request."""
        self.requests += 1
        self.acknowledged += len(pieces)
        self.times.add(seconds)
        self.receipt = receipt or self.receipt
        for piece in pieces:
            self._kinds[piece.label] += 1
            if piece.mistake:
                self._mistakes[piece.mistake] += 1
                if piece.fate:
                    self._expected[piece.fate] += 1

    def refuse(self, pieces: Sequence[Piece], reason: str) -> None:
        """Note a refused request."""
        self.requests += 1
        known = reason in self.refused or len(self.refused) < _MOST_REASONS
        self.refused[reason if known else OTHER] += len(pieces)

    def give_up(self, pieces: Sequence[Piece]) -> None:
        """Note a request nobody answered in time."""
        self.given_up += len(pieces)

    def report(self, url: str, seconds: float) -> Report:
        """Return the report of a run that took so many seconds."""
        times = self.times
        made = [
            Made(name=name, acknowledged=count, meaning=kind.words, becomes=kind.fate or kind.shown)
            for name, kind in MISTAKES.items()
            if (count := self._mistakes[name])
        ]
        said = {"p50": times.quantile(0.5), "p90": times.quantile(0.9), "p99": times.quantile(0.99), "max": times.most}
        return Report(
            url=url,
            sent=self.sent,
            acknowledged=self.acknowledged,
            refused=dict(self.refused.most_common()),
            given_up=self.given_up,
            requests=self.requests,
            retries=self.retries,
            seconds=round(seconds, 3),
            per_second=round(self.acknowledged / seconds, 1) if seconds else 0.0,
            milliseconds={name: round(value * 1000, 2) for name, value in said.items()},
            kinds=dict(self._kinds.most_common()),
            mistakes=made,
            expected=dict(sorted(self._expected.items())),
            receipt=self.receipt,
        )


class Slip(Struct):
    """One acknowledged request, as a line of the file of receipts."""

    receipt: str
    message_ids: list[str] = field(default_factory=list)
