"""
The last different answers of a destination, in documented words: what it said, how often, when last.

A destination's own words stay out, because they may quote the events; those of refused events stand with the events.
"""

from typing import Any

from msgspec import Struct

from customhouse.delivery.courier import Result

MOST = 8
"""Different answers that are kept; a destination that answers in more ways forgets the oldest."""


class Answered(Struct, frozen=True):
    """One kind of answer. Times in microseconds since 1970."""

    status: int
    """Of the HTTP answer; 0 when there was none."""
    reason: str
    """`delivered`, or the documented reason why not."""
    count: int
    first_at: int
    last_at: int


class Answers:
    """What one destination answered since this process started, each kind once. Not thread-safe."""

    def __init__(self) -> None:
        """Start with none."""
        self._kinds: dict[tuple[int, str], Answered] = {}
        """Oldest answer first."""

    def note(self, result: Result, now: int) -> None:
        """Take in one answer."""
        key = (result.status, result.word)
        before = self._kinds.pop(key, None)
        first_at, count = (before.first_at, before.count) if before else (now, 0)
        self._kinds[key] = Answered(*key, count + 1, first_at, now)
        while len(self._kinds) > MOST:
            del self._kinds[next(iter(self._kinds))]

    def told(self) -> list[dict[str, Any]]:
        """Return the kinds of answers as plain values, the newest first."""
        return [
            {
                "status": each.status,
                "reason": each.reason,
                "count": each.count,
                "first_at": each.first_at,
                "last_at": each.last_at,
            }
            for each in reversed(self._kinds.values())
        ]
