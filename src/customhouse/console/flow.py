"""
What came by lately: the newest events, good and bad apart, and whoever watches them.

Everything is bounded. A ring per column keeps the newest events; a watcher is handed the newest that fit its filter and
told how many more there were. Bad events have a column of their own, so no flood of good ones washes them away.
"""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from secrets import token_hex
from typing import Literal

from msgspec import Struct

Column = Literal["good", "bad"]
COLUMNS: tuple[Column, Column] = ("good", "bad")
RING = 1000
"""Events kept per column."""
SHOWN = 20
"""Events handed to a watcher at a time, per column."""
FIRST_SHOWN = 100
"""The same for somebody who comes back after a break."""


class LiveRow(Struct, kw_only=True):
    """One judged event, as far as a list of events shows it. Times in microseconds since 1970."""

    id: str
    at: int
    """When it was received."""
    source: str
    type: str
    event: str
    bad: bool
    tone: str
    fate: str
    """`routed`, `unrouted`, `dropped` or `quarantined`."""
    reason: str = ""
    """The documented word, for what was dropped or held back."""
    detail: str = ""
    to: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    persons: tuple[str, ...] = ()
    """Keyed references, never ids."""
    seq: int = 0
    """Given by the flow: grows by one per event."""
    html: str = ""
    """Made once, by who shows it."""

    @property
    def column(self) -> Column:
        """Return the column it stands in."""
        return "bad" if self.bad else "good"


class Filter(Struct, frozen=True, kw_only=True):
    """Which events somebody wants to see. Texts are looked for anywhere, in either case; empty ones leave all."""

    source: str = ""
    event: str = ""
    reason: str = ""
    person: tuple[str, ...] = ()
    only: Literal["", "good", "bad"] = ""

    @property
    def narrow(self) -> bool:
        """Tell whether it leaves anything out."""
        return bool(self.source or self.event or self.reason or self.person or self.only)

    def fits(self, row: LiveRow) -> bool:
        """Tell whether an event is wanted."""
        if self.only and self.only != row.column:
            return False
        if self.source and self.source.lower() not in row.source.lower():
            return False
        if self.event and self.event.lower() not in (row.event or row.type).lower():
            return False
        if self.reason and self.reason.lower() not in f"{row.reason} {row.detail} {' '.join(row.flags)}".lower():
            return False
        return not self.person or not set(self.person).isdisjoint(row.persons)


class Taken(Struct, frozen=True, kw_only=True):
    """What a watcher gets: the newest rows, oldest first, and how many more fitted that are not among them."""

    good: Sequence[LiveRow]
    bad: Sequence[LiveRow]
    hidden: dict[str, int]
    gone: int
    """Events that went by unread: nobody knows whether they would have fitted."""
    seq: int


class Watch:
    """One watcher's share. Filled by the flow; taken from by whoever serves the watcher."""

    def __init__(self, flow: "Flow", wanted: Filter) -> None:
        """Begin with nothing; the flow fills in what a watcher who comes back has missed."""
        self._flow = flow
        self._wanted = wanted
        self._fitted = dict.fromkeys(COLUMNS, 0)
        self.gone = 0
        self.room(SHOWN)

    def room(self, most: int) -> None:
        """Have room for so many rows per column until they are taken."""
        self._rows: dict[str, deque[LiveRow]] = {column: deque(maxlen=most) for column in COLUMNS}

    def offer(self, rows: Iterable[LiveRow]) -> None:
        """Take in what fits. The flow calls this, under its lock."""
        for row in rows:
            if self._wanted.fits(row):
                self._rows[row.column].append(row)
                self._fitted[row.column] += 1

    def take(self) -> Taken | None:
        """Return what came since the last time; None when nothing did."""
        with self._flow.lock:
            if not (self.gone or any(self._fitted.values())):
                return None
            taken = Taken(
                good=list(self._rows["good"]),
                bad=list(self._rows["bad"]),
                hidden={column: self._fitted[column] - len(self._rows[column]) for column in COLUMNS},
                gone=self.gone,
                seq=self._flow.seq,
            )
            self._fitted = dict.fromkeys(COLUMNS, 0)
            self.gone = 0
            self.room(SHOWN)
            return taken

    def leave(self) -> None:
        """Watch no longer."""
        self._flow.forget(self)


class Flow:
    """The ring and its watchers. Written by one thread, read from any."""

    def __init__(self) -> None:
        """Begin empty, with a name of its own: numbers of another flow mean nothing here."""
        self.epoch = token_hex(4)
        self.lock = threading.Lock()
        self.seq = 0
        self.trouble = ""
        """Why nothing comes, in words; empty while all is well."""
        self._rows: dict[str, deque[LiveRow]] = {column: deque(maxlen=RING) for column in COLUMNS}
        self._watches: set[Watch] = set()

    @property
    def watched(self) -> bool:
        """Tell whether anybody watches."""
        return bool(self._watches)

    @property
    def place(self) -> str:
        """Return where the flow is now, for somebody who goes on from here later."""
        return f"{self.epoch}.{self.seq}"

    def add(self, rows: Sequence[LiveRow]) -> None:
        """Take in events in the order in which they were judged."""
        with self.lock:
            for row in rows:
                self.seq += 1
                row.seq = self.seq
                self._rows[row.column].append(row)
            for watch in self._watches:
                watch.offer(rows)

    def skip(self, events: int) -> None:
        """Note that so many events went by unread, and forget what was before them: the list would have a hole."""
        with self.lock:
            for column in COLUMNS:
                self._rows[column].clear()
            for watch in self._watches:
                watch.gone += events

    def newest(self, wanted: Filter, most: int) -> dict[Column, list[LiveRow]]:
        """Return the newest events that fit, newest first, at most so many per column."""
        found: dict[Column, list[LiveRow]] = {}
        with self.lock:
            for column in COLUMNS:
                found[column] = []
                for row in reversed(self._rows[column]):
                    if wanted.fits(row):
                        found[column].append(row)
                        if len(found[column]) == most:
                            break
        return found

    def watch(self, wanted: Filter, place: str = "") -> Watch:
        """Begin to watch: from now on, or from a place in this flow on as far as the ring goes back."""
        watch = Watch(self, wanted)
        epoch, _, number = place.partition(".")
        with self.lock:
            if epoch == self.epoch and number.isdecimal() and int(number[:18]) < self.seq:
                after = int(number[:18])
                kept = sorted(
                    (row for rows in self._rows.values() for row in rows if row.seq > after), key=lambda row: row.seq
                )
                watch.room(FIRST_SHOWN)
                watch.offer(kept)
                watch.gone = self.seq - after - len(kept)
            self._watches.add(watch)
        return watch

    def forget(self, watch: Watch) -> None:
        """Let a watcher go."""
        with self.lock:
            self._watches.discard(watch)
