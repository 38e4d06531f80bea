"""
Settling: what a lane did is made durable as a receipt frame first, then the state follows it.

The frame is the fact; the state (bookmarks, books, events in retry, rejected events) is derived from frames, each
exactly once, by position. After a crash, or when the state could not be written, it is brought up from the frames it
has not seen. So an append that succeeded is never made again, and one that failed has left nothing behind.
"""

import logging
from collections.abc import Iterable, Iterator
from threading import Lock

from msgspec import Struct, msgpack, structs

from customhouse.delivery.pace import Pace
from customhouse.ledger.books import post
from customhouse.model.contracts import Fault, Frame, Log, State, Transaction
from customhouse.model.errors import Unavailable
from customhouse.model.frames import RECEIPTS_TOPIC, HeldEvent, ReceiptFrame, decode_receipt, encode

LANES = "lane"
"""`<lane>/<partition>` → how far it has come (`Mark`)."""
RETRYING = "retrying"
"""Lane, slash and event id → the event (`HeldEvent`)."""
REJECTED = "rejected"
"""Event id and lane → the event with the destination's answer (`HeldEvent`)."""
SENDING = "sending"
"""`<lane>/<partition>` → what is being sent (`Intent`)."""
PAUSED = "paused"
"""Lane → since when, and by which window, nothing is sent (`Paused`)."""
BOOKMARKS = "bookmark"
_KEY = RECEIPTS_TOPIC.encode()
_READ_BYTES = 4 * 1024 * 1024
_PAGE = 1000

_logger = logging.getLogger("customhouse.delivery")


class Mark(Struct, frozen=True, array_like=True):
    """How far a lane has come in a partition of `owed`."""

    upto: int = -1
    seen: int = 0
    """Copies owed to the lane up to there; see `ReceiptFrame.seen`."""
    at: int = 0


class Intent(Struct, frozen=True, array_like=True):
    """
    What a lane is about to send, in the groups it sends it in.

    Written before the first attempt, so that a restart sends the same groups again, under the same idempotency keys.
    """

    first_tried_at: int
    groups: list[list[int]]
    """Positions in `owed`, group by group."""

    @property
    def last(self) -> int:
        """The last of the positions."""
        return max((position for group in self.groups for position in group), default=-1)


class Paused(Struct, frozen=True, array_like=True):
    """Somebody's word that a lane shall send nothing, until somebody takes it back."""

    at: int
    """Microseconds since 1970."""
    by: str
    """The window it was said through: `cli` or `console`."""


_mark = msgpack.Decoder(Mark)
_paused = msgpack.Decoder(Paused)
_intent = msgpack.Decoder(Intent)
_held = msgpack.Decoder(HeldEvent)


def mark(state: State, lane: str, partition: int) -> Mark:
    """Return how far a lane has come in a partition."""
    found = state.get(LANES, _place(lane, partition))
    return _mark.decode(found) if found else Mark()


def marks(state: State) -> dict[tuple[str, int], Mark]:
    """Return how far every lane has come, by lane and partition: what retention must leave alone."""
    found = {}
    for key, value in state.scan(LANES, limit=1_000_000):
        lane, _, partition = key.decode().rpartition("/")
        found[lane, int(partition)] = _mark.decode(value)
    return found


def retrying(state: State, lane: str) -> Iterator[HeldEvent]:
    """Walk the events a lane tries again by themselves."""
    prefix, after = f"{lane}/".encode(), b""
    while page := state.scan(RETRYING, prefix=prefix, after=after, limit=_PAGE):
        yield from (_held.decode(value) for _, value in page)
        after = page[-1][0]


def rejected(state: State, lane: str = "", *, newest_first: bool = True) -> Iterator[HeldEvent]:
    """Walk the events a destination (or any) refused for good and nobody has dealt with yet."""
    after = b""
    while page := state.scan(REJECTED, after=after, limit=_PAGE, newest_first=newest_first):
        yield from (held for held in (_held.decode(value) for _, value in page) if lane in {"", held.lane})
        after = page[-1][0]


def rejected_among(state: State, lane: str, ids: Iterable[bytes]) -> Iterator[HeldEvent]:
    """Walk those of the events named that are rejected by a lane, each once however often it is named."""
    for event_id in dict.fromkeys(ids):
        if found := state.get(REJECTED, event_id + lane.encode()):
            yield _held.decode(found)


