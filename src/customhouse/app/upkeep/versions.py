"""
How the format of a file on disk is found out, one function per kind, without the reader that would refuse the file.

Each returns the format, or None when the file does not say one yet (an empty file that its writer has just made, or
one that went away). Each raises OSError, or ValueError when what stands there is no format.
"""

import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct

from customhouse.log.mark import SLOTS
from customhouse.log.reader import Reader
from customhouse.model.errors import Broken, Unavailable

Look = Callable[[Path], int | None]

_SEGMENT = struct.Struct("<8sII")
_MARK = struct.Struct("<4sII")
_TABLE = struct.Struct("<8sQ")
_FIX_ARRAY = range(0x90, 0xA0)
_ARRAYS = {0xDC: 3, 0xDD: 5}
_SMALL = 0x80
_WIDE = {0xCC: 1, 0xCD: 2, 0xCE: 4}


class _Said(Struct):
    format: int = 1


def json_field(path: Path) -> int | None:
    """Return the field `format` of a JSON file."""
    return _of(path, lambda content: msgspec.json.decode(content, type=_Said).format, whole=True)


def first_line(path: Path) -> int | None:
    """Return the number that begins a text file."""
    return _of(path, lambda content: int(content.split()[0]))


def segment(path: Path) -> int | None:
    """Return the format in the header of a segment of the log."""
    return _of(path, lambda content: int(_SEGMENT.unpack_from(content)[2]))


def durable_mark(path: Path) -> int | None:
    """Return the highest format in the slots of a mark; a slot never written says none."""
    return _of(path, lambda content: max(_MARK.unpack_from(content, at)[2] for at in SLOTS))


def id_table(path: Path) -> int | None:
    """Return the format in the header of a table of ids."""
    return _of(path, lambda content: int(_TABLE.unpack_from(content)[1]))


def sqlite(path: Path) -> int | None:
    """Return the user version of a state."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError as error:
        raise ValueError(str(error)) from None


def newest_frame(folder: Path) -> int | None:
    """Return the format of the newest durable frame of a partition; None when mark or segment do not let it be read."""
    reader = Reader(folder)
    try:
        frame = reader.last()
    except (Broken, Unavailable):  # they have formats of their own, and readers that tell of damage
        return None
    finally:
        reader.close()
    return None if frame is None else _first_number(frame.body)


def delta_table(log: Path) -> int | None:
    """Return the format of a table of the lake, named by the folder of its log."""
    from deltalake import DeltaTable  # the formats of everything else are known without it
    from deltalake.exceptions import DeltaError

    from customhouse.tables.delta import FORMAT_KEY

    try:
        return int(DeltaTable(log.parent).metadata().configuration[FORMAT_KEY] or 0)
    except (DeltaError, KeyError) as error:
        raise ValueError(type(error).__name__) from None


def _of(path: Path, found: Callable[[bytes], int], *, whole: bool = False) -> int | None:
    try:
        with path.open("rb") as file:
            content = file.read() if whole else file.read(4096)
    except FileNotFoundError:
        return None
    if not content:
        return None
    try:
        return found(content)
    except (struct.error, IndexError, msgspec.MsgspecError) as error:
        raise ValueError(type(error).__name__) from None


def _first_number(body: bytes) -> int:
    """Return the first value of a MessagePack array, which every frame begins with."""
    at = 1 if body[0] in _FIX_ARRAY else _ARRAYS.get(body[0], 0)
    if not at:
        raise ValueError("no frame")
    if body[at] < _SMALL:
        return body[at]
    return int.from_bytes(body[at + 1 : at + 1 + _WIDE[body[at]]])
