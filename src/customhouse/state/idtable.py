"""
One table of the index of ids: a hash table in one mapped file, probed for a whole batch at a time.

A slot is one word: 36 bits of the key, 28 of the number of its entry. Eight slots are a line, the size of a cache line,
filled from the left; a full line overflows into the next. So an id that is not there, the common case, costs one look
at one line. Entries (key, claim, fingerprint) lie behind the slots in the order of their arrival and are read only when
a slot's 36 bits fit.

Nothing is ever removed from a table, and a slot is written after its entry and its count. So whatever part of the
writes since the last `sync` survives a crash, every entry that was synced is found, and the others can be put in again.
"""

import mmap
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from customhouse.model.errors import Broken, Unavailable
from customhouse.state.identries import Entries, Words

Places = NDArray[np.intp]

FORMAT = 1
MAGIC = int.from_bytes(b"chidtab\x00", "little")
LARGEST = 26
"""Bits of slots of the largest table: 32 million entries, a gigabyte and a half."""
_HEADER = 4096
_LINE = 8
_ENTRY = 32
_STEP = 1 << 15
"""Disk space is reserved for so many entries at a time."""
_NUMBER = np.uint64(2**28 - 1)
_TAG = np.uint64(2**28)
_MARK = np.uint64(2**63)
_ONE = np.uint64(1)


class Damaged(Broken):
    """A table is not what was written: missing, cut off or overwritten. The log can rebuild it."""


def tags(keys: Words) -> Words:
    """Return what slots hold of these keys. The top bit is always set, so that no tag looks like an empty slot."""
    return keys[:, 0] | _MARK


