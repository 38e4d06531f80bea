"""
The groups, kept up to date beside the requests: a page shows what was counted last and never waits for the counting.

One thread of its own counts, and only while somebody looks.
"""

import threading
import time
from collections.abc import Callable

from customhouse.app.windows.quarantine.buckets import DELIVERY, PIPELINE, Buckets, Sum, Sums, ref_of
from customhouse.app.windows.quarantine.entries import Holders, holders
from customhouse.app.workspace import Workspace
from customhouse.console.pages.quarantine_data import OTHER, Fits, Group, Held
from customhouse.ledger.books import flows
from customhouse.model.errors import CustomhouseError

_FRESH_SECONDS = 0.5
_SHARE = 5
"""A count that took long is repeated after so many times as long."""
_PATIENCE = 0.025
"""Seconds a page waits for a count that is nearly done."""


class Groups:
    """What is held back, by group. Ask from any thread."""

    def __init__(self, workspace: Workspace, report: Callable[[Exception], None]) -> None:
        """Count what lies in a workspace; `report` is told when that fails."""
        self._workspace = workspace
        self._report = report
        names: set[tuple[str, str, str]] = set()
        self._tables = (Buckets(PIPELINE, names), Buckets(DELIVERY, names))
        self._sums: Sums = {}
        self._counts = (0, 0)
        self._ready = False
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._closed = False
        self._took = self._counted_at = 0.0
        self._thread: threading.Thread | None = None

    def held(self, fits: Fits) -> Held:
        """Return the groups that fit, as last counted, and have them counted again; waits a moment where that is quick."""
        if time.monotonic() - self._counted_at >= max(_FRESH_SECONDS, _SHARE * self._took):
            self._start()
            self._idle.clear()
            self._wanted.set()
            self._idle.wait(_PATIENCE)
        return self.as_counted(fits)

    def close(self) -> None:
        """End the counting."""
        self._closed = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def count(self, states: Holders) -> Held:
        """Count now; return what was found. For the one thread that counts. Raises Unavailable."""
        for table, state in zip(self._tables, (states.pipeline, states.delivery), strict=True):
            with state.moment():  # so that the books and the rows speak of the same events
                table.look(state, flows(state), self._tell)
        self._tell()
        self._ready = True
        return self.as_counted(Fits())

    def as_counted(self, fits: Fits) -> Held:
        """Return the groups that fit, as last counted."""
        counted, total = self._counts
        fitting = {
            place: each for place, each in self._sums.items() if fits.takes(place[0], place[1], place[3], place[2])
        }
        return Held(groups=_grouped(fitting), counted=counted, total=total, ready=self._ready)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="groups", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        """Count whenever somebody asked, until closed."""
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closed:
                return
            began = time.monotonic()
            try:
                with holders(self._workspace) as states:
                    self.count(states)
            except CustomhouseError as error:
                self._report(error)
            self._counted_at = time.monotonic()
            self._took = self._counted_at - began
            self._idle.set()

    def _tell(self) -> None:
        """Let pages see what is counted so far."""
        merged: Sums = {}
        for table in self._tables:
            for place, each in table.sums():
                merged.setdefault(place, Sum()).merge(each)
        counted = sum(table.counted for table in self._tables)
        self._sums, self._counts = merged, (counted, max(counted, sum(table.expected for table in self._tables)))
        if self._closed:
            raise _Closed


class _Closed(CustomhouseError):
    """The console ends while something is being counted."""


def _grouped(sums: Sums) -> list[Group]:
    """Return the groups, the largest first, with what the sources add to each."""
    whole: dict[tuple[str, str, str], Sum] = {}
    sources: dict[tuple[str, str, str], dict[str, int]] = {}
    for (reason, event, destination, source), each in sums.items():
        place = (reason, event, destination)
        whole.setdefault(place, Sum()).merge(each)
        counts = sources.setdefault(place, {})
        counts[source] = counts.get(source, 0) + each.count
    groups = [
        Group(
            reason=place[0], event=place[1], destination=place[2], count=each.count, first=each.first, last=each.last,
            sources=dict(sorted(sources[place].items(), key=lambda pair: -pair[1])),
            libraries=sorted(each.libraries), releases=sorted(each.releases),
            example=ref_of(each.newest, place[2]),
        )
        for place, each in whole.items()
    ]  # fmt: skip
    return sorted(groups, key=lambda group: (group.event == OTHER, -group.count, group.reason, group.event))
