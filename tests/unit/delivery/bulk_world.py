"""A delivery process in small: run as a program, it delivers what is owed and dies at a named point."""

import os
import signal
import sys
from pathlib import Path

import msgspec

from customhouse.delivery.bulk import LakeLane, TrailConfig, TrailLane
from customhouse.delivery.reading.feed import Feed
from customhouse.delivery.settle import Settler
from customhouse.ledger.trail import TrailTables
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.contracts import Log
from customhouse.model.event import Event
from customhouse.model.frames import OWED_TOPIC, OwedFrame, OwedRecord, TrailRow, encode
from customhouse.model.outcome import Versions
from customhouse.state.embedded import EmbeddedState
from customhouse.warehouses.lake import Lake, LakeConfig

AT_ONCE = LakeConfig(flush_seconds=1e-12)
"""A time too short to be seen on any clock."""
BY_FIVE = LakeConfig(flush_seconds=1e-12, batch_events=5)


def owe(log: Log, events: list[Event], *, total: int, lane: str = "lake", partition: int = 0) -> None:
    """Append what the pipeline would: all of the events are owed to the lane; `total` counts them since the beginning."""
    frame = OwedFrame(
        format=1,
        origin="received",
        partition=partition,
        first=0,
        last=0,
        total=0,
        now=1,
        versions=Versions(),
        postings=[],
        memory={},
        totals={lane: total},
        trail=[_row(event, lane) for event in events],
        quarantined=[],
        owed=[OwedRecord((lane,), msgspec.Raw(encode(event))) for event in events],
    )
    log.append(OWED_TOPIC, partition, encode(frame), len(events), 1)


def _row(event: Event, lane: str) -> TrailRow:
    return TrailRow(
        *(event.id, event.position, event.message_id, event.source, event.type, event.name, event.received_at),
        *(event.occurred_at, event.original_at, "routed", "routing", "", event.flags, "", (lane,)),
    )


def main(folder: Path, point: str, times: int) -> None:
    """Deliver everything, and be killed when `point` is reached for the so many-th time."""
    left = times

    def fault(reached: str) -> None:
        nonlocal left
        if reached == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    log = EmbeddedLog(folder / "log")
    settler = Settler(log, EmbeddedState(folder / "delivery.db"), fault)
    settler.recover()
    feed = Feed(log)
    lake = LakeLane("lake", feed, Lake(folder / "lake"), settler, BY_FIVE, fault)
    trail = TrailLane(log, TrailTables(folder / "lake"), TrailConfig(), fault)
    for _ in range(20):
        lake.step()
        trail.step()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
