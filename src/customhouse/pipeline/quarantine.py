"""
Out of quarantine: replay takes events down the road again, discard ends them. Each is an owed frame like any other.

The frame says at once that an event left quarantine and what became of it, so a crash in between can neither lose it
nor send it twice.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import structs

from customhouse.model.contracts import State
from customhouse.model.envelope import Envelope, Letter
from customhouse.model.frames import QUARANTINE, OwedFrame, Quarantined, TrailRow
from customhouse.model.outcome import Versions
from customhouse.model.posting import HOUR, REPLAYED, Tally, dropped, quarantined
from customhouse.pipeline.batch import Batch, Parcelled
from customhouse.pipeline.settle import QUARANTINED

_decode = msgspec.msgpack.Decoder(Quarantined).decode
_PAGE = 1000


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


def replay_batch(chosen: list[Quarantined], partition: int, repaired: bytes | None = None) -> Batch:
    """
    Make a batch of quarantined events, each with the position it always had, for another walk.

    The door's own objection is lifted: who replays an event that was too large has decided that it is not.
    `repaired` takes the place of the client's bytes; only for a single event.
    """
    tally = Tally()
    parcels = []
    for one in chosen:
        body = repaired if repaired is not None else one.envelope.letters[0].body
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
