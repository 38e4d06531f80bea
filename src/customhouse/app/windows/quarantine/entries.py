"""Single events that are held back, whoever holds them: walked newest first, found by reference, shown whole."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from customhouse.app.workspace import Workspace
from customhouse.console.pages.quarantine_data import Choice, Fits
from customhouse.delivery.settle import marks, rejected, rejected_among
from customhouse.model.contracts import State
from customhouse.model.frames import HeldEvent, Quarantined
from customhouse.model.reasons import REASONS
from customhouse.pipeline.quarantine import find, held
from customhouse.state.embedded import EmbeddedState
from customhouse.wire.ids import hex_id, id_bytes


class Holders(Struct, frozen=True):
    """The two states in which events are held back, open for reading, and where their owners take jobs."""

    workspace: Workspace
    pipeline: State
    delivery: State


class Entry(Struct, frozen=True, kw_only=True):
    """One event that is held back."""

    id: str
    at: int
    source: str
    type: str
    event: str
    message_id: str
    reason: str
    detail: str
    destination: str
    plan_release: int
    library: str

    @property
    def label(self) -> str:
        """What the event is called: its name, or its type where it has none."""
        return self.event or self.type

    @property
    def ref(self) -> str:
        """How the event is named, with the destination that refused it."""
        return f"{self.id}@{self.destination}" if self.destination else self.id


@contextmanager
def holders(workspace: Workspace) -> Iterator[Holders]:
    """Open both states for reading, for one thread. Raises Unavailable, Broken."""
    pipeline = EmbeddedState(workspace.state("pipeline"), readonly=True)
    try:
        delivery = EmbeddedState(workspace.state("delivery"), readonly=True)
        try:
            yield Holders(workspace, pipeline, delivery)
        finally:
            delivery.close()
    finally:
        pipeline.close()


def entries(states: Holders, fits: Fits) -> Iterator[Entry]:
    """Walk everything that is held back and fits, newest first, a page at a time."""
    quarantined: Iterable[Entry] = () if fits.destination else map(of_pipeline, held(states.pipeline))
    refused = map(of_delivery, rejected(states.delivery, fits.destination))
    for entry in merge(quarantined, refused, key=attrgetter("id"), reverse=True):
        if fits.takes(entry.reason, entry.label, entry.source, entry.destination):
            yield entry


def named(states: Holders, refs: Sequence[str]) -> list[Entry]:
    """Return the events of these references that are held back, each once."""
    return [of_pipeline(one) if isinstance(one, Quarantined) else of_delivery(one) for one in whole(states, refs)]


def whole(states: Holders, refs: Sequence[str]) -> list[Quarantined | HeldEvent]:
    """Return the events of these references with everything that is kept of them; an id alone means every holder."""
    split = [ref.partition("@") for ref in dict.fromkeys(refs)]
    pairs = [(parsed, lane, bool(at)) for text, at, lane in split if (parsed := id_bytes(text))]
    found: list[Quarantined | HeldEvent] = [*find(states.pipeline, [each for each, _, at in pairs if not at])]
    lanes = sorted({lane for lane, _ in marks(states.delivery)} | {lane for _, lane, at in pairs if at})
    for lane in lanes:
        found += rejected_among(states.delivery, lane, [each for each, at, exact in pairs if not exact or at == lane])
    return found


def chosen(states: Holders, choice: Choice) -> Iterator[Entry]:
    """Walk the events a choice is about."""
    found = named(states, choice.refs) if choice.refs else entries(states, choice.fits)
    yield from (entry for entry in found if not choice.upto or entry.id <= choice.upto)


def of_pipeline(one: Quarantined) -> Entry:
    """Return an event the pipeline holds."""
    return Entry(
        id=hex_id(one.id), at=one.envelope.received_at, source=one.source, type=one.type, event=one.name,
        message_id=one.message_id, reason=one.reason, detail=one.detail, destination="",
        plan_release=one.versions.plan, library=one.library,
    )  # fmt: skip


def of_delivery(one: HeldEvent) -> Entry:
    """Return an event a destination refused."""
    event = one.event
    return Entry(
        id=hex_id(event.id), at=event.received_at, source=event.source, type=event.type, event=event.name,
        message_id=event.message_id, reason=one.reason, detail=one.answer, destination=one.lane,
        plan_release=event.plan_release, library="",
    )  # fmt: skip


def shown(one: Quarantined | HeldEvent) -> dict[str, Any]:
    """Return one event whole as plain data, with what to do about it."""
    remedy = REASONS[one.reason].remedy if one.reason in REASONS else ""
    if isinstance(one, Quarantined):
        entry = msgspec.to_builtins(of_pipeline(one))
        more = {"stage": one.stage, "remedy": remedy, "protocol": one.envelope.protocol, "original": _original(one)}
        return {**entry, **more}
    return {**msgspec.to_builtins(of_delivery(one)), "attempts": one.attempts, "remedy": remedy, **_parts(one)}


def text_of(one: Quarantined | HeldEvent) -> str:
    """Return the event's own text: the client's bytes, or what was made of them where a destination refused it."""
    if isinstance(one, Quarantined):
        return one.envelope.letters[0].body.decode("utf-8", "replace")
    event = one.event
    said = {"type": event.type, "event": event.name, "messageId": event.message_id,
            "userId": event.user_id, "anonymousId": event.anonymous_id, **_parts(one)}  # fmt: skip
    return msgspec.json.encode({name: value for name, value in said.items() if value}).decode()


def _original(one: Quarantined) -> Any:
    body = one.envelope.letters[0].body
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return body.decode("utf-8", "replace")


def _parts(one: HeldEvent) -> dict[str, Any]:
    return {name: msgspec.Raw(getattr(one.event, name)) for name in ("properties", "traits", "context")}
