"""
What is done to a partition before its first frame after a start: find the end of what is whole, and make it durable.

A process that is killed leaves at most one frame behind the mark, whole or torn; a power cut may leave an old mark and
zeros. Nothing behind the mark was acknowledged unless it is whole, so what is whole is kept and what is torn is cut off.
"""

import os
from pathlib import Path

from customhouse.log.files import sync, sync_folder
from customhouse.log.mark import Mark, MarkFile
from customhouse.log.segment import FILE_HEADER, FRAME_HEADER, Extent, Place, Segment, bases_in, path_of

_COPY = 1 << 22
_FOREVER = 1 << 63


def settled(folder: Path, mark: Mark) -> bool:
    """Say whether the mark already covers everything in the folder: so it is after an orderly end."""
    bases = bases_in(folder)
    if not bases:
        return mark.end == 0
    return bases[-1] == mark.base and path_of(folder, mark.base).stat().st_size == mark.end


def recover(folder: Path, marks: MarkFile) -> Mark:
    """Bring mark and files into agreement and return the mark. Only under the writer's lock. Raises OSError, Broken."""
    mark = marks.read()
    if settled(folder, mark):
        return mark
    found = _newest(folder, mark)
    # Positions only grow: should the disk have lost what it called durable, the gap stays visible and nothing that
    # readers have dealt with is named a second time.
    found = found._replace(next=max(found.next, mark.next), total=max(found.total, mark.total), turn=mark.turn + 1)
    marks.publish(found)
    return found


def _newest(folder: Path, mark: Mark) -> Mark:
    """Return the end of the newest segment that holds a whole frame; remove those behind it, which hold none."""
    for base in reversed(bases_in(folder)):
        path = path_of(folder, base)
        # A header is made durable before the first frame is written, so so short a file was never used.
        if path.stat().st_size > FILE_HEADER:
            segment = Segment.open(folder, base, writable=True)
            try:
                found = _end(segment, mark)
                if found is not None:
                    return found
            finally:
                segment.close()
        path.unlink()
        sync_folder(folder)
    return Mark()


def _end(segment: Segment, mark: Mark) -> Mark | None:
    """Cut a segment behind its last whole frame, make it durable, and return its end; None when it has no frame."""
    extent = Extent(segment.size, _FOREVER)
    known = mark.base == segment.base and 0 < mark.end <= extent.end
    found = mark if known else None
    place: Place | None = Place(mark.end, mark.next) if known else segment.start
    while place is not None:
        frame = segment.sound(place, extent)
        if frame is None:
            place = segment.next_sound(place, extent)
            continue
        end = place.offset + FRAME_HEADER + len(frame.body)
        found = Mark(0, segment.base, place.offset, frame.base, end, frame.last + 1, frame.total + frame.count)
        place = Place(end, frame.last + 1)
    if found is not None:
        _make_durable(segment, mark.end if known else FILE_HEADER, found.end)
    return found


def _make_durable(segment: Segment, start: int, end: int) -> None:
    """Write the whole frames behind the mark once more: a failed fsync may have left them in memory only."""
    for offset in range(start, end, _COPY):
        os.pwrite(segment.fd, os.pread(segment.fd, min(_COPY, end - offset), offset), offset)
    os.ftruncate(segment.fd, end)
    sync(segment.fd)
