"""
What is owed, as the lanes read it: frames of the topic `owed`, decoded once for all lanes that stand at the same place.

A lane has no use for the trail, which is half of what a frame holds besides its events: that stays text. Most lanes are
up to date and so read the same frame within milliseconds of each other. Decoding is most of the cost of reading, so a
small cache keeps the newest frames with the events that some lane has already asked for. A lane that
is far behind pays its own way and does not push the others' frames out for long.
"""

from collections import OrderedDict
from threading import Lock
from typing import Literal

from msgspec import Raw, Struct, msgpack

from customhouse.model.contracts import Frame, Log
from customhouse.model.event import Event
from customhouse.model.frames import OWED_TOPIC, OwedRecord, decode_event
from customhouse.model.outcome import Versions

CACHE_BYTES = 8 * 1024 * 1024
"""Encoded size of the frames kept decoded; decoded they take a few times as much."""


class Owing(Struct, frozen=True, array_like=True):
    """An `OwedFrame`, field by field, of which only what a lane needs is decoded."""

    format: Literal[1]
    origin: str
    partition: int
    first: int
    last: int
    total: int
    now: int
    versions: Versions
    postings: Raw
    memory: Raw
    totals: dict[str, int]
    trail: Raw
    quarantined: Raw
    owed: list[OwedRecord]


_decode = msgpack.Decoder(Owing).decode


class _Decoded:
    """One frame with those of its events that somebody has asked for."""

    __slots__ = ("events", "owed", "size")

    def __init__(self, owed: Owing, size: int) -> None:
        self.owed = owed
        self.size = size
        self.events: list[Event | None] = [None] * len(owed.owed)


class Feed:
    """The owed frames of a log, shared by all lanes of a process. Safe to use from several threads."""

    def __init__(self, log: Log, cache_bytes: int = CACHE_BYTES) -> None:
        """Read from `log`, keeping up to about `cache_bytes` of frames decoded."""
        self._log = log
        self._room = cache_bytes
        self._frames: OrderedDict[tuple[int, int], _Decoded] = OrderedDict()
        self._by_owed: dict[int, _Decoded] = {}
        self._lock = Lock()

    def partitions(self) -> list[int]:
        """Return the partitions of `owed` that exist, in order."""
        return self._log.partitions(OWED_TOPIC)

    def read(self, partition: int, *, after: int, limit: int) -> list[tuple[Frame, Owing]]:
        """Return the frames that hold positions greater than `after`, oldest first, up to about `limit` bytes."""
        frames = self._log.read(OWED_TOPIC, partition, after=after, limit=limit)
        with self._lock:
            return [(frame, self._decoded(partition, frame).owed) for frame in frames]

    def newest(self, partition: int) -> tuple[Frame, Owing] | None:
        """Return the newest frame of a partition, or None while there is none."""
        frame = self._log.last(OWED_TOPIC, partition)
        if frame is None:
            return None
        with self._lock:
            return frame, self._decoded(partition, frame).owed

    def events_for(self, frame: Frame, owed: Owing, lane: str, after: int) -> list[tuple[int, Event]]:
        """Return positions and events of a frame that are owed to a lane and lie behind `after`, in order."""
        base = frame.base
        mine = [nth for nth, record in enumerate(owed.owed) if base + nth > after and lane in record.routes]
        if not mine:
            return []
        with self._lock:
            entry = self._by_owed.get(id(owed))
            if entry is None:  # pushed out meanwhile
                entry = _Decoded(owed, 0)
            found = []
            for nth in mine:
                event = entry.events[nth]
                if event is None:
                    event = entry.events[nth] = decode_event(owed.owed[nth].event)
                found.append((base + nth, event))
            return found

    def _decoded(self, partition: int, frame: Frame) -> _Decoded:
        place = (partition, frame.base)
        entry = self._frames.get(place)
        if entry is None:
            entry = _Decoded(_decode(frame.body), len(frame.body))
            self._frames[place] = entry
            self._by_owed[id(entry.owed)] = entry
            self._room -= entry.size
            while self._room < 0 and len(self._frames) > 1:
                _, oldest = self._frames.popitem(last=False)
                del self._by_owed[id(oldest.owed)]
                self._room += oldest.size
        else:
            self._frames.move_to_end(place)
        return entry
