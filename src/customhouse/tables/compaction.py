"""
Which small files become one: tiers, so that each row is rewritten a few times in its life and each step is bounded.

A tier is a range of sizes. Sixteen files of one tier of one partition, or as many as fill a whole file, are merged;
the result lands in the next tier. A partition that is older than the newest one is tidied sooner, because little
more will come. One step never reads more than one whole file's worth of bytes.
"""

from collections import defaultdict

from customhouse.tables.datafile import DataFile

FANOUT = 16
CLOSED_FANOUT = 4
_FINAL = 4
"""A file of more than a fourth of the target stays as it is."""


class Smalls:
    """The files of a table that are still worth merging."""

    def __init__(self, target: int) -> None:
        """Merge up to `target` bytes."""
        self._target = target
        self._groups: dict[tuple[str, int], list[DataFile]] = defaultdict(list)
        self._newest = ""

    def __len__(self) -> int:
        """Return how many files wait."""
        return sum(len(group) for group in self._groups.values())

    def add(self, file: DataFile) -> None:
        """Take in a file of the table; one that is large enough is nobody's business any more."""
        if file.size * _FINAL < self._target:
            self._groups[file.partition, self._tier(file.size)].append(file)
            self._newest = max(self._newest, file.partition)

    def ripe(self) -> list[DataFile]:
        """Return files of one partition that should be merged now, oldest first; empty when there are none."""
        closed: dict[str, list[DataFile]] = defaultdict(list)
        for (partition, _), group in self._groups.items():
            if partition < self._newest:
                closed[partition] += group
            elif self._is_ripe(group, FANOUT):
                return self._head(group)
        for files in closed.values():
            if self._is_ripe(files, CLOSED_FANOUT):
                return self._head(files)
        return []

    def remove(self, files: list[DataFile]) -> None:
        """Forget files that were merged."""
        gone = {file.path for file in files}
        for key in {(file.partition, self._tier(file.size)) for file in files}:
            left = [file for file in self._groups[key] if file.path not in gone]
            if left:
                self._groups[key] = left
            else:
                del self._groups[key]

    def _tier(self, size: int) -> int:
        tier, bound = 0, max(1, self._target // FANOUT**2)
        while size >= bound:
            tier, bound = tier + 1, bound * FANOUT
        return tier

    def _is_ripe(self, files: list[DataFile], fanout: int) -> bool:
        return len(files) >= fanout or (len(files) > 1 and sum(file.size for file in files) >= self._target)

    def _head(self, files: list[DataFile]) -> list[DataFile]:
        chosen: list[DataFile] = []
        size = 0
        for file in files:
            if len(chosen) > 1 and size + file.size > self._target:
                break
            chosen.append(file)
            size += file.size
        return chosen
