"""
The lanes that load in bulk: one into a warehouse, one into the trail. Each works in one thread, so each table has one writer.

A warehouse holds, beside each batch, the receipt frame that says it was delivered. So a crash between the load and the
receipt settles from what the warehouse says, and every event is in the lake exactly once and in the books exactly once.
A failure takes the same way as a crash: what was gathered is forgotten and read again.
"""

from collections import Counter
from itertools import islice
from time import monotonic, time
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct

from customhouse.delivery.reading.feed import Feed
from customhouse.delivery.reading.intake import Intake, Lost
from customhouse.delivery.receipts import Step, loss_frame
from customhouse.delivery.retry.verdicts import Item
from customhouse.delivery.rounds import Rounds
from customhouse.delivery.settle import Mark, Settler
from customhouse.ledger.trail import TrailTables
from customhouse.model.contracts import Fault, Log, Warehouse, no_fault
from customhouse.model.frames import (
    OWED_TOPIC,
    RECEIPTS_TOPIC,
    ReceiptFrame,
    ReceiptRow,
    decode_owed,
    decode_receipt,
    encode,
)
from customhouse.model.posting import HOUR, Tally, delivered, owed

TRAIL_LANE = "trail"
_READ_BYTES = 8 * 1024 * 1024
_FULL_READ = _READ_BYTES // 2
"""Bytes; a read of so much may have left something behind, because a log cuts at frames."""
_GATHER = 1.0
"""Seconds that one step may read on; then it is somebody else's turn, and time to hear of a stop."""
_IDLE = 0.2
"""Seconds between two looks at a log with nothing new."""


class Flushing(Protocol):
    """What a lane needs to know of a warehouse's configuration."""

    @property
    def flush_seconds(self) -> float:
        """Return the longest wait for a batch to fill."""

    @property
    def batch_events(self) -> int:
        """Return how many events are loaded at once."""


class TrailConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the trail is stored."""

    flush_seconds: Annotated[
        float,
        Meta(gt=0, le=3600, description="Seconds between two commits to the trail; before, `trace` asks the log."),
    ] = 2.0


class LakeLane:
    """Carries what is owed to a warehouse into it, exactly once."""

    def __init__(
        self, name: str, feed: Feed, warehouse: Warehouse, settler: Settler, config: Flushing, fault: Fault = no_fault
    ) -> None:
        """Deliver what is owed to `name`; two lanes on one warehouse must not run at once."""
        self.name = name
        self.rounds = Rounds(name, self.step, self._forget)
        self._feed = feed
        self._warehouse = warehouse
        self._settler = settler
        self._config = config
        self._fault = fault
        self._marks: dict[int, Mark] = {}
        """Read once; then what was committed is believed, because the state may lag behind it for a while."""
        self._intakes: dict[int, Intake] = {}
        self._since: dict[int, float] = {}
        self._backlog = 0
        self._oldest = 0
        """When the oldest event in hand was owed, in microseconds; 0 when none is."""

    async def run(self) -> None:
        """Work until `stop`."""
        await self.rounds.run()

    def stop(self) -> None:
        """End after the step under way; what is gathered stays owed."""
        self.rounds.stop()

    def health(self) -> dict[str, Any]:
        """Return how the lane fares, as of its last step."""
        return self.rounds.health() | {
            "lag_events": self._backlog,
            "oldest_seconds": round(max(0, _now() - self._oldest) / 1e6, 1) if self._oldest else 0.0,
            "upto": {str(partition): at.upto for partition, at in self._marks.items()},
            "settled_at": max((at.at for at in self._marks.values()), default=0),
        }

    def step(self) -> float:
        """Gather, load and settle once for every partition; return the seconds to wait. Blocks. Raises Unavailable."""
        waits = [self._advance(partition) for partition in self._feed.partitions()]
        self._warehouse.tend()
        self._backlog = sum(intake.backlog() for intake in self._intakes.values())
        self._oldest = min((each.pending[0].owed_at for each in self._intakes.values() if each.pending), default=0)
        return min(waits, default=_IDLE)

    def _advance(self, partition: int) -> float:
        intake = self._intakes.get(partition)
        if intake is None:
            intake = self._intakes[partition] = self._begin(partition)
        enough = monotonic() + min(self._config.flush_seconds, _GATHER)
        while intake.fill(self._config.batch_events) and monotonic() < enough:
            continue
        if intake.lost is not None:
            self._book_loss(intake, intake.lost)
            return 0.0
        if intake.cursor == intake.mark.upto:
            return _IDLE
        is_full = intake.gap_ahead or len(intake.pending) >= self._config.batch_events
        left = self._since.setdefault(partition, monotonic()) + self._config.flush_seconds - monotonic()
        if left > 0 and not is_full:
            return min(left, _IDLE)
        self._load(intake)
        return 0.0 if is_full else _IDLE

    def _begin(self, partition: int) -> Intake:
        """Start where the lane stands; a load whose receipt is missing is settled from its note first."""
        if partition not in self._marks:
            self._settler.recover()  # a receipt may be written and only the state lag behind
            self._marks[partition] = self._settler.mark(self.name, partition)
        loaded = self._warehouse.last(partition)
        if loaded is not None and loaded.upto > self._marks[partition].upto:
            self._settle(decode_receipt(loaded.note))
        return Intake(self._feed, self.name, partition, self._marks[partition])

    def _load(self, intake: Intake) -> None:
        items = list(islice(intake.pending, self._config.batch_events))
        frame = self._receipt(intake, items)
        if items:
            self._fault("lake.before_load")
            self._warehouse.load([item.event for item in items], intake.partition, frame.upto, encode(frame))
            self._fault("lake.after_load")
        self._settle(frame)
        intake.settled(self._marks[intake.partition])
        del self._since[intake.partition]
        self._fault("lake.after_settle")

    def _receipt(self, intake: Intake, items: list[Item]) -> ReceiptFrame:
        """Say that the whole batch is delivered: one row for its range of positions."""
        now, lane, partition = _now(), self.name, intake.partition
        at = intake.mark_at(len(items), now)
        tally = Tally()
        hours = Counter((item.event.source, item.event.received_at // HOUR) for item in items)
        for (source, hour), count in hours.items():
            tally.move(source, hour, owed(lane), delivered(lane), count)
        rows = []
        if items:
            first, last = items[0].position, items[-1].position
            rows = [ReceiptRow(lane, partition, first, last, b"", "delivered", "", "", now, 1)]
        return ReceiptFrame(1, lane, partition, at.upto, now, tally.postings(), rows, [], [], [], seen=at.seen)

    def _book_loss(self, intake: Intake, lost: Lost) -> None:
        at = Mark(lost.upto, lost.seen, _now())
        self._settle(loss_frame(Step(self.name, intake.partition, at), lost.first, lost.count))
        intake.skipped(at)

    def _settle(self, frame: ReceiptFrame) -> None:
        self._settler.commit(frame)
        self._marks[frame.partition] = Mark(frame.upto, frame.seen, frame.at)

    def _forget(self) -> None:
        self._intakes.clear()
        self._since.clear()


class TrailLane:
    """Stores what the pipeline did and what destinations answered; how far it came stands in the tables themselves."""

    name = TRAIL_LANE

    def __init__(self, log: Log, tables: TrailTables, config: TrailConfig, fault: Fault = no_fault) -> None:
        """Store into `tables`, whose one writer this is. `run` starts the work."""
        self.rounds = Rounds(self.name, self.step, lambda: None)
        self._log = log
        self._tables = tables
        self._config = config
        self._fault = fault

    async def run(self) -> None:
        """Work until `stop`."""
        await self.rounds.run()

    def stop(self) -> None:
        """End after the step under way."""
        self.rounds.stop()

    def health(self) -> dict[str, Any]:
        """Return how the lane fares, for the health page."""
        return self.rounds.health()

    def upto(self, topic: str, partition: int) -> int:
        """Return the last position of a topic that is stored: what retention must leave alone lies behind it."""
        return self._tables.upto(topic, partition)

    def step(self) -> float:
        """Store what is new, tend the tables, return the seconds to wait. Blocks. Raises Unavailable."""
        is_behind = False
        for partition in self._log.partitions(OWED_TOPIC):
            is_behind |= self._store_trail(partition)
        for partition in self._log.partitions(RECEIPTS_TOPIC):
            is_behind |= self._store_receipts(partition)
        self._tables.tend()
        return 0.0 if is_behind else self._config.flush_seconds

    def _store_trail(self, partition: int) -> bool:
        """Store one read's worth; say whether there is more."""
        frames = self._log.read(OWED_TOPIC, partition, after=self.upto(OWED_TOPIC, partition), limit=_READ_BYTES)
        if frames:
            self._tables.store_trail(partition, [(frame, decode_owed(frame.body)) for frame in frames])
            self._fault("trail.after_store")
        return sum(len(frame.body) for frame in frames) >= _FULL_READ

    def _store_receipts(self, partition: int) -> bool:
        after = self.upto(RECEIPTS_TOPIC, partition)
        frames = self._log.read(RECEIPTS_TOPIC, partition, after=after, limit=_READ_BYTES)
        if frames:
            self._tables.store_receipts(partition, [(frame, decode_receipt(frame.body)) for frame in frames])
            self._fault("trail.after_store")
        return sum(len(frame.body) for frame in frames) >= _FULL_READ


def _now() -> int:
    return int(time() * 1_000_000)
