"""
The folder a back-up goes to: whose it is, who writes into it now, and whether there is room.

    backup.json          format of the folder, and the id of the one workspace it belongs to
    snapshots/           one list of files per snapshot
    objects/             the pieces
    lock                 held by whoever backs up or prunes
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from customhouse.app.upkeep.backup.manifest import SNAPSHOTS
from customhouse.app.upkeep.durable import write_durably
from customhouse.log.files import make_folder, sync_folder
from customhouse.model.errors import Misconfigured, Problem, Unavailable

FORMAT = 1
MARK = "backup.json"
OBJECTS = "objects"
SCRATCH = "scratch"
_LOCK = "lock"
_SPARE = 64 * 1024 * 1024
"""Bytes that stay free."""


class Mark(Struct, frozen=True, kw_only=True):
    """What a back-up folder says of itself."""

    format: int = FORMAT
    workspace: str
    """Id of the workspace it belongs to."""


class _Format(Struct, frozen=True):
    format: int


def open_for_reading(destination: Path) -> Mark:
    """Return whose a back-up folder is. Raises Misconfigured when it is none, or a newer version made it."""
    path = destination / MARK
    hint = "name the folder that `customhouse backup FOLDER` wrote"
    try:
        content = path.read_bytes()
        known = msgspec.json.decode(content, type=_Format).format
        if known > FORMAT:
            message = f"the back-up has format {known}; this version knows format {FORMAT}"
            raise Misconfigured([Problem(str(path), message, "use the version of customhouse that wrote it")])
        return msgspec.json.decode(content, type=Mark)
    except FileNotFoundError:
        raise Misconfigured([Problem(str(destination), "there is no back-up here", hint)]) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise Misconfigured([Problem(str(path), f"it cannot be read ({type(error).__name__})", hint)]) from None


def open_for_writing(destination: Path, data: Path, workspace: str) -> None:
    """
    Make a folder a back-up of a workspace, or make sure that it is one.

    Raises Misconfigured, in words, for a folder inside the data folder (or around it), for one that holds something
    else, and for a back-up of another workspace.
    """
    here, inside = destination.resolve(), data.resolve()
    if here == inside or here.is_relative_to(inside) or inside.is_relative_to(here):
        message = f"a back-up cannot lie inside the data folder, nor around it: {inside}"
        raise Misconfigured([Problem(str(destination), message, "choose a folder on another disk")])
    if not (destination / MARK).exists():
        if destination.exists() and (not destination.is_dir() or any(_foreign(destination))):
            message = "it holds something, and no back-up"
            raise Misconfigured([Problem(str(destination), message, "choose an empty folder, or a new one")])
        if not destination.exists():
            make_folder(destination.absolute().parent)
            destination.mkdir(mode=0o700)
            sync_folder(destination.absolute().parent)
        for name in (SNAPSHOTS, OBJECTS):
            (destination / name).mkdir(mode=0o700, exist_ok=True)
        write_durably(destination / MARK, msgspec.json.encode(Mark(workspace=workspace)))
    owner = open_for_reading(destination).workspace
    if owner != workspace:
        message = f"it is the back-up of another workspace ({owner}); this one is {workspace}"
        raise Misconfigured([Problem(str(destination), message, "give each workspace a back-up folder of its own")])


@contextmanager
def alone(destination: Path) -> Iterator[None]:
    """Be the only one who changes a back-up. Raises Unavailable while somebody else does."""
    handle = os.open(destination / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"another back-up or prune works in {destination}; try again when it is done") from None
        yield
    finally:
        os.close(handle)


@contextmanager
def scratch(destination: Path) -> Iterator[Path]:
    """Give a private folder for copies on their way, gone afterwards; one that a kill left behind goes first."""
    folder = destination / SCRATCH
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def room_for(folder: Path, size: int) -> None:
    """Raise Unavailable when a disk has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if size + _SPARE > free:
        raise Unavailable(
            f"{folder} has room for {free // 1_000_000:,} MB and about {(size + _SPARE) // 1_000_000:,} MB are needed; "
            "free some, or choose another disk"
        )


def _foreign(folder: Path) -> Iterator[Path]:
    """Yield what an interrupted first back-up cannot have left."""
    yield from (path for path in folder.iterdir() if path.name not in {SNAPSHOTS, OBJECTS, f"{MARK}.partial"})
