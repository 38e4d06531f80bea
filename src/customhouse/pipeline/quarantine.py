"""
Out of quarantine: replay takes events down the road again, discard ends them. Each is an owed frame like any other.

The frame says at once that an event left quarantine and what became of it, so a crash in between can neither lose it
nor send it twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct, structs

from customhouse.model.contracts import State
from customhouse.model.envelope import Envelope, Letter
from customhouse.model.frames import QUARANTINE, OwedFrame, Quarantined, TrailRow
from customhouse.model.outcome import Versions
from customhouse.model.posting import HOUR, REPLAYED, Tally, dropped, quarantined
from customhouse.pipeline.batch import Batch, Parcelled
from customhouse.pipeline.settle import QUARANTINED

_decode = msgspec.msgpack.Decoder(Quarantined).decode
_PAGE = 1000
MOST_EVENTS = 2_000
"""Events one job may name."""
MOST_BYTES = 8 * 1024 * 1024
"""Bytes all repaired bodies of one job may have together."""


class Asked(Struct, frozen=True):
    """A job about quarantined events, read and found within its bounds."""

    ids: list[bytes]
    repaired: Mapping[bytes, bytes]
    """By event id: what takes the place of the client's own bytes."""


class _Arguments(Struct, frozen=True):
    ids: list[str] = []
    repaired: dict[str, str] | str = {}
    """A text alone, as earlier releases wrote it, is for the one event named."""


def asked(arguments: Mapping[str, Any]) -> Asked | str:
    """Return what a job asks for, or in words why that cannot be done."""
    try:
        said = msgspec.convert(arguments, _Arguments)
        ids = [bytes.fromhex(each) for each in said.ids]
        bodies = said.repaired if isinstance(said.repaired, dict) else dict.fromkeys(said.ids[:1], said.repaired)
        repaired = {bytes.fromhex(each): text.encode() for each, text in bodies.items() if text}
    except (msgspec.ValidationError, ValueError):
        return "the job cannot be read; nothing was done"
    if len(ids) > MOST_EVENTS:
        return f"the job names {len(ids):,} events, at most {MOST_EVENTS:,} at a time; nothing was done"
    if sum(map(len, repaired.values())) > MOST_BYTES:
        return f"the repaired events have more than {MOST_BYTES:,} bytes together; nothing was done: repair fewer at a time"
    return Asked(ids, repaired)


def held(state: State, *, newest_first: bool = True) -> Iterator[Quarantined]:
    """Walk everything that lies in quarantine, by the time of receipt."""
    after = b""
    while page := state.scan(QUARANTINED, after=after, limit=_PAGE, newest_first=newest_first):
        yield from (_decode(value) for _, value in page)
        after = page[-1][0]


def find(state: State, ids: Iterable[bytes]) -> list[Quarantined]:
    """Return those of the ids that lie in quarantine, each once however often it is named."""
    found = (state.get(QUARANTINED, event_id) for event_id in dict.fromkeys(ids))
    return [_decode(value) for value in found if value]


def replay_batch(
    chosen: list[Quarantined], partition: int, repaired: Mapping[bytes, bytes] | None = None
) -> Batch:  # fmt: skip
    """
    Make a batch of quarantined events, each with the position it always had, for another walk.

    The door's own objection is lifted: who replays an event that was too large has decided that it is not.
    `repaired` has by event id what takes the place of the client's bytes; ids and positions stay what they were.
    """
    tally = Tally()
    parcels = []
    for one in chosen:
        body = (repaired or {}).get(one.id, one.envelope.letters[0].body)
        letter = structs.replace(one.envelope.letters[0], body=body, flaw="", replay_of=one.position)
        parcels.append(Parcelled(_with(one.envelope, letter), [letter], [one.position]))
        tally.move(one.source, one.envelope.received_at // HOUR, quarantined(one.reason), REPLAYED)
    return Batch(
        QUARANTINE, partition, parcels=parcels, postings=tally.postings(), left_quarantine=[one.id for one in chosen]
    )


def discard_frame(
    chosen: list[Quarantined], partition: int, now: int, versions: Versions, total: dict[str, int]
) -> OwedFrame:
    """Make the frame that ends quarantined events for good; they stay in the trail and in the books."""
    tally = Tally()
    for one in chosen:
        tally.move(one.source, one.envelope.received_at // HOUR, quarantined(one.reason), dropped("discarded"))
    return OwedFrame(
        format=1, origin=QUARANTINE, partition=partition, first=-1, last=-1, total=0, now=now, versions=versions,
        postings=tally.postings(), memory={}, totals=dict(total), trail=[_discarded(one) for one in chosen],
        quarantined=[], owed=[],
        left_quarantine=[one.id for one in chosen],
    )  # fmt: skip


def _discarded(one: Quarantined) -> TrailRow:
    """Return the last line of an event's trail."""
    received_at = one.envelope.received_at
    return TrailRow(
        one.id, one.position, one.message_id, one.source, one.type, one.name, received_at, received_at, None,
        dropped("discarded"), QUARANTINE, f"out of quarantined:{one.reason}", (), "", (),
    )  # fmt: skip


def _with(envelope: Envelope, letter: Letter) -> Envelope:
    """Return the envelope with this one letter in it."""
    return structs.replace(envelope, letters=[letter])
