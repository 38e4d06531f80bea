"""
When an alarm is called for: one pure rule for each, over one reading and the counts of the last minutes.

Each rule has two lines, not one: beyond the first all is ill, behind the second all is well, and between them nothing
changes. That, and the time a rule waits before it believes what it sees, keeps alarms from flapping.
"""

from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct

from customhouse.alarms.config import AlarmsConfig
from customhouse.alarms.history import History
from customhouse.alarms.kinds import Name
from customhouse.alarms.reading import LaneSeen, Reading
from customhouse.alarms.words import events, size, span, waiting

Level = Literal["well", "between", "warning", "critical"]

_BACK = 0.9
"""A share of the line at which all is well again."""
_ROOM = 2
"""Floors of free disk below which a warning is given."""
_ROOM_AGAIN = 2.2
_STRUCK_ANEW = 2.0
"""Seconds after which two readings cannot show the same striking of the balance."""


class Sign(Struct, frozen=True):
    """What a rule says of one subject now."""

    subject: str
    level: Level
    told: str
    """One sentence, with numbers."""


class Sight(Struct, frozen=True):
    """What a rule may look at."""

    reading: Reading
    history: History
    config: AlarmsConfig

    def within(self, key: str, minutes: float) -> int:
        """Return how much was counted in the last minutes."""
        return self.history.within(key, minutes * 60, self.reading.at)


class Rule(Struct, frozen=True):
    """One alarm's rule, and how long it must be sure before the alarm is raised."""

    name: Name
    judge: Callable[[Sight], Iterator[Sign] | None]
    """None when the reading does not tell: then what stands goes on standing."""
    readings: int = 1
    """Readings in a row that must agree."""
    seconds: Callable[[AlarmsConfig], float] = lambda _config: 0.0
    """Time over which they must agree."""


def _lane_parked(sight: Sight) -> Iterator[Sign] | None:
    lanes = sight.reading.lanes
    return None if lanes is None else (_parked(lane) for lane in lanes)


def _parked(lane: LaneSeen) -> Sign:
    if lane.state == "paused":  # nobody knows whether its credentials are right now
        return Sign(lane.name, "between", f"{lane.name} refused our credentials, and is paused now.")
    if lane.state != "parked":
        return Sign(lane.name, "well", f"{lane.name} is {lane.state}.")
    said = f" ({lane.last_answer})" if lane.last_answer else ""
    return Sign(
        lane.name,
        "critical",
        f"{lane.name} refuses our credentials{said}; {waiting(lane.lag_events)} for it, "
        f"the oldest for {span(lane.oldest_seconds)}. None is lost.",
    )


def _lane_backlog(sight: Sight) -> Iterator[Sign] | None:
    lanes = sight.reading.lanes
    return None if lanes is None else (_backlog(lane, sight.config.backlog_share) for lane in lanes)


def _backlog(lane: LaneSeen, line: float) -> Sign:
    parts = []
    if lane.budget_events:
        share = lane.lag_events / lane.budget_events
        parts.append((share, f"{waiting(lane.lag_events)} for {lane.name}, {share:.0%} of its budget"))
    if lane.budget_seconds:
        share = lane.oldest_seconds / lane.budget_seconds
        words = f"the oldest event for {lane.name} has waited {span(lane.oldest_seconds)}, {share:.0%} of its budget"
        parts.append((share, words))
    used, told = max(parts, default=(0.0, f"{lane.name} has no budget"))
    if lane.over_budget or used >= 1:
        return Sign(lane.name, "critical", f"{told}: what lies beyond it is kept or expires, as `on_overflow` says.")
    level: Level = "warning" if used >= line else "between" if used >= line * _BACK else "well"
    return Sign(lane.name, level, f"{told}.")


def _lane_late(sight: Sight) -> Iterator[Sign] | None:
    lanes = sight.reading.lanes
    return None if lanes is None else (_late(lane, sight.config.late_minutes * 60) for lane in lanes)


def _late(lane: LaneSeen, line: float) -> Sign:
    waited = lane.oldest_seconds
    level: Level = "warning" if waited >= line else "between" if waited >= line * _BACK else "well"
    why = f"paused by the {lane.paused_by}" if lane.paused_by else lane.state
    last = f", last answer: {lane.last_answer}" if lane.last_answer and not lane.paused_by else ""
    return Sign(
        lane.name,
        level,
        f"the oldest of {events(lane.lag_events)} for {lane.name} has waited {span(waited)} ({why}{last}).",
    )


