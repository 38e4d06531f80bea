"""Overview: is everything arriving? One sentence, then throughput, lag and the trial balance."""

import time
from collections.abc import Mapping
from typing import Protocol

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from customhouse.console.desk import Desk, Page
from customhouse.console.pages.overview_data import CHARTS, TABLES, Overview, Points, chart_table
from customhouse.console.tables import Table, serve_table

PATH = "/"
RANGES: Mapping[str, tuple[str, float]] = {
    "15m": ("15 min", 900.0),
    "1h": ("1 h", 3600.0),
    "24h": ("24 h", 86_400.0),
    "7d": ("7 d", 604_800.0),
}
_USUAL = "15m"
_SHOWN_ROWS = 30
"""Rows of a chart's own table on the page; `.csv` has them all."""


class OverviewSource(Protocol):
    """Where this page looks. Both answer from what was read before; they may raise Unavailable."""

    def overview(self) -> Overview:
        """Return how the house stands."""

    def points(self, chart: str, seconds: float) -> Points:
        """Return a chart's lines over the last so many seconds."""


def overview_page(desk: Desk, source: OverviewSource) -> Page:
    """Return the page, its tables and its charts."""

    async def show(request: Request) -> Response:
        shown = _range(request)
        state = await desk.read(source.overview)
        charts = [
            (name, chart, chart_table(name, await desk.read(source.points, name, RANGES[shown][1]), shown, _SHOWN_ROWS))
            for name, chart in CHARTS.items()
        ]
        return desk.page(
            request,
            "overview.html",
            "Overview",
            state=state,
            tables={name: table(state) for name, table in TABLES.items()},
            charts=charts,
            ranges=RANGES,
            shown=shown,
            empty=not state.received,
        )

    routes = [desk.get(PATH, show), *_charts(desk, source)]
    for name in TABLES:

        async def table(_request: Request, name: str = name) -> Table:
            return TABLES[name](await desk.read(source.overview))

        routes += desk.tables(f"/overview/{name}", table)
    return Page(name="Overview", path=PATH, routes=routes)


def _charts(desk: Desk, source: OverviewSource) -> list[Route]:
    """Return the routes that serve the numbers of a chart: as JSON for the page, as CSV for people."""

    async def as_json(request: Request) -> Response:
        name, seconds, now = _chart(request), RANGES[_range(request)][1], time.time()
        points = await desk.read(source.points, name, seconds)
        span = {"from": now - seconds, "to": now}
        body = {"unit": CHARTS[name].unit, **span, "times": points.times, "lines": points.lines}
        return Response(msgspec.json.encode(body), media_type="application/json")

    async def as_csv(request: Request) -> Response:
        name, shown = _chart(request), _range(request)
        points = await desk.read(source.points, name, RANGES[shown][1])
        return serve_table(chart_table(name, points, shown, len(points.times)), "csv")

    path = "/overview/charts/{chart}"
    return [desk.get(f"{path}.json", as_json), desk.get(f"{path}.csv", as_csv)]


def _range(request: Request) -> str:
    asked = request.query_params.get("range", _USUAL)
    return asked if asked in RANGES else _USUAL


def _chart(request: Request) -> str:
    name: str = request.path_params["chart"]
    if name not in CHARTS:
        raise HTTPException(404)
    return name
