"""Live: what is coming in right now? Good and bad side by side, newest first; empty, it says how to send the first event."""

from collections.abc import Mapping
from datetime import UTC, datetime
from time import time as now
from typing import Any, Protocol
from urllib.parse import urlencode

from markupsafe import Markup
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from customhouse.console.desk import Desk, Form, Page
from customhouse.console.flow import COLUMNS, Filter, Flow, LiveRow, Taken, Watch
from customhouse.console.render import Templates
from customhouse.console.snippets import snippets
from customhouse.console.streams import Streams, message
from customhouse.console.tables import Column, Table
from customhouse.model.reasons import REASONS

PATH = "/live"
_ON_PAGE = 50
"""Rows per column on a page as it is loaded."""
_LONGEST = 200
"""Characters of a filter; more is no name of anything."""
_RECENT_SECONDS = 12 * 3600
"""Within them the time of day tells when; beyond, the day as well."""
_ONLY = {"good": "good", "bad": "bad"}


class FirstSteps(Struct, frozen=True, kw_only=True):
    """What somebody needs to send a first event: where the door is, and the write key or where it stands."""

    host: str
    port: int
    source: str
    key: str
    """Empty when the configuration only says where it stands: then `key_place` says that."""
    key_place: str


class LiveSource(Protocol):
    """Where this page looks. All may raise Unavailable or Broken."""

    flow: Flow

    def newest(self, wanted: Filter, most: int) -> Mapping[str, list[LiveRow]]:
        """Return the newest events that fit, by column, newest first."""

    def watch(self, wanted: Filter, place: str) -> Watch:
        """Begin to watch, from a place in the flow on."""

    def persons(self, typed: str) -> tuple[str, ...]:
        """Return the keyed references of a person that somebody typed."""

    def known(self, text: str) -> tuple[str, ...]:
        """Return the keyed references in an address."""

    def empty(self) -> bool:
        """Tell whether no event was ever judged."""

    def first_steps(self) -> FirstSteps:
        """Return what somebody needs to send a first event."""


def live_page(desk: Desk, source: LiveSource, streams: Streams) -> Page:
    """Return the page, its stream and its tables."""
    rows = _Rows()

    async def show(request: Request) -> Response:
        wanted = _filter(source, request.query_params)
        newest = await desk.read(source.newest, wanted, _ON_PAGE)
        place = source.flow.place
        empty = not any(newest.values()) and await desk.read(source.empty)
        steps = await desk.read(source.first_steps) if empty else None
        query = _query(wanted)
        return desk.page(
            request, "live.html", "Live", wanted=wanted, query=query, place=place, empty=empty, ways=_ways(wanted),
            rows={column: [rows.html(row) for row in newest[column]] for column in COLUMNS}, steps=steps,
            snippets=snippets(steps, request.url.hostname or "") if steps else [], table=_table([], query),
        )  # fmt: skip

    async def table(request: Request) -> Table:
        wanted = _filter(source, request.query_params)
        newest = await desk.read(source.newest, wanted, _ON_PAGE)
        both = sorted((row for each in newest.values() for row in each), key=lambda row: row.seq, reverse=True)
        return _table(both, _query(wanted))

    routes = [
        desk.get(PATH, show),
        *_asides(desk, source, streams, rows),
        *desk.tables(PATH, table),
    ]
    return Page(name="Live", path=PATH, routes=routes)


def _asides(desk: Desk, source: LiveSource, streams: Streams, rows: "_Rows") -> list[Route]:
    """Return the page's stream, and the way from a person's id to a reference."""

    async def stream(request: Request) -> Response:
        if streams.full:
            return streams.refusal()
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        place = request.headers.get("last-event-id") or request.query_params.get("after", "")
        watch = source.watch(_filter(source, request.query_params), place[:40])
        foreign = bool(place) and not place.startswith(f"{source.flow.epoch}.")
        return streams.open(_Beat(source.flow, watch, rows, foreign=foreign), watch.leave)

    async def person(_request: Request, form: Form) -> Response:
        kept = {name: form.get(name, "") for name in ("source", "event", "reason", "only")}
        references = source.persons(form.get("id", "")[:2000])
        wanted = _filter(source, kept | {"person": ",".join(references)})
        return RedirectResponse(f"{PATH}?{_query(wanted)}" if wanted.narrow else PATH, 303)

    return [desk.get(f"{PATH}/stream", stream), desk.post(f"{PATH}/person", person)]


