"""
One partition as its readers see it: up to the mark, never beyond.

Lanes read the same partition at different places, so the places where earlier reads ended are remembered; a read that
goes on from one of them costs one `pread` of the mark and one of the frames, a poll that finds nothing only the first.
"""

import errno
import threading
from pathlib import Path
from typing import NamedTuple

from customhouse.log.files import Lock
from customhouse.log.mark import Mark, MarkFile
from customhouse.log.recovery import recover, settled
from customhouse.log.segment import Damaged, Extent, Place, Segment, bases_in
from customhouse.model.contracts import Frame
from customhouse.model.errors import Unavailable

_OPEN_SEGMENTS = 4
_SPOTS = 256
_ATTEMPTS = 5
_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What a reader without the right to write is told; it then sees what the mark says."""


class _Spot(NamedTuple):
    base: int
    place: Place


class Reader:
    """Reads one partition's folder; any number of threads and processes at a time."""

    def __init__(self, folder: Path) -> None:
        """Name the folder, which need not exist yet."""
        self.folder = folder
        self._marks: MarkFile | None = None
        self._newest: tuple[int, Frame] | None = None
        self._bases: list[int] = []
        self._segments: dict[int, Segment] = {}
        self._spots: dict[int, _Spot] = {}
        """By last position read: where its successor starts."""
        self._guard = threading.Lock()

    def read(self, after: int, limit: int) -> list[Frame]:
        """Return frames that hold positions after `after`, about `limit` bytes. Raises Unavailable, Damaged."""
        with self._guard:
            try:
                mark = self._mark()
                if mark.end == 0 or after >= mark.next - 1:
                    return []
                return self._read(mark, after, limit)
            except OSError as error:
                raise Unavailable(f"{self.folder} cannot be read: {error.strerror or error}") from error

    def last(self) -> Frame | None:
        """Return the newest durable frame. Raises Unavailable, Damaged."""
        with self._guard:
            try:
                mark = self._mark()
                if mark.end == 0:
                    return None
                if self._newest is None or self._newest[0] != mark.turn:
                    place = Place(mark.newest, mark.first)
                    segment = self._segment(mark.base)
                    frame = segment.sound(place, Extent(mark.end, mark.next))
                    if frame is None:
                        raise Damaged(segment.path, place.offset, place.position, mark.next - 1)
                    self._newest = mark.turn, frame
                return self._newest[1]
            except OSError as error:
                raise Unavailable(f"{self.folder} cannot be read: {error.strerror or error}") from error

    def extents(self) -> list[tuple[int, Extent]]:
        """Return the readable segments by base, oldest first, and how far each goes. Raises OSError."""
        with self._guard:
            mark = self._mark()
            if mark.end == 0:
                return []
            self._list(mark)
            return [(base, self._extent(base, mark)) for base in self._bases]

    def mark(self) -> Mark:
        """Return how far the partition is durable now. Raises OSError."""
        with self._guard:
            return self._mark()

    def close(self) -> None:
        """Let go of all files."""
        with self._guard:
            for segment in self._segments.values():
                segment.close()
            self._segments.clear()
            self._spots.clear()
            if self._marks is not None:
                self._marks.close()
                self._marks = None

    def _mark(self) -> Mark:
        if self._marks is None:
            if not self.folder.is_dir():
                return Mark()
            self._recover_if_abandoned()
            try:
                self._marks = MarkFile(self.folder)
            except FileNotFoundError:
                # Its writer is just creating it.
                return Mark()
        return self._marks.read()

    def _recover_if_abandoned(self) -> None:
        """After a power cut the mark is old and there may be no writer for long: do what the writer would do."""
        try:
            marks = MarkFile(self.folder)
            try:
                if settled(self.folder, marks.read()):
                    return
            finally:
                marks.close()
        except FileNotFoundError:
            if not bases_in(self.folder):
                return
        try:
            lock = Lock.attempt(self.folder)
        except OSError as error:
            if error.errno in _NOT_OURS:
                return
            raise
        if lock is None:
            return
        try:
            marks = MarkFile(self.folder, writable=True)
            try:
                recover(self.folder, marks)
            finally:
                marks.close()
        finally:
            lock.release()

    def _read(self, mark: Mark, after: int, limit: int) -> list[Frame]:
        frames: list[Frame] = []
        for attempt in range(_ATTEMPTS):
            try:
                spot = self._spots.get(after) or self._seek(mark, after)
                self._fill(frames, spot, mark, limit)
                break
            except FileNotFoundError:
                # Retention removed a segment between our look at the folder and now.
                self._bases = []
                self._spots.pop(after, None)
                if frames or attempt == _ATTEMPTS - 1:
                    break
                mark = self._mark()
        return frames

    def _fill(self, frames: list[Frame], spot: _Spot, mark: Mark, limit: int) -> None:
        """Add frames from a spot on, over segment borders, and remember where the next read starts."""
        base, place = spot
        room = limit
        while True:
            extent = self._extent(base, mark)
            if place.offset >= extent.end or place.position >= extent.stop:
                if base == mark.base or room <= 0:
                    break
                base = self._next_base(base, mark)
                place = self._segment(base).start
                continue
            if room <= 0:
                break
            try:
                found, place = self._segment(base).read(place, extent, room)
            except Damaged:
                if frames:
                    break
                raise
            frames += found
            room -= sum(len(frame.body) for frame in found) or 1
        if frames:
            self._spots.pop(frames[-1].last, None)
            while len(self._spots) >= _SPOTS:
                del self._spots[next(iter(self._spots))]
            self._spots[frames[-1].last] = _Spot(base, place)

    def _seek(self, mark: Mark, after: int) -> _Spot:
        # Always afresh: what retention removed is not read from a file that is still open.
        self._list(mark)
        base = max((b for b in self._bases if b <= after + 1), default=self._bases[0] if self._bases else mark.base)
        return _Spot(base, self._segment(base).seek(after, self._extent(base, mark)))

    def _list(self, mark: Mark) -> None:
        self._bases = [base for base in bases_in(self.folder) if base <= mark.base]
        for base in set(self._segments).difference(self._bases):
            self._segments.pop(base).close()

    def _next_base(self, base: int, mark: Mark) -> int:
        """Return the segment after this one."""
        if mark.base not in self._bases or base >= self._bases[-1]:
            self._list(mark)
        return min((b for b in self._bases if b > base), default=mark.base)

    def _extent(self, base: int, mark: Mark) -> Extent:
        """Say how far a segment goes. What a failed write left at the end of one lies behind the next one's base."""
        if base == mark.base:
            return Extent(mark.end, mark.next)
        return Extent(self._segment(base).size, self._next_base(base, mark))

    def _segment(self, base: int) -> Segment:
        segment = self._segments.pop(base, None) or Segment.open(self.folder, base)
        # Put back at the end: the one used longest ago stands first.
        self._segments[base] = segment
        while len(self._segments) > _OPEN_SEGMENTS:
            self._segments.pop(next(iter(self._segments))).close()
        return segment
