"""
Counting what is held back by group, an hour of receipt at a time, so that only what changed is counted again.

The books say for every hour how many events went into quarantine and came out of it. Where nothing moved, nothing is
read. Where events only came, reading goes on behind the last one; where some left, the hour is read anew. Ids carry
the time of receipt, so an hour is one stretch of the state's keys.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby

import msgspec
from msgspec import Raw, Struct

from customhouse.console.pages.quarantine_data import OTHER
from customhouse.delivery.settle import REJECTED
from customhouse.model.contracts import State
from customhouse.model.outcome import Versions
from customhouse.model.posting import HOUR, Posting
from customhouse.pipeline.settle import QUARANTINED
from customhouse.wire.ids import hex_id

_PAGE = 250
_TELL = 5000
"""Events after which pages see how far the count is."""
_BREATH = 0.0005
_STRIDE = 100
"""Seconds of rest after so many events: requests need the interpreter several times, and wait for a stride each time."""
_NAMES = 5000
"""Groups told apart; the events of further names share one."""
_VARIETY = 12
"""Libraries and releases told of a group."""


class Brief(Struct, frozen=True):
    """What counting needs of one event."""

    id: bytes
    at: int
    key: tuple[str, str, str, str]
    """Reason, event, destination, source."""
    release: int
    library: str


class Sum(Struct):
    """The events of one reason, event, destination and source."""

    count: int = 0
    first: int = 0
    last: int = 0
    newest: bytes = b""
    libraries: set[str] = msgspec.field(default_factory=set)
    releases: set[int] = msgspec.field(default_factory=set)

    def add(self, one: Brief) -> None:
        """Count one more."""
        self.first = min(self.first, one.at) if self.count else one.at
        self.last = max(self.last, one.at)
        self.newest = max(self.newest, one.id)
        self.count += 1
        if one.library and len(self.libraries) < _VARIETY:
            self.libraries.add(one.library)
        if len(self.releases) < _VARIETY:
            self.releases.add(one.release)

    def merge(self, other: "Sum") -> None:
        """Count what another sum counted."""
        self.first = min(self.first, other.first) if self.count else other.first
        self.last = max(self.last, other.last)
        self.newest = max(self.newest, other.newest)
        self.count += other.count
        self.libraries |= other.libraries
        self.releases |= other.releases


Sums = dict[tuple[str, str, str, str], Sum]


class _Bucket(Struct):
    """The events of one hour."""

    moved: tuple[int, int] | None = None
    """How many came and left ever, when this was read; None when the books know nothing of this hour."""
    after: bytes = b""
    count: int = 0
    sums: Sums = {}


class Holder(Struct, frozen=True):
    """One of the two tables in which events are held: where it lies, how its rows are read, which accounts are its own."""

    table: str
    brief: Callable[[bytes], Brief]
    account: str


class Buckets:
    """The count of one table."""

    def __init__(self, holder: Holder, names: set[tuple[str, str, str]]) -> None:
        """Start with nothing counted; `names` are the groups known so far, shared between tables."""
        self._holder = holder
        self._names = names
        self._hours: dict[int, _Bucket] = {}
        self.expected = 0
        self._astray = False
        self._read_since = 0
        self._rebuilt_for: dict[int, tuple[int, int]] | None = None

    @property
    def counted(self) -> int:
        """Return how many events are in the count."""
        return sum(bucket.count for bucket in self._hours.values())

    def look(self, state: State, postings: Iterable[Posting], tell: Callable[[], None]) -> None:
        """Bring the count up to the books. `tell` is called now and then meanwhile. Raises Unavailable."""
        moved = self._moved(postings)
        self.expected = sum(came - left for came, left in moved.values())
        tell()
        if not self._astray:
            self._follow(state, moved, tell)
        # An id lies in another hour than the books say when a clock was set. Then every change is read from the start.
        if (self._astray or self.counted != self.expected) and self._rebuilt_for != moved:
            self._rebuilt_for = moved
            self._rebuild(state, moved, tell)

    def sums(self) -> Iterator[tuple[tuple[str, str, str, str], Sum]]:
        """Yield every sum of every hour."""
        for bucket in list(self._hours.values()):
            yield from bucket.sums.items()

    def _follow(self, state: State, moved: Mapping[int, tuple[int, int]], tell: Callable[[], None]) -> None:
        """Read the hours in which something moved."""
        for hour, (came, left) in sorted(moved.items()):
            bucket = self._hours.get(hour)
            if came == left:
                self._hours.pop(hour, None)
            elif bucket is None or bucket.moved != (came, left):
                self._hours[hour] = self._read(state, hour, (came, left), bucket, tell)

    def _moved(self, postings: Iterable[Posting]) -> dict[int, tuple[int, int]]:
        """Return by hour how many events came into this table and left it, ever."""
        found: dict[int, tuple[int, int]] = {}
        for p in postings:
            came = p.count if p.moved_to.startswith(self._holder.account) else 0
            left = p.count if p.moved_from.startswith(self._holder.account) else 0
            if came or left:
                before = found.get(p.hour, (0, 0))
                found[p.hour] = (before[0] + came, before[1] + left)
        return found

    def _read(
        self, state: State, hour: int, moved: tuple[int, int], known: _Bucket | None, tell: Callable[[], None]
    ) -> _Bucket:
        """Return an hour's bucket: the known one with what came behind it, or one that is read from the start."""
        if known is not None and known.moved is not None and known.moved[1] == moved[1]:
            self._fill(state, known, hour, tell)
            if known.count == moved[0] - moved[1]:
                known.moved = moved
                return known
        fresh = self._hours[hour] = _Bucket(moved, _key(hour), 0, {})
        self._fill(state, fresh, hour, tell)
        return fresh

    def _fill(self, state: State, bucket: _Bucket, hour: int, tell: Callable[[], None]) -> None:
        end = _key(hour + 1)
        for key, one in self._rows(state, bucket.after):
            if key >= end:
                return
            self._add(bucket, key, one, tell)

    def _rebuild(self, state: State, moved: Mapping[int, tuple[int, int]], tell: Callable[[], None]) -> None:
        self._hours, self._astray = {}, False
        for hour, rows in groupby(self._rows(state, b""), lambda row: _hour(row[0])):
            bucket = self._hours[hour] = _Bucket(moved.get(hour), _key(hour), 0, {})
            for key, one in rows:
                self._add(bucket, key, one, tell)

    def _rows(self, state: State, after: bytes) -> Iterator[tuple[bytes, Brief]]:
        while page := state.scan(self._holder.table, after=after, limit=_PAGE):
            for start in range(0, len(page), _STRIDE):
                yield from ((key, self._holder.brief(value)) for key, value in page[start : start + _STRIDE])
                time.sleep(_BREATH)
            after = page[-1][0]

    def _add(self, bucket: _Bucket, key: bytes, one: Brief, tell: Callable[[], None]) -> None:
        reason, event, destination, source = one.key
        self._astray = self._astray or one.at // HOUR != _hour(key)
        if (reason, event, destination) not in self._names:
            if len(self._names) < _NAMES:
                self._names.add((reason, event, destination))
            else:
                event = OTHER
        place = (reason, event, destination, source)
        found = bucket.sums.get(place)
        if found is None:
            found = bucket.sums[place] = Sum()
        found.add(one)
        bucket.after, bucket.count = key, bucket.count + 1
        self._read_since += 1
        if self._read_since % _TELL == 0:
            tell()


