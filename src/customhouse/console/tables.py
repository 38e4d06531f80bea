"""
One table, three ways: for people on the page, `.json` for programs, `.csv` for spreadsheets. All show the same rows.

A page's handler makes a `Table`; the same path with `.json` or `.csv` behind it serves it alone.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from starlette.responses import Response

Kind = Literal["text", "mono", "number", "decimal", "time", "ago", "bytes", "tone"]
"""How a cell is shown: `time` and `ago` are microseconds since 1970, `decimal` has one digit, `tone` is a state in words."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Column(Struct, frozen=True):
    """One column: its field in the rows, its heading, and how it is shown."""

    name: str
    title: str
    kind: Kind = "text"
    wide: bool = False
    """Left out where the page is narrow."""

    @property
    def right(self) -> bool:
        """Tell whether its cells stand on the right: numbers do."""
        return self.kind in ("number", "decimal", "bytes")


class Table(Struct, frozen=True, kw_only=True):
    """
    Comparable things, one per row.

    Rows are mappings by column name. `href` in a row is where its first cell leads; `tones` maps a column to the tone
    its cell is shown in (`good`, `wait`, `bad`, `info`, `again`). Both stay out of CSV and JSON.
    """

    columns: Sequence[Column]
    rows: Sequence[dict[str, Any]]
    caption: str = ""
    path: str = ""
    """Where it is served alone, without the ending; with query, if any, in `query`."""
    query: str = ""
    empty: str = "nothing here"

    def plain(self) -> list[dict[str, Any]]:
        """Return the rows with what their columns name, and nothing else."""
        names = [column.name for column in self.columns]
        return [{name: row.get(name) for name in names} for row in self.rows]

    def link(self, ending: str) -> str:
        """Return the address of the table alone, as `json` or `csv`."""
        return f"{self.path}.{ending}" + (f"?{self.query}" if self.query else "")


def serve_table(table: Table, ending: str) -> Response:
    """Answer with a table alone: `json` or `csv`."""
    if ending == "json":
        return Response(msgspec.json.encode(table.plain()), media_type="application/json")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in table.columns])
    writer.writerows([_cell(value) for value in row.values()] for row in table.plain())
    name = table.path.strip("/").replace("/", "-") or "table"
    disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=disposition)


def _cell(value: Any) -> Any:
    """Return a cell for a spreadsheet. What a client sent must not become a formula there."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
