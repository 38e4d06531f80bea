"""
How long a lane waits, and why: back-off, circuit breaker, refused credentials, and doubt about the destination.

Trouble of the destination is kept apart from trouble of single events (see `verdicts`): only the former is counted here.
"""

from collections.abc import Callable
from time import monotonic

from customhouse.delivery.courier import Result
from customhouse.delivery.retry import backoff
from customhouse.delivery.retry.breaker import Breaker
from customhouse.delivery.retry.verdicts import Hold
from customhouse.model.lane import LaneConfig
from customhouse.telemetry.logs import Logger
from customhouse.telemetry.measure import Gauge


class Trouble:
    """The patience of one lane. Waits are in seconds."""

    def __init__(self, config: LaneConfig, chance: Callable[[], float], logger: Logger, parked: Gauge) -> None:
        """Start without any; `chance` is uniform in 0 to 1."""
        self._config = config
        self._chance = chance
        self._logger = logger
        self._gauge = parked
        self._breaker = Breaker(config.breaker_failures, config.breaker_seconds)
        self._hold_until = 0.0
        self.failures = 0
        self.problem = ""
        """Reason of the last trouble, while it lasts."""
        self.is_parked = False
        self.is_suspect = False
        """An event was set aside for faults, and the destination has dealt with nothing since."""

    @property
    def circuit(self) -> str:
        """The state of the breaker."""
        return self._breaker.state(monotonic())

    def remaining(self) -> float:
        """Return how long nothing may be sent; 0 when something may."""
        now = monotonic()
        return max(0.0, self._hold_until - now, self._breaker.remaining(now))

    def clear(self) -> None:
        """Go on at once, as if nothing had happened."""
        self._hold_until = 0.0
        self._end()

    def learn(self, result: Result) -> None:
        """Take note that the destination works, if it dealt with anything."""
        if result.is_alive:
            self._end()

    def hold(self, hold: Hold) -> None:
        """Wait because of the destination, longer each time."""
        self.failures += 1
        if hold.reason == "unauthorized":
            self.problem = hold.reason
            self._park(parked=True)
            self._hold_until = monotonic() + self._config.parked_probe_seconds
            return
        if hold.reason != "throttled":
            self._breaker.failure(monotonic())
        self.problem = hold.reason
        self._hold_until = monotonic() + self._wait(self.failures, hold.after)

    def pause_briefly(self, reason: str) -> None:
        """Wait a little after a fault that may be an event's."""
        self.problem = reason
        self._hold_until = monotonic() + self._wait(1, None)

    def stumble(self, reason: str) -> None:
        """Wait because our own log or state does not answer."""
        self.failures += 1
        self.problem = reason
        self._hold_until = monotonic() + self._wait(self.failures, None)

    def due_in(self, attempts: int) -> int:
        """Return the microseconds an event waits that failed so often by itself."""
        return int(self._wait(attempts, None) * 1_000_000)

    def _end(self) -> None:
        self._breaker.success()
        self._park(parked=False)
        self.failures, self.problem, self.is_suspect = 0, "", False

    def _wait(self, failures: int, asked: float | None) -> float:
        config = self._config
        return backoff.wait(
            failures, self._chance(), asked, base=config.retry_base_seconds, cap=config.retry_cap_seconds
        )

    def _park(self, *, parked: bool) -> None:
        if parked and not self.is_parked:
            self._logger.warning("lane.parked", reason="unauthorized")
        elif self.is_parked and not parked:
            self._logger.info("lane.unparked")
        self.is_parked = parked
        self._gauge.set(int(parked))
