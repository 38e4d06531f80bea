"""What the Overview says: one sentence, the sources, the destinations, the trial balance, the processes, and charts."""

import time
from collections.abc import Callable

from customhouse.app.checks import RESERVED
from customhouse.app.windows.watcher import Watcher, counted
from customhouse.app.windows.window import Seen
from customhouse.console.pages.overview_data import (
    CHARTS,
    Account,
    DestinationLine,
    Overview,
    ProcessLine,
    SourceLine,
)
from customhouse.ledger.balance import Balance
from customhouse.model.posting import LOGGED, RECEIVED
from customhouse.model.standing import DestinationState
from customhouse.telemetry.history import Points

_MINUTE = 60.0
_HOUR = 3600.0
_TONES = {"delivered": "good", "owed": "wait", "logged": "wait", "quarantined": "bad", "rejected": "bad",
          "refused": "bad", "expired": "bad", "dropped": "again", "unrouted": "quiet"}  # fmt: skip


class OverviewOf:
    """The Overview of a watched house."""

    def __init__(self, watcher: Watcher, destinations: Callable[[], list[DestinationState]]) -> None:
        """Show what the watcher saw; `destinations` tells how each of them fares."""
        self._watcher = watcher
        self._destinations = destinations

    def overview(self) -> Overview:
        """Return what the page shows."""
        seen = self._watcher.newest()
        struck = seen.balance
        with self._watcher.lock:
            held, since = self._watcher.history.growth(_HOUR, seen.at, "quarantined")
            rates = self._watcher.history.rates(_MINUTE, seen.at, "received:")
        return Overview(
            at=round(seen.at * 1e6),
            received=struck.received,
            in_flight=struck.in_flight,
            unaccounted=struck.unaccounted,
            differences=[
                f"{d.account}: {d.books:,} in the books, {d.counted:,} counted. {d.meaning}" for d in struck.differences
            ],
            quarantined=round(held),
            quarantined_since=round(since * 1e6),
            sources=_sources(seen, _mean(rates)),
            destinations=_destinations(self._destinations()),
            accounts=_accounts(struck),
            processes=_processes(seen),
        )

    def points(self, chart: str, seconds: float) -> Points:
        """Return the lines of a chart over the last so many seconds."""
        self._watcher.newest()
        kind, prefix = CHARTS[chart].series
        with self._watcher.lock:
            history = self._watcher.history
            points = (history.rates if kind == "rates" else history.gauges)(seconds, time.time(), prefix)
        lines = {name: line for name, line in points.lines.items() if name not in RESERVED}
        return Points(points.times, lines)


def _sources(seen: Seen, rates: dict[str, float]) -> list[SourceLine]:
    came = counted(seen.balance.postings)
    held: dict[str, int] = {}
    for p in seen.balance.postings:
        quarantined = p.moved_to.startswith("quarantined:")
        held[p.source] = held.get(p.source, 0) + (p.count if quarantined else 0)
    names = sorted(held)
    return [
        SourceLine(
            source=name,
            received=int(came.get(f"received:{name}", 0)),
            rate=rates.get(name, 0.0),
            quarantined=held[name],
        )
        for name in names
    ]


def _destinations(states: list[DestinationState]) -> list[DestinationLine]:
    return [
        DestinationLine(
            destination=each.name,
            state=each.state,
            tone=each.tone,
            waiting=each.lag_events,
            oldest=each.oldest_seconds,
            rate=each.rate,
            delivered=each.delivered,
        )
        for each in states
    ]


def _accounts(struck: Balance) -> list[Account]:
    """Return the trial balance: every account that holds something, and what waits before the pipeline."""
    logged = sum(each.events for each in struck.waiting if each.account == LOGGED)
    accounts = {name: count for name, count in struck.accounts.items() if count}
    if logged:
        accounts[LOGGED] = accounts.get(LOGGED, 0) + logged
        accounts[RECEIVED] = accounts.get(RECEIVED, 0) - logged
    return [
        Account(name, count, _TONES.get(name.partition(":")[0], "quiet")) for name, count in sorted(accounts.items())
    ]


def _processes(seen: Seen) -> list[ProcessLine]:
    measured = {snapshot.process: snapshot for snapshot in seen.measured}
    lines = []
    for kind, said in seen.processes.items():
        snapshot = measured.get(kind)
        lines.append(
            ProcessLine(
                process=kind,
                running=said is not None,
                config=said.config if said else None,
                since=round(said.ready_at * 1e6) if said else None,
                memory=snapshot.vitals.private_bytes if snapshot and said else None,
                files=snapshot.vitals.open_fds if snapshot and said else None,
            )
        )
    return lines


def _mean(points: Points) -> dict[str, float]:
    """Return the mean of each line over the time shown; what is unknown does not count."""
    means = {}
    for name, values in points.lines.items():
        known = [value for value in values if value is not None]
        means[name] = sum(known) / len(known) if known else 0.0
    return means
