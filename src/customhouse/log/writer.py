"""
One partition as its one writer sees it: append, make durable, and only then say so.

After a failed write or sync nothing is known of the file's end: the kernel may have dropped what it could not write and
report success the next time. So the segment is given up and the next frame starts another one at the same position;
readers never saw the doubtful frame, because the mark did not move.
"""

import errno
import os
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from customhouse.log.files import Lock, make_folder, sync
from customhouse.log.mark import Mark, MarkFile
from customhouse.log.recovery import recover
from customhouse.log.segment import (
    FILE_HEADER,
    FRAME_HEADER,
    LARGEST_BODY,
    Extent,
    Place,
    Segment,
    pack,
)
from customhouse.model.contracts import Fault, Frame
from customhouse.model.errors import Broken, Unavailable


class Roll(Struct, frozen=True):
    """When a segment is full."""

    size: int
    """Bytes."""
    span: int
    """Microseconds between the first and the last frame, so that retention by age works in a quiet partition too."""


class Writer:
    """Appends to one partition's folder. One thread at a time."""

    def __init__(self, folder: Path, topic: str, roll: Roll, fault: Fault) -> None:
        """Take the lock, end what an earlier writer left unfinished, and go on behind it. Raises Unavailable, Broken."""
        self._folder = folder
        self._topic = topic
        self._roll = roll
        self._fault = fault
        self._segment: Segment | None = None
        self._started_at = 0
        with ExitStack() as undo:
            try:
                make_folder(folder)
                self._lock = Lock.take(folder)
                undo.callback(self._lock.release)
                self._marks = MarkFile(folder, writable=True)
                undo.callback(self._marks.close)
                self._mark = recover(folder, self._marks)
                self._go_on()
            except OSError as error:
                raise Unavailable(f"{folder} cannot be opened for writing: {error.strerror or error}") from error
            undo.pop_all()

    def append(self, body: bytes, count: int, at: int) -> Frame:
        """Write one frame and return it when it is durable. Raises Unavailable; then it is as if nothing was written."""
        if len(body) > LARGEST_BODY:
            raise Broken(f"a frame of {len(body)} bytes is over the log's limit of {LARGEST_BODY}")
        mark = self._mark
        frame = Frame(mark.next, count, mark.total, at, body)
        try:
            segment = self._room_for(frame)
            offset = self._end_of(segment)
            end = self._write(segment, offset, frame)
            following = Mark(
                mark.turn + 1, segment.base, offset, frame.base, end, frame.last + 1, frame.total + frame.count
            )
            self._marks.publish(following)
        except BaseException as error:
            self._give_up()
            if isinstance(error, OSError):
                raise Unavailable(f"{self._folder} takes no frame: {error.strerror or error}") from error
            raise
        self._mark = following
        return frame

    def close(self) -> None:
        """Let go of the files and the lock."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        self._marks.close()
        self._lock.release()

    def _go_on(self) -> None:
        """Go on in the newest segment, unless positions have moved on without it."""
        mark = self._mark
        if mark.end == 0:
            return
        segment = Segment.open(self._folder, mark.base, writable=True)
        extent = Extent(mark.end, mark.next)
        newest = segment.head(Place(mark.newest, mark.first), extent)
        first = segment.head(segment.start, extent)
        if newest is None or first is None or newest.last + 1 != mark.next:
            segment.close()
            return
        self._segment, self._started_at = segment, first.at

    def _room_for(self, frame: Frame) -> Segment:
        """Return the segment the frame goes to: a new one when there is none, or it is full or old."""
        segment = self._segment
        if segment is not None and segment.base < frame.base:
            full = self._mark.end + FRAME_HEADER + len(frame.body) > self._roll.size
            if not full and frame.at - self._started_at < self._roll.span:
                return segment
        if segment is not None:
            self._segment = None
            segment.close()
        self._fault(f"log.new_segment:{self._topic}")
        self._segment = Segment.create(self._folder, frame.base)
        self._started_at = frame.at
        return self._segment

    def _write(self, segment: Segment, offset: int, frame: Frame) -> int:
        """Write the frame and make it durable; return the offset behind it."""
        size = FRAME_HEADER + len(frame.body)
        self._fault(f"log.before_write:{self._topic}")
        written = os.pwritev(segment.fd, (pack(frame, segment.generation), frame.body), offset)
        self._fault(f"log.after_write:{self._topic}")
        if written != size:
            raise OSError(errno.ENOSPC, f"only {written} of {size} bytes were written")
        self._fault(f"log.before_sync:{self._topic}")
        sync(segment.fd)
        self._fault(f"log.after_sync:{self._topic}")
        return offset + size

    def _give_up(self) -> None:
        """Leave the segment for good. Cutting the doubtful bytes off is a courtesy to the disk; nobody relies on it."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            os.ftruncate(segment.fd, self._end_of(segment))
        except OSError:
            # The next segment starts at the same position, which is where readers leave this one.
            pass
        finally:
            segment.close()

    def _end_of(self, segment: Segment) -> int:
        """Return the offset behind the last durable frame of a segment, the newest one or the one being started."""
        return self._mark.end if self._mark.end and segment.base == self._mark.base else FILE_HEADER
