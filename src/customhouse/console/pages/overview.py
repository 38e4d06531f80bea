"""Overview: is everything arriving? One sentence, then throughput, lag and the trial balance."""

import time
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from customhouse.console.desk import Desk, Page
from customhouse.console.tables import Column, Table, serve_table

PATH = "/"
RANGES: Mapping[str, tuple[str, float]] = {
    "15m": ("15 min", 900.0),
    "1h": ("1 h", 3600.0),
    "24h": ("24 h", 86_400.0),
    "7d": ("7 d", 604_800.0),
}
_USUAL = "15m"
_NEARLY_AN_HOUR = 3_590_000_000
"""Microseconds."""
_SHOWN_ROWS = 30
"""Rows of a chart's own table on the page; `.csv` has them all."""


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
    rate: float
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


class OverviewSource(Protocol):
    """Where this page looks. Both answer from what was read before; they may raise Unavailable."""

    def overview(self) -> Overview:
        """Return how the house stands."""

    def points(self, chart: str, seconds: float) -> Points:
        """Return a chart's lines over the last so many seconds."""


def overview_page(desk: Desk, source: OverviewSource) -> Page:
    """Return the page and its tables."""

    async def show(request: Request) -> Response:
        shown = _range(request)
        state = await desk.read(source.overview)
        charts = []
        for name, chart in CHARTS.items():
            points = await desk.read(source.points, name, RANGES[shown][1])
            charts.append((name, chart, _chart_table(name, chart, points, shown, _SHOWN_ROWS)))
        return desk.page(
            request, "overview.html", "Overview", state=state, tables=_tables(state), charts=charts, ranges=RANGES, shown=shown,
            empty=not state.received,
        )  # fmt: skip

    async def chart_json(request: Request) -> Response:
        name, seconds = _chart(request), RANGES[_range(request)][1]
        points = await desk.read(source.points, name, seconds)
        now = time.time()
        body = {
            "unit": CHARTS[name].unit,
            "from": now - seconds,
            "to": now,
            "times": points.times,
            "lines": points.lines,
        }
        return Response(msgspec.json.encode(body), media_type="application/json")

    async def chart_csv(request: Request) -> Response:
        name, shown = _chart(request), _range(request)
        points = await desk.read(source.points, name, RANGES[shown][1])
        return serve_table(_chart_table(name, CHARTS[name], points, shown, len(points.times)), "csv")

    routes = [
        desk.get(PATH, show),
        desk.get("/overview/charts/{chart}.json", chart_json),
        desk.get("/overview/charts/{chart}.csv", chart_csv),
    ]
    for name in ("sources", "destinations", "accounts", "processes"):

        async def table(_request: Request, name: str = name) -> Table:
            return _tables(await desk.read(source.overview))[name]

        routes += desk.tables(f"/overview/{name}", table)
    return Page(name="Overview", path=PATH, routes=routes)


def _range(request: Request) -> str:
    asked = request.query_params.get("range", _USUAL)
    return asked if asked in RANGES else _USUAL


def _chart(request: Request) -> str:
    name: str = request.path_params["chart"]
    if name not in CHARTS:
        raise HTTPException(404)
    return name


def _tables(state: Overview) -> dict[str, Table]:
    return {
        "sources": Table(
            caption="Sources", path="/overview/sources", empty="no source has sent anything yet",
            columns=(
                Column("source", "source"),
                Column("rate", "events/s", "decimal"),
                Column("received", "received", "number"),
                Column("quarantined", "held back", "number"),
            ),
            rows=[{**msgspec.structs.asdict(line), "href": f"/live?source={line.source}"} for line in state.sources],
        ),
        "destinations": Table(
            caption="Destinations", path="/overview/destinations", empty="there is no destination yet",
            columns=(
                Column("destination", "destination"),
                Column("state", "state"),
                Column("waiting", "waiting", "number"),
                Column("oldest", "oldest, s", "decimal", wide=True),
                Column("rate", "events/s", "decimal"),
                Column("delivered", "delivered", "number", wide=True),
            ),
            rows=[
                {
                    **msgspec.structs.asdict(line),
                    "href": f"/destinations/{line.destination}",
                    "tones": {"state": line.tone},
                }
                for line in state.destinations
            ],
        ),
        "accounts": Table(
            caption="Trial balance", path="/overview/accounts", empty="the books are empty",
            columns=(Column("account", "account", "mono"), Column("events", "events", "number")),
            rows=[*(_account(line) for line in state.accounts), *_sum(state.accounts)],
        ),
        "processes": Table(
            caption="Processes", path="/overview/processes",
            columns=(
                Column("process", "process"),
                Column("running", "state"),
                Column("since", "since", "ago"),
                Column("config", "configuration", "number", wide=True),
                Column("memory", "memory", "bytes"),
                Column("files", "open files", "number", wide=True),
            ),
            rows=[
                {
                    **msgspec.structs.asdict(line),
                    "running": "running" if line.running else "not running",
                    "tones": {"running": "good" if line.running else "bad"},
                }
                for line in state.processes
            ],
        ),
    }  # fmt: skip


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


def _sum(accounts: list[Account]) -> list[dict[str, Any]]:
    """Return the last line of a trial balance: what came in is negative, so everything together is 0."""
    return [{"account": "sum", "events": sum(line.events for line in accounts), "sum": True}] if accounts else []


def _chart_table(name: str, chart: Chart, points: Points, shown: str, most: int) -> Table:
    """Return a chart's newest points as a table, newest first."""
    lines = list(points.lines)
    newest = range(len(points.times) - 1, max(-1, len(points.times) - 1 - most), -1)
    rows = [{"at": round(points.times[at] * 1e6), **{line: points.lines[line][at] for line in lines}} for at in newest]
    columns = (Column("at", "time", "time"), *(Column(line, line, "decimal") for line in lines))
    return Table(
        caption=f"{chart.title} ({chart.unit})", path=f"/overview/charts/{name}", query=f"range={shown}",
        columns=columns, rows=rows, empty="nothing was measured yet",
    )  # fmt: skip
