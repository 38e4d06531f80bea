"""
Rows of a table by an exact value: file statistics and Bloom filters leave little to read.

This is for questions the house itself asks (is this event in the lake? what became of it?); SQL that people write goes
through `query`, which trusts nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from msgspec import Struct

_MEMORY = "256MB"


class Ask(Struct, frozen=True):
    """What is looked for. All text is ours; only `values` may come from outside."""

    where: str
    """The exact condition, with a `?` for each of `values`."""
    values: Sequence[Any]
    prune: str = ""
    """What chooses files by partition and statistics; empty for all files."""
    columns: str = "*"
    limit: int = 1000


def rows(folder: Path, ask: Ask) -> list[dict[str, Any]]:
    """
    Return rows of the table in `folder`, in no particular order; none when there is no such table.

    A file that a merge took away meanwhile makes the look-up start again, once.
    """
    import duckdb  # some twenty megabytes, for the rare process that asks

    try:
        return _read(duckdb, folder, ask)
    except duckdb.IOException:
        return _read(duckdb, folder, ask)


def stored_upto(folder: Path, app_id: str) -> int:
    """Return the version a writer last committed under its application id; -1 when it never did, or has no table."""
    try:
        version = DeltaTable(folder).transaction_version(app_id)
    except TableNotFoundError:
        return -1
    return -1 if version is None else version


def held(folder: Path, column: str, values: pa.Array) -> set[str]:
    """Return those of the values (ids as text) that a column of the table holds."""
    wanted = values.to_pylist()
    prune = f"{column} >= '{min(wanted)}' AND {column} <= '{max(wanted)}'"
    places = ", ".join("?" * len(wanted))
    ask = Ask(f"{column} IN ({places})", wanted, prune, f"DISTINCT {column}", len(wanted))
    return {row[column] for row in rows(folder, ask)}


def _read(duckdb: Any, folder: Path, ask: Ask) -> list[dict[str, Any]]:
    try:
        files = DeltaTable(folder).file_uris(file_pruning_predicate=ask.prune or None)
    except TableNotFoundError:
        return []
    if not files:
        return []
    source = "read_parquet(?, hive_partitioning = true)"
    statement = f"SELECT {ask.columns} FROM {source} WHERE {ask.where} LIMIT ?"  # noqa: S608 - its text is ours, see Ask
    with duckdb.connect(config={"memory_limit": _MEMORY}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        answer = connection.sql(statement, params=[files, *ask.values, ask.limit])
        found: list[dict[str, Any]] = answer.to_arrow_table().to_pylist()
        return found
