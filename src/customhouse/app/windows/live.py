"""
What is coming in right now, for the Live page: the newest judged events, read from the end of the log `owed`.

The log is followed only while somebody watches, in a thread of its own; when nobody does, nothing is read. Of a frame
only what a list of events shows is decoded. Whoever falls far behind begins anew at the end, and says what was skipped.
"""

import threading
import time
from collections.abc import Iterator
from itertools import islice

from customhouse.app.process import announcement
from customhouse.app.rules import newest as newest_rules
from customhouse.app.windows.judged import Judged
from customhouse.app.windows.persons import Persons, known
from customhouse.app.workspace import Workspace
from customhouse.console.flow import Filter, Flow, LiveRow, Watch
from customhouse.console.pages.live import FirstSteps
from customhouse.log.embedded import EmbeddedLog
from customhouse.log.segment import Damaged
from customhouse.model.contracts import Frame
from customhouse.model.errors import Broken, Unavailable
from customhouse.model.frames import OWED_TOPIC
from customhouse.pipeline.quarantine import held
from customhouse.settings import is_literal
from customhouse.state.embedded import EmbeddedState

_POLL_SECONDS = 0.2
_TROUBLE_SECONDS = 2.0
_LINGER_SECONDS = 10.0
_READ_BYTES = 512 * 1024
"""So little at a time, so that nobody waits long for the interpreter."""
_FAR = 50_000
"""Positions behind the end from which it is better to begin anew."""
_BACK = (2000, 500, 100, 20, 0)
"""Positions before the newest frame where the first look begins; the next when there is too much behind the last."""
_FIRST_BYTES = 8 * 1024 * 1024
_HELD_BACK = 100
"""Events in quarantine that the first look begins with."""


class LiveOf:
    """The flow of a house's events. Any thread may call; `close` ends the reading."""

    def __init__(self, workspace: Workspace, persons: Persons) -> None:
        """Open the log for reading, apart from everybody else's."""
        self.flow = Flow()
        self._workspace = workspace
        self._persons = persons
        self._log = EmbeddedLog(workspace.log)
        self._reading = threading.Lock()
        self._after: dict[int, int] = {}
        self._judged = Judged(persons)
        self._caught_up_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closing = threading.Event()

    def newest(self, wanted: Filter, most: int) -> dict[str, list[LiveRow]]:
        """Return the newest events that fit, by column, newest first. Raises Unavailable, Broken."""
        if not self._followed():
            self._catch_up()
        return {str(column): rows for column, rows in self.flow.newest(wanted, most).items()}

    def watch(self, wanted: Filter, place: str) -> Watch:
        """Begin to watch, from a place on; the log is followed as long as somebody does."""
        watch = self.flow.watch(wanted, place)
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._follow, name="live", daemon=True)
                self._thread.start()
        return watch

    def persons(self, typed: str) -> tuple[str, ...]:
        """Return the references of a person that somebody typed."""
        return self._persons.references(typed)

    def known(self, text: str) -> tuple[str, ...]:
        """Return the references in an address."""
        return known(text)

    def empty(self) -> bool:
        """Tell whether no event was ever judged. Raises Unavailable."""
        return not any(self._log.last(OWED_TOPIC, each) for each in self._log.partitions(OWED_TOPIC))

    def first_steps(self) -> FirstSteps:
        """Return what somebody needs to send a first event. Raises Broken, Misconfigured."""
        configuration = newest_rules(self._workspace).configuration
        said = announcement(self._workspace, "collector")
        name, source = next(iter(configuration.sources.items()))
        literal = is_literal(source.write_key)
        return FirstSteps(
            host=configuration.listen.host,
            port=said.port if said else configuration.listen.port,
            source=name,
            key=source.write_key[:] if literal else "",
            key_place="" if literal else source.write_key[:],
        )

    def close(self) -> None:
        """Read no more."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(5.0)
        self._log.close()

    def _followed(self) -> bool:
        """Tell whether the log was read to its end just now, because somebody watches."""
        alive = self._thread is not None and self._thread.is_alive()
        return alive and self.flow.watched and time.monotonic() - self._caught_up_at < 2 * _POLL_SECONDS

    def _follow(self) -> None:
        """Read on while somebody watches, and a little longer: people load pages again."""
        left_at = time.monotonic()
        while not self._closing.is_set():
            if self.flow.watched:
                left_at = time.monotonic()
            elif time.monotonic() - left_at > _LINGER_SECONDS:
                with self._starting:
                    if not self.flow.watched:
                        self._thread = None
                        return
            try:
                self._catch_up()
            except (Unavailable, Broken) as error:
                self.flow.trouble = str(error)
                self._closing.wait(_TROUBLE_SECONDS)
                continue
            self.flow.trouble = ""
            self._closing.wait(_POLL_SECONDS)

    def _catch_up(self) -> None:
        """Read to the end as it stands now. Raises Unavailable, Broken."""
        with self._reading:
            begun = bool(self._after)
            for partition in self._log.partitions(OWED_TOPIC):
                for frames in self._unread(partition):
                    rows = [row for frame in frames for row in self._judged.rows(frame)]
                    if not begun:
                        begun = True
                        self.flow.add(self._held_back({row.id for row in rows}))
                    self.flow.add(rows)
                    self._after[partition] = frames[-1].last
                    time.sleep(0)
            self._caught_up_at = time.monotonic()

    def _held_back(self, known_already: set[str]) -> list[LiveRow]:
        """Return what lies in quarantine, oldest first: bad events are few, and are looked for when a page is opened."""
        try:
            state = EmbeddedState(self._workspace.state("pipeline"), readonly=True)
        except Unavailable:
            return []
        try:
            newest = list(islice(held(state), _HELD_BACK))
        finally:
            state.close()
        rows = (self._judged.held(one) for one in reversed(newest))
        return [row for row in rows if row.id not in known_already]

    def _unread(self, partition: int) -> Iterator[list[Frame]]:
        """Yield what was not read yet, piece by piece; the end alone when that is too much."""
        try:
            end = self._log.last(OWED_TOPIC, partition)
            if end is None:
                return
            after = self._after.get(partition)
            if after is None or end.base - after > _FAR:
                frames = self._near(partition, end)
                self._skipped(partition, frames[0] if frames else end)
                if frames:
                    yield frames
                after = frames[-1].last if frames else end.last
            while after < end.last:
                frames = self._log.read(OWED_TOPIC, partition, after=after, limit=_READ_BYTES)
                if not frames:
                    return
                yield frames
                after = frames[-1].last
        except Damaged as error:
            self._after[partition] = error.resume

    def _near(self, partition: int, end: Frame) -> list[Frame]:
        """Return the frames shortly before the end."""
        frames: list[Frame] = []
        for back in _BACK:
            after = max(-1, end.base - 1 - back)
            frames = self._log.read(OWED_TOPIC, partition, after=after, limit=_FIRST_BYTES)
            if frames and frames[-1].last >= end.last:
                return frames
        return frames

    def _skipped(self, partition: int, frame: Frame) -> None:
        """Tell the watchers how many events went by unread, as the frames themselves count."""
        self.flow.skip(self._judged.between(partition, frame))
