"""
An import from beginning to end: rows, batches, the door, and the record of how far it is.

After every batch the record says which rows are settled. A kill between the door's yes and the record sends that one
batch again, under the same message ids, and the house drops it as duplicates.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from customhouse.app.upkeep.history.door import Door
from customhouse.app.upkeep.history.ids import Counts
from customhouse.app.upkeep.history.judge import Judge, Ready, as_batch
from customhouse.app.upkeep.history.progress import Progress, Refused
from customhouse.app.upkeep.history.rows import Form, Row, csv_header, json_rows
from customhouse.app.upkeep.history.shape import Shape, for_columns
from customhouse.model.contracts import Limits

BATCH_EVENTS = 500
_BATCH_BYTES = 512 * 1024
_MOST_ROWS = 5_000
"""Rows settled in one go, sent or refused."""


class Plan(Struct, frozen=True, kw_only=True):
    """What is to be imported, and how."""

    form: Form
    source: str
    shape: Shape = Shape()
    delimiter: str = ","
    undated: bool = False

    @property
    def hash(self) -> str:
        """Tell one way of reading a file from another."""
        return hashlib.sha256(msgspec.json.encode((self.form, self.shape, self.delimiter, self.undated))).hexdigest()[
            :16
        ]


class Tally(Struct):
    """How far it is. Counts of rows; `seconds` since this run began."""

    rows: int = 0
    """Settled, in this run and before it."""
    skipped: int = 0
    """Settled before this run."""
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    seconds: float = 0.0
    unused: list[str] = []
    """Columns that lead nowhere."""
    reasons: dict[str, int] = {}


def rows_of(file: BinaryIO, plan: Plan) -> tuple[Iterator[Row], Shape, list[str]]:
    """Return a file's rows, how they become events, and the columns that stay behind. Raises Misconfigured."""
    if plan.form == "jsonl":
        return json_rows(file), plan.shape, []
    columns, rows = csv_header(file, plan.delimiter)
    shape, unused = for_columns(plan.shape, columns)
    return rows, shape, unused


def batches(judge: Judge, rows: Iterator[Row], limits: Limits, skip: int = 0) -> Iterator[list[Ready]]:
    """
    Yield rows in batches that fit one request, each row with its event or its reason.

    The first `skip` rows are read, since the ids of later ones may depend on them, and left out.
    """
    events, size, batch = min(BATCH_EVENTS, limits.batch_events), 0, list[Ready]()
    room = min(_BATCH_BYTES, limits.body_bytes, limits.inflated_bytes) - 64
    waiting = 0
    for ready in judge.prepare(rows):
        if ready.row.number <= skip:
            continue
        if batch and (waiting == events or size + len(ready.body) + 1 > room or len(batch) == _MOST_ROWS):
            judge.settle(batch)
            yield batch
            batch, size, waiting = [], 0, 0
        batch.append(ready)
        size += len(ready.body) + 1
        waiting += not ready.reason
    if batch:
        judge.settle(batch)
        yield batch


class Import:
    """One import under way."""

    def __init__(self, plan: Plan, limits: Limits, protocol: str, scratch: Path) -> None:
        """Take what is to be done; `scratch` is a file for the counts of rows without an id."""
        self.plan = plan
        self.tally = Tally()
        self._limits = limits
        self._protocol = protocol
        self._scratch = scratch

    def ready(self, file: BinaryIO, skip: int = 0) -> Iterator[list[Ready]]:
        """Yield the file in batches, made ready and counted, and send nothing."""
        rows, shape, self.tally.unused = rows_of(file, self.plan)
        with closing(Counts(self._scratch)) as counts:
            judge = Judge(shape, counts, self._limits, self._protocol, undated=self.plan.undated)
            yield from batches(judge, rows, self._limits, skip)

    def run(
        self, file: BinaryIO, door: Door, refused: Refused, progress: Progress | None, seen: Callable[[Tally], None]
    ) -> None:
        """
        Send everything that is not settled yet; `seen` is told after every batch.

        Raises Unavailable, Misconfigured; then what is settled is on record, and the next run goes on behind it.
        """
        tally, began = self.tally, time.monotonic()
        if progress is not None:
            tally.skipped = tally.rows = progress.record.rows
        for batch in self.ready(file, tally.rows):
            events = [ready.body for ready in batch if not ready.reason]
            if events:
                door.send(as_batch(events))
            tally.sent += len(events)
            tally.acknowledged += len(events)
            bad = [ready for ready in batch if ready.reason]
            for ready in bad:
                tally.reasons[ready.reason] = tally.reasons.get(ready.reason, 0) + 1
            tally.refused += len(bad)
            tally.rows = batch[-1].row.number
            size = refused.add(bad)
            if progress is not None:
                note(progress, tally.rows, len(events), len(bad), size)
            tally.seconds = time.monotonic() - began
            seen(tally)
        if progress is not None:
            progress.record.finished_at = time.time()
            progress.save(durably=True)


def note(progress: Progress, rows: int, acknowledged: int, refused: int, size: int) -> None:
    """Put one settled batch on record."""
    record = progress.record
    record.rows, record.refused_bytes = rows, size
    record.acknowledged += acknowledged
    record.refused += refused
    progress.save()
