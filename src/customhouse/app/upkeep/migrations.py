"""
How a data folder of an older format becomes one of today's: one numbered step per format, each of which may be repeated.

Only the supervisor migrates, before it starts anything, and only while no process of the house has the folder. The mark
`format` is written last and synced: a power cut in the middle leaves the old number, and the steps run again.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

from customhouse.app.upkeep.durable import write_durably
from customhouse.app.upkeep.identity import make_identity, make_reference_key
from customhouse.model.errors import Misconfigured, Problem, Unavailable
from customhouse.telemetry.logs import Logger

FORMAT = 2
"""The layout of the data folder that this version writes."""
MARK = "format"
_OWNERS = ("supervisor", "collector", "pipeline", "delivery", "console")
_PARTS = ("config", "log", "state", "lake")


class Mark(Struct, frozen=True):
    """What the file `format` says."""

    format: int
    by: str = ""
    """The version of customhouse that wrote it, from format 2 on."""


def _identity_and_key(data: Path) -> None:
    """Give the workspace an id, and a key for references to persons; format 2 adds both and changes nothing else."""
    mark = data / MARK
    born = mark.stat().st_mtime_ns if mark.exists() else time.time_ns()
    make_identity(data, born // 1000)
    make_reference_key(data)


STEPS: dict[int, Callable[[Path], None]] = {2: _identity_and_key}
"""What leads to each format from the one before it. A step must bear being run again after a power cut."""


def read_mark(data: Path) -> Mark | None:
    """Return what the data folder says of its format; None for a folder without a mark. Raises Misconfigured."""
    path = data / MARK
    try:
        said = path.read_text(errors="replace")[:200].splitlines()
    except FileNotFoundError:
        return None
    if not said or not said[0].strip().isascii() or not said[0].strip().isdecimal():
        hint = "restore the file from a back-up; it holds the number of the data folder's format"
        raise Misconfigured([Problem(str(path), "it does not say a format", hint)])
    by = said[1].strip() if len(said) > 1 else ""
    return Mark(int(said[0]), by if by.isprintable() else "")


def refuse_newer(data: Path) -> Mark | None:
    """Return the mark of a data folder. Raises Misconfigured, in words, when a newer version wrote it."""
    mark = read_mark(data)
    if mark is not None and mark.format > FORMAT:
        message = f"the data folder has format {mark.format}; this version knows formats up to {FORMAT}"
        hint = f"use {mark.by} or a newer version" if mark.by else "use the version that wrote it, or a newer one"
        raise Misconfigured([Problem(str(data / MARK), message, hint)])
    return mark


def bring_up(data: Path, logger: Logger | None = None) -> None:
    """
    Make an empty data folder one of today's format, or an older one so, step by step.

    Raises Misconfigured for a newer one and for one without a mark, Unavailable while a process of the house has it.
    """
    mark = refuse_newer(data)
    if mark is not None and mark.format == FORMAT:
        return
    (data / "run").mkdir(exist_ok=True)
    with _alone(data / "run"):
        mark = refuse_newer(data)
        if mark is None:
            _refuse_unmarked(data)
        now = 1 if mark is None else mark.format
        for number in range(now + 1, FORMAT + 1):
            STEPS[number](data)
            write_mark(data, number)
            if mark is not None and logger is not None:
                logger.info("upkeep.migrated", before=number - 1, after=number)


def write_mark(data: Path, number: int) -> None:
    """Say durably which format the data folder has, and which version says so."""
    write_durably(data / MARK, f"{number}\ncustomhouse {version('customhouse')}\n".encode())


def _refuse_unmarked(data: Path) -> None:
    """A folder that holds something and no mark was not made by a version that finished making it: guess nothing."""
    there = [name for name in _PARTS if (data / name).is_dir() and any((data / name).iterdir())]
    if there:
        message = f"it holds {', '.join(there)} and no file that says its format"
        hint = "restore the file `format` from a back-up, or choose another data folder with --data"
        raise Misconfigured([Problem(str(data), message, hint)])


@contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Hold the locks of every process of the house. Raises Unavailable when one of them lives."""
    with ExitStack() as held:
        for owner in _OWNERS:
            lock = os.open(run / f"{owner}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Unavailable(
                    f"the data folder must be brought to format {FORMAT}, and a running {owner} has it; "
                    "stop `customhouse run`, wait until its processes have ended, and start it again"
                ) from None
        yield
