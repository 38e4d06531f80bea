"""
SQL over the tables of a lake, for people: DuckDB reads them while one process writes, and can do nothing else.

Every Delta table in the folder is a view of its name. The statement is somebody's free text, so the engine that runs it
sees no file, no network and no extension, holds a bounded amount of memory, and cannot change its own settings.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from msgspec import Struct
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from customhouse.model.errors import Misconfigured, Problem, Unavailable

PLACE = "sql"
_READING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}


class Bounds(Struct, frozen=True):
    """What one query may take."""

    memory: str = "512MB"
    spill: str = "4GB"
    """Of the disk, in a folder of its own that is removed afterwards."""
    threads: int = 2


def names(lake: Path) -> list[str]:
    """Return the names of the tables in a lake folder, in order."""
    if not lake.is_dir():
        return []
    return sorted(p.name for p in lake.iterdir() if not p.name.startswith(".") and (p / "_delta_log").is_dir())


def query(lake: Path, sql: str, bounds: Bounds | None = None) -> pa.Table:
    """
    Return the whole answer of one SELECT.

    Raises Misconfigured with words for people when the statement is wrong or does more than read, Unavailable when
    the tables cannot be read or the bounds do not suffice.
    """
    try:
        return _answer(lake, sql, bounds or Bounds())
    except _Vanished:
        return _answer(lake, sql, bounds or Bounds())


@contextmanager
def reading(lake: Path, sql: str, bounds: Bounds | None = None) -> Iterator[pa.RecordBatchReader]:
    """Give the answer of one SELECT batch by batch, for answers larger than memory. Raises what `query` raises."""
    with _engine(bounds or Bounds()) as connection, _in_words(lake):
        yield _relation(connection, lake, sql).to_arrow_reader()


def _answer(lake: Path, sql: str, bounds: Bounds) -> pa.Table:
    with _engine(bounds) as connection, _in_words(lake):
        return _relation(connection, lake, sql).to_arrow_table()


def _relation(connection: duckdb.DuckDBPyConnection, lake: Path, sql: str) -> duckdb.DuckDBPyRelation:
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type not in _READING:
        raise _wrong("exactly one SELECT is allowed here", "the tables can be read, not changed")
    for name in names(lake):
        files = SubTreeFileSystem(str(lake / name), LocalFileSystem())
        connection.register(name, DeltaTable(lake / name).to_pyarrow_dataset(filesystem=files))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    found = connection.sql(sql)
    if found is None:
        raise _wrong("the statement has no answer", "write a SELECT")
    return found


@contextmanager
def _engine(bounds: Bounds) -> Iterator[duckdb.DuckDBPyConnection]:
    with TemporaryDirectory(prefix="customhouse-sql-") as scratch:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": bounds.memory,
            "threads": bounds.threads,
            "temp_directory": scratch,
            "max_temp_directory_size": bounds.spill,
            "python_enable_replacements": False,  # a table name never means a variable of ours
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(config=settings) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


@contextmanager
def _in_words(lake: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.CatalogException as error:
        raise _wrong(_first_line(error), f"there are these tables: {', '.join(names(lake)) or 'none yet'}") from error
    except duckdb.PermissionException as error:
        raise _wrong(_first_line(error), "only the tables of the lake can be read") from error
    except (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError) as error:
        if "No such file" in str(error):
            raise _Vanished(f"{lake}: a data file went away during the query") from error
        raise _wrong(str(error), "`describe <table>` lists the columns of a table") from error
    except duckdb.OutOfMemoryException as error:
        raise Unavailable("the query needs more memory than it is given; ask for less or raise its bounds") from error
    except (duckdb.Error, DeltaError, OSError, pa.ArrowException) as error:
        raise Unavailable(f"the lake could not be read: {_first_line(error)}") from error


class _Vanished(Unavailable):
    """A merge took a file away between our look at the log and the read: the same query works when asked again."""


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _wrong(message: str, hint: str) -> Misconfigured:
    return Misconfigured([Problem(PLACE, message, hint)])
