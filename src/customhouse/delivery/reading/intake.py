"""
What one lane has yet to do in one partition: events read ahead, and how far the reading has come.

Copies are counted along the way and held to the count the pipeline keeps in every owed frame. Where that count jumps,
the log's retention has removed what the lane had not read; this is the only way to find out that fits every log.
"""

from collections import deque

from msgspec import Struct

from customhouse.delivery.reading.feed import Feed
from customhouse.delivery.retry.verdicts import Item
from customhouse.delivery.settle import Mark

READ_BYTES = 256 * 1024


class Lost(Struct, frozen=True):
    """Copies that were owed before `upto` and can be read no more."""

    first: int
    upto: int
    seen: int
    count: int


class Intake:
    """Reads one partition for one lane from behind a mark."""

    def __init__(self, feed: Feed, lane: str, partition: int, mark: Mark) -> None:
        """Start behind the mark, with nothing read."""
        self._feed = feed
        self._lane = lane
        self.partition = partition
        self.mark = mark
        self.pending: deque[Item] = deque()
        self.cursor = mark.upto
        self.seen = mark.seen
        self.lost: Lost | None = None
        self.gap_ahead = False

    def fill(self, want: int) -> bool:
        """Read a piece of the log unless `want` events are pending; stop at a gap. Says whether it came further. Blocks."""
        if self.lost or self.gap_ahead or len(self.pending) >= want:
            return False
        start = self.cursor
        for frame, owed in self._feed.read(self.partition, after=self.cursor, limit=READ_BYTES):
            mine = self._feed.events_for(frame, owed, self._lane, -1)
            new = mine
            if frame.base <= self.cursor:
                new = [(position, event) for position, event in mine if position > self.cursor]
            before = owed.totals.get(self._lane, self.seen + len(new)) - len(mine)
            if before > self.seen:
                self.gap_ahead = bool(self.pending)
                if not self.pending:
                    self.lost = Lost(self.cursor + 1, frame.base - 1, before, before - self.seen)
                break
            nth = before + len(mine) - len(new)
            self.pending.extend(
                Item(position, nth + at, owed.now, event) for at, (position, event) in enumerate(new, 1)
            )
            self.cursor = frame.last
            self.seen = nth + len(new)
        return self.cursor > start

    def mark_at(self, count: int, at: int) -> Mark:
        """Return the mark behind the first `count` pending events, or behind all that was read when that is all."""
        if count >= len(self.pending):
            return Mark(self.cursor, self.seen, at)
        item = self.pending[count - 1]
        return Mark(item.position, item.nth, at)

    def settled(self, mark: Mark) -> None:
        """Take note that everything up to a mark is settled."""
        self.mark = mark
        while self.pending and self.pending[0].position <= mark.upto:
            self.pending.popleft()
        self.gap_ahead = self.gap_ahead and bool(self.pending)

    def skipped(self, mark: Mark) -> None:
        """Take note that a loss is booked; reading goes on behind it."""
        self.mark = mark
        self.cursor, self.seen, self.lost = mark.upto, mark.seen, None

    def backlog(self) -> int:
        """Return how many copies the lane is owed beyond its mark, as the newest frame counts."""
        newest = self._feed.newest(self.partition)
        total = newest[1].totals.get(self._lane, 0) if newest else 0
        return max(0, total - self.mark.seen)
