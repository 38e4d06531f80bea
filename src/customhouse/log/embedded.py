"""
The log on one machine: a folder of segment files per topic and partition, made durable before `append` returns.

    <folder>/<topic>/<partition>/<base, 20 digits>.seg   frames, see `segment`
                                 durable                 how far readers may go, see `mark`
                                 writer.lock             held by the one process that appends

Any number of processes read; no server stands between. A frame is one commit group, so a thousand events cost one
write and one fdatasync.
"""

import threading
from pathlib import Path

from customhouse.log.reader import Reader
from customhouse.log.retention import retain
from customhouse.log.writer import Roll, Writer
from customhouse.model.contracts import Fault, Frame, Removed, no_fault
from customhouse.model.errors import Unavailable

_DAY = 86_400_000_000


class EmbeddedLog:
    """
    A `Log` in a folder. Positions count records from 0, and an empty frame takes one.

    Becomes a partition's writer with its first append there, and holds its lock until `close`. Different partitions may
    be appended to from different threads, one thread each; everybody may read at any time.

    A frame that cannot be read raises `Damaged`, which is `Broken` and names file, offset and the position to go on from.
    Positions jump where frames are gone: by retention, by damage, or because the disk lost what it had called durable.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 64 * 1024 * 1024,
        segment_span: int = _DAY,
        fault: Fault = no_fault,
    ) -> None:
        """Name the folder; nothing is opened or created yet. `segment_span` is in microseconds of the frames' `at`."""
        self._folder = folder
        self._roll = Roll(segment_bytes, segment_span)
        self._fault = fault
        self._writers: dict[tuple[str, int], Writer] = {}
        self._readers: dict[tuple[str, int], Reader] = {}
        self._guard = threading.Lock()

    def append(self, topic: str, partition: int, body: bytes, count: int, at: int, key: bytes = b"") -> Frame:  # noqa: ARG002 - a broker places records by key; here the caller names the partition
        """Write one frame and return it when it is durable. Raises Unavailable, and Broken for a folder it must not touch."""
        writer = self._writers.get((topic, partition))
        if writer is None:
            writer = Writer(self._folder / topic / str(partition), topic, self._roll, self._fault)
            with self._guard:
                self._writers[topic, partition] = writer
        return writer.append(body, count, at)

    def read(self, topic: str, partition: int, *, after: int, limit: int) -> list[Frame]:
        """Return durable frames that hold positions after `after`, oldest first. Raises Unavailable, Damaged."""
        return self._reader(topic, partition).read(after, limit)

    def last(self, topic: str, partition: int) -> Frame | None:
        """Return the newest durable frame. Raises Unavailable, Damaged."""
        return self._reader(topic, partition).last()

    def partitions(self, topic: str) -> list[int]:
        """Return the partitions whose folder exists, in order."""
        try:
            return sorted(int(entry.name) for entry in (self._folder / topic).iterdir() if entry.name.isdigit())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Unavailable(f"{self._folder / topic} cannot be read: {error.strerror or error}") from error

    def retain(self, topic: str, partition: int, *, floor: int, before: int, size: int) -> list[Removed]:
        """Remove whole segments, oldest first; one answer per segment. `size` counts files. Raises Unavailable."""
        return retain(self._reader(topic, partition), topic, partition, floor=floor, before=before, size=size)

    def close(self) -> None:
        """Let go of files and locks."""
        with self._guard:
            for writer in self._writers.values():
                writer.close()
            for reader in self._readers.values():
                reader.close()
            self._writers.clear()
            self._readers.clear()

    def _reader(self, topic: str, partition: int) -> Reader:
        reader = self._readers.get((topic, partition))
        if reader is None:
            with self._guard:
                reader = self._readers.setdefault((topic, partition), Reader(self._folder / topic / str(partition)))
        return reader
