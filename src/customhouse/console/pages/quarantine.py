"""Quarantine: what is wrong, and how do I mend it? Groups by reason and event, one example of each, and what to do."""

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from customhouse.console.desk import Desk, Page
from customhouse.console.mask import plain
from customhouse.console.pages.quarantine_acts import act_routes
from customhouse.console.pages.quarantine_data import OTHER, Fits, Group, Held, QuarantineSource
from customhouse.console.pages.quarantine_event import event_routes, example
from customhouse.console.pages.quarantine_forms import MOST_REFS, fits_of
from customhouse.console.pages.quarantine_mask import Veil
from customhouse.console.tables import Column, Table
from customhouse.model.errors import Unavailable
from customhouse.model.reasons import REASONS

PATH = "/quarantine"
_SHOWN = 50
_SERVED = 5000


def quarantine_page(desk: Desk, source: QuarantineSource) -> Page:
    """Return the page and its tables."""

    async def show(request: Request) -> Response:
        fits = fits_of(request.query_params)
        held = await desk.read(source.held, fits)
        whole = await desk.read(source.held, Fits()) if fits.query else held
        one = held.groups[0] if len(held.groups) == 1 and held.groups[0].event != OTHER else None
        shown = await desk.read(source.whole, one.example) if one else None
        return desk.page(
            request, "quarantine.html", "Quarantine", held=held, fits=fits, table=_groups(held, fits), one=one,
            count=sum(group.count for group in held.groups),
            repairable=sum(group.count for group in held.groups if not group.destination), about=REASONS.get(one.reason) if one else None,
            example=example(shown, Veil(source.refer, shown=False)) if shown else None, choices=_choices(whole),
            audit=_audit(await desk.read(source.audit)),
        )  # fmt: skip

    async def lines(request: Request) -> Response:
        fits = fits_of(request.query_params)
        try:
            found, problem = await desk.search(source.lines, fits, _SHOWN), ""
        except Unavailable as error:
            found, problem = [], str(error)
        return desk.page(
            request, "quarantine_lines.html", "Quarantine", lines=found, problem=problem, fits=fits,
            table=_lines(found, fits), shown=_SHOWN, most=MOST_REFS,
        )  # fmt: skip

    routes = [
        desk.get(PATH, show),
        desk.get(f"{PATH}/lines", lines),
        *_tables(desk, source),
        *act_routes(desk, source),
        *event_routes(desk, source),
    ]
    return Page(name="Quarantine", path=PATH, routes=routes)


def _tables(desk: Desk, source: QuarantineSource) -> list[Route]:
    """Return the routes of the tables alone."""

    async def groups(request: Request) -> Table:
        fits = fits_of(request.query_params)
        return _groups(await desk.read(source.held, fits), fits)

    async def events(request: Request) -> Table:
        fits = fits_of(request.query_params)
        return _lines(await desk.search(source.lines, fits, _SERVED), fits)

    async def audit(_request: Request) -> Table:
        return _audit(await desk.read(source.audit))

    return [
        *desk.tables(PATH, groups),
        *desk.tables(f"{PATH}/events", events),
        *desk.tables(f"{PATH}/audit", audit),
    ]


def _choices(held: Held) -> dict[str, list[str]]:
    """Return what may be chosen in each filter."""
    return {
        "reason": sorted({group.reason for group in held.groups}),
        "source": sorted({name for group in held.groups for name in group.sources}),
        "destination": sorted({group.destination for group in held.groups} - {""}),
    }


def _groups(held: Held, fits: Fits) -> Table:
    return Table(
        caption="Groups", path=PATH, query=fits.query, empty="nothing is held back" if not fits.query else "nothing fits",
        columns=(
            Column("reason", "reason"),
            Column("event", "event"),
            Column("events", "events", "number"),
            Column("last", "last seen", "ago"),
            Column("first", "first seen", "ago", wide=True),
            Column("destination", "refused by", wide=True),
            Column("sources", "sources", wide=True),
            Column("libraries", "libraries", wide=True),
            Column("releases", "plan release", wide=True),
            Column("meaning", "meaning", wide=True),
        ),
        rows=[_group(group, fits) for group in held.groups],
    )  # fmt: skip


def _group(group: Group, fits: Fits) -> dict[str, Any]:
    narrowed = Fits(group.reason, group.event, fits.source, group.destination)
    row = {
        "reason": group.reason,
        "event": group.event if group.event != OTHER else "events of other names",
        "events": group.count,
        "first": group.first,
        "last": group.last,
        "destination": group.destination,
        "sources": ", ".join(group.sources),
        "libraries": ", ".join(group.libraries),
        "releases": ", ".join(str(release) for release in group.releases if release),
        "meaning": REASONS[group.reason].meaning if group.reason in REASONS else "",
        "tones": {"reason": "bad"},
    }
    return row | ({"href": f"{PATH}?{narrowed.query}"} if group.event != OTHER else {})


def _lines(found: Sequence[Any], fits: Fits) -> Table:
    return Table(
        caption="Events", path=f"{PATH}/events", query=fits.query, empty="nothing fits",
        columns=(
            Column("id", "id", "mono"),
            Column("at", "received", "time"),
            Column("source", "source"),
            Column("event", "event"),
            Column("reason", "reason"),
            Column("detail", "detail"),
            Column("destination", "refused by"),
            Column("message_id", "message id", "mono"),
        ),
        rows=[msgspec.structs.asdict(line) | {"detail": plain(line.detail)} for line in found],
    )  # fmt: skip


def _audit(acts: Sequence[Any]) -> Table:
    return Table(
        caption="What was done here", path=f"{PATH}/audit", empty="nobody has replayed or discarded anything yet",
        columns=(
            Column("at", "when", "ago"),
            Column("verb", "act"),
            Column("events", "events", "number"),
            Column("done", "done", "number"),
            Column("again", "held again", "number"),
            Column("window", "through", wide=True),
            Column("owner", "by", wide=True),
            Column("outcome", "outcome", wide=True),
        ),
        rows=[msgspec.structs.asdict(act) for act in acts],
    )  # fmt: skip
