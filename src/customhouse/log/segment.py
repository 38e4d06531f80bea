"""
One file of the log: a header, then frames. The only place that knows the bytes.

    file    magic "CHLOGSEG", crc32, format, generation, base
    frame   magic "CHFR", crc32, format, length, count, generation, base, total, at; then `length` bytes of body

All numbers are little-endian; a checksum covers everything behind itself, a frame's body included. The generation is
drawn at random for each file and stands in each of its frames: bytes of an older file that a disk brings back, or bytes
a client sends to look like a frame, are not taken for one.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from isal.isal_zlib import crc32
from msgspec import Struct

from customhouse.log.files import sync, sync_folder
from customhouse.model.contracts import Frame
from customhouse.model.errors import Broken

FORMAT = 1
_FILE_MAGIC = b"CHLOGSEG"
_FILE_LEAD = struct.Struct("<8sI")
_FILE_FIELDS = struct.Struct("<IQQ")
_FRAME_MAGIC = b"CHFR"
_FRAME = struct.Struct("<4sIIIIQQQq")
_FRAME_LEAD = struct.Struct("<4sI")
_FRAME_FIELDS = struct.Struct("<IIIQQQq")

FILE_HEADER = _FILE_LEAD.size + _FILE_FIELDS.size
FRAME_HEADER = _FRAME.size
LARGEST_BODY = 1 << 30
_CHUNK = 1 << 20
_SMALL = 1 << 16


class Damaged(Broken):
    """
    A frame that was durable cannot be read.

    Whoever decides to go on without it reads with `after=resume`: that is the position before the next sound frame.
    What lies between is lost and shows as a gap in the frames' bases, so that it can be booked.
    """

    def __init__(self, path: Path, offset: int, first: int, resume: int) -> None:
        """Name the file, the byte offset, and the positions that cannot be read."""
        super().__init__(
            f"{path} is damaged at byte {offset}: positions {first} to {resume} cannot be read; "
            f"read after {resume} to go on without them"
        )
        self.resume = resume


class Place(NamedTuple):
    """Where a frame starts: its byte offset, and the position it must have."""

    offset: int
    position: int


class Extent(NamedTuple):
    """How far a segment may be read: to a byte offset, and to the position where the next segment begins."""

    end: int
    stop: int


class Head(Struct, frozen=True):
    """A frame's header."""

    length: int
    count: int
    base: int
    total: int
    at: int

    @property
    def size(self) -> int:
        """Return the bytes of the whole frame."""
        return FRAME_HEADER + self.length

    @property
    def last(self) -> int:
        """Return its last position."""
        return self.base + max(self.count, 1) - 1


def pack(frame: Frame, generation: int) -> bytes:
    """Return the header that goes before a frame's body."""
    fields = _FRAME_FIELDS.pack(FORMAT, len(frame.body), frame.count, generation, frame.base, frame.total, frame.at)
    return _FRAME_LEAD.pack(_FRAME_MAGIC, crc32(frame.body, crc32(fields))) + fields


def path_of(folder: Path, base: int) -> Path:
    """Return the file that starts at a position."""
    return folder / f"{base:020}.seg"


def bases_in(folder: Path) -> list[int]:
    """Return the first positions of all segments of a folder, oldest first."""
    # A cold read starts here; Path.iterdir would double its cost.
    names = os.listdir(folder)  # noqa: PTH208 - see above
    return sorted(int(name[:20]) for name in names if name.endswith(".seg") and name[:20].isdigit())


