"""
How far an import is: one small file per import, so that it goes on where it stopped and never runs twice by mistake.

An import is known by the content of its file and its source, whatever the file is called. The row it stands at is the
last one of which everything is settled: acknowledged by the door, or written down among the refused.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import msgspec
from msgspec import Struct

from customhouse.app.upkeep.durable import write_durably
from customhouse.app.upkeep.history.judge import Ready
from customhouse.model.errors import Misconfigured, Problem, Unavailable

FORMAT: Final = 1
_SYNC_SECONDS = 1.0
_PIECE = 1024 * 1024


class Record(Struct, kw_only=True):
    """One import. Times are in seconds since 1970."""

    format: Literal[1] = FORMAT
    content: str
    """SHA-256 of the file."""
    source: str
    shape: str
    """Hash of how rows become events: another shape is another import."""
    rows: int = 0
    """Rows that are settled, from the beginning of the file."""
    acknowledged: int = 0
    refused: int = 0
    refused_bytes: int = 0
    """Size of the list of refused rows that belongs to this state."""
    started_at: float = 0.0
    finished_at: float = 0.0


def content_of(path: Path, seen: Callable[[int], None]) -> str:
    """Return the SHA-256 of a file's bytes; `seen` is told how many were read so far. Raises Misconfigured."""
    if not path.is_file():
        hint = "name a regular file, or `-` for standard input"
        raise Misconfigured([Problem(str(path), "is no file", hint)])
    whole, read = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                whole.update(piece)
                read += len(piece)
                seen(read)
    except OSError as error:
        raise Misconfigured([Problem(str(path), f"cannot be read: {error.strerror}")]) from None
    return whole.hexdigest()


class Progress:
    """The record of one import, held by this process alone."""

    def __init__(self, path: Path, record: Record) -> None:
        """Hold a record that stands at a path, or will."""
        self._path = path
        self._synced = 0.0
        self.record = record

    def save(self, *, durably: bool = False) -> None:
        """
        Write the record in one piece; at least once a second it is on the disk before this returns.

        Raises Unavailable when the disk refuses.
        """
        content = msgspec.json.encode(self.record)
        with _writing(self._path):
            if durably or time.monotonic() - self._synced > _SYNC_SECONDS:
                write_durably(self._path, content)
                self._synced = time.monotonic()
            else:
                partial = self._path.with_suffix(".partial")
                partial.write_bytes(content)
                partial.replace(self._path)


@contextmanager
def held(folder: Path, content: str, source: str, shape: str, *, again: bool) -> Iterator[Progress]:
    """
    Hold the record of an import, new or as it was left.

    Raises Misconfigured when it was begun with another shape, or is of a format this version does not know;
    Unavailable when another process is at it.
    """
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / f"{hashlib.sha256(f'{content} {source}'.encode()).hexdigest()[:32]}.json"
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable("another `customhouse import` is at this file; let it end") from None
        record = None if again else _read(path)
        if record is not None and not record.finished_at and record.shape != shape:
            hint = "use the mapping it was begun with, or begin anew with --again"
            raise Misconfigured([Problem("--map", "this import was begun with another mapping", hint)])
        fresh = Record(content=content, source=source, shape=shape, started_at=time.time())
        yield Progress(path, record or fresh)
    finally:
        os.close(lock)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tell in words when the disk refuses."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be written ({error.strerror}); mend that, and run the same command"
        ) from error


def _read(path: Path) -> Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        hint = "use the version of customhouse that wrote it, or begin anew with --again"
        raise Misconfigured([Problem(str(path), "cannot be read as the record of an import", hint)]) from None


class Refused:
    """The list of rows that were not sent, beside the file they came from."""

    def __init__(self, path: Path, size: int) -> None:
        """Go on with a list at a size; what lies behind it belongs to rows that are read again. A foreign list is put aside."""
        self.path = path
        if size == 0 and path.exists():
            with _writing(path):
                path.replace(path.with_name(path.name + ".old"))
        self._size = size
        self._file: BinaryIO | None = None

    def add(self, batch: list[Ready]) -> int:
        """
        Write down rows with their reasons; return the size of the list. The file is made when there is one.

        Raises Unavailable when it cannot be written.
        """
        if not batch:
            return self._size
        with _writing(self.path):
            if self._file is None:
                # The rows are people's: nobody else on this machine may read them.
                handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                self._file = os.fdopen(handle, "ab")
                self._file.truncate(self._size)
            for ready in batch:
                self._file.write(msgspec.json.encode(_line(ready)) + b"\n")
            self._file.flush()
            self._size = self._file.tell()
        return self._size

    def close(self) -> None:
        """Have it on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()


def _line(ready: Ready) -> dict[str, Any]:
    row = ready.row
    head = {"format": FORMAT, "row": row.number, "line": row.line, "reason": ready.reason, "detail": ready.detail}
    return head | ({"text": row.text.decode("utf-8", "replace")} if row.text else {"columns": row.values})