class Settler:
    """Writes receipt frames for all lanes of the process and keeps the state in step. Blocks; safe from any thread."""

    def __init__(self, log: Log, state: State, fault: Fault) -> None:
        """Start with the state as it is; call `recover` before the first lane runs."""
        self._log = log
        self.state = state
        self._fault = fault
        self._lock = Lock()
        self._behind = False
        self.pace = Pace()
        self.config = 0
        """Number of the configuration in force; every frame carries it."""

    def recover(self) -> int:
        """Settle every receipt frame the state has not seen; return how many there were. Raises Unavailable."""
        with self._lock:
            return self._recover()

    def commit(self, frame: ReceiptFrame) -> None:
        """Make a frame durable, then settle it. Raises Unavailable when the log cannot; nothing has happened then."""
        with self._lock:
            if self._behind:
                self._recover()
            written = self._append(structs.replace(frame, config=self.config))
            self.pace.note(frame.postings, frame.at)
            try:
                self._fault("delivery.after_receipt")
                self._settle(written.last, frame)
                self._fault("delivery.after_settle")
            except (Unavailable, OSError) as error:
                # The frame is durable, so the caller must not hear of a failure: the state catches up before the next.
                self._behind = True
                _logger.warning("delivery state lies behind the receipts: %s", error)

    def intend(self, lane: str, partition: int, intent: Intent) -> None:
        """Write down what is about to be sent. Raises Unavailable."""
        with self._lock, self.state.settle() as transaction:
            transaction.put(SENDING, _place(lane, partition), encode(intent))

    def intent(self, lane: str, partition: int) -> Intent | None:
        """Return what a lane last wrote down; it may have been settled since."""
        with self._lock:
            found = self.state.get(SENDING, _place(lane, partition))
        return _intent.decode(found) if found else None

    def pause(self, lane: str, paused: Paused | None) -> None:
        """Remember over restarts that a lane is paused, or that it no longer is. Raises Unavailable."""
        with self._lock, self.state.settle() as transaction:
            if paused is None:
                transaction.delete(PAUSED, lane.encode())
            else:
                transaction.put(PAUSED, lane.encode(), encode(paused))

    def paused(self, lane: str) -> Paused | None:
        """Return since when and by whom a lane is paused; None when it is not. Raises Unavailable."""
        with self._lock:
            found = self.state.get(PAUSED, lane.encode())
        return _paused.decode(found) if found else None

    def mark(self, lane: str, partition: int) -> Mark:
        """Return how far a lane has come in a partition."""
        with self._lock:
            return mark(self.state, lane, partition)

    def retrying(self, lane: str) -> list[HeldEvent]:
        """Return the events a lane tries again by themselves."""
        with self._lock:
            return list(retrying(self.state, lane))

    def rejected(self, lane: str, ids: Iterable[bytes] | None = None) -> list[HeldEvent]:
        """Return the rejected events of a lane, all or those named."""
        with self._lock:
            found = rejected(self.state, lane) if ids is None else rejected_among(self.state, lane, ids)
            return list(found)

    def _append(self, frame: ReceiptFrame) -> Frame:
        try:
            self._fault("delivery.before_receipt")
        except OSError as error:
            raise Unavailable(f"receipts cannot be written: {error.strerror}") from error
        return self._log.append(RECEIPTS_TOPIC, 0, encode(frame), max(1, len(frame.rows)), frame.at)

    def _recover(self) -> int:
        found = self.state.get(BOOKMARKS, _KEY)
        after = int.from_bytes(found) if found else -1
        count = 0
        while frames := self._log.read(RECEIPTS_TOPIC, 0, after=after, limit=_READ_BYTES):
            for frame in frames:
                self._settle(frame.last, decode_receipt(frame.body))
            after = frames[-1].last
            count += len(frames)
        self._behind = False
        return count

    def _settle(self, position: int, frame: ReceiptFrame) -> None:
        """Bring the state up by one frame, all of it or nothing."""
        before = mark(self.state, frame.lane, frame.partition)
        with self.state.settle() as transaction:
            post(transaction, frame.postings)
            if (frame.upto, frame.seen) > (before.upto, before.seen):
                now = Mark(frame.upto, frame.seen, frame.at)
                transaction.put(LANES, _place(frame.lane, frame.partition), encode(now))
            _hold(transaction, frame)
            transaction.put(BOOKMARKS, _KEY, position.to_bytes(8))


def _hold(transaction: Transaction, frame: ReceiptFrame) -> None:
    """Bring the tables of single events up: first who leaves, then who comes."""
    lane = frame.lane.encode()
    for event_id in frame.resolved:
        transaction.delete(RETRYING, lane + b"/" + event_id)
    for event_id in frame.taken:
        transaction.delete(REJECTED, event_id + lane)
    for held in frame.retrying:
        transaction.put(RETRYING, lane + b"/" + held.event.id, encode(held))
    for held in frame.rejected:
        transaction.put(REJECTED, held.event.id + lane, encode(held))


def _place(lane: str, partition: int) -> bytes:
    return f"{lane}/{partition}".encode()
