"""State in memory: for tests, and for trying the house without a disk. Gone with its process."""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from contextlib import contextmanager

from customhouse.model.contracts import Transaction
from customhouse.model.errors import Broken
from customhouse.state.pending import Pending


class MemoryState:
    """A `State` of one process."""

    def __init__(self) -> None:
        """Start empty."""
        self._values: dict[str, dict[bytes, bytes]] = {}
        self._keys: dict[str, list[bytes]] = {}
        """The keys of `_values`, in order."""
        self._counters: dict[str, dict[bytes, int]] = {}
        self._moments = 0
        self._guard = threading.RLock()

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Hold one moment: another thread's transaction waits for its end, one of our own is Broken."""
        with self._guard:
            self._moments += 1
            try:
                yield
            finally:
                self._moments -= 1

    @contextmanager
    def settle(self) -> Iterator[Transaction]:
        """Open a transaction: its writes are made at the end of the block, none if the block raises."""
        pending = Pending()
        yield pending
        with self._guard:
            if self._moments:
                raise Broken("a state cannot settle within its own moment")
            for (table, key), value in pending.values.items():
                self._set(table, key, value)
            for (table, key), delta in pending.counters.items():
                counters = self._counters.setdefault(table, {})
                counters[key] = counters.get(key, 0) + delta

    def get(self, table: str, key: bytes) -> bytes | None:
        """Return a value."""
        return self._values.get(table, {}).get(key)

    def scan(
        self, table: str, *, prefix: bytes = b"", after: bytes = b"", limit: int = 1000, newest_first: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """Return values in key order, or from the highest key down, from behind `after`."""
        keys = self._keys.get(table, [])
        if newest_first:
            end = bisect_left(keys, after) if after else len(keys)
            chosen = [key for key in reversed(keys[:end]) if key.startswith(prefix)]
        else:
            start = bisect_right(keys, after) if after else 0
            chosen = [key for key in keys[start:] if key.startswith(prefix)]
        values = self._values.get(table, {})
        return [(key, values[key]) for key in chosen[:limit]]

    def count(self, table: str) -> int:
        """Return how many values a table holds."""
        return len(self._values.get(table, {}))

    def counters(self, table: str) -> dict[bytes, int]:
        """Return all counters of a table."""
        return dict(self._counters.get(table, {}))

    def close(self) -> None:
        """Keep everything: whoever holds this state may go on."""

    def _set(self, table: str, key: bytes, value: bytes | None) -> None:
        values = self._values.setdefault(table, {})
        keys = self._keys.setdefault(table, [])
        if value is None:
            if values.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]
            return
        if key not in values:
            insort(keys, key)
        values[key] = value
