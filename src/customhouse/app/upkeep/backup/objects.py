"""
The store of a back-up: pieces of files under the hash of what they hold, so that nothing is kept twice.

Files are cut every four megabytes. A log's newest segment grows at its end only, so the next back-up writes its last
pieces and finds the others. A piece counts as stored when a finished snapshot names it or this run wrote it: a name
that a power cut left behind, with nothing in it, is never believed.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from customhouse.log.files import sync, sync_folder
from customhouse.model.errors import Broken

PIECE = 4 * 1024 * 1024
EMPTY = sha256(bytes(PIECE)).hexdigest()
"""A whole piece of zeros."""
_SYNCERS = 8
_BATCH = 512
"""Pieces whose sync may be outstanding at a time."""


class Objects:
    """The folder of pieces. One writer at a time; the back-up's lock sees to that."""

    def __init__(self, folder: Path, trusted: set[str] | None = None) -> None:
        """Use a folder; `trusted` are the hashes that a finished snapshot names."""
        self._folder = folder
        self._there = trusted if trusted is not None else set()
        self._unsynced: list[Path] = []
        self._folders: set[Path] = set()
        self.written = 0
        """Bytes written by this run."""
        self.reused = 0
        """Bytes that were stored already."""

    def put(self, piece: bytes) -> str:
        """Store a piece and return its hash; it is on the disk only after `sync`. Raises OSError."""
        name = sha256(piece).hexdigest()
        if name in self._there:
            self.reused += len(piece)
            return name
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(path.name + ".partial")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(piece)
        partial.replace(path)
        self._there.add(name)
        self._unsynced.append(path)
        self._folders.add(path.parent)
        self.written += len(piece)
        if len(self._unsynced) >= _BATCH:
            self._sync_pieces()
        return name

    def get(self, name: str) -> bytes:
        """Return a piece. Raises Broken when it is not there or not what its name says."""
        path = self._path(name)
        try:
            piece = path.read_bytes()
        except FileNotFoundError:
            raise Broken(f"{path} is missing: the back-up is damaged; restore another snapshot") from None
        if sha256(piece).hexdigest() != name:
            raise Broken(f"{path} does not hold what its name says: the back-up is damaged; restore another snapshot")
        return piece

    def sync(self) -> None:
        """Return when every piece of this run is on the disk, with its name. Raises OSError."""
        self._sync_pieces()
        for folder in sorted(self._folders):
            sync_folder(folder)
        if self._folder.is_dir():
            sync_folder(self._folder)
        self._folders.clear()

    def prune(self, keep: set[str]) -> tuple[int, int]:
        """Remove every piece that is not named in `keep`; return how many went, and their bytes."""
        count, size = 0, 0
        for path in self._folder.glob("??/*"):
            if path.parent.name + path.name not in keep:
                count, size = count + 1, size + path.stat().st_size
                path.unlink()
        return count, size

    def _sync_pieces(self) -> None:
        with ThreadPoolExecutor(_SYNCERS) as pool:
            list(pool.map(_sync, self._unsynced))
        self._unsynced.clear()

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name[2:]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(handle)
    finally:
        os.close(handle)
