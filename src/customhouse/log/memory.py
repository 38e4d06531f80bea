"""The log in memory: for tests, and for trying the house without a disk. Gone with its process."""

import threading
from bisect import bisect_right

from customhouse.model.contracts import Frame, Removed


class MemoryLog:
    """A `Log` of one process. Positions count records from 0, and an empty frame takes one."""

    def __init__(self) -> None:
        """Start empty."""
        self._frames: dict[tuple[str, int], list[Frame]] = {}
        self._guard = threading.Lock()

    def append(self, topic: str, partition: int, body: bytes, count: int, at: int, key: bytes = b"") -> Frame:  # noqa: ARG002 - a broker places records by key; here the caller names the partition
        """Keep one frame and return it."""
        with self._guard:
            frames = self._frames.setdefault((topic, partition), [])
            base, total = (frames[-1].last + 1, frames[-1].total + frames[-1].count) if frames else (0, 0)
            frame = Frame(base, count, total, at, bytes(body))
            frames.append(frame)
        return frame

    def read(self, topic: str, partition: int, *, after: int, limit: int) -> list[Frame]:
        """Return the frames that hold positions after `after`, oldest first, up to about `limit` bytes."""
        found: list[Frame] = []
        room = limit
        with self._guard:
            frames = self._frames.get((topic, partition), [])
            for frame in frames[bisect_right(frames, after, key=lambda frame: frame.last) :]:
                if room <= 0:
                    break
                found.append(frame)
                room -= len(frame.body) or 1
        return found

    def last(self, topic: str, partition: int) -> Frame | None:
        """Return the newest frame."""
        with self._guard:
            frames = self._frames.get((topic, partition))
            return frames[-1] if frames else None

    def partitions(self, topic: str) -> list[int]:
        """Return the partitions that were appended to, in order."""
        with self._guard:
            return sorted(partition for name, partition in self._frames if name == topic)

    def retain(self, topic: str, partition: int, *, floor: int, before: int, size: int) -> list[Removed]:
        """Remove frame by frame, oldest first; one answer for all of them. `size` counts bodies."""
        with self._guard:
            frames = self._frames.get((topic, partition), [])
            kept = sum(len(frame.body) for frame in frames)
            gone: list[Frame] = []
            for frame in frames[:-1]:
                if frame.last > floor or (frame.at >= before and kept <= size):
                    break
                kept -= len(frame.body)
                gone.append(frame)
            del frames[: len(gone)]
        if not gone:
            return []
        records = sum(frame.count for frame in gone)
        weight = sum(len(frame.body) for frame in gone)
        return [Removed(topic, partition, gone[0].base, gone[-1].last, records, weight)]

    def close(self) -> None:
        """Keep everything: whoever holds this log may go on."""
