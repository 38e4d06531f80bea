"""
Configuration: what runs, every version and how any two differ, and what is wrong with the files before they are loaded.

The one change it makes is to put the files on disk in force, as `customhouse reload` does, and only those that were
shown: the form carries their hash.
"""

from typing import Any, Protocol

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from customhouse.console.desk import Desk, Form, Page
from customhouse.console.tables import Column, Table

PATH = "/configuration"
_ON_PAGE = 20
_LONGEST_VALUE = 200
_SIGNS = {"added": ("new", "good"), "removed": ("gone", "bad"), "changed": ("changed", "info")}


class VersionLine(Struct, frozen=True):
    """One accepted configuration. `accepted_at` is in microseconds since 1970."""

    number: int
    plan_release: int
    accepted_at: int
    changed: str
    in_force: bool


class WorksBy(Struct, frozen=True):
    """One process, the version it works by, and since when (microseconds since 1970); None while it does not run."""

    process: str
    config: int | None
    since: int | None
    at_start_only: bool = False
    """It reads its settings when it starts, and keeps them."""


class Fault(Struct, frozen=True):
    """One thing wrong in the files on disk."""

    place: str
    message: str
    hint: str


class ChangeLine(Struct, frozen=True):
    """One thing that differs: what kind of change, in which part, and the values, secrets masked."""

    kind: str
    place: str
    before: Any
    after: Any


class Compared(Struct, frozen=True):
    """How two configurations differ; `text` is a unified diff."""

    before: str
    after: str
    changes: list[ChangeLine]
    text: list[str]


class Standing(Struct, frozen=True, kw_only=True):
    """What runs, and how the files on disk stand to it."""

    in_force: VersionLine
    processes: list[WorksBy]
    problems: list[Fault]
    warnings: list[Fault]
    disk: Compared | None
    """The files on disk against what is in force; None when they cannot be understood that far."""
    only_text: list[str]
    """Files in which only comments or layout differ."""
    loadable: bool
    """The files are valid, and loading them would change something."""
    seen: str
    """Hash of the files, so that what was shown is what is loaded."""


class Shown(Struct, frozen=True):
    """One version to look at: its line, its configuration as YAML without secrets, and the names of its events."""

    line: VersionLine
    text: str
    events: list[str]


class Loaded(Struct, frozen=True):
    """What came of putting the files in force."""

    ok: bool
    number: int
    message: str
    problems: list[Fault] = []


class ConfigurationSource(Protocol):
    """Where this page looks. Opens what it needs itself; may raise Unavailable."""

    def standing(self) -> Standing:
        """Return what runs, and how the files on disk stand to it."""

    def versions(self, limit: int, before: int) -> list[VersionLine]:
        """Return versions, newest first, of those below a number (0 for all)."""

    def version(self, number: int) -> Shown | None:
        """Return one version; None when there is none of that number."""

    def compare(self, before: int, after: int) -> Compared | None:
        """Return how two versions differ; `after` 0 stands for the files on disk. None when a version does not exist."""

    def load(self, seen: str) -> Loaded:
        """Put the files on disk in force, if they are still those that were seen."""


def configuration_page(desk: Desk, source: ConfigurationSource) -> Page:
    """Return the page, its tables, and the button."""

    async def front(request: Request, *, loaded: Loaded | None = None) -> Response:
        before = _number(request.query_params.get("before", "0"))
        state = await desk.search(source.standing)
        lines = await desk.search(source.versions, _ON_PAGE, before)
        return desk.page(
            request, "configuration.html", "Configuration", status=409 if loaded else 200, state=state, loaded=loaded, before=before,
            versions=_versions(lines, before), processes=_processes(state), problems=_problems(state),
            older=lines[-1].number if len(lines) == _ON_PAGE and lines[-1].number > 1 else 0,
            came=_number(request.query_params.get("loaded", "0")),
        )  # fmt: skip

    async def load(request: Request, form: Form) -> Response:
        done = await desk.search(source.load, form.get("seen", ""))
        return RedirectResponse(f"{PATH}?loaded={done.number}", 303) if done.ok else await front(request, loaded=done)

    async def difference(request: Request) -> Response:
        found = await _compared(desk, source, request)
        changes, (older, newer) = _changes(found, request.url.query), _asked(request)
        return desk.page(
            request, "configuration_diff.html", "Difference", found=found, changes=changes, older=older, newer=newer
        )

    async def one(request: Request) -> Response:
        found = await desk.search(source.version, request.path_params["number"])
        if found is None:
            raise HTTPException(404)
        return desk.page(request, "configuration_version.html", f"Configuration {found.line.number}", shown=found)

    routes = [
        desk.get(PATH, front),
        desk.post(f"{PATH}/load", load),
        desk.get(f"{PATH}/diff", difference),
        desk.get(f"{PATH}/version/{{number:int}}", one),
        *_alone(desk, source),
    ]
    return Page(name="Configuration", path=PATH, routes=routes)


