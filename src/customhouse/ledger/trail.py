"""
The trail: two append-only tables that say what became of every single event.

`trail` has one row per input event of the pipeline, `receipts` one row per answer of a destination. Both are filled from
the frames of the log, exactly once by position, so that they need no bookmark of their own; `trace` joins them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from customhouse.model.contracts import Frame
from customhouse.model.frames import OWED_TOPIC, RECEIPTS_TOPIC, OwedFrame, ReceiptFrame, TrailRow
from customhouse.tables.columns import TIME, days, texts, times, uuids
from customhouse.tables.datafile import Shape
from customhouse.tables.delta import DeltaFolder, Upkeep
from customhouse.tables.lookup import Ask, rows

TRAIL = "trail"
RECEIPTS = "receipts"
ROUTED = "routed"
"""The fate of a row whose event stands in `owed`; such rows come in the order of the owed records."""

_TEXTS = pa.list_(pa.string())
TRAIL_SHAPE = Shape(
    schema=pa.schema(
        (
            ("event_id", pa.string()),
            ("message_id", pa.string()),
            ("source", pa.string()),
            ("type", pa.string()),
            ("event", pa.string()),
            ("received_at", TIME),
            ("occurred_at", TIME),
            ("original_at", TIME),
            ("fate", pa.string()),
            ("stage", pa.string()),
            ("detail", pa.string()),
            ("flags", _TEXTS),
            ("schema_version", pa.string()),
            ("routes", _TEXTS),
            ("origin", pa.string()),
            ("partition", pa.int32()),
            ("position", pa.int64()),
            ("owed_position", pa.int64()),
            ("judged_at", TIME),
            ("config", pa.int64()),
            ("plan", pa.int64()),
            ("policy", pa.int64()),
            ("key", pa.int64()),
            ("day", pa.date32()),
        )
    ),
    statistics=("event_id", "received_at", "partition", "position", "owed_position"),
    lookups=("event_id", "message_id"),
    repetitive=(
        *("source", "type", "event", "fate", "stage", "detail", "flags.list.element", "schema_version"),
        *("routes.list.element", "origin", "partition", "judged_at", "config", "plan", "policy", "key"),
    ),
)
RECEIPTS_SHAPE = Shape(
    schema=pa.schema(
        (
            ("lane", pa.string()),
            ("partition", pa.int32()),
            ("first", pa.int64()),
            ("last", pa.int64()),
            ("event_id", pa.string()),
            ("verdict", pa.string()),
            ("reason", pa.string()),
            ("answer", pa.string()),
            ("at", TIME),
            ("attempts", pa.int32()),
            ("config", pa.int64()),
            ("day", pa.date32()),
        )
    ),
    statistics=("partition", "first", "last", "at"),
    repetitive=("lane", "partition", "verdict", "reason", "answer", "attempts", "config"),
)


class TrailTables:
    """Both tables, opened by their one writer. Not thread-safe."""

    def __init__(self, folder: Path, upkeep: Upkeep | None = None) -> None:
        """Open the tables in the lake `folder`, or make them. Raises Unavailable while another process writes them."""
        self._trail = DeltaFolder(folder / TRAIL, TRAIL_SHAPE, upkeep)
        self._receipts = DeltaFolder(folder / RECEIPTS, RECEIPTS_SHAPE, upkeep)

    def upto(self, topic: str, partition: int) -> int:
        """Return the last position of a topic's partition that is stored, or -1."""
        table = self._trail if topic == OWED_TOPIC else self._receipts
        noted = table.last(f"{topic}-{partition}")
        return -1 if noted is None else noted.version

    def store_trail(self, partition: int, frames: Sequence[tuple[Frame, OwedFrame]]) -> int:
        """Store what frames of a partition of `owed` tell, in one commit, once. Returns the rows. Raises Unavailable."""
        done = self.upto(OWED_TOPIC, partition)
        fresh = [(frame, owed) for frame, owed in frames if frame.last > done]
        if not fresh:
            return 0
        table = trail_rows(partition, fresh)
        self._trail.append(table, f"{OWED_TOPIC}-{partition}", fresh[-1][0].last)
        return int(table.num_rows)

    def store_receipts(self, partition: int, frames: Sequence[tuple[Frame, ReceiptFrame]]) -> int:
        """Store the rows of frames of `receipts`, in one commit, once. Returns the rows. Raises Unavailable."""
        done = self.upto(RECEIPTS_TOPIC, partition)
        fresh = [(frame, receipt) for frame, receipt in frames if frame.last > done]
        if not fresh:
            return 0
        table = receipt_rows([receipt for _, receipt in fresh])
        self._receipts.append(table, f"{RECEIPTS_TOPIC}-{partition}", fresh[-1][0].last)
        return int(table.num_rows)

    def tend(self) -> None:
        """Merge small files, checkpoint and clean: one bounded step per table."""
        self._trail.tend()
        self._receipts.tend()

    def close(self) -> None:
        """Let another process write."""
        self._trail.close()
        self._receipts.close()


