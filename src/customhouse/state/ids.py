"""
The index of ids: who owns an id, by day of receipt. On disk for the worker, in memory for tests.

One index belongs to one partition of the log. It holds nothing that the log does not: what it lost since its last
checkpoint comes again from the owed frames, and entries may come twice. So it writes without waiting for the disk, and
a damaged one is thrown away and filled anew.

    <folder>/checkpoint.json        how far the tables are on disk, and which there are
    <folder>/19679-0.ids …          the tables of a day, see `idtable`
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from customhouse.model.errors import Broken, Unavailable
from customhouse.state.identries import NOBODY, Days, Entries, Words, strongest
from customhouse.state.idtable import LARGEST, Damaged, Places, Table, tags

CHECKPOINT = "checkpoint.json"
FORMAT = 1
_FIRST = 17
_GROWTH = 2
"""Bits by which each table of a day is larger than the one before: a day has few, and the last is not mostly empty."""


class _Format(Struct, frozen=True):
    """The one field that every format of the checkpoint has."""

    format: int


class _Listed(Struct, frozen=True, forbid_unknown_fields=True):
    """A table on disk, and how many entries it holds there at least."""

    file: str
    count: int


class _Checkpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """What is on disk, and up to which position of `owed` it is complete."""

    format: Literal[1]
    synced_through: int
    tables: list[_Listed]


class MemoryIndex:
    """The index as a dictionary. What it knows ends with it."""

    def __init__(self) -> None:
        """Start empty."""
        self.synced_through = -1
        self._days: dict[int, dict[bytes, tuple[int, int]]] = defaultdict(dict)

    def days(self) -> list[int]:
        """Return the days it holds entries of, oldest first."""
        return sorted(self._days)

    def find(self, keys: Words, since: Days) -> tuple[Words, Words]:
        """Return the strongest claim on each key made on the day `since` or later, and its fingerprint."""
        found = []
        for key, day in zip(keys, since.tolist(), strict=True):
            held = [ids[key.tobytes()] for at, ids in self._days.items() if at >= day and key.tobytes() in ids]
            found.append(min(held, default=(NOBODY, 0)))
        columns = np.array(found, np.uint64).reshape(-1, 2)
        return columns[:, 0], columns[:, 1]

    def add(self, entries: Entries) -> None:
        """Enter claims; for each day and key the strongest stays."""
        for day, key, *claimed in zip(*entries, strict=True):
            ids, new = self._days[int(day)], (int(claimed[0]), int(claimed[1]))
            ids[key.tobytes()] = min(ids.get(key.tobytes(), new), new)

    def forget(self, before_day: int) -> None:
        """Drop all days before this one."""
        for day in [day for day in self._days if day < before_day]:
            del self._days[day]

    def checkpoint(self, position: int) -> None:
        """Note that everything up to a position of `owed` is in."""
        self.synced_through = position

    def close(self) -> None:
        """Do nothing: there is no file."""


class MappedIndex:
    """The index in mapped files: small in private memory, a microsecond per id, dropped by the day."""

    def __init__(
        self, folder: Path, *, tables: Iterable[Table] = (), synced_through: int = -1, first_bits: int = _FIRST
    ) -> None:
        """Take these tables and throw away what else is in the folder; see `open`. `first_bits` sizes a first table."""
        self.synced_through = synced_through
        self._folder = folder
        self._first_bits = first_bits
        self._days: dict[int, list[Table]] = {}
        for table in tables:
            self._days.setdefault(table.day, []).append(table)
        folder.mkdir(parents=True, exist_ok=True)
        if synced_through < 0:
            (folder / CHECKPOINT).unlink(missing_ok=True)
        self._sweep()

    @classmethod
    def open(cls, folder: Path, first_bits: int = _FIRST) -> "MappedIndex":
        """
        Return the index in a folder; `synced_through` says up to which position of `owed` it is complete.

        What was entered after that may be in or not: the caller enters it again. When anything is missing or damaged,
        the index starts empty, complete up to -1. Raises Broken for a format this release does not know.
        """
        tables: list[Table] = []
        try:
            noted = _read_checkpoint(folder / CHECKPOINT)
            for listed in noted.tables:
                tables.append(Table.load(folder / listed.file, at_least=listed.count))  # noqa: PERF401 - see the except
        except Damaged:
            for table in tables:
                table.close()
            return cls(folder, first_bits=first_bits)
        return cls(folder, tables=tables, synced_through=noted.synced_through, first_bits=first_bits)

    def days(self) -> list[int]:
        """Return the days it holds entries of, oldest first."""
        return sorted(self._days)

    def find(self, keys: Words, since: Days) -> tuple[Words, Words]:
        """Return the strongest claim on each key made on the day `since` or later, and its fingerprint."""
        claims = np.full(len(keys), NOBODY, np.uint64)
        fingerprints = np.zeros(len(keys), np.uint64)
        if not len(keys):
            return claims, fingerprints
        wanted, oldest = tags(keys), int(since.min())
        for day, tables in self._days.items():
            for table in tables if day >= oldest else ():
                places, numbers = table.probe(wanted, keys)
                if len(places):
                    _gather(table, places[since[places] <= day], numbers[since[places] <= day], (claims, fingerprints))
        return claims, fingerprints

    def add(self, entries: Entries) -> None:
        """Enter claims; for each day and key the strongest stays. Raises Unavailable when the disk is full."""
        entries = strongest(entries)
        if not len(entries.days):
            return
        first, last = int(entries.days.min()), int(entries.days.max())
        for day in [first] if first == last else np.unique(entries.days).tolist():
            self._add(day, entries if first == last else entries.take((entries.days == day).nonzero()[0]))

    def forget(self, before_day: int) -> None:
        """Drop all days before this one."""
        old = [table for day in self.days() if day < before_day for table in self._days.pop(day)]
        if not old:
            return
        if self.synced_through >= 0:
            self._note(frozenset(table.path.name for table in old))
        for table in old:
            table.close()
            table.path.unlink()

    def checkpoint(self, position: int) -> None:
        """Bring everything to disk, then note that everything up to a position of `owed` is in. Raises Unavailable."""
        try:
            for tables in self._days.values():
                for table in tables:
                    table.sync()
            self.synced_through = position
            self._note()
        except OSError as error:
            raise Unavailable(f"the id index cannot be brought to disk: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the files; what was entered since the last checkpoint counts as not entered."""
        for tables in self._days.values():
            for table in tables:
                table.close()
        self._days = {}

    def _add(self, day: int, entries: Entries) -> None:
        """Enter claims made on one day."""
        wanted, unknown = tags(entries.keys), np.ones(len(entries.days), np.bool_)
        for table in self._days.get(day, ()):
            places, numbers = table.probe(wanted, entries.keys)
            if len(places):
                table.strengthen(numbers, entries.claims[places], entries.fingerprints[places])
                unknown[places] = False
        rest = entries if unknown.all() else entries.take(unknown.nonzero()[0])
        while len(rest.days):
            tables = self._days.get(day)
            table = tables[-1] if tables and tables[-1].room else self._grow(day)
            size = min(table.room, len(rest.days))
            table.insert(rest.cut(0, size))
            rest = rest.cut(size, len(rest.days))

    def _grow(self, day: int) -> Table:
        """Give a day another table: the first as large as the day before asks for, each later one four times larger."""
        tables = self._days.get(day, [])
        if tables:
            bits = max(table.bits for table in tables) + _GROWTH
        else:
            before = max((other for other in self._days if other < day), default=day)
            expected = sum(table.count for table in self._days.get(before, ()))
            bits = max(self._first_bits, (expected * 5 // 2).bit_length())
        table = Table.create(self._folder / f"{day}-{len(tables)}.ids", day, min(bits, LARGEST))
        self._days[day] = [*tables, table]
        return table

    def _note(self, without: frozenset[str] = frozenset()) -> None:
        """Replace the checkpoint by one that lists the tables there are, except some."""
        tables = [table for day in self.days() for table in self._days[day] if table.path.name not in without]
        listed = [_Listed(table.path.name, table.count) for table in tables]
        target, draft = self._folder / CHECKPOINT, self._folder / f"{CHECKPOINT}.new"
        _sync_folder(self._folder)
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(_Checkpoint(1, self.synced_through, listed)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
        _sync_folder(self._folder)

    def _sweep(self) -> None:
        """Remove tables that the checkpoint does not list: what they hold comes again from the log."""
        known = {table.path.name for tables in self._days.values() for table in tables}
        for path in self._folder.glob("*.ids"):
            if path.name not in known:
                path.unlink()


def _gather(table: Table, places: Places, numbers: Places, best: tuple[Words, Words]) -> None:
    """Enter what a table holds into the columns of the strongest claims found so far."""
    claims, fingerprints = table.claims(numbers)
    # After a power failure a table may hold an id twice; the strongest is written last and stays.
    order = np.lexsort((fingerprints, claims))[::-1]
    places, claims, fingerprints = places[order], claims[order], fingerprints[order]
    weaker = (claims > best[0][places]) | ((claims == best[0][places]) & (fingerprints >= best[1][places]))
    stronger = (~weaker).nonzero()[0]
    best[0][places[stronger]], best[1][places[stronger]] = claims[stronger], fingerprints[stronger]


def _read_checkpoint(path: Path) -> _Checkpoint:
    """Read a checkpoint. Raises Damaged when there is none, or none that can be read; Broken for an unknown format."""
    try:
        text = path.read_bytes()
        known = msgspec.json.decode(text, type=_Format).format
    except (FileNotFoundError, msgspec.MsgspecError) as error:
        raise Damaged(f"{path.name} is missing or unreadable") from error
    if known > FORMAT:
        raise Broken(f"{path.name} of the id index has format {known}; this release knows {FORMAT}")
    try:
        return msgspec.json.decode(text, type=_Checkpoint)
    except msgspec.MsgspecError as error:
        raise Damaged(f"{path.name} is not as this release writes it") from error


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
