"""
Event: where is my event? Its trail from station to station, and what its client sent beside what became of it.

Personal data is masked. Who asks to see it leaves a line in the audit first, and sees it in that one answer.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from customhouse.console.desk import Desk, Form, Page
from customhouse.console.mask import Mask, plain
from customhouse.console.pretty import Line, compact, differences, lines
from customhouse.ledger.explain import Story
from customhouse.model.reasons import REASONS
from customhouse.wire.ids import as_id

PATH = "/events"
_LONGEST = 600
_CLIENTS = {"type": "type", "messageId": "message_id", "userId": "user_id", "anonymousId": "anonymous_id",
            "groupId": "group_id", "previousId": "previous_id", "properties": "properties", "traits": "traits",
            "context": "context", "integrations": "integrations"}  # fmt: skip
"""What the client calls what the canonical event has, as far as both can be compared."""
_ROOTED = ("context", "user_id", "anonymous_id", "group_id", "previous_id", "timestamp")
"""What a plan may ask for of the event itself; its other paths begin inside properties or traits."""
_OBJECTS = ("properties", "traits", "context", "integrations")


class Facts(Struct, frozen=True, kw_only=True):
    """What the request said besides the event itself."""

    protocol: str = ""
    route: str = ""
    request: dict[str, Any] = {}
    shared: Any = None


class Told(Struct, frozen=True, kw_only=True):
    """Everything that is known of one event. Nothing here is masked yet."""

    story: Story
    raw: Any
    """What the client sent, as JSON; None when it is gone or is no JSON."""
    raw_text: str
    """What the client sent when that is no JSON."""
    raw_note: str
    facts: Facts
    canonical: dict[str, Any] | None
    canonical_note: str


class EventSource(Protocol):
    """Where this page looks. `find` and `reveal` block; both may raise Unavailable."""

    def find(self, text: str) -> list[Told]:
        """Return the events that an id means."""

    def reveal(self, event: str) -> None:
        """Leave a line in the audit that somebody looks at this event unmasked."""

    def refer(self, kind: str, person: str) -> str:
        """Return the keyed reference of a person."""


class Shown(Struct, frozen=True, kw_only=True):
    """One event as the page shows it."""

    story: Story
    state: str
    tone: str
    meaning: str
    raw: list[Line]
    raw_note: str
    canonical: list[Line]
    canonical_note: str
    request: list[Line]
    changes: list[tuple[str, str, str]]
    persons: list[str]
    """References of whose it is, to find the rest of theirs."""
    next: str
    """Where one can do something about it; empty when there is nothing to do."""
    masked: bool


def event_page(desk: Desk, source: EventSource) -> Page:
    """Return the page of one event, the way to it, and its story as JSON."""

    async def show(request: Request) -> Response:
        asked = _asked(request)
        found = await desk.search(source.find, asked)
        shown = [_shown(told, source, Mask(source.refer)) for told in found]
        status = 200 if shown else 404
        return desk.page(request, "event.html", "Event", asked=plain(asked), shown=shown, person=False, status=status)

    async def reveal(request: Request, _form: Form) -> Response:
        asked = _asked(request)
        found = [told for told in await desk.search(source.find, asked) if told.story.event_id == asked]
        if not found:
            raise HTTPException(404)
        await desk.search(source.reveal, asked)
        shown = [_shown(told, source, None) for told in found]
        return desk.page(request, "event.html", "Event", asked=asked, shown=shown, person=False)

    async def story(request: Request) -> Response:
        found = await desk.search(source.find, _asked(request))
        body = [_document(told, Mask(source.refer)) for told in found]
        return Response(msgspec.json.encode(body), 200 if body else 404, media_type="application/json")

    routes = [
        *_way_in(desk),
        desk.post(f"{PATH}/{{id}}/reveal", reveal),
        desk.get(f"{PATH}/{{id:path}}.json", story),
        desk.get(f"{PATH}/{{id:path}}", show),
    ]
    return Page(name="Event", path=PATH, routes=routes)


def _way_in(desk: Desk) -> list[Route]:
    """Return the form that asks for an id, and where it leads."""

    async def look(request: Request) -> Response:
        return desk.page(request, "event.html", "Event", asked="", shown=[], person=False)

    async def go(request: Request, form: Form) -> Response:
        asked = form.get("id", "").strip()[:_LONGEST]
        if "@" in asked:  # a person's address, which must not get into ours
            return desk.page(request, "event.html", "Event", asked="", shown=[], person=True, status=422)
        return RedirectResponse(f"{PATH}/{quote(asked, safe='')}" if asked else PATH, 303)

    return [desk.get(PATH, look), desk.post(f"{PATH}/find", go)]


def _asked(request: Request) -> str:
    asked: str = request.path_params["id"]
    return asked.strip()[:_LONGEST]


def _shown(told: Told, source: EventSource, mask: Mask | None) -> Shown:
    """Make an event ready for the page; without a mask it is shown as it is."""
    hide: Callable[[Any], Any] = mask.value if mask else _same
    raw, canonical = hide(told.raw), hide(told.canonical)
    request = hide({"request": told.facts.request, "shared": told.facts.shared})
    wrong = _wrong(told)
    kind, _, reason = told.story.state.partition(":")
    return Shown(
        story=_story(told, mask),
        state=f"{kind}: {reason}" if reason else kind,
        tone=_TONES.get(kind, "wait"),
        meaning=REASONS[reason].meaning if reason in REASONS else "",
        raw=lines(raw, {_clients(path): said for path, said in wrong.items()}) if told.raw is not None
        else _text(told, mask),
        raw_note=told.raw_note,
        canonical=lines(canonical, wrong) if canonical is not None else [],
        canonical_note=told.canonical_note,
        request=lines(request, {}) if told.facts.protocol else [],
        changes=_changes(raw, canonical),
        persons=_persons(told, source),
        next=_next(told.story),
        masked=mask is not None,
    )  # fmt: skip


def _persons(told: Told, source: EventSource) -> list[str]:
    """Return the references of the user and the visitor an event names."""
    said, known = told.raw if isinstance(told.raw, dict) else {}, told.canonical or {}
    pairs = (
        ("user", known.get("user_id") or said.get("userId")),
        ("anonymous", known.get("anonymous_id") or said.get("anonymousId")),
    )
    return [source.refer(kind, person) for kind, value in pairs if (person := as_id(value))]


def _next(story: Story) -> str:
    """Return where an event that is held back can be mended."""
    kind, _, reason = story.state.partition(":")
    if kind == "quarantined":
        return "/quarantine?" + urlencode(
            {"reason": reason, "event": story.event} if story.event else {"reason": reason}
        )
    refused = [step.station for step in story.steps if step.tone == "bad"]
    return (
        f"/quarantine?{urlencode({'destination': refused[-1]})}" if kind in ("rejected", "expired") and refused else ""
    )


_TONES = {"delivered": "good", "quarantined": "bad", "rejected": "bad", "expired": "bad", "dropped": "again",
          "unrouted": "info"}  # fmt: skip


def _document(told: Told, mask: Mask) -> dict[str, Any]:
    """Return the story for programs: masked, as on the page."""
    raw, canonical, request = mask.value(told.raw), mask.value(told.canonical), mask.value(told.facts.request)
    story = msgspec.to_builtins(_story(told, mask))
    return {**story, "raw": raw, "canonical": canonical, "request": request, "wrong": _wrong(told)}


def _story(told: Told, mask: Mask | None) -> Story:
    """Return the story; what is quoted in it may hold what is masked elsewhere."""
    if mask is None:
        return told.story
    steps = [
        msgspec.structs.replace(step, words=step.words.replace(step.quote, mask.text(step.quote)), quote=mask.text(step.quote))
        if step.quote
        else step
        for step in told.story.steps
    ]  # fmt: skip
    called: str = mask.value({"messageId": told.story.message_id})["messageId"]
    return msgspec.structs.replace(told.story, steps=steps, detail=mask.text(told.story.detail), message_id=called)


def _text(told: Told, mask: Mask | None) -> list[Line]:
    """Return bytes that are no JSON: masked, nothing of them can be shown."""
    if not told.raw_text:
        return []
    if mask:
        return [Line(f"•••• ({len(told.raw_text):,} characters that are not JSON)")]
    return [Line(line) for line in told.raw_text[:20_000].splitlines()[:500]]


def _wrong(told: Told) -> dict[str, str]:
    """Return what is wrong with an event, by path in the canonical event."""
    if told.canonical and told.canonical.get("violations"):
        pairs: Sequence[tuple[str, str]] = [(each["path"], each["message"]) for each in told.canonical["violations"]]
    elif told.story.state.startswith("quarantined"):
        pairs = [
            (path, said)
            for path, colon, said in (part.partition(": ") for part in told.story.detail.split("; "))
            if colon
        ]
    else:
        pairs = []
    inside = "traits" if told.story.type in ("identify", "group") else "properties"
    return {_placed(path, inside): said for path, said in pairs if path}  # fmt: skip


def _placed(path: str, inside: str) -> str:
    """Return a violation's path from the root of the event: plans speak of what lies inside properties or traits."""
    first = path.partition(".")[0].partition("[")[0]
    return path if first in _ROOTED else f"{inside}.{path}"


def _clients(path: str) -> str:
    """Return the same path in the client's own words."""
    first, dot, rest = path.partition(".")
    names = {ours: theirs for theirs, ours in _CLIENTS.items()}
    return f"{names.get(first, first)}{dot}{rest}"


def _changes(raw: Any, canonical: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """Return where the canonical event says something else than its client did."""
    if not isinstance(raw, dict) or canonical is None:
        return []
    before = {ours: raw.get(theirs) for theirs, ours in _CLIENTS.items()}
    for name in _OBJECTS:
        before[name] = before[name] if isinstance(before[name], dict) else {}
    after = {ours: canonical.get(ours) for ours in _CLIENTS.values()}
    return [(path, _brief(was), _brief(now)) for path, was, now in differences(before, after)]


def _brief(value: Any) -> str:
    return "" if value is None else compact(value)


def _same(value: Any) -> Any:
    return value
