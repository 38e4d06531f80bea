"""One event in quarantine: whole, with the offending places marked, and an editor in which it can be mended."""

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from customhouse.console.desk import Desk, Form
from customhouse.console.pages.quarantine_data import Checked, Choice, QuarantineSource, Whole
from customhouse.console.pages.quarantine_mask import Lost, Veil
from customhouse.console.pages.quarantine_shown import Problem, Row, decoded, difference, event_rows, problems
from customhouse.model.errors import Unavailable
from customhouse.model.reasons import REASONS

_PATH = "/quarantine/events/{ref}"


class Example(Struct, frozen=True):
    """One event as the page shows it: `text` as it may be edited, `rows` the same with the offending places marked."""

    whole: Whole
    detail: str
    wrong: list[Problem]
    text: str
    rows: list[Row]


def example(whole: Whole, veil: Veil) -> Example:
    """Return one event with its offending places marked."""
    text = veil.text(whole.body)
    detail = veil.words(whole.detail)
    wrong = problems(whole.reason, whole.type, detail) if not whole.destination else []
    return Example(whole, detail, wrong, text, event_rows(text, wrong))


def event_routes(desk: Desk, source: QuarantineSource) -> list[Route]:
    """Return the page of one event and what its editor asks for."""

    async def look(request: Request) -> Response:
        return _page(desk, source, request, await desk.read(source.whole, request.path_params["ref"]))

    async def show(request: Request, _form: Form) -> Response:
        whole = await desk.read(source.whole, request.path_params["ref"])
        if whole is not None:
            await desk.search(source.reveal, whole.ref)
        return _page(desk, source, request, whole, shown=True)

    async def check(request: Request, form: Form) -> Response:
        whole = await desk.read(source.whole, request.path_params["ref"])
        return await _checked(desk, source, request, whole, form)

    async def replay(request: Request, form: Form) -> Response:
        ref = request.path_params["ref"]
        whole = await desk.read(source.whole, ref)
        if whole is None:
            return _page(desk, source, request, None)
        try:
            text = Veil(source.refer, shown="shown" in form).unveil(form.get("text", ""), whole.body)
        except Lost as error:
            raise Unavailable(str(error)) from None
        repaired = text if _told_apart(text, whole.body) else ""
        run = await desk.search(source.begin, "replay", Choice(refs=(ref,)), (), repaired)
        return RedirectResponse(f"/quarantine/runs/{run}", 303)

    return [
        desk.get(_PATH, look),
        desk.post(f"{_PATH}/show", show),
        desk.post(f"{_PATH}/check", check),
        desk.post(f"{_PATH}/replay", replay),
    ]


def _page(
    desk: Desk, source: QuarantineSource, request: Request, whole: Whole | None, *, shown: bool = False
) -> Response:
    if whole is None:
        event_id = request.path_params["ref"].partition("@")[0]
        return desk.page(request, "quarantine_gone.html", "Not in quarantine any more", status=404, id=event_id)
    return desk.page(
        request, "quarantine_event.html", "Event in quarantine",
        example=example(whole, Veil(source.refer, shown=shown)), about=REASONS.get(whole.reason),
        choice=Choice(refs=(whole.ref,)), shown=shown,
    )  # fmt: skip


async def _checked(
    desk: Desk, source: QuarantineSource, request: Request, whole: Whole | None, form: Form
) -> Response:  # fmt: skip
    """Return what would become of the text somebody typed, as a part of the page."""
    if whole is None:
        words = "the event is not in quarantine any more: see its trail."
        return desk.page(
            request, "quarantine_check.html", "Check", ref="", told=Checked(""), problem=words, wrong=[], diff=[],
            changed=False,
        )  # fmt: skip
    veil, told, problem, text = Veil(source.refer, shown="shown" in form), Checked(""), "", form.get("text", "")
    try:
        text = veil.unveil(text, whole.body)
        told = await desk.search(source.check, whole.ref, text)
    except (Lost, Unavailable) as error:
        problem = f"{error}."
    return desk.page(
        request, "quarantine_check.html", "Check", ref=whole.ref, told=told, problem=problem,
        wrong=_still_wrong(told, whole), diff=difference(veil.text(whole.body), veil.text(text)),
        changed=_told_apart(text, whole.body),
    )  # fmt: skip


def _told_apart(text: str, body: str) -> bool:
    """Tell whether two texts say different things."""
    value, own = decoded(text), decoded(body)
    return bool(value != own) if value is not None and own is not None else text != body


def _still_wrong(told: Checked, whole: Whole) -> list[Problem]:
    """Return what would still be wrong with an event."""
    kind, _, reason = told.fate.partition(":")
    return problems(reason, whole.type, told.detail) if kind == "quarantined" else []
