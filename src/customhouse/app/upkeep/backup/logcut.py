"""
A log in a snapshot: every partition of a topic up to the mark of one moment, and a mark that says exactly that.

What lies before a mark never changes, so only the mark must be read at the right moment; the bytes may follow later.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from customhouse.app.upkeep.backup.intake import Intake, Moved
from customhouse.log.mark import MARK_NAME, Mark, MarkFile
from customhouse.log.reader import Reader
from customhouse.log.segment import bases_in, path_of


class Cut(Struct, frozen=True):
    """One partition of a topic, as of one moment."""

    topic: str
    partition: int
    mark: Mark
    bases: list[int]
    """Segments that were there, oldest first."""

    @property
    def last(self) -> int:
        """The last position that is durable; -1 while there is none."""
        return self.mark.next - 1

    @property
    def begin(self) -> int:
        """The first position it holds, or will hold."""
        return self.bases[0] if self.bases else self.mark.next


def cuts(log: Path, topic: str) -> list[Cut]:
    """Return every partition of a topic as of now. Raises OSError, Moved."""
    folder, found = log / topic, []
    for name in sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []:
        if name.isdigit():
            reader = Reader(folder / name)
            try:
                mark = reader.mark()
            finally:
                reader.close()
            bases = [base for base in bases_in(folder / name) if mark.end and base <= mark.base]
            if mark.end and mark.base not in bases:
                raise Moved(f"{topic}/{name}")
            found.append(Cut(topic, int(name), mark, bases))
    return found


def take(log: Path, data: Path, cut: Cut, intake: Intake) -> None:
    """Take a partition as it was at its moment."""
    folder = log / cut.topic / str(cut.partition)
    place = folder.relative_to(data).as_posix()
    for base in cut.bases:
        name = path_of(folder, base).name
        intake.file(f"{place}/{name}", fixed=base < cut.mark.base, upto=None if base < cut.mark.base else cut.mark.end)
    intake.made(f"{place}/{MARK_NAME}", _packed(cut.mark))


def same_beginning(before: list[Cut], after: list[Cut]) -> bool:
    """Tell whether retention has removed nothing meanwhile: what the states read in between need is still there."""
    was = {(cut.topic, cut.partition): cut.begin for cut in before}
    return all(cut.begin <= was.get((cut.topic, cut.partition), 0) for cut in after)


def _packed(mark: Mark) -> bytes:
    """Return the file that says this mark and nothing newer."""
    with TemporaryDirectory() as folder:
        file = MarkFile(Path(folder), writable=True)
        try:
            file.publish(mark)
        finally:
            file.close()
        return (Path(folder) / MARK_NAME).read_bytes()
