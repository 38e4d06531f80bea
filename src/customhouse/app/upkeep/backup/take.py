"""
Taking a back-up of a workspace, running or not, and looking after the snapshots there are.

A snapshot counts from the moment its list is on the disk, and that is written when everything it names is.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from msgspec import Struct

from customhouse.app.upkeep import migrations
from customhouse.app.upkeep.backup import destination as place
from customhouse.app.upkeep.backup import manifest as manifests
from customhouse.app.upkeep.backup import snapshot
from customhouse.app.upkeep.backup.intake import Intake, Moved, Tick
from customhouse.app.upkeep.backup.manifest import Entry, Manifest
from customhouse.app.upkeep.backup.objects import Objects
from customhouse.app.workspace import Workspace
from customhouse.model.contracts import Fault, no_fault
from customhouse.model.errors import Broken, Misconfigured, Problem, Unavailable

_ATTEMPTS = 8
_PAUSE = 0.2
"""Seconds before another moment is taken: what a file went away for is mostly over by then."""


class Taken(Struct, frozen=True):
    """What a back-up did."""

    snapshot: str
    files: int
    bytes: int
    """Of all files of the snapshot together."""
    copied: int
    """Bytes written by this back-up."""
    reused: int
    """Bytes that were in the back-up already."""
    seconds: float
    moments: int
    """How many moments had to be tried until one could be read whole."""


class Listed(Struct, frozen=True):
    """One snapshot of a back-up."""

    snapshot: str
    created_at: int
    version: str
    data_format: int
    config: int
    files: int
    bytes: int


class Pruned(Struct, frozen=True):
    """What a prune removed."""

    kept: int
    snapshots: int
    objects: int
    bytes: int


def back_up(
    workspace: Workspace,
    destination: Path,
    *,
    begin: Callable[[int], None] = lambda _: None,
    tick: Tick = lambda _: None,
    fault: Fault = no_fault,
) -> Taken:
    """
    Take a snapshot of a workspace into a back-up folder. `begin` hears about how many bytes there are, `tick` of each part.

    Raises Misconfigured for a destination that is none, Unavailable when disk or house do not let it be taken now.
    """
    _refuse_older(workspace)
    owner = workspace.identity().workspace
    try:
        place.open_for_writing(destination, workspace.data, owner)
        with place.alone(destination), place.scratch(destination) as scratch:
            return _take(workspace, owner, (destination, scratch), (begin, tick), fault)
    except OSError as error:
        raise Unavailable(
            f"the back-up could not be written to {destination}: {error.strerror or type(error).__name__}; "
            "what was there before is as it was"
        ) from error


def _take(
    workspace: Workspace, owner: str, places: tuple[Path, Path], told: tuple[Callable[[int], None], Tick], fault: Fault
) -> Taken:
    began = time.monotonic()
    (destination, scratch), (begin, tick) = places, told
    before = _newest(destination)
    known = {entry.path: entry for entry in before.files} if before else {}
    size, new = _sizes(workspace.data, known)
    begin(size)
    place.room_for(destination, new)
    objects = Objects(destination / place.OBJECTS, _all_pieces(known.values()))
    intake = Intake(workspace.data, objects, known, before.created_at * 1000 if before else 0, tick)
    moments, created_at = _moment(workspace, intake, scratch, fault)
    objects.sync()
    fault("backup.before_manifest")
    taken = Manifest(
        workspace=owner,
        created_at=created_at,
        version=version("customhouse"),
        data_format=migrations.FORMAT,
        config=_config(intake.entries),
        files=[intake.entries[path] for path in sorted(intake.entries)],
    )
    name = manifests.write(destination, taken)
    seconds = round(time.monotonic() - began, 3)
    return Taken(name, len(taken.files), taken.size, objects.written, objects.reused, seconds, moments)


def listed(destination: Path) -> list[Listed]:
    """Return all snapshots, oldest first. Raises Misconfigured, Broken."""
    place.open_for_reading(destination)
    found = []
    for name in manifests.snapshots(destination):
        each = manifests.read(destination, name)
        found.append(
            Listed(name, each.created_at, each.version, each.data_format, each.config, len(each.files), each.size)
        )
    return found


def prune(destination: Path, keep: int) -> Pruned:
    """
    Keep the newest snapshots and remove the others, with every piece nobody names any more.

    Raises Misconfigured when none would be left, Unavailable while a back-up is being written, Broken when a snapshot
    that stays cannot be read: then nothing is removed.
    """
    place.open_for_reading(destination)
    if keep < 1:
        raise Misconfigured([Problem("--keep", "at least one snapshot must stay", "remove the whole folder instead")])
    with place.alone(destination):
        names = manifests.snapshots(destination)
        kept = names[-keep:]
        pieces: set[str] = set()
        for name in kept:
            pieces |= _all_pieces(manifests.read(destination, name).files)
        for name in names[:-keep]:
            (destination / manifests.SNAPSHOTS / f"{name}.json").unlink()
        count, size = Objects(destination / place.OBJECTS).prune(pieces)
    return Pruned(len(kept), len(names) - len(kept), count, size)


def verify(
    destination: Path, name: str = "", *, begin: Callable[[int], None] = lambda _: None, tick: Tick = lambda _: None
) -> tuple[int, list[Problem]]:
    """
    Read everything a snapshot names, or all snapshots; return how many pieces were read, and what is damaged.

    Raises Misconfigured when there is no such back-up or snapshot.
    """
    place.open_for_reading(destination)
    objects, found = Objects(destination / place.OBJECTS), []
    wanted: dict[str, list[str]] = {}
    for each in [name] if name else manifests.snapshots(destination):
        try:
            for entry in manifests.read(destination, each).files:
                for piece in entry.pieces:
                    wanted.setdefault(piece, []).append(f"{each}: {entry.path}")
        except Broken as error:
            found.append(Problem(each, str(error), "use another snapshot, and back up again"))
    begin(len(wanted))
    for piece, users in wanted.items():
        try:
            objects.get(piece)
        except Broken as error:
            more = f" and {len(users) - 1} more" if len(users) > 1 else ""
            hint = "move the damaged piece away and back up again into a new folder"
            found.append(Problem(users[0] + more, str(error), hint))
        tick(1)
    return len(wanted), found


def _moment(workspace: Workspace, intake: Intake, scratch: Path, fault: Fault) -> tuple[int, int]:
    """Try moments until one can be read whole; return how many there were, and when the good one was begun."""
    for attempt in range(1, _ATTEMPTS + 1):
        at = time.time_ns() // 1000
        try:
            snapshot.take(workspace, intake, scratch, fault)
        except Moved:
            intake.again()
            time.sleep(_PAUSE)
        else:
            return attempt, at
    raise Unavailable(
        f"files went away {_ATTEMPTS} times while they were being read; back up again: what was copied is not copied "
        "twice. Should it happen again, raise `keep_minutes` of the lake, or use a faster disk for the back-up"
    )


def _config(files: Iterable[str]) -> int:
    """Return the number of the newest configuration among the files of a snapshot."""
    paths = [PurePosixPath(path) for path in files]
    found = (path.stem for path in paths if path.parent.name == "config" and path.suffix == ".json")
    return max((int(stem) for stem in found if stem.isdigit()), default=0)


def _newest(destination: Path) -> Manifest | None:
    """Return the newest snapshot that can be read: what it names need not be copied again."""
    for name in reversed(manifests.snapshots(destination)):
        try:
            return manifests.read(destination, name)
        except Broken:
            continue
    return None


def _sizes(data: Path, known: Mapping[str, Entry]) -> tuple[int, int]:
    """Return the bytes of a data folder, and of those files in it that the newest snapshot does not know."""
    size, new = 0, 0
    for path in data.rglob("*"):
        try:
            said = path.stat()
        except FileNotFoundError:
            continue
        if path.is_file():
            size += said.st_size
            old = known.get(path.relative_to(data).as_posix())
            if old is None or (old.size, old.modified) != (said.st_size, said.st_mtime_ns):
                new += min(said.st_size, said.st_blocks * 512)
    return size, new


def _all_pieces(files: Iterable[Entry]) -> set[str]:
    return {piece for entry in files for piece in entry.pieces}


def _refuse_older(workspace: Workspace) -> None:
    """A folder of an older format is brought up by who runs the house, before it is backed up by this version."""
    mark = migrations.refuse_newer(workspace.data)
    if mark is None or mark.format < migrations.FORMAT:
        message = "nothing has run here yet" if mark is None else f"the data folder still has format {mark.format}"
        raise Misconfigured([Problem(str(workspace.data), message, "start `customhouse run` once, then back up")])
