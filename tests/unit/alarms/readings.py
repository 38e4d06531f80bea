"""A board that is shown readings, second by second, without a house."""

from typing import Any

import msgspec
from msgspec import structs

from customhouse.alarms.board import Board
from customhouse.alarms.config import AlarmsConfig
from customhouse.alarms.notice import Notice
from customhouse.alarms.reading import DiskSeen, LaneSeen, Reading

START = 1_700_000_000.0
GB = 1_000_000_000


def well(**changes: Any) -> Reading:
    """Return a reading of a house in which all is well."""
    reading = Reading(
        at=START, lanes=(lane(),), disk=DiskSeen(50 * GB, GB), unaccounted=0, judged=0, quarantined={}, refusals=0,
        restarts={"pipeline": 0}, running={"collector": True, "pipeline": True, "delivery": True},
    )  # fmt: skip
    return structs.replace(reading, **changes)


def lane(name: str = "crm", state: str = "running", **more: Any) -> LaneSeen:
    return LaneSeen(name=name, state=state, **more)


class Watched:
    """A board, a clock, and what was told."""

    def __init__(self, **config: Any) -> None:
        self.config = AlarmsConfig(**config)
        self.board = Board()
        self.at = START

    def see(self, seconds: float = 5.0, **changes: Any) -> list[Notice]:
        """Let time pass and show a reading that differs from a well one; return what must be told."""
        self.at += seconds
        return self.board.judge(well(at=self.at, **changes), self.config)

    def told(self, seconds: float = 5.0, **changes: Any) -> list[tuple[str, str, str]]:
        return [(n.what, n.alarm, n.subject) for n in self.see(seconds, **changes)]

    def restart(self) -> None:
        """Go on from what was kept, as another process would."""
        self.board = msgspec.json.decode(msgspec.json.encode(self.board), type=Board)