class Segment:
    """An open segment file. Any number of threads may read it; only `create` and the log's writer write."""

    __slots__ = ("base", "fd", "generation", "path")

    def __init__(self, path: Path, fd: int, generation: int, base: int) -> None:
        """Hold an open file whose header has been read or written."""
        self.path = path
        self.fd = fd
        self.generation = generation
        self.base = base

    @classmethod
    def create(cls, folder: Path, base: int) -> "Segment":
        """Create a file and make header and name durable, before any frame is written. Raises OSError."""
        path = path_of(folder, base)
        # A file of this name can only be one that never held a durable frame: its base would have moved on.
        path.unlink(missing_ok=True)
        generation = int.from_bytes(os.urandom(8), "little")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            fields = _FILE_FIELDS.pack(FORMAT, generation, base)
            os.pwrite(fd, _FILE_LEAD.pack(_FILE_MAGIC, crc32(fields)) + fields, 0)
            sync(fd)
            sync_folder(folder)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, generation, base)

    @classmethod
    def open(cls, folder: Path, base: int, *, writable: bool = False) -> "Segment":
        """Open a file. Raises FileNotFoundError when it is gone, and Broken when its header is not one we know."""
        path = path_of(folder, base)
        fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        try:
            return cls(path, fd, _generation(path, os.pread(fd, FILE_HEADER, 0), base), base)
        except BaseException:
            os.close(fd)
            raise

    @property
    def size(self) -> int:
        """Return the file's length now."""
        return os.fstat(self.fd).st_size

    @property
    def start(self) -> Place:
        """Return the place of the first frame."""
        return Place(FILE_HEADER, self.base)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.fd)

    def read(self, place: Place, extent: Extent, room: int) -> tuple[list[Frame], Place]:
        """Return the sound frames from a place on, about `room` bytes of them, and the place behind. Raises Damaged."""
        frames: list[Frame] = []
        offset, position = place
        spent = need = 0
        while offset < extent.end and position < extent.stop and spent < room:
            want = min(max(need, min(_CHUNK, max(room - spent, _SMALL))), extent.end - offset)
            chunk = os.pread(self.fd, want, offset)
            used = 0
            while isinstance(got := self._unpack(chunk, used, position), Frame):
                frames.append(got)
                position = got.last + 1
                used += FRAME_HEADER + len(got.body)
                if position >= extent.stop or spent + used >= room:
                    return frames, Place(offset + used, position)
            offset += used
            spent += used
            need = got
            whole = got and got <= extent.end - offset and len(chunk) == want
            if offset < extent.end and not whole:
                if not frames:
                    raise self._damage(Place(offset, position), extent)
                break
        return frames, Place(offset, position)

    def heads(self, extent: Extent) -> Iterator[tuple[Place, Head]]:
        """Walk the headers, over damage. Bodies are not looked at."""
        before = place = self.start
        while place.offset < extent.end and place.position < extent.stop:
            head = self.head(place, extent)
            if head is None:
                # The last header may have led astray, so the search starts there.
                sound = self.next_sound(before, extent)
                if sound is None:
                    return
                before = place = sound
                continue
            yield place, head
            before, place = place, Place(place.offset + head.size, head.last + 1)

    def seek(self, after: int, extent: Extent) -> Place:
        """Return the place of the first frame that holds a position greater than `after`, damaged or not, or the end."""
        expected = self.start
        for place, head in self.heads(extent):
            if head.last > after:
                return place if place.position - 1 <= after else expected
            expected = Place(place.offset + head.size, head.last + 1)
        return expected

    def head(self, place: Place, extent: Extent) -> Head | None:
        """Return the header at a place, or None when there is none that fits."""
        raw = os.pread(self.fd, FRAME_HEADER, place.offset)
        if len(raw) < FRAME_HEADER:
            return None
        magic, _, _, length, count, generation, base, total, at = _FRAME.unpack(raw)
        if magic != _FRAME_MAGIC or generation != self.generation or base != place.position:
            return None
        head = Head(length, count, base, total, at)
        return head if place.offset + head.size <= extent.end else None

    def sound(self, place: Place, extent: Extent) -> Frame | None:
        """Return the frame at a place, or None when it is not whole."""
        head = self.head(place, extent)
        if head is None:
            return None
        got = self._unpack(os.pread(self.fd, head.size, place.offset), 0, place.position)
        return got if isinstance(got, Frame) else None

    def next_sound(self, place: Place, extent: Extent) -> Place | None:
        """Search behind a damaged place for the next whole frame."""
        offset = place.offset + 1
        while offset < extent.end:
            chunk = os.pread(self.fd, min(_CHUNK, extent.end - offset), offset)
            found = chunk.find(_FRAME_MAGIC)
            while found >= 0:
                raw = os.pread(self.fd, FRAME_HEADER, offset + found)
                if len(raw) == FRAME_HEADER and (base := _FRAME.unpack(raw)[6]) >= place.position:
                    candidate = Place(offset + found, base)
                    if self.sound(candidate, extent) is not None:
                        return candidate
                found = chunk.find(_FRAME_MAGIC, found + 1)
            # The magic may lie across two chunks.
            offset += max(len(chunk) - len(_FRAME_MAGIC) + 1, 1)
        return None

    def _unpack(self, chunk: bytes, at: int, position: int) -> Frame | int:
        """Return the frame at `at`; the bytes it needs when the chunk is too short for it; 0 when it is damaged."""
        if len(chunk) - at < FRAME_HEADER:
            return FRAME_HEADER
        magic, crc, version, length, count, generation, base, total, written = _FRAME.unpack_from(chunk, at)
        if magic != _FRAME_MAGIC or generation != self.generation or base != position:
            return 0
        size = FRAME_HEADER + int(length)
        if len(chunk) - at < size:
            return size
        if crc32(memoryview(chunk)[at + _FRAME_LEAD.size : at + size]) != crc:
            return 0
        if version != FORMAT:
            raise Broken(f"{self.path} holds a frame of format version {version}; this release knows {FORMAT}")
        return Frame(base, count, total, written, chunk[at + FRAME_HEADER : at + size])

    def _damage(self, place: Place, extent: Extent) -> Damaged:
        sound = self.next_sound(place, extent)
        resume = (sound.position if sound else extent.stop) - 1
        return Damaged(self.path, place.offset, place.position, resume)


def _generation(path: Path, raw: bytes, base: int) -> int:
    """Check a file header and return its generation."""
    if len(raw) == FILE_HEADER:
        magic, crc = _FILE_LEAD.unpack_from(raw)
        version, generation, named = _FILE_FIELDS.unpack_from(raw, _FILE_LEAD.size)
        if magic == _FILE_MAGIC and version != FORMAT:
            raise Broken(f"{path} has format version {version}; this release knows {FORMAT}")
        if magic == _FILE_MAGIC and crc32(raw[_FILE_LEAD.size :]) == crc and named == base:
            return int(generation)
    raise Broken(f"{path} is not a segment of this log: its header is damaged")
