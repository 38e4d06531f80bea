"""
The measurements and the books as Prometheus text.

Counts of events come from the postings and from nowhere else, so that metrics cannot disagree with the books. This
writes the text format (0.0.4) itself: it is a page of rules, and no library is then loaded by anything but a scrape.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from msgspec import Struct

from customhouse.model.posting import Posting
from customhouse.telemetry.measure import BOUNDS, Labels, Snapshot
from customhouse.telemetry.names import DERIVED, METRICS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

MOST_SERIES = 2000
"""Series of one metric; what goes beyond is added up under labels that say `other`."""
LONGEST_LABEL = 120
"""Characters of a label's value."""

_KIND_OF_DETAIL = {
    **dict.fromkeys(("refused", "dropped", "quarantined"), "reason"),
    **dict.fromkeys(("owed", "delivered", "rejected", "expired"), "destination"),
}


class Lag(Struct, frozen=True):
    """How far a reader is behind: what waits in a topic for the pipeline, or for a destination. One of the two names."""

    events: int
    topic: str = ""
    destination: str = ""
    seconds: float | None = None
    """Age of the oldest event that waits; None when nothing waits or nobody knows."""


class Family:
    """One metric with its series, in the order in which they came."""

    def __init__(self, name: str, kind: str, help_text: str) -> None:
        """Begin without series."""
        self.name = name
        self._kind = kind
        self._help = help_text
        self._series: dict[tuple[str, Labels], float] = {}
        self._known: set[Labels] = set()

    def add(self, labels: Labels, value: float, suffix: str = "", own: Labels = ()) -> None:
        """Add a value to a series. `own` labels belong to the format (`le`) and do not count as a series."""
        if labels not in self._known:
            if len(self._known) >= MOST_SERIES:
                labels = tuple((name, "other") for name, _ in labels)
            self._known.add(labels)
        key = (suffix, labels + own)
        self._series[key] = self._series.get(key, 0) + value

    def lines(self) -> Iterable[str]:
        """Return the metric as lines of text."""
        yield f"# HELP {self.name} {_escape(self._help, quotes=False)}"
        yield f"# TYPE {self.name} {self._kind}"
        for (suffix, labels), value in self._series.items():
            inside = ",".join(f'{name}="{_escape(text[:LONGEST_LABEL])}"' for name, text in labels)
            yield f"{self.name}{suffix}{f'{{{inside}}}' if inside else ''} {_number(value)}"


class _Page:
    """The families of one answer; those listed in `names` bring their help with them."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def family(self, name: str, help_text: str = "", kind: str = "counter") -> Family:
        if name not in self._families:
            listed = METRICS.get(name) or _DERIVED.get(name)
            self._families[name] = Family(name, listed.kind, listed.help) if listed else Family(name, kind, help_text)
        return self._families[name]

    def text(self) -> bytes:
        lines = (line for _, family in sorted(self._families.items()) for line in family.lines())
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


_DERIVED = {listed.name: listed for listed in DERIVED}


def render(
    snapshots: Sequence[Snapshot], flows: Sequence[Posting], lags: Sequence[Lag] = (), unaccounted: int | None = None
) -> bytes:
    """Return everything as Prometheus text. `flows` are all postings ever made, already summed or not."""
    page = _Page()
    _books(page, flows)
    if unaccounted is not None:
        page.family("customhouse_unaccounted_events").add((), unaccounted)
    for lag in lags:
        labels = (("topic", lag.topic),) if lag.topic else (("destination", lag.destination),)
        page.family("customhouse_lag_events").add(labels, lag.events)
        if lag.seconds is not None:
            page.family("customhouse_lag_seconds").add(labels, lag.seconds)
    for snapshot in snapshots:
        _measured(page, snapshot)
        _vitals(page, snapshot)
    return page.text()


def _books(page: _Page, flows: Sequence[Posting]) -> None:
    """
    Tell how many events ever came into each account, and how many stand there now.

    Into an entrance nothing ever comes, so of those it tells how many went out: `received` counts what was received.
    """
    entered = {posting.moved_to for posting in flows}
    balances: dict[str, int] = {}
    for posting in flows:
        balances[posting.moved_to] = balances.get(posting.moved_to, 0) + posting.count
        balances[posting.moved_from] = balances.get(posting.moved_from, 0) - posting.count
        _count(page, posting.moved_to, posting)
        if posting.moved_from not in entered:
            _count(page, posting.moved_from, posting)
    for account, balance in sorted(balances.items()):
        page.family("customhouse_balance_events").add((("account", account),), balance)


def _count(page: _Page, account: str, posting: Posting) -> None:
    kind, _, detail = account.partition(":")
    family = page.family(f"customhouse_{_name(kind)}_events_total", f"Events that came to the account {kind!r}.")
    labels: Labels = (("source", posting.source),)
    family.add((*labels, (_KIND_OF_DETAIL.get(kind, "detail"), detail)) if detail else labels, posting.count)


def _measured(page: _Page, snapshot: Snapshot) -> None:
    """Tell what a process measured. Each says its own name, so that two of a kind do not share a series."""
    process: Labels = (("process", snapshot.process),)
    for number in (*snapshot.counters, *snapshot.gauges):
        if number.name in METRICS:
            page.family(number.name).add(number.labels + process, number.value)
    for held in snapshot.histograms:
        if held.name not in METRICS:
            continue
        family, labels = page.family(held.name), held.labels + process
        sums = list(accumulate(held.counts))
        for bound, count in zip((*(_number(bound) for bound in BOUNDS), "+Inf"), sums, strict=True):
            family.add(labels, count, "_bucket", (("le", bound),))
        family.add(labels, held.total, "_sum")
        family.add(labels, sums[-1], "_count")


def _vitals(page: _Page, snapshot: Snapshot) -> None:
    facts = snapshot.vitals
    told = {
        "cpu_seconds_total": facts.cpu_seconds,
        "resident_bytes": facts.resident_bytes,
        "proportional_bytes": facts.proportional_bytes,
        "private_bytes": facts.private_bytes,
        "open_fds": facts.open_fds,
        "start_time_seconds": snapshot.started_at / 1_000_000,
    }
    for name, value in told.items():
        if value >= 0:
            page.family(f"customhouse_process_{name}").add((("process", snapshot.process),), value)


def _name(text: str) -> str:
    """Return the text as part of a metric's name."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in text)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escape(text: str, *, quotes: bool = True) -> str:
    plain = text.replace("\\", "\\\\").replace("\n", "\\n")
    return plain.replace('"', '\\"') if quotes else plain
