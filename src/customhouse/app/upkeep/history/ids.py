"""
Message ids for rows that have none: from what the row says, so that the same row has the same id whenever it is sent.

Rows that say the same are told apart by counting: the first, the second … of its kind in the file. The counts of a
large file need more room than memory has, so they lie in a scratch file, which is worth nothing once the import ends.
"""

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from customhouse.model.errors import Unavailable

_CACHE_KIB = 32 * 1024


class Counts:
    """How often each row has been seen, by its hash. One import's own; gone when it is closed."""

    def __init__(self, path: Path) -> None:
        """Begin to count, in a scratch file that is overwritten."""
        self._path = path
        path.unlink(missing_ok=True)
        self._base = sqlite3.connect(path, isolation_level=None)
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.execute("PRAGMA synchronous = OFF")
        self._base.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._base.execute("CREATE TABLE seen (hash BLOB PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID")
        self._base.execute("BEGIN")

    def count(self, digest: bytes) -> int:
        """Return how many rows of this hash there were, this one included. Raises Unavailable when the disk refuses."""
        sql = "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count"
        try:
            (found,) = self._base.execute(sql, (digest,)).fetchone()
        except sqlite3.OperationalError as error:
            raise Unavailable(f"{self._path.parent} cannot be written ({error}); free disk space") from error
        return int(found)

    def close(self) -> None:
        """Throw the counts away."""
        self._base.close()
        self._path.unlink(missing_ok=True)


def digest(values: dict[str, Any]) -> bytes:
    """Return the hash of what a row says: empty cells, the order of columns and the file's form make no difference."""
    said = {name: value for name, value in values.items() if value is not None and value != ""}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def message_id(hashed: bytes, nth: int) -> str:
    """Return the id of the `nth` row of a hash."""
    return f"import-{hashed.hex()}" + (f"-{nth}" if nth > 1 else "")
