"""Removes whole segments that nobody needs any more, oldest first, and says which records they held."""

from itertools import pairwise

from customhouse.log.files import sync_folder
from customhouse.log.reader import Reader
from customhouse.log.segment import Extent, Segment, path_of
from customhouse.model.contracts import Removed
from customhouse.model.errors import Unavailable


def retain(reader: Reader, topic: str, partition: int, *, floor: int, before: int, size: int) -> list[Removed]:
    """
    Remove segments of one partition; the terms are those of `Log.retain`.

    A segment goes as a whole, so what it holds stays until its newest frame may go. Each removal is durable before the
    next one starts: a crash leaves no hole in the middle.
    """
    removed: list[Removed] = []
    try:
        segments = reader.extents()
        kept = sum(path_of(reader.folder, base).stat().st_size for base, _ in segments)
        for (base, extent), (following, _) in pairwise(segments):
            if following - 1 > floor:
                break
            segment = Segment.open(reader.folder, base)
            try:
                expired = all(head.at < before for _, head in segment.heads(extent))
                if not expired and kept <= size:
                    break
                weight = segment.size
                records = _records(segment, extent)
            finally:
                segment.close()
            segment.path.unlink(missing_ok=True)
            sync_folder(reader.folder)
            kept -= weight
            removed.append(Removed(topic, partition, base, following - 1, records, weight))
    except OSError as error:
        raise Unavailable(f"{reader.folder} cannot be cleared: {error.strerror or error}") from error
    return removed


def _records(segment: Segment, extent: Extent) -> int:
    return sum(head.count for _, head in segment.heads(extent))