def _disk_low(sight: Sight) -> Iterator[Sign] | None:
    disk = sight.reading.disk
    if disk is None:
        return None
    told = f"{size(disk.free)} of disk are free; the door closes below {size(disk.floor)}."
    if disk.free < disk.floor:
        told = f"{size(disk.free)} of disk are free, below the floor of {size(disk.floor)}: the door answers 503."
        return iter([Sign("disk", "critical", told)])
    level: Level = "well"
    if disk.free < disk.floor * _ROOM_AGAIN:
        level = "warning" if disk.free < disk.floor * _ROOM else "between"
    return iter([Sign("disk", level, told)])


def _quarantine_burst(sight: Sight) -> Iterator[Sign] | None:
    if sight.reading.quarantined is None or sight.reading.judged is None:
        return None
    config, minutes = sight.config, sight.config.quarantine_minutes
    by_reason = {key: sight.within(key, minutes) for key in sight.history.kinds("quarantined:")}
    count, judged = sum(by_reason.values()), sight.within("judged", minutes)
    share = count / max(judged, count, 1)
    told = f"{count:,} of {events(max(judged, count))} ({share:.0%}) went to quarantine within {span(minutes * 60)}"
    if count:
        most = max(by_reason, key=lambda key: by_reason[key])
        told += f", {by_reason[most]:,} of them for {most.partition(':')[2]}"
    level: Level = "between"
    if count >= config.quarantine_events and share >= config.quarantine_share:
        level = "warning"
    elif count < config.quarantine_events / 2 or share < config.quarantine_share / 2:
        level = "well"
    return iter([Sign("quarantine", level, f"{told}.")])


def _unaccounted(sight: Sight) -> Iterator[Sign] | None:
    count = sight.reading.unaccounted
    if count is None:
        return None
    told = f"{events(count)} cannot be accounted for." if count else "Every event is accounted for."
    return iter([Sign("books", "critical" if count else "well", told)])


def _process_missing(sight: Sight) -> Iterator[Sign] | None:
    running = sight.reading.running
    if running is None:
        return None
    return (
        Sign(kind, "well" if there else "critical", f"the {kind} {'runs' if there else 'does not run'}.")
        for kind, there in running.items()
    )


def _process_restarting(sight: Sight) -> Iterator[Sign] | None:
    if sight.reading.restarts is None:
        return None
    return (_restarting(sight, key) for key in sight.history.kinds("restarts:"))


def _restarting(sight: Sight, key: str) -> Sign:
    line, minutes = sight.config.restarts, sight.config.restart_minutes
    kind, count = key.partition(":")[2], sight.within(key, minutes)
    level: Level = "critical" if count >= line else "between" if count > line // 2 else "well"
    return Sign(kind, level, f"the {kind} had to be started again {count:,} times within {span(minutes * 60)}.")


def _door_refusing(sight: Sight) -> Iterator[Sign] | None:
    if sight.reading.refusals is None:
        return None
    line, minutes = sight.config.refusals, sight.config.refusal_minutes
    count = sight.within("refusals", minutes)
    level: Level = "critical" if count >= line else "between" if count > line // 2 else "well"
    return iter([Sign("door", level, f"the door answered 503 to {count:,} requests within {span(minutes * 60)}.")])


def _webhook_failing(sight: Sight) -> Iterator[Sign] | None:
    failures, told = sight.reading.webhook_failures, sight.reading.webhook_told
    if not failures:
        return iter([Sign("webhook", "well", "the alarm webhook takes alarms.")])
    words = f"the alarm webhook failed {failures:,} time{'' if failures == 1 else 's'} in a row: {told}."
    return iter([Sign("webhook", "warning", words)])


def _watch_blind(sight: Sight) -> Iterator[Sign] | None:
    blind = sight.reading.blind
    told = f"the house cannot be looked at: {blind}" if blind else "the house can be looked at."
    return iter([Sign("watch", "critical" if blind else "well", told)])


RULES = (
    Rule("lane_parked", _lane_parked),
    Rule("lane_backlog", _lane_backlog),
    Rule("lane_late", _lane_late),
    Rule("disk_low", _disk_low),
    Rule("quarantine_burst", _quarantine_burst),
    # A reading races with those who write; the next one is taken at another moment.
    Rule("unaccounted", _unaccounted, readings=2, seconds=lambda _config: _STRUCK_ANEW),
    Rule("process_missing", _process_missing, readings=2, seconds=lambda config: config.missing_seconds),
    Rule("process_restarting", _process_restarting),
    Rule("door_refusing", _door_refusing),
    Rule("webhook_failing", _webhook_failing),
    Rule("watch_blind", _watch_blind, readings=3),
)
"""One for each alarm of `kinds`."""
