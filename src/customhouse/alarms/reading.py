"""One look at the house: everything alarms are judged by, as plain values, gathered by somebody else."""

from msgspec import Struct


class LaneSeen(Struct, frozen=True, kw_only=True):
    """How the way to one destination fares."""

    name: str
    state: str
    last_answer: str = ""
    paused_by: str = ""
    lag_events: int = 0
    oldest_seconds: float = 0.0
    over_budget: bool = False
    budget_events: int | None = None
    budget_seconds: float | None = None


class DiskSeen(Struct, frozen=True):
    """Space where the log stands, in bytes, and how much of it the door leaves alone."""

    free: int
    floor: int


class Reading(Struct, frozen=True, kw_only=True):
    """What was seen at one moment. None stands for what could not be seen this time."""

    at: float
    """Seconds since 1970."""
    lanes: tuple[LaneSeen, ...] | None = None
    disk: DiskSeen | None = None
    unaccounted: int | None = None
    judged: int | None = None
    """Events the pipeline has ever judged."""
    quarantined: dict[str, int] | None = None
    """Events that ever went to quarantine, by reason."""
    refusals: int | None = None
    """Requests answered 503 since the door started."""
    restarts: dict[str, int] | None = None
    """Restarts by process since the supervisor started."""
    running: dict[str, bool] | None = None
    """Whether each process that should run does."""
    webhook_failures: int = 0
    """Posts that failed in a row."""
    webhook_told: str = ""
    """What the last failed post came to."""
    blind: str = ""
    """Why the house could not be looked at; then everything above is None."""
