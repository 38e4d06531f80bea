"""
The circuit breaker of a lane, as a pure state machine: times are handed in, in seconds of any steady clock.

    closed ──(so many failures in a row)──→ open ──(cooled down)──→ half-open ──(success)──→ closed
                                              ↑─────────────(failure)─────┘

It spares a destination that is down the retries it cannot answer, and says plainly that the lane is not at fault.
"""

from typing import Literal

Circuit = Literal["closed", "open", "half-open"]


class Breaker:
    """One lane's breaker. Not thread-safe."""

    __slots__ = ("_cooldown", "_failures", "_limit", "_opened_at")

    def __init__(self, failures: int, cooldown: float) -> None:
        """Open after so many failures in a row, for `cooldown` seconds."""
        self._limit = failures
        self._cooldown = cooldown
        self._failures = 0
        self._opened_at: float | None = None

    def state(self, now: float) -> Circuit:
        """Return the state at a time."""
        if self._opened_at is None:
            return "closed"
        return "half-open" if now >= self._opened_at + self._cooldown else "open"

    def remaining(self, now: float) -> float:
        """Return the seconds until the next try is allowed; 0 when it is allowed now."""
        return 0.0 if self._opened_at is None else max(0.0, self._opened_at + self._cooldown - now)

    def success(self) -> None:
        """Close: the destination takes events."""
        self._failures = 0
        self._opened_at = None

    def failure(self, now: float) -> None:
        """Count a failure; the last one too many, or any while half-open, opens."""
        self._failures += 1
        if self._failures >= self._limit:
            self._opened_at = now
