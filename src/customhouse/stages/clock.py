"""
Clock: when did it truly happen? Turns the client's times into ours.

Reads `original_at`, `sent_at` and `received_at`; writes `occurred_at`, and flags what was remarkable. The client's own
time stays in `original_at`. All times are microseconds since 1970 in UTC.
"""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from customhouse.model.event import Event
from customhouse.model.outcome import Outcome, Scope

CLOCK_CORRECTED = "clock_corrected"
CLOCK_FUTURE = "clock_future"
CLOCK_PAST = "clock_past"

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND


class ClockConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as a wrong clock."""

    flag_skew_seconds: Annotated[
        float,
        Meta(ge=0, description="A client's clock that is off by more than this is flagged; less is the network."),
    ] = 5.0
    future_seconds: Annotated[
        float, Meta(ge=0, description="How far in the future, seen from the time of receipt, an event may lie.")
    ] = 300.0
    oldest_days: Annotated[
        float, Meta(gt=0, description="How old, seen from the time of receipt, an event may be; imports excepted.")
    ] = 3650.0


class Clock:
    """
    Corrects skew, and clamps what is impossible.

    An event is as old as the client's clock says it was when it was sent: `received_at - (sent_at - original_at)`.
    This holds however wrong that clock is, and for events sent hours late after a time offline. It is applied always,
    small skews included, so that times are those Segment would give; only the flag has a threshold.

    `sent_at` is not believed when the age it gives is negative or beyond the oldest (beyond the tolerances): then it
    was not read off the same clock as `original_at`, which is taken as it is. Imports keep their own times.
    """

    name = "clock"
    writes = frozenset({"occurred_at", "flags"})

    def __init__(self, config: ClockConfig) -> None:
        """Take the tolerances."""
        self._skew = round(config.flag_skew_seconds * _SECOND)
        self._future = round(config.future_seconds * _SECOND)
        self._oldest = round(config.oldest_days * _DAY)

    def judge(self, events: Sequence[Event], scope: Scope) -> list[Outcome]:  # noqa: ARG002 -- every stage is asked alike
        """Answer every event with itself and the time it happened."""
        return [self._set(event) for event in events]

    def _set(self, event: Event) -> Event:
        received, original, sent = event.received_at, event.original_at, event.sent_at
        if original is None:
            return replace(event, occurred_at=received)
        occurred, flag = original, ""
        if sent is not None and not event.historical and -self._future <= sent - original <= self._oldest:
            occurred = received - (sent - original)
            if abs(received - sent) > self._skew:
                flag = CLOCK_CORRECTED
        if occurred > received + self._future:
            occurred, flag = received, CLOCK_FUTURE
        elif occurred < received - self._oldest and not event.historical:
            occurred, flag = received, CLOCK_PAST
        if not flag:
            return replace(event, occurred_at=occurred)
        return replace(event, occurred_at=occurred, flags=(*event.flags, flag))
