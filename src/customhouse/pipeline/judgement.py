"""
From a batch to its owed frame: read the letters, walk the events, and write down what that makes of every one of them.

Pure, given the clock's word: the same batch, road and `now` make the same frame, byte for byte.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from msgspec import MsgspecError, Raw, Struct, json

from customhouse.model.contracts import Remembering, Stage, WireProtocol
from customhouse.model.envelope import Envelope, Letter, event_id
from customhouse.model.event import Event
from customhouse.model.frames import QUARANTINE, OwedFrame, OwedRecord, Quarantined, TrailRow, encode
from customhouse.model.outcome import Drop, Outcome, Quarantine, Scope, Versions
from customhouse.model.posting import COPIES, HOUR, LOGGED, RECEIVED, REPLAYED, UNROUTED, Tally
from customhouse.model.posting import dropped as dropped_account
from customhouse.model.posting import owed as owed_account
from customhouse.model.posting import quarantined as quarantined_account
from customhouse.pipeline.batch import Batch
from customhouse.pipeline.walk import Observe, Verdict, walk

READING = "reading"
"""The station before the first stage: making an event of the client's bytes."""


class Road(Struct, frozen=True):
    """What a batch is judged with: the stages in their order, the protocols that read, the versions of all that."""

    stages: tuple[Stage, ...]
    protocols: Mapping[str, WireProtocol]
    versions: Versions


class Judged(Struct, frozen=True, gc=False):
    """One letter with everything that is known of it after the walk."""

    envelope: Envelope
    letter: Letter
    position: int
    event: Event | None
    """As read, before the walk; None when it could not be read."""
    verdict: Verdict


def judge(batch: Batch, road: Road, now: int, totals: Mapping[str, int], observe: Observe) -> OwedFrame:
    """Judge a batch and return its owed frame. `totals` are the copies owed before it, by destination."""
    return _frame(batch, road, now, totals, _read(batch, road.protocols), observe)


def condemn(batch: Batch, road: Road, now: int, totals: Mapping[str, int], why: str) -> OwedFrame:
    """Return the frame that quarantines every event of a batch unread, because it cannot even be judged."""
    poison = Quarantine("poison", why)
    read = [
        (parcel.envelope, letter, position, poison)
        for parcel in batch.parcels
        for letter, position in zip(parcel.letters, parcel.positions, strict=True)
    ]
    return _frame(batch, road, now, totals, read, lambda *_: None)


def _frame(
    batch: Batch, road: Road, now: int, totals: Mapping[str, int], read: Sequence["_Read"], observe: Observe
) -> OwedFrame:
    events = [event for _, _, _, event in read if isinstance(event, Event)]
    scope = Scope(now, road.versions)
    verdicts = iter(walk(road.stages, events, scope, observe))
    judged: list[Judged] = []
    outcomes: list[Outcome] = []
    for envelope, letter, position, event in read:
        if isinstance(event, Event):
            verdict = next(verdicts)
            outcomes.append(verdict.outcome)
            judged.append(Judged(envelope, letter, position, event, verdict))
        else:
            judged.append(Judged(envelope, letter, position, None, Verdict(event, READING)))
    memory = {
        stage.name: stage.learn(events, outcomes, scope) for stage in road.stages if isinstance(stage, Remembering)
    }
    tally, running = Tally(batch.postings), dict(totals)
    for routes, count in _book(judged, road.stages, tally, REPLAYED if batch.origin == QUARANTINE else RECEIVED):
        for name in routes:
            running[name] = running.get(name, 0) + count
    return OwedFrame(
        format=1,
        origin=batch.origin,
        partition=batch.partition,
        first=batch.first,
        last=batch.last,
        total=batch.total,
        now=now,
        versions=road.versions,
        postings=tally.postings(),
        memory=memory,
        totals=running,
        trail=[_trail_row(one) for one in judged],
        quarantined=[_quarantined(one, batch.partition, road.versions, now) for one in judged if _in_quarantine(one)],
        owed=[OwedRecord(event.routes, Raw(encode(event))) for event in _events(outcomes) if event.routes],
        left_quarantine=batch.left_quarantine,
    )


_Read = tuple[Envelope, Letter, int, Event | Quarantine]


def _read(batch: Batch, protocols: Mapping[str, WireProtocol]) -> list[_Read]:
    """Read every letter of the batch into an event, or the reason why it is none."""
    read: list[_Read] = []
    for envelope, letters, positions in ((p.envelope, p.letters, p.positions) for p in batch.parcels):
        protocol = protocols.get(envelope.protocol)
        if protocol is None:
            nobody = Quarantine("event_unreadable", f"no protocol named {envelope.protocol} is installed")
            events: Sequence[Event | Quarantine] = [nobody] * len(letters)
        else:
            events = protocol.read(envelope, letters, positions)
        read.extend((envelope, *each) for each in zip(letters, positions, events, strict=True))
    return read