class Table:
    """A hash table of up to half as many entries as slots. One process at a time may have it open."""

    def __init__(self, path: Path, handle: int) -> None:
        """Map an open file whose length and header are right; see `create` and `load`."""
        self.path = path
        self._handle = handle
        self._map = mmap.mmap(handle, 0)
        self._head = np.frombuffer(self._map, "<u8", 8)
        self.day, bits = int(self._head[2]), int(self._head[3])
        self.bits = bits
        self.count = int(self._head[4])
        self.capacity = 1 << (bits - 1)
        self._slots = np.frombuffer(self._map, "<u8", 1 << bits, _HEADER)
        self._lines = self._slots.reshape(-1, _LINE)
        self._entries = np.frombuffer(self._map, "<u8", 4 * self.capacity, _HEADER + (8 << bits)).reshape(-1, 4)
        self._mask = np.uint64((1 << bits) // _LINE - 1)
        self._reserved = self.count
        self._dirty = True

    @classmethod
    def create(cls, path: Path, day: int, bits: int) -> "Table":
        """Make an empty table of `2 ** bits` slots. Raises Unavailable when the disk has no room for it."""
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise Unavailable(f"no room for the id index: {error.strerror}") from error
        try:
            os.ftruncate(handle, _length(bits))
            # A mapped page without disk space behind it would end the process with SIGBUS when written.
            _reserve(handle, 0, _HEADER + (8 << bits))
            os.pwrite(handle, np.array([MAGIC, FORMAT, day, bits, 0], "<u8").tobytes(), 0)
            return cls(path, handle)
        except OSError as error:
            os.close(handle)
            path.unlink()
            raise Unavailable(f"no room for the id index: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path, *, at_least: int) -> "Table":
        """Open a table that holds at least so many entries. Raises Damaged, and Broken for a format from the future."""
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError as error:
            raise Damaged(f"{path.name} is missing") from error
        try:
            _inspect(
                path.name, np.frombuffer(os.pread(handle, 40, 0).ljust(40, b"\0"), "<u8"), os.fstat(handle).st_size
            )
            table = cls(path, handle)
        except Broken:
            os.close(handle)
            raise
        if not at_least <= table.count <= table.capacity:
            table.close()
            raise Damaged(f"{path.name} holds {table.count} entries, not the {at_least} that were synced")
        return table

    @property
    def room(self) -> int:
        """Return how many more entries it takes."""
        return self.capacity - self.count

    def probe(self, wanted: Words, keys: Words) -> tuple[Places, Places]:
        """Return the places in `keys` whose id is here, and the numbers of their entries. `wanted` are their tags."""
        places: Places | None = None
        home = wanted & self._mask
        found: list[tuple[Places, Places]] = []
        while True:
            lines = self._lines.take(home.view(np.int64), axis=0)
            full = lines[:, -1].nonzero()[0]
            lines ^= wanted[:, None]
            near = np.less(lines, _TAG).view(np.uint64).ravel().nonzero()[0]
            if len(near):
                found.append(self._confirm(lines[near], near if places is None else places[near], keys))
            if not len(full):
                break
            places = full if places is None else places[full]
            home, wanted = (home[full] + _ONE) & self._mask, wanted[full]
        if len(found) == 1:
            return found[0]
        if not found:
            return _NOWHERE, _NOWHERE
        return np.concatenate([places for places, _ in found]), np.concatenate([numbers for _, numbers in found])

    def claims(self, numbers: Places) -> tuple[Words, Words]:
        """Return the claims and fingerprints of these entries."""
        rows = self._entries[numbers]
        return rows[:, 2], rows[:, 3]

    def strengthen(self, numbers: Places, claims: Words, fingerprints: Words) -> None:
        """Let stronger claims take the place of weaker ones."""
        rows = self._entries[numbers]
        stronger = ((claims < rows[:, 2]) | ((claims == rows[:, 2]) & (fingerprints < rows[:, 3]))).nonzero()[0]
        if len(stronger):
            self._dirty = True
            # The claim goes last: a crash between the two leaves the weaker claim, and the log brings the stronger again.
            self._entries[numbers[stronger], 3] = fingerprints[stronger]
            self._entries[numbers[stronger], 2] = claims[stronger]

    def insert(self, entries: Entries) -> None:
        """Put in entries whose keys are not here, each once, not more than there is room. Raises Unavailable."""
        start, size = self.count, len(entries.claims)
        self._reserve(start + size)
        self._dirty = True
        rows = self._entries[start : start + size]
        rows[:, :2], rows[:, 2], rows[:, 3] = entries.keys, entries.claims, entries.fingerprints
        self.count = start + size
        self._head[4] = self.count
        wanted = tags(entries.keys)
        self._place(wanted & self._mask, (wanted & ~_NUMBER) | np.arange(start, start + size, dtype=np.uint64))

    def sync(self) -> None:
        """Return when all that is in the table is on disk."""
        if self._dirty:
            self._map.flush()
            if sys.platform == "darwin":
                import fcntl

                fcntl.fcntl(self._handle, fcntl.F_FULLFSYNC)
            self._dirty = False

    def close(self) -> None:
        """Let go of the file. The table is of no use afterwards; closing it again does nothing."""
        if self._map.closed:
            return
        del self._head, self._slots, self._lines, self._entries
        self._map.close()
        os.close(self._handle)

    def _confirm(self, differences: Words, places: Places, keys: Words) -> tuple[Places, Places]:
        """Return those of the likely finds whose whole key is the one in the entry."""
        row, column = (differences < _TAG).nonzero()
        places = places[row]
        numbers = (differences[row, column] ^ (keys[places, 0] & _NUMBER)).astype(np.intp)
        # After a power failure a slot may point at an entry that never reached the disk: of zeros, or somebody else's.
        numbers = np.minimum(numbers, self.capacity - 1)
        rows = self._entries[numbers]
        same = ((rows[:, 0] == keys[places, 0]) & (rows[:, 1] == keys[places, 1])).nonzero()[0]
        return places[same], numbers[same]

    def _place(self, home: Words, words: Words) -> None:
        """Write each word into the first free slot from its home line on."""
        while len(words):
            taken = (self._lines.take(home.view(np.int64), axis=0) != 0).view(np.uint64).ravel()
            filled = np.bitwise_count(taken).astype(np.uint64)
            slots = (home * np.uint64(_LINE) + filled).view(np.int64)
            free = filled < _LINE
            self._slots[slots[free]] = words[free]
            # Several words of a batch may want one slot: the last one has it, the others try again.
            pending = ~free
            pending[free] = self._slots[slots[free]] != words[free]
            home = (home + (~free)) & self._mask
            home, words = home[pending], words[pending]

    def _reserve(self, count: int) -> None:
        """Make sure that so many entries have their place on disk."""
        if count > self._reserved:
            target = min(count + _STEP, self.capacity)
            offset = _HEADER + (8 << self.bits)
            try:
                _reserve(self._handle, offset + _ENTRY * self._reserved, _ENTRY * (target - self._reserved))
            except OSError as error:
                raise Unavailable(f"no room for the id index: {error.strerror}") from error
            self._reserved = target


_NOWHERE: Places = np.empty(0, np.intp)


def _length(bits: int) -> int:
    """Return the length of the file of a table of `2 ** bits` slots, most of it without disk space at first."""
    return _HEADER + (8 << bits) + (_ENTRY << (bits - 1))


def _inspect(name: str, head: Words, length: int) -> None:
    """Raise Damaged unless a file has the header and length of a table; Broken when its format is from the future."""
    magic, known, _, bits = (int(word) for word in head[:4])
    if magic != MAGIC or known < FORMAT:
        raise Damaged(f"{name} is not a table of the id index that this release can read")
    if known > FORMAT:
        raise Broken(f"{name} has format {known}; this release knows {FORMAT}")
    if not 3 < bits <= LARGEST or length != _length(bits):
        raise Damaged(f"{name} has {length} bytes, not what its header says")


def _reserve(handle: int, offset: int, size: int) -> None:
    """Give a part of a file disk space, which reads as zeros. Nothing may have been written there."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, offset, size)
        return
    for at in range(offset, offset + size, 1 << 20):
        os.pwrite(handle, bytes(min(1 << 20, offset + size - at)), at)
