"""From what a window sees to what alarms are judged by. Reads only; personal data never comes this way."""

import os

from customhouse.alarms.reading import DiskSeen, LaneSeen, Reading
from customhouse.app.configuration import Configuration
from customhouse.app.lanes import published_at
from customhouse.app.windows.window import Seen
from customhouse.app.workspace import Workspace
from customhouse.model.lane import LaneConfig
from customhouse.model.posting import LOGGED, RECEIVED
from customhouse.telemetry.measure import Snapshot

_SILENT_SECONDS = 30.0
"""Delivery publishes once a second; a disk that is full or slow may hold that up for a while."""
_WATCHER = "console"
"""The process the watch runs in: it cannot miss itself."""


def gather(workspace: Workspace, configuration: Configuration, seen: Seen) -> Reading:
    """Return a reading of the house; the webhook's own state is added by who posts. Raises OSError."""
    quarantined: dict[str, int] = {}
    judged = 0
    for p in seen.balance.postings:
        kind, _, reason = p.moved_to.partition(":")
        if kind == "quarantined":
            quarantined[reason] = quarantined.get(reason, 0) + p.count
        elif (p.moved_from, p.moved_to) == (RECEIVED, LOGGED):
            judged += p.count
    return Reading(
        at=seen.at,
        lanes=_lanes(seen, configuration, published_at(workspace)),
        disk=DiskSeen(_free(workspace), configuration.limits.free_disk_bytes),
        unaccounted=seen.balance.unaccounted,
        judged=judged,
        quarantined=quarantined,
        refusals=_counted(seen.measured, "collector", "customhouse_requests_total", "status").get("503"),
        restarts=_counted(seen.measured, "supervisor", "customhouse_restarts_total", "child") or None,
        running={
            kind: said is not None and not (kind == "delivery" and _is_silent(seen, published_at(workspace)))
            for kind, said in seen.processes.items()
            if kind != _WATCHER
        },
    )


def _lanes(seen: Seen, configuration: Configuration, published: float) -> tuple[LaneSeen, ...] | None:
    """Return how lanes fare; None while what is published was said by a delivery that is gone."""
    said = seen.processes.get("delivery")
    if said is None or published < said.ready_at:
        return None
    return tuple(_lane(name, lane, configuration) for name, lane in seen.lanes.items())


def _is_silent(seen: Seen, published: float) -> bool:
    """Tell whether delivery lives, and has not said for long how its lanes fare: then it hangs."""
    said = seen.processes.get("delivery")
    return said is not None and seen.at - max(published, said.ready_at) > _SILENT_SECONDS


def _lane(name: str, said: dict[str, object], configuration: Configuration) -> LaneSeen:
    config = configuration.destinations.get(name)
    budget = config if isinstance(config, LaneConfig) else None
    lag, oldest = said.get("lag_events"), said.get("oldest_seconds")
    return LaneSeen(
        name=name,
        state=str(said.get("state", "unknown")),
        last_answer=str(said.get("last_answer", "")),
        paused_by=str(said.get("paused_by", "")),
        lag_events=lag if isinstance(lag, int) else 0,
        oldest_seconds=float(oldest) if isinstance(oldest, int | float) else 0.0,
        over_budget=bool(said.get("over_budget")),
        budget_events=budget.backlog_events if budget else None,
        budget_seconds=budget.backlog_hours * 3600 if budget and budget.backlog_hours else None,
    )


def _counted(measured: list[Snapshot], process: str, name: str, label: str) -> dict[str, int]:
    """Return a counter of one process, summed by one of its labels; empty while the process has not measured."""
    found: dict[str, int] = {}
    for snapshot in measured:
        if snapshot.process != process:
            continue
        for number in snapshot.counters:
            if number.name == name:
                key = dict(number.labels).get(label, "")
                found[key] = found.get(key, 0) + int(number.value)
        if process == "collector":
            found.setdefault("503", 0)
    return found


def _free(workspace: Workspace) -> int:
    """Return the free bytes where the log stands, as the door counts them."""
    facts = os.statvfs(workspace.log)
    return facts.f_bavail * facts.f_frsize
