"""
Small files written so that a power cut leaves the old one or the new one, never half and never an empty name.

Marks, manifests and identities stand on this: what they say must not be believed before it is on the disk.
"""

import os
from pathlib import Path

from customhouse.log.files import sync_folder

PARTIAL = ".partial"
"""Ending of a file that is being written; whoever finds one may remove it."""


def write_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file in one piece, and return when content and name are on the disk. Raises OSError."""
    partial = path.with_name(path.name + PARTIAL)
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)
