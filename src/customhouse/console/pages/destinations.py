"""Destinations: is this destination healthy? A sentence, the figures, the last answers, and a hand on the lever."""

from typing import Protocol
from urllib.parse import quote

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from customhouse.console.desk import Desk, Form, Page
from customhouse.console.tables import Column, Table
from customhouse.model.errors import Unavailable
from customhouse.model.standing import DestinationState

PATH = "/destinations"
ACTS = ("pause", "resume", "replay")
_DONE = {
    "pause": "Paused: nothing is sent until somebody resumes it.",
    "resume": "It goes on.",
    "replay": "Its rejected events are on their way once more.",
}


class Effects(Struct, frozen=True):
    """What each act would do now, in numbers."""

    pause: str
    resume: str
    replay: str


class Done(Struct, frozen=True):
    """What came of an act."""

    ok: bool
    message: str


class DestinationsSource(Protocol):
    """Where this page looks, and whom it asks to act. All block; they may raise Unavailable."""

    def all(self) -> list[DestinationState]:
        """Return every destination."""

    def look(self) -> None:
        """Look at the house now, because something was changed."""

    def effects(self, state: DestinationState) -> Effects:
        """Return what each act would do to a destination."""

    def act(self, what: str, name: str) -> Done:
        """Pause, resume, or replay what a destination refused."""


def destinations_page(desk: Desk, source: DestinationsSource) -> Page:
    """Return the page, a page for each destination, their tables, and the acts."""

    async def show(request: Request) -> Response:
        found = await desk.read(source.all)
        well = [each for each in found if each.tone == "good"]
        others = [each for each in found if each not in well]
        return desk.page(
            request, "destinations.html", "Destinations", table_=_table(found), well=len(well), others=others,
            count=len(found),
        )  # fmt: skip

    async def show_one(request: Request) -> Response:
        state = await _one(desk, source, request)
        effects = await desk.read(source.effects, state)
        done = _DONE.get(request.query_params.get("done", ""), "")
        return desk.page(
            request, "destinations_one.html", state.name, state=state, effects=effects, answers=_answers(state),
            tone=state.tone, done=done,
        )  # fmt: skip

    async def table(_request: Request) -> Table:
        return _table(await desk.read(source.all))

    async def answers(request: Request) -> Table:
        return _answers(await _one(desk, source, request))

    routes = [
        desk.get(PATH, show),
        *desk.tables(PATH, table),
        *desk.tables(f"{PATH}/{{name}}/answers", answers),
        desk.get(f"{PATH}/{{name}}", show_one),
        _acts(desk, source),
    ]
    return Page(name="Destinations", path=PATH, routes=routes)


def _acts(desk: Desk, source: DestinationsSource) -> Route:
    """Return where pause, resume and replay are asked for."""

    async def act(request: Request, _form: Form) -> Response:
        what = request.path_params["act"]
        if what not in ACTS:
            raise HTTPException(404)
        state = await _one(desk, source, request)
        done = await desk.search(source.act, what, state.name)
        if not done.ok:
            raise Unavailable(done.message)
        await desk.read(source.look)
        return RedirectResponse(f"{_href(state.name)}?done={what}", 303)

    return desk.post(f"{PATH}/{{name}}/{{act}}", act)


async def _one(desk: Desk, source: DestinationsSource, request: Request) -> DestinationState:
    """Return the destination an address names, or say that there is none."""
    name = request.path_params["name"]
    for each in await desk.read(source.all):
        if each.name == name:
            return each
    raise HTTPException(404)


def _table(found: list[DestinationState]) -> Table:
    return Table(
        caption="Destinations", path=PATH, empty="no destination is configured; see destinations: in customhouse.yaml",
        columns=(
            Column("name", "destination"),
            Column("state", "state"),
            Column("lag_events", "waiting", "number"),
            Column("oldest_seconds", "oldest, s", "decimal"),
            Column("rate", "events/s", "decimal"),
            Column("success_percent", "success, %", "decimal"),
            Column("rejected", "refused", "number"),
            Column("budget_percent", "budget used, %", "decimal", wide=True),
            Column("breaker", "breaker", wide=True),
            Column("last_answer", "last answer", wide=True),
        ),
        rows=[
            {
                **msgspec.structs.asdict(each),
                "success_percent": _percent(each.success),
                "budget_percent": _percent(each.budget_used),
                "href": _href(each.name),
                "tones": {"state": each.tone},
            }
            for each in found
        ],
    )  # fmt: skip


def _answers(state: DestinationState) -> Table:
    return Table(
        caption="Last answers", path=f"{_href(state.name)}/answers",
        empty="it has not been asked since delivery started" if state.kind == "webhook" else "it is loaded, not asked",
        columns=(
            Column("status", "status", "mono"),
            Column("reason", "answer"),
            Column("count", "times", "number"),
            Column("last_at", "last", "ago"),
            Column("first_at", "first", "ago", wide=True),
            Column("meaning", "meaning"),
        ),
        rows=[
            {
                **msgspec.structs.asdict(each),
                "status": each.status or "none",
                "tones": {"reason": "good" if each.reason == "delivered" else "bad"},
            }
            for each in state.answers
        ],
    )  # fmt: skip


def _href(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"


def _percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 1)
