"""
Putting a snapshot back: into a folder of its own first, which becomes the data folder when everything in it is right.

The data folder must be empty: what is there is never mixed with what was, and never removed. The next `customhouse run`
finds a house that stopped at the moment of the snapshot, and recovers as after any other stop.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from customhouse.app.upkeep import migrations
from customhouse.app.upkeep.backup import destination as place
from customhouse.app.upkeep.backup import manifest as manifests
from customhouse.app.upkeep.backup.intake import Tick
from customhouse.app.upkeep.backup.manifest import Entry, Manifest
from customhouse.app.upkeep.backup.objects import EMPTY, PIECE, Objects
from customhouse.app.workspace import Workspace
from customhouse.log.files import make_folder, sync_folder
from customhouse.model.errors import Misconfigured, Problem, Unavailable

_DRAFT = ".restoring"


class Restored(Struct, frozen=True):
    """What a restore did."""

    snapshot: str
    created_at: int
    config: int
    """Number of the configuration that was in force."""
    files: int
    bytes: int
    seconds: float
    migrates: bool
    """The snapshot has an older format; the next `customhouse run` brings it up."""


def restore(
    workspace: Workspace,
    destination: Path,
    name: str = "",
    *,
    begin: Callable[[int], None] = lambda _: None,
    tick: Tick = lambda _: None,
) -> Restored:
    """
    Put a snapshot (the newest, or one named) back as the data folder, whole or not at all.

    Raises Misconfigured for a data folder that holds something, for a snapshot of a newer format and for one that is
    not there; Broken when a piece is damaged; Unavailable when the disk does not take it.
    """
    began = time.monotonic()
    place.open_for_reading(destination)
    names = manifests.snapshots(destination)
    if not names:
        hint = "take one with `customhouse backup FOLDER`"
        raise Misconfigured([Problem(str(destination), "it holds no finished snapshot", hint)])
    chosen = name or names[-1]
    manifest = manifests.read(destination, chosen)
    _refuse(workspace.data, manifest, destination)
    begin(manifest.size)
    draft = workspace.data.with_name(workspace.data.name + _DRAFT)
    try:
        _write(draft, manifest, Objects(destination / place.OBJECTS), tick)
        _move_in(draft, workspace.data)
    except OSError as error:
        raise Unavailable(
            f"the data folder could not be written: {error.strerror or type(error).__name__}; nothing was changed"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    seconds = round(time.monotonic() - began, 3)
    older = manifest.data_format < migrations.FORMAT
    return Restored(chosen, manifest.created_at, manifest.config, len(manifest.files), manifest.size, seconds, older)


def _refuse(data: Path, manifest: Manifest, destination: Path) -> None:
    """Raise Misconfigured, with everything at once, when a snapshot cannot or must not be put there."""
    found = []
    if manifest.data_format > migrations.FORMAT:
        message = (
            f"the snapshot holds a data folder of format {manifest.data_format}; "
            f"this version knows formats up to {migrations.FORMAT}"
        )
        hint = f"restore it with customhouse {manifest.version} or a newer version"
        found.append(Problem(str(destination), message, hint))
    if _runs(data):
        hint = "stop `customhouse run`, and name another folder with --data or move this one away"
        found.append(Problem(str(data), "a house runs on this data folder", hint))
    elif data.exists() and any(data.iterdir()):
        hint = f"move it away (`mv {data} {data}.old`), or name another folder with --data"
        found.append(Problem(str(data), "the data folder is not empty; a restore never mixes or removes", hint))
    if found:
        raise Misconfigured(found)


def _runs(data: Path) -> bool:
    """Tell whether a process of the house has this data folder."""
    for path in (data / "run").glob("*.lock"):
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
    return False


def _write(draft: Path, manifest: Manifest, objects: Objects, tick: Tick) -> None:
    """Write all files of a snapshot into a new folder, and return when they are on the disk. Raises OSError, Broken."""
    shutil.rmtree(draft, ignore_errors=True)  # what a kill left behind
    make_folder(draft.absolute().parent)
    place.room_for(draft.absolute().parent, _space(manifest))
    draft.mkdir(mode=0o700)
    for entry in manifest.files:
        _put_back(draft, entry, objects, tick)
    for folder in sorted((path for path in draft.rglob("*") if path.is_dir()), reverse=True):
        sync_folder(folder)
    sync_folder(draft)


def _move_in(draft: Path, data: Path) -> None:
    """Let the new folder take the empty place. Raises OSError."""
    if data.exists():
        data.rmdir()
    draft.rename(data)
    sync_folder(data.absolute().parent)


def _put_back(draft: Path, entry: Entry, objects: Objects, tick: Tick) -> None:
    """Write one file as it was, with a hole where it ends in nothing. Raises OSError, Broken."""
    path = draft / entry.path
    _folders(draft, path.parent)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, entry.mode)
    with os.fdopen(handle, "wb") as file:
        for name in _written(entry):
            piece = objects.get(name)
            file.write(piece)
            tick(len(piece))
        file.truncate(entry.size)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(entry.mode)
    if entry.modified:
        os.utime(path, ns=(entry.modified, entry.modified))


def _folders(draft: Path, folder: Path) -> None:
    """Make the folders of a file; that of the keys for its owner only."""
    missing = []
    while folder != draft and not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700)


def _written(entry: Entry) -> list[str]:
    """
    Return the pieces of a file without the empty ones at its end, which become a hole.

    Only there: the index of ids writes through a map into what lies before, and needs disk space behind every page.
    """
    pieces = list(entry.pieces)
    while pieces and pieces[-1] == EMPTY:
        pieces.pop()
    return pieces


def _space(manifest: Manifest) -> int:
    """Return the bytes the files will take on the disk."""
    return sum(min(entry.size, len(_written(entry)) * PIECE) for entry in manifest.files)
