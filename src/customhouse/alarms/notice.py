"""
What is told of an alarm: that it was raised, still stands, or has ended. The body is JSON whose `text` chat services show.

A notice names parts of the configuration and numbers, never an event or a person.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct

from customhouse.alarms.kinds import Severity
from customhouse.alarms.words import span

What = Literal["raised", "still", "cleared", "test"]

_SHAPES = {"critical": "●", "warning": "▲"}


class Notice(Struct, frozen=True, kw_only=True):
    """One message about one alarm. Times in seconds since 1970."""

    what: What
    alarm: str
    subject: str
    severity: Severity
    since: float
    at: float
    told: str
    mend: str

    @property
    def key(self) -> str:
        """Name exactly this message, so that who gets it twice can tell."""
        parts = (self.what, self.alarm, self.subject, self.severity, f"{self.since:.3f}", f"{self.at:.3f}")
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def body(notice: Notice, house: str) -> dict[str, Any]:
    """Return a notice as it is posted; `house` is the workspace's name."""
    return {
        "format": 1,
        "id": notice.key,
        "event": notice.what,
        "alarm": notice.alarm,
        "subject": notice.subject,
        "severity": notice.severity,
        "since": moment(notice.since),
        "at": moment(notice.at),
        "lasted_seconds": round(max(0.0, notice.at - notice.since), 1),
        "message": notice.told,
        "mend": notice.mend,
        "workspace": house,
        "text": text(notice, house),
    }


def text(notice: Notice, house: str) -> str:
    """Return a notice as one reads it in a chat: a line that says it, and a line that says what to do."""
    lasted = span(notice.at - notice.since)
    name = f"{notice.alarm} {notice.subject}".strip()
    if notice.what == "test":
        return f"Customhouse {house}: {notice.told}"
    if notice.what == "cleared":
        return f"✓ Customhouse {house}: {name} has ended after {lasted}. {notice.told}"
    begun = f" (for {lasted} now)" if notice.what == "still" else ""
    head = f"{_SHAPES[notice.severity]} Customhouse {house}: {notice.severity}, {name}{begun}: {notice.told}"
    return f"{head}\nWhat to do: {notice.mend}"


def moment(at: float) -> str:
    """Return a time in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