def _alone(desk: Desk, source: ConfigurationSource) -> list[Route]:
    """Return the routes of the tables by themselves."""

    async def versions(request: Request) -> Table:
        before = _number(request.query_params.get("before", "0"))
        return _versions(await desk.search(source.versions, _ON_PAGE, before), before)

    async def processes(_request: Request) -> Table:
        return _processes(await desk.search(source.standing))

    async def problems(_request: Request) -> Table:
        return _problems(await desk.search(source.standing))

    async def changes(request: Request) -> Table:
        return _changes(await _compared(desk, source, request), request.url.query)

    tables = {"versions": versions, "processes": processes, "problems": problems, "changes": changes}
    return [route for name, make in tables.items() for route in desk.tables(f"{PATH}/{name}", make)]


async def _compared(desk: Desk, source: ConfigurationSource, request: Request) -> Compared:
    before, after = _asked(request)
    found = await desk.search(source.compare, before, after) if before else None
    if found is None:
        raise HTTPException(404)
    return found


def _asked(request: Request) -> tuple[int, int]:
    """Return the two versions an address names; 0 for the files on disk."""
    query = request.query_params
    return _number(query.get("from", "0")), _number(query.get("to", "0"))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _versions(lines: list[VersionLine], before: int) -> Table:
    rows = []
    for line in lines:
        state = {"state": "in force" if line.in_force else "", "tones": {"state": "good"} if line.in_force else {}}
        rows.append({**msgspec.structs.asdict(line), **state, "href": f"{PATH}/version/{line.number}"})
    return Table(
        caption="Versions", path=f"{PATH}/versions", query=f"before={before}" if before else "", rows=rows,
        columns=(
            Column("number", "version"),
            Column("state", "state"),
            Column("plan_release", "plan", "number", wide=True),
            Column("accepted_at", "accepted", "ago", wide=True),
            Column("changed", "what changed"),
        ),
    )  # fmt: skip


def _processes(state: Standing) -> Table:
    rows = []
    for each in state.processes:
        words, tone = _works_by(each, state.in_force.number)
        rows.append({**msgspec.structs.asdict(each), "state": words, "tones": {"state": tone}})
    return Table(
        caption="Processes", path=f"{PATH}/processes", rows=rows,
        columns=(
            Column("process", "process"),
            Column("config", "works by", "number"),
            Column("state", "state"),
            Column("since", "since", "ago", wide=True),
        ),
    )  # fmt: skip


def _works_by(each: WorksBy, in_force: int) -> tuple[str, str]:
    """Return how a process stands to what is in force: words, and their tone."""
    if each.config is None:
        return "not running", "bad"
    if each.config == in_force:
        return "in force", "good"
    return ("its own settings are read at start", "quiet") if each.at_start_only else ("takes it up", "wait")


def _problems(state: Standing) -> Table:
    rows = [{**msgspec.structs.asdict(each), "kind": "problem", "tones": {"kind": "bad"}} for each in state.problems]
    rows += [{**msgspec.structs.asdict(each), "kind": "warning", "tones": {"kind": "wait"}} for each in state.warnings]
    return Table(
        caption="Files on disk", path=f"{PATH}/problems", rows=rows, empty="no problem found in the files on disk",
        columns=(
            Column("place", "place"),
            Column("kind", "kind"),
            Column("message", "what is wrong"),
            Column("hint", "what to do"),
        ),
    )  # fmt: skip


def _changes(found: Compared, query: str) -> Table:
    rows = []
    for each in found.changes:
        words, tone = _SIGNS[each.kind]
        values = {"before": _short(each.before), "after": _short(each.after)}
        rows.append({"kind": words, "place": each.place, **values, "tones": {"kind": tone}})
    return Table(
        caption="Changes", path=f"{PATH}/changes", query=query, rows=rows, empty="they say the same",
        columns=(
            Column("place", "place"),
            Column("kind", "change"),
            Column("before", "before", "mono"),
            Column("after", "after", "mono"),
        ),
    )  # fmt: skip


def _short(value: Any) -> str | None:
    """Return a value in one line, cut where it grows too long to compare by eye."""
    if value is None:
        return None
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
