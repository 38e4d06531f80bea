"""
State in one SQLite file: what its owner process must remember between batches, and what others may read meanwhile.

The file is in WAL mode, so readers and the owner do not wait for each other. It is not synced at every transaction
(`synchronous=NORMAL`): a killed process loses nothing, and a power cut may take the newest transactions but never half
of one. The frames in the log are the truth; what the state has not seen is settled from them again.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from customhouse.model.contracts import Fault, Transaction, no_fault
from customhouse.model.errors import Broken, CustomhouseError, Unavailable
from customhouse.state.pending import Pending

FORMAT = 1
_PATIENCE = 5.0
"""Seconds to wait for another connection's lock."""
_PASSING = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY",
            "SQLITE_PROTOCOL", "SQLITE_NOMEM", "SQLITE_PERM")  # fmt: skip
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS vals
        (tab TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (tab, key)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS counters
        (tab TEXT NOT NULL, key BLOB NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (tab, key)) WITHOUT ROWID""",
    f"PRAGMA user_version = {FORMAT}",
)
_PUT = "INSERT INTO vals VALUES (?, ?, ?) ON CONFLICT (tab, key) DO UPDATE SET value = excluded.value"
_DELETE = "DELETE FROM vals WHERE tab = ? AND key = ?"
_ADD = "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT (tab, key) DO UPDATE SET n = n + excluded.n"
_GET = "SELECT value FROM vals WHERE tab = ? AND key = ?"
_COUNT = "SELECT count(*) FROM vals WHERE tab = ?"
_COUNTERS = "SELECT key, n FROM counters WHERE tab = ?"


class EmbeddedState:
    """
    A `State` in a file. One owner writes it; others open it with `readonly`, also before it exists (then it is empty).

    Use it from one thread at a time; that need not be the thread that made it.
    """

    def __init__(self, path: Path, *, readonly: bool = False, fault: Fault = no_fault) -> None:
        """Open the file, and create it unless `readonly`. Raises Unavailable, and Broken for a format we do not know."""
        self._path = path
        self._readonly = readonly
        self._fault = fault
        self._connection: sqlite3.Connection | None = None
        self._in_moment = False
        with self._told():
            self._open()

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Hold one moment: whatever the owner settles meanwhile is not seen before the end. Raises Unavailable."""
        if self._in_moment:
            yield
            return
        with self._told():
            connection = self._connection or self._open()
            if connection is not None:
                connection.execute("BEGIN")
                # SQLite takes its snapshot with the first read, not with BEGIN.
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        self._in_moment = True
        try:
            yield
        finally:
            self._in_moment = False
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")

    @contextmanager
    def settle(self) -> Iterator[Transaction]:
        """Open a transaction: its writes are made at the end of the block, none if the block raises. Raises Unavailable."""
        if self._readonly or self._connection is None:
            raise Broken(f"{self._path} is open for reading only")
        pending = Pending()
        yield pending
        if self._in_moment:
            raise Broken(f"{self._path} cannot settle within its own moment")
        with self._told():
            self._write(self._connection, pending)

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return a value. Raises Unavailable."""
        rows = self._rows(_GET, (table, key))
        return rows[0][0] if rows else None

    def scan(
        self, table: str, *, prefix: bytes = b"", after: bytes = b"", limit: int = 1000, newest_first: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """Return values in key order, or from the highest key down, from behind `after`. Raises Unavailable."""
        query, arguments = "SELECT key, value FROM vals WHERE tab = ?", [table]
        bounds: list[bytes] = []
        if prefix:
            query += " AND key >= ?"
            bounds.append(prefix)
            if (ceiling := _ceiling(prefix)) is not None:
                query += " AND key < ?"
                bounds.append(ceiling)
        if after:
            query += " AND key < ?" if newest_first else " AND key > ?"
            bounds.append(after)
        query += " ORDER BY key DESC LIMIT ?" if newest_first else " ORDER BY key LIMIT ?"
        return self._rows(query, (*arguments, *bounds, limit))

    def count(self, table: str) -> int:
        """Return how many values a table holds. Raises Unavailable."""
        rows = self._rows(_COUNT, (table,))
        return rows[0][0] if rows else 0

    def counters(self, table: str) -> dict[bytes, int]:
        """Return all counters of a table. Raises Unavailable."""
        return dict(self._rows(_COUNTERS, (table,)))

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write(self, connection: sqlite3.Connection, pending: Pending) -> None:
        values = pending.values.items()
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_PUT, [(tab, key, value) for (tab, key), value in values if value is not None])
            connection.executemany(_DELETE, [place for place, value in values if value is None])
            connection.executemany(_ADD, [(*place, delta) for place, delta in pending.counters.items()])
            self._fault(f"state.before_commit:{self._path.stem}")
            connection.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some errors, a full disk among them.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._fault(f"state.after_commit:{self._path.stem}")

    def _rows(self, query: str, arguments: tuple[Any, ...]) -> list[Any]:
        with self._told():
            # A file that comes into being within a moment was not there at its beginning.
            connection = self._connection or (None if self._in_moment else self._open())
            return [] if connection is None else connection.execute(query, arguments).fetchall()

    def _open(self) -> sqlite3.Connection | None:
        """Open the file and check its format. Returns None while a reader finds nothing to read yet."""
        if self._readonly and not self._path.exists():
            return None
        if not self._readonly:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={'ro' if self._readonly else 'rwc'}",
            uri=True,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            ready = self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        if not ready:
            connection.close()
            return None
        self._connection = connection
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> bool:
        """Check the format, create what is missing; False when a reader came before the owner had done so."""
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, FORMAT}:
            raise Broken(f"{self._path} has format version {version}; this release knows {FORMAT}")
        if self._readonly:
            return bool(version == FORMAT)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("COMMIT")
        return True

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell errors of the world in the words of the house."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._translated(error) from error
        except OSError as error:
            raise Unavailable(f"{self._path}: {error.strerror or error}") from error

    def _translated(self, error: sqlite3.Error) -> CustomhouseError:
        name = getattr(error, "sqlite_errorname", "")
        kind = Unavailable if name.startswith(_PASSING) else Broken
        return kind(f"{self._path}: {error} ({name or type(error).__name__})")


def _ceiling(prefix: bytes) -> bytes | None:
    """Return the smallest key above all that start with `prefix`, or None when there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
