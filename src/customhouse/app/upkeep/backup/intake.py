"""
How files of a running house come into a back-up: read in pieces, or not read at all when they cannot have changed.

A file of a kind that is never written again, such as a full segment or a data file of the lake, is known by path, size
and time of its last change. Others are read every time, unless they had been quiet for an hour when they were last read.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from stat import S_IMODE

from customhouse.app.upkeep.backup.manifest import Entry
from customhouse.app.upkeep.backup.objects import PIECE, Objects
from customhouse.model.errors import Unavailable

Tick = Callable[[int], None]
"""Told of every so many bytes that are in the back-up now."""
_QUIET = 3600 * 10**9
_PATIENCE = 5.0


class Moved(Exception):  # no fault: the house went on, and the snapshot is taken anew
    """Files went away while they were being read: retention, compaction. What is there now must be taken instead."""


class Intake:
    """The files of one snapshot so far."""

    def __init__(self, data: Path, objects: Objects, known: Mapping[str, Entry], before: int, tick: Tick) -> None:
        """Read below `data`. `known` are files of the snapshot before, which was begun at `before` (nanoseconds)."""
        self.entries: dict[str, Entry] = {}
        self.missing: list[str] = []
        """Files that were to be taken and are gone."""
        self._data = data
        self._objects = objects
        self._known = dict(known)
        self._before = before
        self._tick = tick

    def again(self) -> None:
        """Begin the snapshot anew; what was read of files that do not change is not read again."""
        self._known |= self.entries
        self.entries = {}
        self.missing = []

    def file(self, path: str, *, fixed: bool = False, upto: int | None = None) -> None:
        """Take a file, or its first `upto` bytes. `fixed` says that nobody writes into it any more."""
        try:
            with (self._data / path).open("rb") as file:
                said = os.fstat(file.fileno())
                old = self._known.get(path)
                same = old is not None and (old.size, old.modified) == (said.st_size, said.st_mtime_ns)
                if old is not None and same and (fixed or old.modified < self._before - _QUIET):
                    self._objects.reused += old.size
                    self._tick(old.size)
                    self.entries[path] = old
                    return
                size, pieces = self._read(file.read, upto)
        except FileNotFoundError:
            self.missing.append(path)
            return
        whole = upto is None
        self.entries[path] = Entry(path, size, S_IMODE(said.st_mode), said.st_mtime_ns if whole else 0, pieces)

    def made(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Take a file as it must be in the snapshot, whatever it says by now."""
        size, pieces = self._pieces([content[at : at + PIECE] for at in range(0, len(content), PIECE)])
        self.entries[path] = Entry(path, size, mode, 0, pieces)

    def database(self, path: str, scratch: Path) -> None:
        """Take one moment of an SQLite file while its owner writes on, through a copy that stays in `scratch`."""
        if not (self._data / path).exists():
            return
        scratch.unlink(missing_ok=True)
        try:
            with (
                closing(
                    sqlite3.connect(f"{(self._data / path).absolute().as_uri()}?mode=ro", timeout=_PATIENCE, uri=True)
                ) as live,
                closing(sqlite3.connect(scratch, isolation_level=None)) as copy,
            ):
                live.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.Error as error:
            raise Unavailable(f"{self._data / path} cannot be read: {error}; back up again") from error
        with scratch.open("rb") as file:
            size, pieces = self._read(file.read, None)
        self.entries[path] = Entry(path, size, S_IMODE((self._data / path).stat().st_mode), 0, pieces)

    def _read(self, read: Callable[[int], bytes], upto: int | None) -> tuple[int, list[str]]:
        size = 0
        names: list[str] = []
        while piece := read(PIECE if upto is None else min(PIECE, upto - size)):
            more, name = self._pieces([piece])
            size, names = size + more, names + name
        if upto is not None and size < upto:
            raise FileNotFoundError
        return size, names

    def _pieces(self, pieces: list[bytes]) -> tuple[int, list[str]]:
        names = []
        for piece in pieces:
            names.append(self._objects.put(piece))
            self._tick(len(piece))
        return sum(map(len, pieces)), names
