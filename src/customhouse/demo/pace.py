"""Keeps the pace: how many events are due by now, reckoned from the start, so that no delay adds up."""


class Pace:
    """So many events per second, for so long. Knows no clock but the seconds it is told."""

    def __init__(self, rate: float, seconds: float = 0.0, events: int = 0) -> None:
        """Go on for ever where neither `seconds` nor `events` says when to end."""
        self.rate = rate
        self._seconds = seconds
        self._events = events

    @property
    def total(self) -> int:
        """How many events there will be; 0 when nobody knows."""
        planned = round(self._seconds * self.rate)
        return min(planned or self._events, self._events or planned)

    def due(self, elapsed: float) -> int:
        """Return how many events should have been sent, all together."""
        count = int(elapsed * self.rate) + 1
        return min(count, self.total) if self.total else count

    def over(self, sent: int, elapsed: float) -> bool:
        """Say whether it is time to stop. A door too slow for the rate does not make the run longer than asked for."""
        if self._events and sent >= self._events:
            return True
        return bool(self._seconds) and (elapsed >= self._seconds or sent >= self.total)