def find_event(folder: Path, event_id: bytes) -> list[dict[str, Any]]:
    """Return the trail rows of an event, oldest first: more than one when it was replayed."""
    text = str(UUID(bytes=event_id))
    ask = Ask("event_id = ?", [text], prune=f"event_id = '{text}'")
    return sorted(rows(folder / TRAIL, ask), key=_judged)


def find_message(folder: Path, message_id: str, limit: int = 100) -> list[dict[str, Any]]:
    """Return trail rows with a message id, oldest first: resends have rows of their own."""
    return sorted(rows(folder / TRAIL, Ask("message_id = ?", [message_id], limit=limit)), key=_judged)


def find_positions(folder: Path, partition: int, first: int, last: int, limit: int) -> list[dict[str, Any]]:
    """Return the trail rows of a range of positions of `received`: what a receipt of the door stands for."""
    place = f"partition = {partition} AND position >= {first} AND position <= {last}"
    return sorted(rows(folder / TRAIL, Ask(place, [], prune=place, limit=limit)), key=_judged)


def find_receipts(folder: Path, partition: int, position: int, event_id: bytes) -> list[dict[str, Any]]:
    """
    Return what destinations answered for the event at a position of `owed`, oldest first.

    A row without an id holds for every event its lane was owed in that range, unless the event has a row of its own.
    """
    place = f"partition = {partition} AND first <= {position} AND last >= {position}"
    ask = Ask(f"{place} AND (event_id IS NULL OR event_id = ?)", [str(UUID(bytes=event_id))], prune=place)
    return sorted(rows(folder / RECEIPTS, ask), key=lambda row: row["at"])


def trail_rows(partition: int, frames: Sequence[tuple[Frame, OwedFrame]]) -> pa.Table:
    """Return the trail of frames of a partition of `owed` as rows of the table `trail`."""
    trail: list[TrailRow] = [row for _, owed in frames for row in owed.trail]
    received = [row.received_at for row in trail]
    columns = (
        uuids([row.id for row in trail]),
        texts([row.message_id for row in trail]),
        texts([row.source for row in trail]),
        texts([row.type for row in trail]),
        texts([row.name for row in trail]),
        times(received),
        times([row.occurred_at for row in trail]),
        times([row.original_at for row in trail]),
        texts([row.fate for row in trail]),
        texts([row.stage for row in trail]),
        texts([row.detail for row in trail]),
        pa.array([row.flags for row in trail], _TEXTS),
        texts([row.schema_version for row in trail]),
        pa.array([row.routes for row in trail], _TEXTS),
        _of_frame(frames, pa.string(), [owed.origin for _, owed in frames]),
        pa.repeat(pa.scalar(partition, pa.int32()), len(trail)),
        pa.array([row.position for row in trail], pa.int64()),
        pa.array(_owed_positions(frames), pa.int64()),
        _of_frame(frames, TIME, [owed.now for _, owed in frames]),
        _of_frame(frames, pa.int64(), [owed.versions.config for _, owed in frames]),
        _of_frame(frames, pa.int64(), [owed.versions.plan for _, owed in frames]),
        _of_frame(frames, pa.int64(), [owed.versions.policy for _, owed in frames]),
        _of_frame(frames, pa.int64(), [owed.versions.key for _, owed in frames]),
        days(received),
    )
    return pa.Table.from_arrays(columns, schema=TRAIL_SHAPE.schema)


def receipt_rows(frames: Sequence[ReceiptFrame]) -> pa.Table:
    """Return what frames of `receipts` tell as rows of the table `receipts`."""
    told = [row for frame in frames for row in frame.rows]
    answered = [row.at for row in told]
    columns = (
        texts([row.lane for row in told]),
        pa.array([row.partition for row in told], pa.int32()),
        pa.array([row.first for row in told], pa.int64()),
        pa.array([row.last for row in told], pa.int64()),
        texts([str(UUID(bytes=row.id)) if row.id else None for row in told]),
        texts([row.verdict for row in told]),
        texts([row.reason for row in told]),
        texts([row.answer for row in told]),
        times(answered),
        pa.array([row.attempts for row in told], pa.int32()),
        pa.array([frame.config for frame in frames for _ in frame.rows], pa.int64()),
        days(answered),
    )
    return pa.Table.from_arrays(columns, schema=RECEIPTS_SHAPE.schema)


def _owed_positions(frames: Sequence[tuple[Frame, OwedFrame]]) -> list[int | None]:
    """Return where each event stands in `owed`: routed rows and owed records come in the same order."""
    found: list[int | None] = []
    for frame, owed in frames:
        position = frame.base
        for row in owed.trail:
            if row.fate == ROUTED:
                found.append(position)
                position += 1
            else:
                found.append(None)
    return found


def _of_frame(frames: Sequence[tuple[Frame, OwedFrame]], kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    """Return a column in which each row has the value of its frame."""
    parts = [
        pa.repeat(pa.scalar(value, kind), len(owed.trail)) for (_, owed), value in zip(frames, values, strict=True)
    ]
    return pa.concat_arrays(parts)


def _judged(row: dict[str, Any]) -> Any:
    return row["judged_at"]
