"""
What the log asks of the file system: data and names that survive a power cut, and one writer per folder.

Kept apart because each line here is a promise that differs between Linux and macOS.
"""

import fcntl
import os
import sys
import time
from pathlib import Path

from customhouse.model.errors import Unavailable

LOCK_NAME = "writer.lock"
_PATIENCE = 1.0
"""Seconds to wait for the lock: a reader that repairs a folder nobody writes to holds it for a moment."""


def sync(fd: int) -> None:
    """Make a file's data durable. Raises OSError; after that nothing is known of what was written since the last."""
    if sys.platform == "darwin":
        # There, fsync reaches the drive but not its platters.
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, each with a durable name."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


class Lock:
    """The right to write in a folder; gone with the process that holds it."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        """Hold an open and locked file."""
        self._fd = fd

    @classmethod
    def attempt(cls, folder: Path) -> "Lock | None":
        """Take the lock, or return None when somebody else has it. Raises OSError when the folder is not ours."""
        fd = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)

    @classmethod
    def take(cls, folder: Path) -> "Lock":
        """Take the lock. Raises Unavailable when another writer keeps it."""
        deadline = time.monotonic() + _PATIENCE
        while (lock := cls.attempt(folder)) is None:
            if time.monotonic() > deadline:
                raise Unavailable(f"{folder / LOCK_NAME} is held by another writer; a partition has only one")
            time.sleep(0.005)
        return lock

    def release(self) -> None:
        """Let others write."""
        os.close(self._fd)
