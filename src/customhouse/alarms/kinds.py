"""
The closed list of alarms: what each means, and what to do when it stands.

A name is a label of a metric and a key in other people's tools. It is never renamed; a new alarm is a new entry here
and a rule in `rules`.
"""

from typing import Literal

from msgspec import Struct

Name = Literal[
    "lane_parked",
    "lane_backlog",
    "lane_late",
    "disk_low",
    "quarantine_burst",
    "unaccounted",
    "process_missing",
    "process_restarting",
    "door_refusing",
    "webhook_failing",
    "watch_blind",
]
Severity = Literal["warning", "critical"]


class Kind(Struct, frozen=True):
    """One alarm there is. `mend` is a command or a step; `{}` stands for the subject."""

    name: Name
    meaning: str
    mend: str


_ALL = (
    Kind(
        "lane_parked",
        "A destination refuses our credentials; nothing is sent there, nothing is lost.",
        "put the right credentials in place, then: customhouse reload",
    ),
    Kind(
        "lane_backlog",
        "What waits for a destination comes near its budget, or is beyond it.",
        "customhouse destinations list; then mend {}, or give it a larger backlog_events or backlog_hours",
    ),
    Kind(
        "lane_late",
        "The oldest event that waits for a destination is too old.",
        "customhouse destinations list; when it is paused: customhouse destinations resume {}",
    ),
    Kind(
        "disk_low",
        "Free disk space comes near the floor under which the door answers 503, or is below it.",
        "free space where the data folder stands, or shorten `retention`; see: customhouse doctor",
    ),
    Kind(
        "quarantine_burst",
        "Many events, and a large share of all, went to quarantine in a short time.",
        "customhouse quarantine list",
    ),
    Kind(
        "unaccounted",
        "Two counts of the same events do not agree. This should never happen.",
        "customhouse balance; then report it with: customhouse doctor --json",
    ),
    Kind(
        "process_missing",
        "A process of the house does not run.",
        "customhouse doctor, and the output of customhouse run",
    ),
    Kind(
        "process_restarting",
        "A process of the house ends again and again.",
        "see why in the output of: customhouse run",
    ),
    Kind(
        "door_refusing",
        "The door answers 503: clients are asked to come again, and those that cannot will lose events.",
        "customhouse doctor; and ask the door itself: curl http://HOST:PORT/ready",
    ),
    Kind(
        "webhook_failing",
        "Alarms cannot be posted to the webhook. They wait, and show here meanwhile.",
        "customhouse alarms test",
    ),
    Kind("watch_blind", "The house cannot be looked at, so no alarm can be judged.", "customhouse doctor"),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
"""All alarms by name."""
