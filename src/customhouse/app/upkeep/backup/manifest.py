"""
What a snapshot is: the list of its files, each with its pieces, written when everything it names is on the disk.

A snapshot's id ends in the hash of its list, so that a damaged list is noticed as a damaged piece is.
"""

import os
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from customhouse.app.upkeep.backup.objects import PIECE
from customhouse.app.upkeep.durable import write_durably
from customhouse.model.errors import Broken, Misconfigured, Problem

FORMAT = 1
SNAPSHOTS = "snapshots"
_HASH = 12
"""Digits of the hash that stand in a snapshot's id."""


class Entry(Struct, frozen=True, array_like=True):
    """One file of a snapshot."""

    path: str
    """Below the data folder, with slashes."""
    size: int
    mode: int
    modified: int
    """Nanoseconds since 1970, as the file system said when it was read; 0 for what was made for the snapshot."""
    pieces: list[str]
    """Hashes of its pieces, in order."""


class Manifest(Struct, frozen=True, kw_only=True):
    """One snapshot of a workspace."""

    format: int = FORMAT
    workspace: str
    """Id of the workspace."""
    created_at: int
    """When the snapshot was begun, microseconds since 1970."""
    version: str
    """The version of customhouse that took it."""
    data_format: int
    """Format of the data folder it holds."""
    config: int
    """Number of the newest accepted configuration in it."""
    files: list[Entry]

    @property
    def size(self) -> int:
        """Return the bytes of all its files together."""
        return sum(entry.size for entry in self.files)


class _Format(Struct, frozen=True):
    """The one field every format of a manifest has."""

    format: int
    version: str = ""


def snapshots(destination: Path) -> list[str]:
    """Return the ids of all finished snapshots, oldest first."""
    return sorted(path.stem for path in (destination / SNAPSHOTS).glob("*.json"))


def write(destination: Path, manifest: Manifest) -> str:
    """Finish a snapshot: from now on it counts. Returns its id. Raises OSError."""
    content = msgspec.json.encode(manifest)
    at = datetime.fromtimestamp(manifest.created_at / 1e6, UTC)
    name = f"{at:%Y%m%dT%H%M%S%f}Z-{sha256(content).hexdigest()[:_HASH]}"
    write_durably(destination / SNAPSHOTS / f"{name}.json", content)
    return name


def read(destination: Path, name: str) -> Manifest:
    """Return a snapshot. Raises Misconfigured when there is none or a newer version took it, Broken for a damaged one."""
    path = destination / SNAPSHOTS / f"{PurePosixPath(name).name}.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        hint = f"`customhouse backup list {destination}` says which there are"
        raise Misconfigured([Problem(str(destination), f"it holds no snapshot {name}", hint)]) from None
    if sha256(content).hexdigest()[:_HASH] != name.rpartition("-")[2]:
        raise Broken(f"{path} is not as it was written: the snapshot is damaged; use another one")
    try:
        known = msgspec.json.decode(content, type=_Format)
        if known.format > FORMAT:
            message = f"the snapshot has format {known.format}; this version knows format {FORMAT}"
            hint = f"use customhouse {known.version or 'in the version that took it'}, or a newer version"
            raise Misconfigured([Problem(str(path), message, hint)])
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise Broken(f"{path} is not a snapshot ({type(error).__name__}); use another one") from None
    _check(path, manifest)
    return manifest


def _check(path: Path, manifest: Manifest) -> None:
    """Refuse a list that could write outside the folder it is restored to, or whose numbers do not fit together."""
    seen: set[str] = set()
    for entry in manifest.files:
        place = PurePosixPath(entry.path)
        outside = place.is_absolute() or ".." in place.parts or os.sep in entry.path.replace("/", "") or not entry.path
        if outside or entry.path in seen or len(entry.pieces) != -(-entry.size // PIECE):
            raise Broken(f"{path} names a file that cannot be in a snapshot; use another one")
        seen.add(entry.path)
