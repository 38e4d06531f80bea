"""
What stands in the log: three topics, one kind of frame each. A frame is written in one piece and is durable or absent.

    received   the door's commit group: the envelopes, and what the door refused since its last frame
    owed       the pipeline's batch: its postings, one trail row per input event, who is owed what
    receipts   a lane's batch: its postings, what the destination answered, how far the lane has come

A process that crashed reads the frames its state has not seen and settles them: nothing is judged or sent anew for
what a frame already says. Every frame starts with its format; a reader refuses one it does not know.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from customhouse.model.envelope import Envelope
from customhouse.model.event import Event
from customhouse.model.outcome import Versions
from customhouse.model.posting import Posting

RECEIVED_TOPIC = "received"
OWED_TOPIC = "owed"
RECEIPTS_TOPIC = "receipts"
QUARANTINE = "quarantine"
"""Not a topic, but the other place a batch can come from: events on their way out of quarantine."""


class DoorFrame(Struct, frozen=True, array_like=True):
    """One commit group of the door."""

    format: Literal[1]
    config: int
    postings: list[Posting]
    """What the door refused since its last frame: `received → refused:<reason>`."""
    envelopes: list[Envelope]


class TrailRow(Struct, frozen=True, array_like=True, gc=False):
    """What the pipeline did with one input event, packed. Words for people are made from it when somebody asks."""

    id: bytes
    position: int
    message_id: str
    source: str
    type: str
    name: str
    received_at: int
    occurred_at: int
    original_at: int | None
    fate: str
    """The account it ended in: `routed`, `unrouted`, `dropped:<reason>` or `quarantined:<reason>`."""
    stage: str
    """The stage that decided its fate."""
    detail: str
    flags: tuple[str, ...]
    schema_version: str
    routes: tuple[str, ...]


class Quarantined(Struct, frozen=True, array_like=True):
    """One event kept whole: enough to understand it, to repair it and to send it down the road again."""

    id: bytes
    partition: int
    position: int
    at: int
    source: str
    type: str
    name: str
    message_id: str
    stage: str
    reason: str
    detail: str
    versions: Versions
    envelope: Envelope
    """With exactly one letter: the client's own bytes."""
    library: str = ""
    """Name and version of the client library, when the event says so."""


class OwedRecord(Struct, frozen=True, array_like=True, gc=False):
    """One event that somebody is owed. The names stand outside so that a lane skips what is not its own undecoded."""

    routes: tuple[str, ...]
    event: msgspec.Raw
    """An `Event` as MessagePack; see `decode_event`."""


class OwedFrame(Struct, frozen=True, array_like=True):
    """One batch of the pipeline: the judgement itself, which recovery settles and never repeats."""

    format: Literal[1]
    origin: str
    """Where the batch came from: the topic `received`, or `quarantine`."""
    partition: int
    first: int
    last: int
    """Positions of `received`, both included, which this frame settles; -1 for a batch out of quarantine."""
    total: int
    """Events of that partition read since the log began, this batch included: the door's own count of them."""
    now: int
    versions: Versions
    postings: list[Posting]
    memory: dict[str, bytes]
    """By stage: what it must remember, in its own form; applying it twice does no harm."""
    totals: dict[str, int]
    """By destination: copies owed since the books began, this frame included. A second count to hold the lanes to."""
    trail: list[TrailRow]
    quarantined: list[Quarantined]
    owed: list[OwedRecord]
    left_quarantine: list[bytes] = []
    """Ids of the events that are in quarantine no longer: replayed by this frame, or discarded."""


class ReceiptRow(Struct, frozen=True, array_like=True):
    """
    What a destination answered. With an empty `id` it holds for every event the lane was owed in `first..last`.

    An event that was answered differently has a row of its own, which wins.
    """

    lane: str
    partition: int
    first: int
    last: int
    id: bytes
    verdict: str
    """`delivered`, `rejected` or `expired`; `retry` for an attempt that must be made again."""
    reason: str
    answer: str
    """The destination's own words, cut to a bounded length, without secrets."""
    at: int
    attempts: int


class HeldEvent(Struct, frozen=True, array_like=True):
    """An event a lane keeps apart from its stream: in retry by itself, or rejected and waiting for somebody."""

    lane: str
    partition: int
    position: int
    """Its position in `owed`."""
    event: Event
    attempts: int
    first_tried_at: int
    due_at: int
    reason: str
    answer: str


class ReceiptFrame(Struct, frozen=True, array_like=True):
    """One settled step of a lane."""

    format: Literal[1]
    lane: str
    partition: int
    upto: int
    """The last position of `owed` the lane has dealt with in this partition; it only grows."""
    at: int
    postings: list[Posting]
    rows: list[ReceiptRow]
    retrying: list[HeldEvent]
    """Events newly set aside for a retry of their own."""
    rejected: list[HeldEvent]
    """Events that go to quarantine with the destination's answer."""
    resolved: list[bytes]
    """Ids of formerly retrying events that are now settled one way or the other."""
    seen: int = 0
    """Copies owed to the lane in this partition up to `upto`, as `OwedFrame.totals` counts: what shows a gap."""
    taken: list[bytes] = []
    """Ids of the lane's rejected events that are rejected no longer: replayed, or discarded."""
    config: int = 0
    """Number of the configuration the lane worked under."""


_encoder = msgspec.msgpack.Encoder()
_door = msgspec.msgpack.Decoder(DoorFrame)
_owed = msgspec.msgpack.Decoder(OwedFrame)
_receipt = msgspec.msgpack.Decoder(ReceiptFrame)
_event = msgspec.msgpack.Decoder(Event)

encode = _encoder.encode
"""Any frame, event or part of one as MessagePack."""
decode_door = _door.decode
decode_owed = _owed.decode
decode_receipt = _receipt.decode
decode_event = _event.decode
