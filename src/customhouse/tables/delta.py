"""
One append-only Delta table with one writer process and any number of readers.

Exactly once: each writer (an application id, say `owed-3`) gives its batches growing versions; a batch at or below the
recorded version is not written again. What was written beside a batch, its note, is found again at the next start.
A commit costs the same after fifty thousand of them: the writer keeps no list of files beyond the small ones, and
`tend` merges, checkpoints and cleans a little at a time.
"""

import fcntl
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from time import time
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from customhouse.model.errors import Broken, Misconfigured, Problem, Unavailable
from customhouse.tables.commits import Commits, Noted, Notes, added, removed, transaction
from customhouse.tables.compaction import Smalls
from customhouse.tables.datafile import DataFile, Shape, merge, sync, write

FORMAT = "1"
FORMAT_KEY = "customhouse.format"
_WRITER_VERSION = 2
"""The highest version of Delta's writer protocol whose duties are met here."""


class Upkeep(msgspec.Struct, frozen=True):
    """How a table is kept in shape."""

    target_bytes: int = 64 * 1024 * 1024
    """Size of a whole data file; one step of compaction reads about as much at most."""
    checkpoint_commits: int = 100
    keep_seconds: float = 900.0
    """How long files that were merged, and commits before a checkpoint, stay for readers that still use them."""


class DeltaFolder:
    """A Delta table, opened by its one writer. Not thread-safe."""

    def __init__(
        self, folder: Path, shape: Shape, upkeep: Upkeep | None = None, clock: Callable[[], float] = time
    ) -> None:
        """
        Open the table, or make it; `clock` returns seconds since 1970.

        Raises Unavailable while another process writes it, Broken when its format is not known.
        """
        self.folder = folder
        self._shape = shape
        self._upkeep = upkeep or Upkeep()
        self._clock = clock
        self._commits = Commits(folder)
        self._bin: deque[tuple[float, Path]] = deque()
        with _reaching(folder):
            if not folder.is_dir():
                _create(folder, shape)
            self._lock = _lock(folder)
            try:
                self._load()
            except BaseException:
                self.close()
                raise
            self._find_leftovers()

    def close(self) -> None:
        """Let another process write."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __del__(self) -> None:
        """Let another process write, also when nobody said so."""
        if hasattr(self, "_lock"):
            self.close()

    @property
    def version(self) -> int:
        """Return the version of the newest commit."""
        return self._version

    def last(self, app_id: str) -> Noted | None:
        """Return the last batch of a writer, or None before its first."""
        return self._notes.get(app_id)

    def append(self, rows: pa.Table, app_id: str, version: int, note: bytes = b"") -> int:
        """
        Commit rows once: nothing happens when this writer already committed this version or a higher one.

        Durable on return. Returns the table's version that holds them. Raises Unavailable when the disk does not take it; then
        nothing was committed, or `last` says that it was.
        """
        with _reaching(self.folder):
            if self._stale:
                self._load()
            known = self._notes.get(app_id)
            if known is not None and version <= known.version:
                return known.commit
            files = [self._write(partition, part) for partition, part in self._parts(rows)]
            actions = [transaction(app_id, version), *(added(f, self._shape.partition, changes=True) for f in files)]
            notes = {**self._notes, app_id: Noted(version, note, self._version + 1)}
            self._commit("WRITE", actions, notes, files)
        for file in files:
            self._smalls.add(msgspec.structs.replace(file, statistics=""))
        return self._version

    def tend(self) -> None:
        """Merge at most one handful of small files, checkpoint and clean when it is time. Raises Unavailable."""
        with _reaching(self.folder):
            if self._stale:
                self._load()
            ripe = self._smalls.ripe()
            if ripe:
                self._merge(ripe)
            if self._version - self._checkpointed >= self._upkeep.checkpoint_commits:
                self._checkpoint()
            self._empty_bin()

    def _parts(self, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """Split rows by partition, and put columns in the order of the files."""
        column = rows.column(self._shape.partition)
        stored = rows.select(self._shape.stored().names)
        values = pc.unique(column)
        for value in values:
            yield str(value.as_py()), stored if len(values) == 1 else stored.filter(pc.equal(column, value))

    def _write(self, partition: str, part: pa.Table) -> DataFile:
        return write(self.folder, self._shape, partition, part.to_batches(), part.num_rows)

    def _merge(self, files: list[DataFile]) -> None:
        merged = merge(self.folder, self._shape, files)
        column = self._shape.partition
        actions = [added(merged, column, changes=False), *(removed(file, column) for file in files)]
        self._commit("OPTIMIZE", actions, self._notes, [merged])
        self._smalls.remove(files)
        self._smalls.add(msgspec.structs.replace(merged, statistics=""))
        due = self._clock() + self._upkeep.keep_seconds
        self._bin.extend((due, self.folder / file.path) for file in files)
        pa.default_memory_pool().release_unused()  # or the process keeps what its largest merges took, several times

    def _commit(self, kind: str, actions: list[dict[str, Any]], notes: Notes, files: list[DataFile]) -> None:
        """Write a commit; on any doubt about what the log says now, read it again before the next one."""
        self._stale = True
        if not self._commits.write(self._version + 1, kind, actions, notes):
            for file in files:
                (self.folder / file.path).unlink()
            raise Unavailable(f"{self.folder}: another program committed at the same time")
        self._version += 1
        self._notes = notes
        self._noted = self._version
        self._stale = False

    def _load(self) -> None:
        """Read the table's state from its log, and make durable what is believed of it from now on."""
        sync(self.folder / "_delta_log")
        table = _open(self.folder, self._shape)
        self._version = table.version()
        self._noted, self._notes = self._commits.notes()
        self._checkpointed = self._commits.checkpoint()
        self._smalls = Smalls(self._upkeep.target_bytes)
        for file in _files(table, self._shape.partition):
            self._smalls.add(file)
        self._stale = False

    def _checkpoint(self) -> None:
        DeltaTable(self.folder).create_checkpoint()
        self._checkpointed = self._version
        self._commits.clean(self._version, self._noted, self._clock() - self._upkeep.keep_seconds)

    def _find_leftovers(self) -> None:
        """Put files no commit names in the bin: merged ones of an earlier run, and those of a write that crashed."""
        named = {file.path for file in _files(DeltaTable(self.folder), self._shape.partition)}
        due = self._clock() + self._upkeep.keep_seconds
        for path in self.folder.glob("*/*.parquet"):
            if path.parent.name != "_delta_log" and path.relative_to(self.folder).as_posix() not in named:
                self._bin.append((due, path))

    def _empty_bin(self) -> None:
        while self._bin and self._bin[0][0] <= self._clock():
            self._bin.popleft()[1].unlink(missing_ok=True)