class _Rows:
    """Makes a row's markup, once per row: pages and streams show the same."""

    def __init__(self) -> None:
        self._templates = Templates()

    def html(self, row: LiveRow) -> Markup:
        """Return a row as a list item."""
        if not row.html:
            time = datetime.fromtimestamp(row.at / 1e6, UTC).isoformat(sep=" ", timespec="milliseconds")
            meaning = REASONS[row.reason].meaning if row.reason in REASONS else ""
            words: dict[str, Any] = {"day": time[:10], "clock": time[11:23], "exact": f"{time[:10]}T{time[11:23]}Z"}
            words["recent"] = now() - row.at / 1e6 < _RECENT_SECONDS
            row.html = self._templates.render("live_row.html", row=row, meaning=meaning, **words)
        return Markup(row.html)  # noqa: S704  # it comes out of a template that escapes


class _Beat:
    """What a stream sends: rows that are new, and why nothing comes when nothing can."""

    def __init__(self, flow: Flow, watch: Watch, rows: _Rows, *, foreign: bool) -> None:
        """`foreign`: the browser was somewhere in a flow that is no more, so what it shows has a hole."""
        self._foreign = foreign
        self._flow = flow
        self._watch = watch
        self._rows = rows
        self._trouble = ""

    def __call__(self) -> bytes:
        """Return the next piece of the stream."""
        said = message("anew", {}) if self._foreign else b""
        self._foreign = False
        if self._flow.trouble != self._trouble:
            self._trouble = self._flow.trouble
            said += message("trouble", {"words": self._trouble})
        taken = self._watch.take()
        if taken is not None:
            said += message("rows", self._document(taken), f"{self._flow.epoch}.{taken.seq}")
        return said

    def _document(self, taken: Taken) -> dict[str, Any]:
        """Return rows oldest first, as a page puts one above the other."""
        good, bad = ([str(self._rows.html(row)) for row in each] for each in (taken.good, taken.bad))
        return {"good": good, "bad": bad, "hidden": taken.hidden, "gone": taken.gone}


def _filter(source: LiveSource, said: Mapping[str, str]) -> Filter:
    """Read a filter from an address. What makes no sense filters nothing."""
    texts = {name: said.get(name, "").strip()[:_LONGEST] for name in ("source", "event", "reason")}
    person = source.known(said.get("person", "")[:_LONGEST])
    only: Any = _ONLY.get(said.get("only", ""), "")
    return Filter(person=person, only=only, **texts)


def _query(wanted: Filter) -> str:
    """Return a filter as an address has it: what is empty is left out."""
    said = {"source": wanted.source, "event": wanted.event, "reason": wanted.reason}
    said |= {"person": ",".join(wanted.person), "only": wanted.only}
    return urlencode({name: text for name, text in said.items() if text})


def _ways(wanted: Filter) -> list[tuple[str, str, bool]]:
    """Return the ways to look at it: both columns or one, each as heading, address, and whether it is shown."""
    ways = []
    for only, words in (("", "Both"), ("good", "Good"), ("bad", "Bad")):
        query = _query(Filter(source=wanted.source, event=wanted.event, reason=wanted.reason, person=wanted.person,
                              only=only))  # type: ignore[arg-type]  # fmt: skip
        ways.append((words, f"{PATH}?{query}" if query else PATH, only == wanted.only))
    return ways


def _table(rows: list[LiveRow], query: str) -> Table:
    columns = (
        Column("received_at", "received", "time"),
        Column("event_id", "event id", "mono"),
        Column("source", "source"),
        Column("type", "type"),
        Column("event", "event"),
        Column("fate", "fate"),
        Column("reason", "reason"),
        Column("detail", "detail"),
        Column("to", "owed to"),
        Column("flags", "flags"),
        Column("person", "person", "mono"),
    )
    found = [
        {"received_at": row.at, "event_id": row.id, "source": row.source, "type": row.type, "event": row.event,
         "fate": row.fate, "reason": row.reason, "detail": row.detail, "to": list(row.to), "flags": list(row.flags),
         "person": list(row.persons)}
        for row in rows
    ]  # fmt: skip  # a table of fields
    return Table(columns=columns, rows=found, path=PATH, query=query)