def _book(
    judged: list[Judged], stages: Sequence[Stage], tally: Tally, entrance: str
) -> list[tuple[tuple[str, ...], int]]:
    """Move every event from its entrance through the stations it passed to where it ended; return who is owed how many."""
    order = {stage.name: at for at, stage in enumerate(stages)}
    stations = [LOGGED, *order]
    groups: dict[tuple[str, int, str, str, tuple[str, ...]], int] = {}
    for one in judged:
        outcome, envelope = one.verdict.outcome, one.envelope
        routes = outcome.routes if type(outcome) is Event else ()
        end = "" if routes else _account(outcome)
        group = (envelope.source, envelope.received_at // HOUR, one.verdict.stage, end, routes)
        groups[group] = groups.get(group, 0) + 1
    for (source, hour, stage, end, routes), count in groups.items():
        passed = order.get(stage, -1) + 1
        way = [entrance, *stations[: passed + 1], *([end] if end else [])]
        for moved_from, moved_to in pairwise(way):
            tally.move(source, hour, moved_from, moved_to, count)
        for name in routes:
            tally.move(source, hour, stations[passed], owed_account(name), count)
        tally.move(source, hour, COPIES, stations[passed], count * max(0, len(routes) - 1))
    return [(routes, count) for (*_, routes), count in groups.items()]


def _account(outcome: Outcome) -> str:
    """Return the account an outcome ends in of which no copies are owed."""
    if isinstance(outcome, Drop):
        return dropped_account(outcome.reason)
    if isinstance(outcome, Quarantine):
        return quarantined_account(outcome.reason)
    return UNROUTED


def _events(outcomes: list[Outcome]) -> Iterator[Event]:
    return (outcome for outcome in outcomes if type(outcome) is Event)


def _in_quarantine(one: Judged) -> bool:
    return isinstance(one.verdict.outcome, Quarantine)


def _trail_row(one: Judged) -> TrailRow:
    """Pack what the pipeline did with one event."""
    outcome, stage = one.verdict.outcome, one.verdict.stage
    if isinstance(outcome, Event):
        return _row(outcome, "routed" if outcome.routes else UNROUTED, stage, "", outcome.flags)
    event, envelope = one.event, one.envelope
    fate, detail = _account(outcome), outcome.detail
    flags = outcome.flags if isinstance(outcome, Drop) else ()
    if event is None:
        called = outcome if isinstance(outcome, Quarantine) else Quarantine("")
        return TrailRow(
            event_id(envelope.id, one.letter.nth), one.position, called.message_id, envelope.source, called.type,
            called.name, envelope.received_at, envelope.received_at, None, fate, stage, detail, (), "", (),
        )  # fmt: skip  # one line of fields reads better than fifteen
    return _row(event, fate, stage, detail, event.flags + flags)


def _row(event: Event, fate: str, stage: str, detail: str, flags: tuple[str, ...]) -> TrailRow:
    return TrailRow(
        event.id, event.position, event.message_id, event.source, event.type, event.name, event.received_at,
        event.occurred_at or event.received_at, event.original_at, fate, stage, detail, flags,
        event.schema_version, event.routes,
    )  # fmt: skip  # as above


def _quarantined(one: Judged, partition: int, versions: Versions, now: int) -> Quarantined:
    """Keep one event whole: the client's own bytes under the facts of its receipt."""
    event, envelope, outcome = one.event, one.envelope, one.verdict.outcome
    alone = Envelope(
        id=envelope.id, source=envelope.source, protocol=envelope.protocol, route=envelope.route,
        received_at=envelope.received_at, sent_at=envelope.sent_at, shared=envelope.shared, facts=envelope.facts,
        letters=[one.letter], consent=envelope.consent,
    )  # fmt: skip
    assert isinstance(outcome, Quarantine)  # noqa: S101  # the caller chose it for that
    return Quarantined(
        id=event_id(envelope.id, one.letter.nth),
        partition=partition,
        position=one.position,
        at=now,
        source=envelope.source,
        type=event.type if event else outcome.type,
        name=event.name if event else outcome.name,
        message_id=event.message_id if event else outcome.message_id,
        stage=one.verdict.stage,
        reason=outcome.reason,
        detail=outcome.detail,
        versions=versions,
        envelope=alone,
        library=_library(event.context) if event else "",
    )


class _Library(Struct, frozen=True):
    name: str = ""
    version: str = ""


class _Context(Struct, frozen=True):
    library: _Library = _Library()


_context = json.Decoder(_Context)


def _library(context: bytes) -> str:
    """Return the client library's name and version, bounded; empty when the context does not say."""
    try:
        library = _context.decode(context).library
    except MsgspecError:
        return ""
    return f"{library.name} {library.version}".strip()[:100]
