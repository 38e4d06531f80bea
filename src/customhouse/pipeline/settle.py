"""
Settling: an owed frame is made durable first, then memory and state follow it. After a crash they follow it again.

The order is the law of recovery: the frame in the log is the judgement; what the stages remember is taken in before the
state says so, and everything here may happen twice without harm. State that lies behind the log is brought up from the
frames it has not seen, whatever the reason it lies behind.
"""

from collections.abc import Iterable, Mapping
from time import time_ns

from msgspec import msgpack

from customhouse.ledger.books import post
from customhouse.model.contracts import Fault, Frame, Log, Remembering, State
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC, OwedFrame, decode_owed, encode
from customhouse.pipeline.batch import Place

BOOKMARKS = "bookmark"
QUARANTINED = "quarantine"
_READ_BYTES = 16 * 1024 * 1024

_place = msgpack.Decoder(Place)


def place(state: State, topic: str, partition: int) -> Place:
    """Return how far a state has come in a partition."""
    found = state.get(BOOKMARKS, _bookmark(topic, partition))
    return _place.decode(found) if found else Place()


class Settler:
    """Writes the owed frames of all partitions and keeps the state in step with them. One per pipeline process."""

    def __init__(self, log: Log, state: State, fault: Fault) -> None:
        """Start with the state as it is; `recover` brings it up to the log."""
        self._log = log
        self._state = state
        self._fault = fault

    def totals(self, partition: int) -> dict[str, int]:
        """Return the copies owed so far, by destination, as the newest owed frame says."""
        last = self._log.last(OWED_TOPIC, partition)
        return dict(decode_owed(last.body).totals) if last else {}

    def commit(self, owed: OwedFrame, memory: Mapping[str, Remembering]) -> Frame:
        """Make a frame durable, then settle it. Raises Unavailable when the log cannot; nothing has happened then."""
        self._fault("pipeline.before_owed")
        body = encode(owed)
        frame = self._log.append(OWED_TOPIC, owed.partition, body, len(owed.owed), time_ns() // 1000)
        self._fault("pipeline.after_owed")
        self._apply([(frame, owed)], memory)
        self._fault("pipeline.after_settle")
        return frame

    def recover(self, partition: int, memory: Mapping[str, Remembering], remembered: int) -> int:
        """
        Settle every owed frame the state has not seen, and give the stages what they have not kept.

        `remembered` is the position through which the stages' memory is known to be safe on disk. Returns how many
        frames were read.
        """
        settled = place(self._state, OWED_TOPIC, partition).position
        after, count = min(settled, remembered), 0
        while frames := self._log.read(OWED_TOPIC, partition, after=after, limit=_READ_BYTES):
            pairs = [(frame, decode_owed(frame.body)) for frame in frames]
            self._apply([pair for pair in pairs if pair[0].last > settled], memory)
            for frame, owed in pairs:
                if frame.last <= settled:
                    _remember(owed, memory)
            after = frames[-1].last
            count += len(frames)
        return count

    def _apply(self, pairs: Iterable[tuple[Frame, OwedFrame]], memory: Mapping[str, Remembering]) -> None:
        for frame, owed in pairs:
            _remember(owed, memory)
            with self._state.settle() as transaction:
                post(transaction, owed.postings)
                for event_id in owed.left_quarantine:
                    transaction.delete(QUARANTINED, event_id)
                for held in owed.quarantined:
                    transaction.put(QUARANTINED, held.id, encode(held))
                if owed.origin == RECEIVED_TOPIC and owed.last >= 0:
                    reached = Place(owed.last, owed.total)
                    transaction.put(BOOKMARKS, _bookmark(RECEIVED_TOPIC, owed.partition), encode(reached))
                settled = Place(frame.last, frame.total + frame.count)
                transaction.put(BOOKMARKS, _bookmark(OWED_TOPIC, owed.partition), encode(settled))


def _remember(owed: OwedFrame, memory: Mapping[str, Remembering]) -> None:
    """Give each stage its own memory back. A stage that is no longer on the road has no use for its."""
    for name, blob in owed.memory.items():
        if stage := memory.get(name):
            stage.remember(blob)


def _bookmark(topic: str, partition: int) -> bytes:
    return f"{topic}/{partition}".encode()
