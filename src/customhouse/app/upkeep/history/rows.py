"""
Rows of a file, one at a time: JSON Lines or CSV, compressed or not, of any size in the same memory.

A row that cannot be read is a row with a problem, never an exception: the rows behind it still count.
"""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from msgspec import Struct

from customhouse.model.errors import Misconfigured, Problem
from customhouse.wire import lenient

Form = Literal["jsonl", "csv"]
LONGEST_LINE = 1024 * 1024
"""Bytes. Far more than the door takes of one event; a longer line is refused without being held."""
_SHOWN = 2048
"""Bytes of a line that is too long that are kept for who looks for it."""
_FORMS: dict[str, Form] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "csv"}


class Row(Struct):
    """One row. `values` holds what it says, `text` the row's own bytes (JSON Lines only)."""

    number: int
    """Counted from 1, without header and empty lines."""
    line: int
    """Where it ends in the file, counted from 1."""
    values: dict[str, Any]
    text: bytes = b""
    repaired: bool = False
    """It was not quite JSON, and what it means was guessed."""
    reason: str = ""
    """Why it cannot be read, as one word; empty when it can."""
    detail: str = ""


class _BadLine(Exception):
    """A line that is no text, on its way through the CSV reader."""

    def __init__(self, reason: str, detail: str, text: bytes) -> None:
        self.reason, self.detail, self.text = reason, detail, text


def form_of(name: str) -> Form | None:
    """Return the form a file's ending names; None for one that names none."""
    path = Path(name.lower())
    return _FORMS.get(Path(path.stem).suffix if path.suffix == ".gz" else path.suffix)


@contextmanager
def opened(path: Path | None, standard_input: BinaryIO) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """Open a file, or standard input; yields it unpacked, and how many bytes of the file were read. Raises Misconfigured."""
    if path is None:
        yield standard_input, lambda: 0
        return
    try:
        raw = path.open("rb")
    except OSError as error:
        raise Misconfigured([Problem(str(path), f"cannot be read: {error.strerror}", "name a file")]) from None
    with raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = cast("BinaryIO", gzip.GzipFile(fileobj=raw, mode="rb")) if packed else raw
        try:
            yield file, raw.tell
        except (EOFError, gzip.BadGzipFile, zlib.error):
            hint = "get it whole and run the command again; what was read so far is sent"
            raise Misconfigured([Problem(str(path), "the compressed file is damaged or cut short", hint)]) from None


def json_rows(file: BinaryIO) -> Iterator[Row]:
    """Yield the rows of JSON Lines. Raises Misconfigured when the file holds one JSON array instead."""
    number = 0
    for line, text, cut in _lines(file):
        bare = text.strip()
        if not bare:
            continue
        number += 1
        if number == 1 and bare.startswith(b"["):
            hint = "make one line of every element first: jq -c '.[]' FILE | customhouse import - --format jsonl …"
            raise Misconfigured([Problem("the file", "holds a JSON array, not one JSON object per line", hint)])
        if cut:
            yield Row(number, line, {}, bare, reason="line_too_long", detail=f"over {LONGEST_LINE} bytes")
            continue
        read = lenient.loads(bare)
        if read is None or not isinstance(read[0], dict):
            yield Row(number, line, {}, bare, reason="event_unreadable", detail="a JSON object was expected")
        else:
            yield Row(number, line, read[0], bare, repaired=read[1])


def csv_header(file: BinaryIO, delimiter: str) -> tuple[list[str], Iterator[Row]]:
    """Return the columns of a CSV file, and its rows. Raises Misconfigured when there is no usable header."""
    feed = _Feed(file)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
    except (csv.Error, _BadLine):
        columns = []
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if not any(columns):
        raise Misconfigured([Problem("the file", "has no header", "the first line names the columns")])
    if twice:
        raise Misconfigured([Problem("the file", f"two columns have the same name: {twice[0]}", "rename one")])
    return columns, _csv_rows(reader, columns, feed)


def _csv_rows(reader: Any, columns: list[str], feed: "_Feed") -> Iterator[Row]:
    number = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            yield Row(number, feed.line, {}, feed.last, reason="csv_unreadable", detail=str(error))
            continue
        except _BadLine as bad:
            number += 1
            yield Row(number, feed.line, {}, bad.text, reason=bad.reason, detail=bad.detail)
            continue
        if not cells:
            continue
        number += 1
        values = dict(zip(columns, cells, strict=False))
        if len(cells) == len(columns):
            yield Row(number, feed.line, values)
        else:
            detail = f"{len(cells)} values for {len(columns)} columns"
            yield Row(number, feed.line, values, feed.last, reason="csv_ragged", detail=detail)


class _Feed:
    """The lines of a file as text, for the CSV reader."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = _lines(file)
        self.line = 0
        self.last = b""

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        self.line, self.last, cut = next(self._lines)
        if cut:
            raise _BadLine("line_too_long", f"over {LONGEST_LINE} bytes", self.last)
        try:
            return self.last.decode("utf-8-sig" if self.line == 1 else "utf-8")
        except UnicodeDecodeError:
            raise _BadLine("not_utf8", "convert the file first: iconv -f WINDOWS-1252 -t UTF-8", self.last) from None


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
    """Yield line number, line, and whether it was cut: a line that is too long is passed over in small pieces."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) <= LONGEST_LINE or line.endswith(b"\n"):
            yield number, line, False
            continue
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        yield number, line[:_SHOWN], True
