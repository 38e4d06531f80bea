"""What the Overview shows, in words and numbers, and how it stands in tables."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from customhouse.console.tables import Column, Table

_NEARLY_AN_HOUR = 3_590_000_000
"""Microseconds."""


class Chart(Struct, frozen=True):
    """One chart: its heading, the unit of its numbers, and which series of the history it draws."""

    title: str
    unit: str
    series: tuple[Literal["rates", "gauges"], str]


CHARTS: Mapping[str, Chart] = {
    "throughput": Chart("Events received, by source", "events/s", ("rates", "received:")),
    "acknowledgement": Chart("Acknowledged within, 99 of 100, by source", "ms", ("gauges", "ack:")),
    "lag": Chart("Events waiting, by station", "events", ("gauges", "lag:")),
    "delivered": Chart("Events delivered, by destination", "events/s", ("rates", "delivered:")),
}


class SourceLine(Struct, frozen=True):
    """One source: how many events it ever sent, how many a second within the last minute, how many were held back."""

    source: str
    received: int
    rate: float
    quarantined: int


class DestinationLine(Struct, frozen=True):
    """One destination: its state in words, what waits for it and for how many seconds, and its rate."""

    destination: str
    state: str
    tone: str
    waiting: int
    oldest: float | None
    rate: float | None
    delivered: int


class Account(Struct, frozen=True):
    """One account of the trial balance."""

    account: str
    events: int
    tone: str


class ProcessLine(Struct, frozen=True):
    """One process of the house. Times in microseconds since 1970, memory in bytes."""

    process: str
    running: bool
    config: int | None
    since: int | None
    memory: int | None
    files: int | None


class Overview(Struct, frozen=True, kw_only=True):
    """How the house stands. Times in microseconds since 1970."""

    at: int
    received: int
    in_flight: int
    unaccounted: int
    differences: list[str]
    quarantined: int
    quarantined_since: int
    """Since when it is known how many were quarantined: an hour at most."""
    sources: list[SourceLine]
    destinations: list[DestinationLine]
    accounts: list[Account]
    processes: list[ProcessLine]

    @property
    def whole_hour(self) -> bool:
        """Tell whether the number of quarantined events is that of a whole hour."""
        return self.at - self.quarantined_since > _NEARLY_AN_HOUR


class Points(Protocol):
    """The lines of a chart, aligned with `times` (seconds since 1970); None is a gap."""

    @property
    def times(self) -> list[float]:
        """When."""

    @property
    def lines(self) -> dict[str, list[float | None]]:
        """How much, by line."""


def sources_table(state: Overview) -> Table:
    """Return who sends, how much."""
    columns = (
        Column("source", "source"),
        Column("rate", "events/s", "decimal"),
        Column("received", "received", "number"),
        Column("quarantined", "held back", "number"),
    )
    rows = [{**msgspec.structs.asdict(line), "href": f"/live?source={line.source}"} for line in state.sources]
    empty = "no source has sent anything yet"
    return Table(caption="Sources", path="/overview/sources", columns=columns, rows=rows, empty=empty)


def destinations_table(state: Overview) -> Table:
    """Return who is owed what, and how that goes."""
    columns = (
        Column("destination", "destination"),
        Column("state", "state"),
        Column("waiting", "waiting", "number"),
        Column("oldest", "oldest, s", "decimal", wide=True),
        Column("rate", "events/s", "decimal"),
        Column("delivered", "delivered", "number", wide=True),
    )
    rows = [
        {**msgspec.structs.asdict(line), "href": f"/destinations/{line.destination}", "tones": {"state": line.tone}}
        for line in state.destinations
    ]
    empty = "there is no destination yet"
    return Table(caption="Destinations", path="/overview/destinations", columns=columns, rows=rows, empty=empty)


def accounts_table(state: Overview) -> Table:
    """Return the trial balance. What came in is negative, so that its sum is 0."""
    rows = [_account(line) for line in state.accounts]
    if rows:
        rows.append({"account": "sum", "events": sum(line.events for line in state.accounts), "sum": True})
    columns = (Column("account", "account", "mono"), Column("events", "events", "number"))
    empty = "the books are empty"
    return Table(caption="Trial balance", path="/overview/accounts", columns=columns, rows=rows, empty=empty)


def processes_table(state: Overview) -> Table:
    """Return the processes, and what they cost."""
    columns = (
        Column("process", "process"),
        Column("running", "state"),
        Column("since", "since", "ago"),
        Column("config", "configuration", "number", wide=True),
        Column("memory", "memory", "bytes"),
        Column("files", "open files", "number", wide=True),
    )
    rows = [
        {
            **msgspec.structs.asdict(line),
            "running": "running" if line.running else "not running",
            "tones": {"running": "good" if line.running else "bad"},
        }
        for line in state.processes
    ]
    return Table(caption="Processes", path="/overview/processes", columns=columns, rows=rows)


TABLES = {
    "sources": sources_table,
    "destinations": destinations_table,
    "accounts": accounts_table,
    "processes": processes_table,
}


def chart_table(name: str, points: Points, shown: str, most: int) -> Table:
    """Return a chart's newest points as a table, newest first. `shown` is the time range as it stands in the URL."""
    chart, lines = CHARTS[name], list(points.lines)
    newest = range(len(points.times) - 1, max(-1, len(points.times) - 1 - most), -1)
    rows = [{"at": round(points.times[at] * 1e6), **{line: points.lines[line][at] for line in lines}} for at in newest]
    return Table(
        caption=f"{chart.title} ({chart.unit})",
        path=f"/overview/charts/{name}",
        query=f"range={shown}",
        columns=(Column("at", "time", "time"), *(Column(line, line, "decimal") for line in lines)),
        rows=rows,
        empty="nothing was measured yet",
    )


def _account(line: Account) -> dict[str, Any]:
    """Return a row of the trial balance; what holds events back leads to those."""
    kind, _, name = line.account.partition(":")
    where = {
        "quarantined": f"/quarantine?reason={name}",
        "rejected": f"/quarantine?destination={name}",
        "owed": f"/destinations/{name}",
    }
    row = {**msgspec.structs.asdict(line), "tones": {}}
    return row | ({"href": where[kind]} if kind in where else {})
