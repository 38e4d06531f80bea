"""What people typed and ticked on the Quarantine page, read from addresses and forms within bounds."""

import re
from collections.abc import Mapping, Sequence

import msgspec
from starlette.requests import Request

from customhouse.console.desk import Form
from customhouse.console.pages.quarantine_data import Choice, Fits, Step
from customhouse.console.pages.quarantine_shown import Problem

MOST_REFS = 200
STEP_ROWS = 4
_LONGEST = 600
_EVERY = re.compile(r"\[\d+\]")
_EXPECTED = re.compile(r"expected (number|integer|boolean|string)\b")
_STEPS_BYTES = 20_000


def fits_of(said: Mapping[str, str]) -> Fits:
    """Return the filter of an address or a form."""
    return Fits(*(said.get(name, "").strip()[:_LONGEST] for name in ("reason", "event", "source", "destination")))


def choice_of(request: Request) -> Choice:
    """Return what an address is about: the events it names, else all that fit."""
    return Choice(fits_of(request.query_params), tuple(request.query_params.getlist("id")[:MOST_REFS]))


def chosen_in(form: Form) -> Choice:
    """Return what a form is about."""
    refs = tuple(form.get("ids", "").split()[:MOST_REFS])
    return Choice(fits_of(form), refs, form.get("upto", "")[:_LONGEST])


def steps_in(form: Form) -> list[Step]:
    """Return the steps of a repair as its form has them, a row each; empty rows are left out."""
    found = []
    for nth in range(STEP_ROWS):
        do, path, value = (form.get(f"{name}{nth}", "").strip()[:_LONGEST] for name in ("do", "path", "value"))
        if do == "convert":
            value = form.get(f"type{nth}", "")
        if do and (path or value) and (do != "set" or value):
            found.append(msgspec.convert({"do": do, "path": path, "value": value}, Step))
    return found


def suggested(wrong: Sequence[Problem]) -> list[Step]:
    """Return the steps that would mend what is wrong, as far as its words tell; a value to set is left to the person."""
    found = []
    for problem in wrong:
        path = _EVERY.sub("[*]", problem.path)
        kind = _EXPECTED.match(problem.words)
        if kind and path:
            found.append(Step("convert", path, kind[1]))
        elif problem.words.endswith("is not allowed by the plan"):
            found.append(Step("remove", path))
        elif path:
            found.append(Step("name" if path == "event" else "set", path))
    return (found or [Step("set")])[:STEP_ROWS]


def steps_from(text: str) -> list[Step]:
    """Return the steps that a preview handed on. Raises ValueError."""
    if not text:
        return []
    if len(text) > _STEPS_BYTES:
        raise ValueError("too many steps")
    return msgspec.json.decode(text, type=list[Step])


def steps_text(steps: Sequence[Step]) -> str:
    """Return steps as a preview hands them on."""
    return msgspec.json.encode(steps).decode() if steps else ""
