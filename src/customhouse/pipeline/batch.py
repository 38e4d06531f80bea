"""
What the pipeline reads: frames of the log, cut into batches of single letters with their positions.

A batch never spans partitions. A frame larger than a batch is read in several, so the bookmark may stand inside one.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from customhouse.model.contracts import Frame, Log
from customhouse.model.envelope import Envelope, Letter
from customhouse.model.errors import Broken
from customhouse.model.frames import RECEIVED_TOPIC, decode_door
from customhouse.model.posting import HOUR, LOGGED, RECEIVED, Posting, expired

READ_BYTES = 4 * 1024 * 1024
"""How much of the log one read may bring: some thousands of ordinary events."""


class Parcelled(Struct, frozen=True):
    """Some letters of one envelope, and where each stands in the log."""

    envelope: Envelope
    letters: Sequence[Letter]
    positions: Sequence[int]


class Place(Struct, frozen=True, array_like=True):
    """How far a partition was read: the last position, and how many events that makes since the log began."""

    position: int = -1
    total: int = 0


class Batch(Struct):
    """What is judged together and settled by one owed frame."""

    origin: str
    partition: int
    first: int = -1
    last: int = -1
    parcels: list[Parcelled] = []
    postings: list[Posting] = []
    """What the door booked since the frame before: refusals travel with the frame that came next."""
    left_quarantine: list[bytes] = []
    total: int = 0
    received_at: int = 0
    """The newest receipt in the batch, for measuring lag."""

    @property
    def size(self) -> int:
        """Return how many events there are."""
        return sum(len(parcel.letters) for parcel in self.parcels)


def apart(batch: Batch) -> Iterator[Batch]:
    """Take a batch apart into batches of one event each, which settle together what it would have settled."""
    total, first = batch.total - batch.size, batch.first
    left, postings = iter(batch.left_quarantine), batch.postings
    ends = [position for parcel in batch.parcels for position in parcel.positions]
    nth = 0
    for parcel in batch.parcels:
        for letter, position in zip(parcel.letters, parcel.positions, strict=True):
            nth += 1
            total += 1
            last = batch.last if nth == len(ends) else position
            yield Batch(
                batch.origin, batch.partition,
                first=first if batch.first >= 0 else -1,
                last=last if batch.first >= 0 else -1,
                parcels=[Parcelled(parcel.envelope, [letter], [position])],
                postings=postings,
                left_quarantine=[next(left)] if batch.left_quarantine else [],
                total=total,
                received_at=batch.received_at,
            )  # fmt: skip
            first, postings = position + 1, []


class Intake:
    """Reads one partition from behind a bookmark. Keeps what it has read and not yet handed out."""

    def __init__(self, log: Log, partition: int, place: Place, limit: int) -> None:
        """Start behind a place, handing out batches of at most `limit` events."""
        self._log = log
        self.partition = partition
        self._after = place.position
        self._total = place.total
        self._limit = limit
        self._frames: list[Frame] = []

    def take(self) -> Batch | None:
        """Return the next batch, or None when the log holds nothing new."""
        batch = Batch(RECEIVED_TOPIC, self.partition)
        room = self._limit
        while room > 0:
            if not self._frames:
                if batch.first >= 0 and room < self._limit // 2:
                    break
                self._frames = self._log.read(RECEIVED_TOPIC, self.partition, after=self._after, limit=READ_BYTES)
                if not self._frames:
                    break
            room -= self._add(batch, self._frames[0], room)
        return batch if batch.first >= 0 else None

    def _add(self, batch: Batch, frame: Frame, room: int) -> int:
        """Add what fits of a frame to the batch; return how many events that were."""
        door = decode_door(frame.body)
        if self._after < frame.base:
            batch.postings.extend(_gap(frame, frame.total - self._total))
            batch.postings.extend(door.postings)
            self._total = frame.total
        added = 0
        for parcel in _letters(frame, door.envelopes, after=self._after, room=room):
            batch.parcels.append(parcel)
            batch.received_at = max(batch.received_at, parcel.envelope.received_at)
            added += len(parcel.letters)
        upto = frame.last if frame.count <= 0 else max(self._after, frame.base - 1) + added
        if batch.first < 0:
            batch.first = max(self._after + 1, frame.base)
        batch.last = self._after = upto
        batch.total = self._total = self._total + added
        if upto >= frame.last:
            del self._frames[0]
        elif not added and room:
            raise Broken(f"frame at {frame.base} of {RECEIVED_TOPIC}/{self.partition} counts letters it does not hold")
        return added


def _letters(frame: Frame, envelopes: list[Envelope], *, after: int, room: int) -> Iterator[Parcelled]:
    """Walk the letters of a frame that stand behind `after`, at most `room` of them, by envelope."""
    position = frame.base
    for envelope in envelopes:
        letters = envelope.letters
        skip = min(max(0, after + 1 - position), len(letters))
        chosen = letters[skip : skip + room]
        if chosen:
            start = position + skip
            yield Parcelled(envelope, chosen, range(start, start + len(chosen)))
            room -= len(chosen)
        position += len(letters)
        if not room:
            return


def _gap(frame: Frame, lost: int) -> list[Posting]:
    """Book events that retention removed before they were judged: rare, an operator's doing, and never silent."""
    if lost <= 0:
        return []
    hour = frame.at // HOUR
    gone = expired(RECEIVED_TOPIC)
    return [Posting("-", hour, RECEIVED, LOGGED, lost), Posting("-", hour, LOGGED, gone, lost)]
