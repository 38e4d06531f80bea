"""
How far a partition is durable: the one word its writer has with its readers.

A frame can be read from the page cache before the disk has it. A reader that acted on such a frame would be wrong after
a power cut or a failed fsync, because its positions are then given to other events. So the writer says here, after each
fdatasync, how far readers may go, and a poll that finds nothing new costs the reading of this one record.

The record itself is never synced: it lives as long as the page cache does. What a power cut leaves of it may be old but
never too new; recovery goes on from there by the frames themselves. Two slots are written in turn, each with a checksum,
so that a reader (or a kill) in the middle of a write finds the other one whole.
"""

import os
import struct
from pathlib import Path
from typing import NamedTuple

from isal.isal_zlib import crc32

from customhouse.model.errors import Broken

MARK_NAME = "durable"
FORMAT = 1
_MAGIC = b"CHMK"
_LEAD = struct.Struct("<4sII")
_FIELDS = struct.Struct("<QQQQQQQ")
_SIZE = _LEAD.size + _FIELDS.size
_SLOT = 512
"""Slots are a disk sector apart."""
SLOTS = (0, _SLOT)
"""Where the two slots begin."""


class Mark(NamedTuple):
    """The end of what is durable. All zero while a partition holds nothing."""

    turn: int = 0
    """Counts the marks; the higher one of two slots holds."""
    base: int = 0
    """Names the segment file of the newest frame."""
    newest: int = 0
    """Byte offset of the newest frame in it."""
    first: int = 0
    """Position of the newest frame."""
    end: int = 0
    """Byte offset behind the newest frame; zero while there is none."""
    next: int = 0
    """Position of the frame to come."""
    total: int = 0
    """Records since the log began."""


class MarkFile:
    """The file `durable` of a partition's folder. Raises OSError as it comes."""

    __slots__ = ("_fd", "_known", "_path", "_raw")

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        """Open the file; a writer creates it with its blocks, so that a full disk does not stop a later mark."""
        self._path = folder / MARK_NAME
        self._fd = os.open(self._path, (os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY) | os.O_CLOEXEC, 0o644)
        if writable and os.fstat(self._fd).st_size < 2 * _SLOT:
            os.pwrite(self._fd, bytes(2 * _SLOT), 0)
            os.fsync(self._fd)
        self._raw = b""
        self._known = Mark()

    def read(self) -> Mark:
        """Return the newest whole mark."""
        raw = os.pread(self._fd, _SLOT + _SIZE, 0)
        if raw != self._raw:
            found = [mark for slot in SLOTS if (mark := self._unpack(raw[slot : slot + _SIZE])) is not None]
            if found:
                self._known = max(found)
                self._raw = raw
        return self._known

    def publish(self, mark: Mark) -> None:
        """Let readers go as far as this."""
        fields = _FIELDS.pack(*mark)
        os.pwrite(self._fd, _LEAD.pack(_MAGIC, crc32(fields), FORMAT) + fields, mark.turn % 2 * _SLOT)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _unpack(self, slot: bytes) -> Mark | None:
        if len(slot) < _SIZE:
            return None
        magic, crc, version = _LEAD.unpack_from(slot)
        if magic != _MAGIC or crc32(slot[_LEAD.size :]) != crc:
            return None
        if version != FORMAT:
            raise Broken(f"{self._path} has format version {version}; this release knows {FORMAT}")
        return Mark._make(_FIELDS.unpack_from(slot, _LEAD.size))
