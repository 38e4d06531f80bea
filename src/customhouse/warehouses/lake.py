"""
The embedded warehouse: one Delta table `events`, partitioned by the day of receipt, that any engine can open.

A batch and the note beside it are one commit under the application id of its partition, so it is loaded exactly once,
whatever crashes when. Columns that every event has are typed; what clients invent stays JSON text.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from customhouse.model.contracts import Loaded
from customhouse.model.event import Event

if TYPE_CHECKING:
    from customhouse.tables.delta import Upkeep


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

    def upkeep(self) -> "Upkeep":
        """Return how the tables are kept in shape."""
        from customhouse.tables.delta import Upkeep

        return Upkeep(target_bytes=self.target_megabytes * 1024 * 1024, keep_seconds=self.keep_minutes * 60)


class Lake:
    """Implements `Warehouse` on a folder of Delta tables. One writer process; not thread-safe."""

    def __init__(self, folder: Path, config: LakeConfig | None = None) -> None:
        """Open the table `events` in `folder`, or make it. Raises Unavailable while another process writes it."""
        from customhouse.tables.delta import DeltaFolder  # who only names the lake loads no Arrow
        from customhouse.tables.events import SHAPE, TABLE

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
        from customhouse.tables.events import table

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
        from customhouse.tables.columns import uuids
        from customhouse.tables.lookup import held

        found = held(self._table.folder, "event_id", uuids([event.id for event in replayed]))
        seen = {text.replace("-", "") for text in found}
        kept = []
        for event in events:
            if event.replay_of >= 0 and event.id.hex() in seen:
                continue
            seen.add(event.id.hex())
            kept.append(event)
        return kept


def _app(partition: int) -> str:
    return f"owed-{partition}"
