"""
What each kind of part must do, as typing Protocols. Each has a contract test that runs on every implementation.

Hosts (`collector`, `pipeline`, `delivery`) know these words and no implementation; `app.py` brings the two together.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from msgspec import Struct

from customhouse.model.envelope import Envelope, Letter
from customhouse.model.event import Event
from customhouse.model.http import Reply, Request, Response
from customhouse.model.outcome import Outcome, Quarantine, Receipt, Scope

Fault = Callable[[str], None]
"""Called at named points of the road; does nothing, unless a chaos test hands in something worse."""


def no_fault(_point: str) -> None:
    """Be the fault hook of every ordinary day."""


class Limits(Struct, frozen=True):
    """How much the door takes. Bytes unless said otherwise; all configurable under `limits`."""

    event_bytes: int = 32 * 1024
    body_bytes: int = 4 * 1024 * 1024
    """Of the body as it arrives, still compressed."""
    inflated_bytes: int = 16 * 1024 * 1024
    inflated_ratio: int = 200
    """A body that grows more than so many times when unpacked is a bomb, once it is over one megabyte."""
    batch_events: int = 2500
    depth: int = 64
    """Levels of JSON nesting within one event."""


class Route(Struct, frozen=True):
    """One path a protocol serves. `word` is the protocol's own name of it; ingest routes end in the log."""

    method: str
    path: str
    """Without a trailing slash; the door accepts both. `{}` stands for exactly one path segment."""
    word: str
    ingest: bool = True


class Opened(Struct, frozen=True):
    """A request taken apart as far as the door needs it."""

    letters: list[Letter]
    shared: bytes = b""
    sent_at: str = ""
    write_key: str = ""
    """The key the body names, when it names one."""


class Refusal(Struct, frozen=True):
    """Why a request is not taken. `reason` is one of the documented words."""

    reason: str
    detail: str = ""
    retry_after: int = 0
    """Seconds; only for reasons that pass by themselves."""


class WireProtocol(Protocol):
    """One family of SDKs. Pure: no clock, no network, never raises on any bytes."""

    name: str
    routes: tuple[Route, ...]

    def key(self, request: Request, route: Route) -> str:
        """Return the write key that headers or query name, or an empty string."""

    def open(self, request: Request, route: Route, limits: Limits) -> Opened | Refusal:
        """Split the (already unpacked) body into letters; a faulty event becomes a flawed letter, not a refusal."""

    def read(self, envelope: Envelope, letters: Sequence[Letter], positions: Sequence[int]) -> list[Event | Quarantine]:
        """Read letters into canonical events, or say why not; one answer per letter, in order."""

    def visitor(self, opened: Opened) -> str:
        """Return the anonymous id the client goes by; empty when none of its events names one."""

    def answer(self, request: Request, route: Route, write_key: str) -> Reply:
        """Answer a route that is not ingest (settings, configuration) for a known write key; `request.base` is set."""

    def accepted(self, route: Route) -> Reply:
        """Say yes in this family's words. Exactly status 200: several SDKs take any other 2xx as a failure."""

    def refused(self, refusal: Refusal, route: Route) -> Reply:
        """Say no in this family's words."""


@runtime_checkable
class Stage(Protocol):
    """One station of the pipeline. Pure over a batch: same events and scope, same outcomes."""

    name: str
    writes: frozenset[str]
    """Names of the `Event` fields it may change."""

    def judge(self, events: Sequence[Event], scope: Scope) -> list[Outcome]:
        """Answer every event with one outcome, in order. Does not touch its inputs."""


@runtime_checkable
class Remembering(Protocol):
    """A stage with a memory between batches. What it learns travels in the owed frame, so recovery never judges anew."""

    name: str

    def learn(self, events: Sequence[Event], outcomes: Sequence[Outcome], scope: Scope) -> bytes:
        """Say what to remember of a judged batch: the events it judged, and what finally became of each."""

    def remember(self, memory: bytes) -> None:
        """Take in what `learn` said. Doing so twice, or late, does no harm."""


@runtime_checkable
class Reconsidering(Protocol):
    """A stage whose verdict on one event rests on what later stages make of another event of the same batch."""

    def reconsider(self, events: Sequence[Event], outcomes: Sequence[Outcome], scope: Scope) -> list[int]:
        """Return the places whose verdict no longer holds; the runner walks these events once more, in order."""


class PackLimits(Struct, frozen=True):
    """How much one parcel may carry."""

    events: int
    bytes: int


