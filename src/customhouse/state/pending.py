"""
The writes of one transaction, gathered before any of them is made.

A block that raises has then nothing to undo, readers never wait for a half-done transaction, and a counter that is added
to a thousand times in a batch is written once.
"""


class Pending:
    """A `Transaction` that only remembers: the last value of each key, the sum of each counter."""

    __slots__ = ("counters", "values")

    def __init__(self) -> None:
        """Start with no writes."""
        self.values: dict[tuple[str, bytes], bytes | None] = {}
        """None stands for a removal."""
        self.counters: dict[tuple[str, bytes], int] = {}

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Set a value."""
        self.values[table, key] = value

    def delete(self, table: str, key: bytes) -> None:
        """Remove a value, if it is there."""
        self.values[table, key] = None

    def add(self, table: str, key: bytes, delta: int) -> None:
        """Add to a counter, which starts at zero."""
        counter = table, key
        self.counters[counter] = self.counters.get(counter, 0) + delta
