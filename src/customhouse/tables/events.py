"""
The table `events` as it is laid down: its columns, and events as rows of it.

Apart from the warehouse that keeps it, because naming the warehouse must not cost the loading of Arrow.
"""

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from customhouse.model.event import Event
from customhouse.tables.columns import TIME, days, texts, times, uuids
from customhouse.tables.datafile import Shape

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


_STRIDE = 2000
"""Events whose columns are made together: so few stay in the processor's cache while one column after the other is read."""


def table(events: Sequence[Event], partition: int, upto: int) -> pa.Table:
    """Return events as rows of the table `events`, in one piece."""
    pieces = [_rows(events[at : at + _STRIDE], partition, upto) for at in range(0, max(len(events), 1), _STRIDE)]
    return pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces).combine_chunks()


def _rows(events: Sequence[Event], partition: int, upto: int) -> pa.Table:
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
