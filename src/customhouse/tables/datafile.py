"""
One Parquet file of a table: how it is written, and how several become one.

Written here rather than by the Delta library because this takes a third of the time per row, keeps minima and maxima
of named columns only (a statistic of a personal column would outlive the erasure of its row), and ends in an fsync: a
commit never names a file that a power failure can take away.
"""

import fcntl
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

ROW_GROUP = 122_880
"""Rows; what engines that read in parallel expect."""
_STRIDE = 32_768


class Shape(Struct, frozen=True):
    """What a table looks like and how its columns are laid down."""

    schema: Any
    """A `pyarrow.Schema`; the partition column is part of it."""
    statistics: tuple[str, ...]
    """Columns whose minimum and maximum per file stand in the log. Never a personal one."""
    lookups: tuple[str, ...] = ()
    """Columns that get a Bloom filter, so that a look-up by an exact value skips nearly every file."""
    repetitive: tuple[str, ...] = ()
    """Columns of few distinct values, stored as dictionaries."""
    partition: str = "day"

    def stored(self) -> pa.Schema:
        """Return the columns inside the files: a partition's value stands in the path instead."""
        return pa.schema([field for field in self.schema if field.name != self.partition])


class DataFile(Struct, frozen=True):
    """One file of a table, as its commit names it."""

    path: str
    """Relative to the table's folder."""
    partition: str
    size: int
    rows: int
    statistics: str = ""
    """As Delta's JSON; kept only until the commit is written."""


def write(folder: Path, shape: Shape, partition: str, batches: Iterable[pa.RecordBatch], rows: int) -> DataFile:
    """Write batches into one new file and make it durable. `rows` sizes the Bloom filters. Raises OSError."""
    path = f"{shape.partition}={partition}/{uuid4().hex}.parquet"
    file = folder / path
    if not file.parent.is_dir():
        file.parent.mkdir(parents=True)
        sync(folder)
    ranges = _Ranges(shape.statistics)
    try:
        with pq.ParquetWriter(file, shape.stored(), **_options(shape, rows)) as writer:
            for batch in batches:
                ranges.take(batch)
                writer.write_batch(batch, row_group_size=ROW_GROUP)
        sync(file)
        sync(file.parent)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return DataFile(path, partition, file.stat().st_size, ranges.rows, ranges.json())


def merge(folder: Path, shape: Shape, files: Sequence[DataFile]) -> DataFile:
    """Write the rows of several files of one partition into one new file, a stretch at a time. Raises OSError."""
    return write(folder, shape, files[0].partition, _rows(folder, files), sum(file.rows for file in files))


def sync(path: Path) -> None:
    """Make a file's content, or a folder's list of names, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync alone leaves the data in the drive's cache
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rows(folder: Path, files: Sequence[DataFile]) -> Iterable[pa.RecordBatch]:
    for file in files:
        with pq.ParquetFile(folder / file.path, memory_map=False) as source:
            yield from source.iter_batches(_STRIDE, use_threads=False)


def _options(shape: Shape, rows: int) -> dict[str, Any]:
    filters = {column: {"ndv": max(1, min(rows, ROW_GROUP)), "fpp": 0.01} for column in shape.lookups}
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": list(shape.repetitive) or False,
        "write_statistics": list(shape.statistics),
        "bloom_filter_options": filters or None,
    }


class _Ranges:
    """Minimum, maximum and nulls per column while a file is written."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.rows = 0
        self._nulls = dict.fromkeys(columns, 0)
        self._low: dict[str, Any] = {}
        self._high: dict[str, Any] = {}

    def take(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        for name in self._nulls:
            column = batch.column(name)
            self._nulls[name] += column.null_count
            low, high = (bound.as_py() for bound in pc.min_max(column).values())
            if low is not None:
                self._low[name] = min(self._low.get(name, low), low)
                self._high[name] = max(self._high.get(name, high), high)

    def json(self) -> str:
        return msgspec.json.encode(
            {"numRecords": self.rows, "minValues": self._low, "maxValues": self._high, "nullCount": self._nulls}
        ).decode()