class Parcel(Struct, frozen=True):
    """One HTTP request to a destination, and the events it carries."""

    events: tuple[Event, ...]
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        """Name sizes only: headers may hold secrets and the body personal data."""
        return f"Parcel(events={len(self.events)}, body={len(self.body)} bytes)"


class Destination(Protocol):
    """One service events are sent to. Pure: it packs requests and weighs answers; the lane does the sending."""

    limits: PackLimits

    def pack(self, events: Sequence[Event], now: int) -> Iterator[Parcel]:
        """Put every event into exactly one parcel, in order, within the limits. Same events, same parcels."""

    def weigh(self, parcel: Parcel, response: Response) -> list[Receipt]:
        """Say what the answer means for each event of the parcel, in order."""


class Loaded(Struct, frozen=True):
    """The last batch a warehouse holds of one partition, and what was written beside it."""

    upto: int
    note: bytes
    version: int


class Warehouse(Protocol):
    """A place that takes rows in bulk and loads each batch exactly once."""

    def last(self, partition: int) -> Loaded | None:
        """Return the last batch loaded from a partition, or None before the first."""

    def load(self, events: Sequence[Event], partition: int, upto: int, note: bytes) -> Loaded:
        """Load a batch that ends at position `upto`, its note beside it, in one commit. Raises Unavailable."""

    def tend(self) -> None:
        """Do what keeps the next load as cheap as the first: compact, checkpoint, clean."""


class Frame(Struct, frozen=True):
    """One piece of the log: written in one go, durable or absent."""

    base: int
    """Position of its first record. Its records are `base .. base + count - 1`."""
    count: int
    total: int
    """Records in this partition before this frame, since the log began."""
    at: int
    body: bytes

    @property
    def last(self) -> int:
        """Return its last position; an empty frame takes up one position of its own."""
        return self.base + max(self.count, 1) - 1


class Log(Protocol):
    """
    Topics of partitions of frames. Durable when `append` returns; any number of readers.

    A position is a 64-bit number that only grows within a partition. Nothing else may be assumed of it: the embedded
    log counts records, Kafka's is built from the offset of the message that carries the frame.
    """

    def append(self, topic: str, partition: int, body: bytes, count: int, at: int, key: bytes = b"") -> Frame:
        """Write one frame and return it when it is durable. One writer per partition. Raises Unavailable."""

    def read(self, topic: str, partition: int, *, after: int, limit: int) -> list[Frame]:
        """Return the frames that hold positions greater than `after`, oldest first, up to about `limit` bytes."""

    def last(self, topic: str, partition: int) -> Frame | None:
        """Return the newest frame, or None while there is none."""

    def partitions(self, topic: str) -> list[int]:
        """Return the partitions of a topic that exist, in order."""

    def retain(self, topic: str, partition: int, *, floor: int, before: int, size: int) -> list["Removed"]:
        """
        Remove old frames: those written before the time `before`, or beyond `size` bytes in all, oldest first.

        Never removes anything after position `floor` (what the slowest reader has), never the newest frame.
        Says what it removed, so that it can be booked.
        """

    def close(self) -> None:
        """Let go of files; what was appended stays."""


class Removed(Struct, frozen=True, array_like=True):
    """A stretch of log that retention removed."""

    topic: str
    partition: int
    first: int
    last: int
    records: int
    size: int


class Transaction(Protocol):
    """Writes that become visible together or not at all."""

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Set a value."""

    def delete(self, table: str, key: bytes) -> None:
        """Remove a value, if it is there."""

    def add(self, table: str, key: bytes, delta: int) -> None:
        """Add to a counter, which starts at zero."""


class State(Protocol):
    """A small ordered store of one owner process: values and counters in named tables. Others read it, none writes."""

    def moment(self) -> AbstractContextManager[None]:
        """Hold one moment: everything read inside the `with` is as it was at its beginning."""

    def settle(self) -> AbstractContextManager[Transaction]:
        """Open a transaction: all of it happens at the end of the `with`, or nothing."""

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return a value."""

    def scan(
        self, table: str, *, prefix: bytes = b"", after: bytes = b"", limit: int = 1000, newest_first: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """Return values in key order (or reversed), from behind `after`, those whose key starts with `prefix`."""

    def count(self, table: str) -> int:
        """Return how many values a table holds."""

    def counters(self, table: str) -> dict[bytes, int]:
        """Return all counters of a table."""

    def close(self) -> None:
        """Let go of the file."""
