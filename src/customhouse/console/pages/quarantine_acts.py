"""Replay, repair and discard: what would happen in numbers first, one confirmation, then the outcome in numbers."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from customhouse.console.desk import Desk, Form
from customhouse.console.pages.quarantine_data import Choice, Foreseen, QuarantineSource, Step, Verb
from customhouse.console.pages.quarantine_forms import (
    STEP_ROWS,
    choice_of,
    chosen_in,
    steps_from,
    steps_in,
    steps_text,
    suggested,
)
from customhouse.console.pages.quarantine_mask import Veil
from customhouse.console.pages.quarantine_shown import Difference, difference, problems
from customhouse.model.errors import Unavailable
from customhouse.model.reasons import REASONS

PATH = "/quarantine"
_KINDS = (
    ("set", "set a field to"),
    ("rename", "rename a field to"),
    ("convert", "convert a field to"),
    ("remove", "remove a field"),
    ("name", "rename the event to"),
)
_TYPES = ("number", "integer", "boolean", "string", "date")


class _Example(Struct, frozen=True):
    ref: str
    fate: str
    good: bool
    lines: list[Difference]


def act_routes(desk: Desk, source: QuarantineSource) -> list[Route]:
    """Return the pages that lead to an act, and the acts."""

    async def run(request: Request) -> Response:
        found = source.run(request.path_params["run"])
        if found is None:
            raise HTTPException(404)
        return desk.page(request, "quarantine_run.html", _RUN_TITLES[found.verb], run=found)

    verbs: tuple[Verb, ...] = ("replay", "discard")
    return [
        *(_asking(desk, verb) for verb in verbs),
        *(_acting(desk, source, verb) for verb in verbs),
        *_repairing(desk, source),
        desk.get(f"{PATH}/runs/{{run}}", run),
    ]


def _asking(desk: Desk, verb: Verb) -> Route:
    """Return the page that says what an act is about, before anything happens."""

    async def show(request: Request) -> Response:
        choice = choice_of(request)
        unchosen = "selection" in request.query_params and not choice.refs
        title = f"{verb.capitalize()} held events"
        return desk.page(request, "quarantine_act.html", title, verb=verb, choice=choice, unchosen=unchosen)

    return desk.get(f"{PATH}/{verb}", show)


def _acting(desk: Desk, source: QuarantineSource, verb: Verb) -> Route:
    """Return the act itself."""

    async def begin(_request: Request, form: Form) -> Response:
        try:
            steps = steps_from(form.get("steps", ""))
        except (msgspec.MsgspecError, ValueError):
            raise HTTPException(400) from None
        run = await desk.search(source.begin, verb, chosen_in(form), steps, "")
        return RedirectResponse(f"{PATH}/runs/{run}", 303)

    return desk.post(f"{PATH}/{verb}", begin)


def _repairing(desk: Desk, source: QuarantineSource) -> list[Route]:
    """Return the form of a repair, and what acts would do."""

    async def preview(request: Request) -> Response:
        verb = _verb(request.query_params.get("verb", ""))
        return await _foresee(desk, source, request, _Asked(verb, choice_of(request), ()))

    async def repair(request: Request) -> Response:
        choice = choice_of(request)
        groups = [group for group in (await desk.read(source.held, choice.fits)).groups if not group.destination]
        whole = await desk.read(source.whole, groups[0].example) if groups else None
        wrong = problems(whole.reason, whole.type, whole.detail) if whole else []
        first = suggested(wrong)
        return desk.page(
            request, "quarantine_repair.html", "Repair held events", choice=choice, wrong=wrong, kinds=_KINDS,
            types=_TYPES, count=sum(group.count for group in groups), whole=whole,
            rows=[*first, *[None] * (STEP_ROWS - len(first))],
        )  # fmt: skip

    async def try_out(request: Request, form: Form) -> Response:
        try:
            steps = steps_in(form)
        except msgspec.ValidationError:
            steps = []
        return await _foresee(desk, source, request, _Asked("replay", chosen_in(form), steps, repairing=True))

    return [
        desk.get(f"{PATH}/preview", preview),
        desk.get(f"{PATH}/repair", repair),
        desk.post(f"{PATH}/repair/preview", try_out),
    ]


_RUN_TITLES = {"replay": "Replay", "discard": "Discard"}


class _Asked(Struct, frozen=True):
    verb: Verb
    choice: Choice
    steps: Sequence[Step]
    repairing: bool = False


async def _foresee(desk: Desk, source: QuarantineSource, request: Request, asked: _Asked) -> Response:
    """Return what an act would do, with the button that does it, as a part of a page."""
    verb, choice, steps = asked.verb, asked.choice, asked.steps
    found, faults = Foreseen(count=0), list(source.faults(steps)) if asked.repairing else []
    if not faults:
        try:
            found = await desk.search(source.foresee, verb, choice, steps)
        except Unavailable as error:
            faults = [f"{error}."]
    return desk.page(
        request, "quarantine_preview.html", "Preview", verb=verb, choice=choice, found=found, faults=faults,
        repairing=asked.repairing, steps=steps_text(steps), meanings=_meanings(found),
        examples=_examples(found, source),
    )  # fmt: skip


def _meanings(found: Foreseen) -> dict[str, str]:
    return {word: REASONS[word].meaning for word in (*found.held, *found.dropped) if word in REASONS}


def _examples(found: Foreseen, source: QuarantineSource) -> list[_Example]:
    shown = []
    for change in found.examples:
        veil = Veil(source.refer, shown=False)
        lines = difference(veil.text(change.before), veil.text(change.after))
        kind, _, word = change.fate.partition(":")
        fate = {"quarantined": f"held again: {word}", "dropped": f"dropped: {word}"}.get(kind, "would pass")
        shown.append(_Example(change.ref, fate, kind != "quarantined", lines))
    return shown


def _verb(text: Any) -> Verb:
    if text == "discard":
        return "discard"
    if text == "replay":
        return "replay"
    raise HTTPException(404)