def _create(folder: Path, shape: Shape) -> None:
    """Make an empty table, whole or not at all."""
    draft = folder.with_name(f".{folder.name}.new")
    if draft.exists():
        rmtree(draft)
    draft.mkdir(parents=True)
    DeltaTable.create(
        draft,
        schema=shape.schema,
        partition_by=[shape.partition],
        configuration={
            FORMAT_KEY: FORMAT,
            "delta.dataSkippingStatsColumns": ",".join(shape.statistics),
            "delta.deletedFileRetentionDuration": "interval 15 minutes",  # as long as the files themselves stay
            "delta.enableExpiredLogCleanup": "false",
        },
        raise_if_key_not_exists=False,
    )
    for path in (*draft.glob("_delta_log/*"), draft / "_delta_log", draft):
        sync(path)
    draft.rename(folder)
    sync(folder.parent)


def _open(folder: Path, shape: Shape) -> DeltaTable:
    table = DeltaTable(folder)
    form = table.metadata().configuration.get(FORMAT_KEY)
    if form and form.isdecimal() and int(form) > int(FORMAT):
        message = f"it has format {form} (table of the lake); this version knows format {FORMAT}"
        hint = "use the version of customhouse that wrote it, or a newer one; or restore a back-up taken before"
        raise Misconfigured([Problem(str(folder), message, hint)])
    if form != FORMAT:
        raise Broken(f"{folder}: table format {form!r} is not known here, only {FORMAT!r}")
    if table.protocol().min_writer_version > _WRITER_VERSION:
        raise Broken(f"{folder}: another program raised the table's protocol beyond what is written here")
    names = [field.name for field in table.schema().fields]
    if names != shape.schema.names:
        raise Broken(f"{folder}: the table has other columns than this version writes")
    return table


def _files(table: DeltaTable, column: str) -> list[DataFile]:
    actions = table.get_add_actions(flatten=True)
    picked = ("path", f"partition.{column}", "size_bytes", "num_records")
    columns = (actions.column(name).to_pylist() for name in picked)
    return [DataFile(path, str(value), size, rows or 0) for path, value, size, rows in zip(*columns, strict=True)]


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / "_writer.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Unavailable(f"{folder}: another process writes this table") from error
    return descriptor


@contextmanager
def _reaching(folder: Path) -> Iterator[None]:
    """Turn what disk and library raise into the words of the house."""
    try:
        yield
    except (OSError, DeltaError) as error:
        raise Unavailable(f"{folder}: {type(error).__name__}: {error}") from error