def _key(hour: int) -> bytes:
    """Return the lowest id of an hour."""
    return max(0, hour * HOUR // 1000).to_bytes(6) + bytes(10)


def _hour(key: bytes) -> int:
    """Return the hour of an id."""
    return int.from_bytes(key[:6]) * 1000 // HOUR


class _Envelope(Struct, array_like=True):
    """The first fields of `model.envelope.Envelope`, as far as counting needs them."""

    id: Raw
    source: Raw
    protocol: Raw
    route: Raw
    received_at: int


class _Quarantined(Struct, array_like=True):
    """The fields of `model.frames.Quarantined`, the client's bytes unread."""

    id: bytes
    partition: int
    position: int
    at: int
    source: str
    type: str
    name: str
    message_id: Raw
    stage: Raw
    reason: str
    detail: Raw
    versions: Versions
    envelope: _Envelope
    library: str = ""


class _Event(Struct, array_like=True):
    """The first fields of `model.event.Event`, as far as counting needs them."""

    id: bytes
    position: int
    source: str
    protocol: str
    type: str
    name: str
    message_id: Raw
    user_id: Raw
    anonymous_id: Raw
    group_id: Raw
    previous_id: Raw
    received_at: int


class _Refused(Struct, array_like=True):
    """The fields of `model.frames.HeldEvent`."""

    lane: str
    partition: int
    position: int
    event: _Event
    attempts: int
    first_tried_at: int
    due_at: int
    reason: str


_quarantined = msgspec.msgpack.Decoder(_Quarantined).decode
_refused = msgspec.msgpack.Decoder(_Refused).decode


def _of_pipeline(row: bytes) -> Brief:
    one = _quarantined(row)
    return Brief(
        one.id,
        one.envelope.received_at,
        (one.reason, one.name or one.type, "", one.source),
        one.versions.plan,
        one.library,
    )


def _of_delivery(row: bytes) -> Brief:
    one = _refused(row)
    event = one.event
    return Brief(event.id, event.received_at, (one.reason, event.name or event.type, one.lane, event.source), 0, "")


PIPELINE = Holder(QUARANTINED, _of_pipeline, "quarantined:")
DELIVERY = Holder(REJECTED, _of_delivery, "rejected:")


def ref_of(newest: bytes, destination: str) -> str:
    """Return how an event is named."""
    return f"{hex_id(newest)}@{destination}" if destination else hex_id(newest)
