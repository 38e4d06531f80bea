"""
How fast lanes finish what they are owed, and how much of it well: a few minutes of counts, for health and nothing else.

The counts come from the receipt frames themselves, so every kind of lane is measured alike and none by itself. They
live in memory: after a restart they begin anew, while the books go on.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

from customhouse.model.posting import Posting

PIECE = 5_000_000
"""Microseconds that are counted together."""
PIECES = 60
"""Pieces that are remembered: five minutes."""
RATE_PIECES = 12
"""Pieces the rate is taken over: one minute."""
_WELL = "delivered"
_ILL = ("rejected", "expired")


class Pace:
    """Counts of every lane, by piece of time. Written by one thread at a time, read by any."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._pieces: dict[str, deque[tuple[int, int, int]]] = {}

    def note(self, postings: Iterable[Posting], now: int) -> None:
        """Take in what a frame moved; `now` is in microseconds."""
        counts: dict[str, list[int]] = {}
        for posting in postings:
            kind, _, lane = posting.moved_to.partition(":")
            if kind == _WELL or kind in _ILL:
                counts.setdefault(lane, [0, 0])[kind != _WELL] += posting.count
        piece = now // PIECE
        for lane, (well, ill) in counts.items():
            pieces = self._pieces.setdefault(lane, deque(maxlen=PIECES))
            _, well_before, ill_before = pieces.pop() if pieces and pieces[-1][0] == piece else (piece, 0, 0)
            pieces.append((piece, well + well_before, ill + ill_before))

    def of(self, lane: str, now: int) -> dict[str, Any]:
        """
        Return a lane's figures as health tells them.

        `rate` is in delivered events per second over the last minute, `success` the share of finished events that were
        delivered within five minutes; None when none was finished.
        """
        this = now // PIECE
        pieces = [each for each in tuple(self._pieces.get(lane, ())) if each[0] > this - PIECES]
        well, ill = sum(each[1] for each in pieces), sum(each[2] for each in pieces)
        lately = sum(each[1] for each in pieces if each[0] > this - RATE_PIECES)
        return {
            "rate": round(lately * 1_000_000 / (RATE_PIECES * PIECE), 2),
            "delivered": well,
            "refused": ill,
            "success": round(well / (well + ill), 4) if well + ill else None,
            "window_seconds": PIECES * PIECE // 1_000_000,
        }
