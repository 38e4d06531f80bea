"""
The embedded warehouse: one Delta table `events`, partitioned by the day of receipt, that any engine can open.

A batch and the note beside it are one commit under the application id of its partition, so it is loaded exactly once,
whatever crashes when. Columns that every event has are typed; what clients invent stays JSON text.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow as pa
from msgspec import Meta, Struct

from customhouse.model.contracts import Loaded
from customhouse.model.event import Event
from customhouse.tables.columns import TIME, days, texts, times, uuids
from customhouse.tables.datafile import Shape
from customhouse.tables.delta import DeltaFolder, Upkeep
from customhouse.tables.lookup import held

TABLE = "events"

_FIELDS = (
    ("event_id", pa.string()),
    ("type", pa.string()),
    ("event", pa.string()),
    ("category", pa.string()),
    ("source", pa.string()),
    ("protocol", pa.string()),
    ("message_id", pa.string()),
    ("user_id", pa.string()),
    ("anonymous_id", pa.string()),
    ("group_id", pa.string()),
    ("previous_id", pa.string()),
    ("occurred_at", TIME),
    ("original_at", TIME),
    ("sent_at", TIME),
    ("received_at", TIME),
    ("properties", pa.string()),
    ("traits", pa.string()),
    ("context", pa.string()),
    ("integrations", pa.string()),
    ("plan_release", pa.int64()),
    ("schema_version", pa.string()),
    ("violations", pa.string()),
    ("flags", pa.list_(pa.string())),
    ("ip", pa.string()),
    ("user_agent", pa.string()),
    ("referer", pa.string()),
    ("language", pa.string()),
    ("replay", pa.bool_()),
    ("position", pa.int64()),
    ("owed_partition", pa.int32()),
    ("owed_upto", pa.int64()),
    ("day", pa.date32()),
)
SHAPE = Shape(
    schema=pa.schema(_FIELDS),
    statistics=("event_id", "received_at", "position"),
    lookups=("event_id", "message_id"),
    repetitive=(
        *("type", "event", "category", "source", "protocol", "group_id", "plan_release", "schema_version"),
        *("traits", "integrations", "violations", "ip", "user_agent", "referer", "language"),
        *("owed_partition", "owed_upto"),
    ),
)


class LakeConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="lake"):
    """The embedded lake: Delta tables in the data folder, for `customhouse sql` and any engine that reads Delta."""

    flush_seconds: Annotated[
        float, Meta(gt=0, le=3600, description="Longest time in seconds that an event waits for the next commit.")
    ] = 1.0
    batch_events: Annotated[
        int, Meta(ge=1, le=200_000, description="A commit is made at once when so many events are waiting.")
    ] = 20_000
    target_megabytes: Annotated[
        int, Meta(ge=1, le=1024, description="Size to which small data files are merged, in megabytes.")
    ] = 64
    keep_minutes: Annotated[
        float,
        Meta(ge=0, le=10_080, description="How long merged files stay on disk for readers that still use them."),
    ] = 15.0

    def upkeep(self) -> Upkeep:
        """Return how the tables are kept in shape."""
        return Upkeep(target_bytes=self.target_megabytes * 1024 * 1024, keep_seconds=self.keep_minutes * 60)


class Lake:
    """Implements `Warehouse` on a folder of Delta tables. One writer process; not thread-safe."""

    def __init__(self, folder: Path, config: LakeConfig | None = None) -> None:
        """Open the table `events` in `folder`, or make it. Raises Unavailable while another process writes it."""
        self._table = DeltaFolder(folder / TABLE, SHAPE, (config or LakeConfig()).upkeep())

    def last(self, partition: int) -> Loaded | None:
        """Return the last batch loaded from a partition of `owed`, or None before the first."""
        noted = self._table.last(_app(partition))
        return None if noted is None else Loaded(noted.version, noted.note, noted.commit)

    def load(self, events: Sequence[Event], partition: int, upto: int, note: bytes) -> Loaded:
        """
        Load a batch that ends at position `upto` in one commit; a batch loaded before is not loaded again.

        A replayed event whose id the lake holds is left out. Raises Unavailable.
        """
        known = self.last(partition)
        if known is not None and upto <= known.upto:
            return known
        rows = table(self._missing(events), partition, upto)
        return Loaded(upto, note, self._table.append(rows, _app(partition), upto, note))

    def tend(self) -> None:
        """Merge small files, checkpoint and clean: one bounded step."""
        self._table.tend()

    def close(self) -> None:
        """Let another process write."""
        self._table.close()

    def _missing(self, events: Sequence[Event]) -> Sequence[Event]:
        """Leave out replayed events that are in the table, or stand in this batch before."""
        replayed = [event for event in events if event.replay_of >= 0]
        if not replayed:
            return events
        found = held(self._table.folder, "event_id", uuids([event.id for event in replayed]))
        seen = {text.replace("-", "") for text in found}
        kept = []
        for event in events:
            if event.replay_of >= 0 and event.id.hex() in seen:
                continue
            seen.add(event.id.hex())
            kept.append(event)
        return kept


def table(events: Sequence[Event], partition: int, upto: int) -> pa.Table:
    """Return events as rows of the table `events`."""
    facts = [event.request for event in events]
    count = len(events)
    received = [event.received_at for event in events]
    columns = {
        "event_id": uuids([event.id for event in events]),
        "type": texts([event.type for event in events]),
        "event": texts([event.name for event in events]),
        "category": texts([event.category for event in events]),
        "source": texts([event.source for event in events]),
        "protocol": texts([event.protocol for event in events]),
        "message_id": texts([event.message_id for event in events]),
        "user_id": texts([event.user_id for event in events]),
        "anonymous_id": texts([event.anonymous_id for event in events]),
        "group_id": texts([event.group_id for event in events]),
        "previous_id": texts([event.previous_id for event in events]),
        "occurred_at": times([event.occurred_at for event in events]),
        "original_at": times([event.original_at for event in events]),
        "sent_at": times([event.sent_at for event in events]),
        "received_at": times(received),
        "properties": texts([event.properties for event in events]),
        "traits": texts([event.traits for event in events]),
        "context": texts([event.context for event in events]),
        "integrations": texts([event.integrations for event in events]),
        "plan_release": pa.array([event.plan_release for event in events], pa.int64()),
        "schema_version": texts([event.schema_version for event in events]),
        "violations": texts([_violations(event) if event.violations else "[]" for event in events]),
        "flags": pa.array([event.flags for event in events], pa.list_(pa.string())),
        "ip": texts([fact.ip for fact in facts]),
        "user_agent": texts([fact.user_agent for fact in facts]),
        "referer": texts([fact.referer for fact in facts]),
        "language": texts([fact.language for fact in facts]),
        "replay": pa.array([event.replay_of >= 0 for event in events], pa.bool_()),
        "position": pa.array([event.position for event in events], pa.int64()),
        "owed_partition": pa.repeat(pa.scalar(partition, pa.int32()), count),
        "owed_upto": pa.repeat(pa.scalar(upto, pa.int64()), count),
        "day": days(received),
    }
    return pa.Table.from_arrays(list(columns.values()), schema=SHAPE.schema)


def _violations(event: Event) -> bytes:
    return msgspec.json.encode([msgspec.structs.asdict(violation) for violation in event.violations])


def _app(partition: int) -> str:
    return f"owed-{partition}"
