"""Alarms: what needs somebody now, since when, and what to do; and whether anybody would hear of it."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, structs
from starlette.requests import Request
from starlette.responses import Response

from customhouse.alarms.kinds import KINDS
from customhouse.console.desk import Desk, Page
from customhouse.console.tables import Column, Table

PATH = "/alarms"
_TONES: Mapping[str, str] = {"critical": "bad", "warning": "wait"}


class AlarmLine(Struct, frozen=True, kw_only=True):
    """One alarm that stands. Times in microseconds since 1970."""

    severity: str
    alarm: str
    subject: str
    since: int
    told: str
    mend: str


class AlarmsShown(Struct, frozen=True, kw_only=True):
    """What stands, and how the telling fares."""

    alarms: list[AlarmLine]
    looked_at: int | None
    watching: bool
    enabled: bool
    webhook: bool
    failures: int
    """Posts to the webhook that failed in a row."""
    answer: str
    """What the last post came to."""
    answered_at: int | None
    waiting: int
    """Notices that wait for the webhook."""
    dropped: int


class AlarmsSource(Protocol):
    """Where this page looks. Called in the event loop: it only remembers."""

    def shown(self) -> AlarmsShown:
        """Return what stands."""


def alarms_page(desk: Desk, source: AlarmsSource) -> Page:
    """Return the page and its tables."""

    async def show(request: Request) -> Response:
        shown = source.shown()
        critical = sum(alarm.severity == "critical" for alarm in shown.alarms)
        return desk.page(
            request, "alarms.html", "Alarms", shown=shown, critical=critical, standing=_standing(shown), kinds=_kinds()
        )

    async def standing(_request: Request) -> Table:
        return _standing(source.shown())

    async def kinds(_request: Request) -> Table:
        return _kinds()

    routes = [desk.get(PATH, show), *desk.tables(PATH, standing), *desk.tables(f"{PATH}/kinds", kinds)]
    return Page(name="Alarms", path=PATH, routes=routes)


def _standing(shown: AlarmsShown) -> Table:
    return Table(
        caption="Standing alarms", path=PATH, empty="no alarm stands",
        columns=(
            Column("severity", "severity"),
            Column("alarm", "alarm", "mono", wide=True),
            Column("subject", "about"),
            Column("since", "since", "ago"),
            Column("told", "what"),
            Column("mend", "what to do"),
        ),
        rows=[
            {**structs.asdict(alarm), "tones": {"severity": _TONES.get(alarm.severity, "wait")}}
            | ({"href": f"/destinations/{alarm.subject}"} if alarm.alarm.startswith("lane_") else {})
            for alarm in shown.alarms
        ],
    )  # fmt: skip


def _kinds() -> Table:
    return Table(
        caption="What is watched", path=f"{PATH}/kinds",
        columns=(
            Column("alarm", "alarm", "mono"),
            Column("meaning", "meaning"),
            Column("mend", "what to do", wide=True),
        ),
        rows=[
            {"alarm": kind.name, "meaning": kind.meaning, "mend": kind.mend.replace("{}", "NAME")}
            for kind in KINDS.values()
        ],
    )  # fmt: skip
