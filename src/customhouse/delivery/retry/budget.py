"""
How far a lane may fall behind, and what happens beyond: an alert always, and by its policy the oldest expire.

So a destination that is gone for good never fills the disk; what expires stays in the books.
"""

from collections.abc import Callable, Iterable

from customhouse.delivery.reading.intake import Intake
from customhouse.delivery.retry.verdicts import Item, Verdict
from customhouse.model.lane import LaneConfig
from customhouse.model.posting import HOUR
from customhouse.telemetry.logs import Logger

EXPIRED = Verdict("expired", "backlog_budget")


class Budget:
    """The backlog budget of one lane. Times are in microseconds."""

    def __init__(self, config: LaneConfig, logger: Logger) -> None:
        """Hold a lane to its configuration."""
        self._config = config
        self._logger = logger
        self.is_exceeded = False

    def expires(self, intake: Intake, now: int) -> Callable[[Item], bool]:
        """Return who expires: nobody, unless the policy says so."""
        return self._beyond(intake, now) if self._config.on_overflow == "expire" else lambda _item: False

    def watch(self, intakes: Iterable[Intake], now: int) -> None:
        """Raise an alert when the oldest pending event of any partition is beyond the budget, and end it when not."""
        exceeded = any(bool(each.pending) and self._beyond(each, now)(each.pending[0]) for each in intakes)
        if exceeded and not self.is_exceeded:
            self._logger.error("lane.alert", reason=EXPIRED.reason, policy=self._config.on_overflow)
        elif self.is_exceeded and not exceeded:
            self._logger.info("lane.recovered", reason=EXPIRED.reason)
        self.is_exceeded = exceeded

    def _beyond(self, intake: Intake, now: int) -> Callable[[Item], bool]:
        config = self._config
        oldest_at = now - int(config.backlog_hours * HOUR) if config.backlog_hours else -1
        newest = intake.mark.seen + intake.backlog() if config.backlog_events else 0
        least = newest - config.backlog_events if config.backlog_events else -1
        return lambda item: item.owed_at < oldest_at or item.nth <= least
