"""
The board: which alarms stand, since when, and what must be told of them. Pure: time comes with the reading.

An alarm is told when it is raised, again after a quiet time while it stands, and when it has ended. It ends only after
all was well for a while, and one that came back soon needs twice as long: so nobody is called every minute by something
that is neither well nor ill.
"""

from msgspec import Struct, field

from customhouse.alarms.config import AlarmsConfig
from customhouse.alarms.history import History
from customhouse.alarms.kinds import KINDS, Severity
from customhouse.alarms.notice import Notice, What
from customhouse.alarms.reading import Reading
from customhouse.alarms.rules import RULES, Rule, Sight, Sign

LONGEST_CLEAR = 3600.0
"""Seconds: all may have to be well so long before an alarm that keeps coming back ends."""
MOST_REMEMBERED = 200
"""Ended alarms that are remembered, to know which come back."""


class Alarm(Struct, kw_only=True):
    """One alarm that stands, or is about to. Times in seconds since 1970."""

    name: str
    subject: str
    severity: Severity
    since: float
    told: str
    readings: int = 1
    """How many in a row called for it."""
    standing: bool = False
    told_at: float = 0.0
    told_severity: str = ""
    well_since: float | None = None
    clear_seconds: float = 0.0

    @property
    def mend(self) -> str:
        """What to do."""
        return KINDS[self.name].mend.replace("{}", self.subject)


class Ended(Struct, frozen=True):
    """An alarm that has ended."""

    at: float
    clear_seconds: float


class Board(Struct):
    """Everything that is remembered between two readings."""

    alarms: dict[str, Alarm] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    history: History = field(default_factory=History)

    def standing(self) -> list[Alarm]:
        """Return the alarms that stand, the critical and the oldest first."""
        found = [alarm for alarm in self.alarms.values() if alarm.standing]
        return sorted(found, key=lambda alarm: (alarm.severity != "critical", alarm.since, alarm.name, alarm.subject))

    def judge(self, reading: Reading, config: AlarmsConfig) -> list[Notice]:
        """Take in a reading; return what must be told."""
        self.history.take(reading, config.longest_seconds)
        sight = Sight(reading, self.history, config)
        notices: list[Notice] = []
        for rule in RULES:
            signs = rule.judge(sight)
            if signs is None:
                continue
            seen = {sign.subject: sign for sign in signs}
            for alarm in [each for each in self.alarms.values() if each.name == rule.name]:
                gone = Sign(alarm.subject, "well", f"{alarm.subject} is no longer there.")
                seen.setdefault(alarm.subject, gone)
            for sign in seen.values():
                notices += self._follow(rule, sign, sight)
        return notices

    def _follow(self, rule: Rule, sign: Sign, sight: Sight) -> list[Notice]:
        """Bring one alarm up to date."""
        key = f"{rule.name}:{sign.subject}"
        alarm = self.alarms.get(key)
        if sign.level in ("warning", "critical"):
            severity: Severity = "critical" if sign.level == "critical" else "warning"
            return self._ill(rule, key, Sign(sign.subject, severity, sign.told), sight)
        if alarm is None:
            return []
        if not alarm.standing:
            del self.alarms[key]
            return []
        alarm.told = sign.told
        return self._well(key, alarm, sight) if sign.level == "well" else _unsure(alarm)

    def _ill(self, rule: Rule, key: str, sign: Sign, sight: Sight) -> list[Notice]:
        """Count one more reading that calls for an alarm; tell it when it is time."""
        at, config = sight.reading.at, sight.config
        severity: Severity = "critical" if sign.level == "critical" else "warning"
        alarm = self.alarms.get(key)
        if alarm is None:
            alarm = Alarm(name=rule.name, subject=sign.subject, severity=severity, since=at, told=sign.told, readings=0)
            self.alarms[key] = alarm
        alarm.readings += 1
        alarm.severity, alarm.told, alarm.well_since = severity, sign.told, None
        if not alarm.standing:
            if alarm.readings < rule.readings or at - alarm.since < rule.seconds(config):
                return []
            alarm.standing, alarm.clear_seconds = True, self._clear_seconds(key, at, config)
            return [_tell(alarm, "raised", at)]
        if severity == "critical" and alarm.told_severity == "warning":
            return [_tell(alarm, "raised", at)]
        if at - alarm.told_at >= config.quiet_minutes * 60:
            return [_tell(alarm, "still", at)]
        return []

    def _well(self, key: str, alarm: Alarm, sight: Sight) -> list[Notice]:
        """End an alarm once all has been well for long enough."""
        at = sight.reading.at
        if alarm.well_since is None or alarm.well_since > at:
            alarm.well_since = at
        if at - alarm.well_since < alarm.clear_seconds:
            return []
        del self.alarms[key]
        self.ended[key] = Ended(at, alarm.clear_seconds)
        while len(self.ended) > MOST_REMEMBERED:
            del self.ended[next(iter(self.ended))]
        return [_tell(alarm, "cleared", at)]

    def _clear_seconds(self, key: str, at: float, config: AlarmsConfig) -> float:
        """Return how long all must be well before this alarm ends."""
        before = self.ended.pop(key, None)
        if before is None or not 0 <= at - before.at < config.quiet_minutes * 60:
            return config.clear_seconds
        return min(LONGEST_CLEAR, max(config.clear_seconds, before.clear_seconds) * 2)


def _unsure(alarm: Alarm) -> list[Notice]:
    """Neither well nor ill: what stands goes on standing, and the time of being well begins anew."""
    alarm.well_since = None
    return []


def _tell(alarm: Alarm, what: What, at: float) -> Notice:
    """Make a notice, and remember that it was told."""
    alarm.told_at, alarm.told_severity = at, alarm.severity
    return Notice(
        what=what, alarm=alarm.name, subject=alarm.subject, severity=alarm.severity, since=alarm.since, at=at,
        told=alarm.told, mend=alarm.mend,
    )  # fmt: skip
