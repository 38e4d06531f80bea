"""How a destination stands, as every window shows it: numbers, times and documented words, never an event."""

from collections.abc import Mapping

from msgspec import Struct

TONES: Mapping[str, str] = {
    "running": "good",
    "starting": "wait",
    "full": "wait",
    "paused": "wait",
    "backing off": "wait",
    "circuit open": "bad",
    "parked": "bad",
    "not running": "bad",
    "removed": "bad",
}
"""Every state a destination can be in, and whether it is well."""


class AnswerLine(Struct, frozen=True, kw_only=True):
    """One kind of answer a destination gave, in documented words. Times in microseconds since 1970."""

    status: int
    reason: str
    meaning: str
    count: int
    first_at: int
    last_at: int


class DestinationState(Struct, frozen=True, kw_only=True):
    """How one destination fares. Times in microseconds since 1970, ages in seconds, None where nothing is known."""

    name: str
    kind: str
    """`webhook` or `lake`; empty for one that is no longer configured."""
    where: str
    """The host it leads to, without path and query: these may hold a secret."""
    state: str
    state_since: int | None
    words: str
    """The state in one sentence, with numbers."""
    lag_events: int
    oldest_seconds: float | None
    retrying: int
    rate: float | None
    """Events delivered per second over the last minute."""
    success: float | None
    """Share of the events finished within five minutes that were delivered."""
    delivered: int
    rejected: int
    """Refused for good, and waiting in quarantine for a decision."""
    expired: int
    breaker: str
    failures: int
    """Attempts that failed in a row."""
    last_answer: str
    answers: list[AnswerLine]
    paused_at: int | None
    paused_by: str
    pausable: bool
    backlog_events: int | None
    """Its budget; None for no bound."""
    backlog_seconds: float | None
    budget_used: float | None
    """Share of the budget that is used up; None when there is none."""
    held_bytes: int
    """Bytes of the log that are kept because this destination has not had them yet."""

    @property
    def tone(self) -> str:
        """Tell whether it is well: `good`, `wait` or `bad`."""
        return TONES.get(self.state, "wait")
