"""
What is coming in right now, for the Live page: the newest judged events, read from the end of the log `owed`.

The log is followed only while somebody watches, in a thread of its own; when nobody does, nothing is read. Of a frame
only what a list of events shows is decoded. Whoever falls far behind begins anew at the end, and says what was skipped.
"""

import threading
import time
from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from customhouse.app.process import announcement
from customhouse.app.rules import newest as newest_rules
from customhouse.app.windows.persons import Persons, known
from customhouse.app.workspace import Workspace
from customhouse.console.flow import Filter, Flow, LiveRow, Watch
from customhouse.console.pages.live import FirstSteps
from customhouse.log.embedded import EmbeddedLog
from customhouse.log.segment import Damaged
from customhouse.model.contracts import Frame
from customhouse.model.errors import Broken, Unavailable
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC, Quarantined, TrailRow
from customhouse.settings import is_literal
from customhouse.wire.ids import as_id, hex_id

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


class _Who(Struct, array_like=True, gc=False):
    """The head of an `Event`: as far as it says who it is of."""

    id: bytes
    position: int
    source: str
    protocol: str
    type: str
    name: str
    message_id: str
    user_id: str | None
    anonymous_id: str | None


class _Owed(Struct, array_like=True, gc=False):
    routes: Raw
    event: _Who


class _Tail(Struct, array_like=True):
    """An `OwedFrame` with what a list does not show left undecoded; the fields stand in its order."""

    format: Literal[1]
    origin: str
    partition: int
    first: int
    last: int
    total: int
    now: int
    versions: Raw
    postings: Raw
    memory: Raw
    totals: Raw
    trail: list[TrailRow]
    quarantined: list[Quarantined]
    owed: list[_Owed]


class _Ids(Struct, rename="camel"):
    user_id: object = None
    anonymous_id: object = None


_tail = msgspec.msgpack.Decoder(_Tail)
_ids = msgspec.json.Decoder(_Ids)


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
        self._totals: dict[int, int] = {}
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._closing = threading.Event()

    def newest(self, wanted: Filter, most: int) -> dict[str, list[LiveRow]]:
        """Return the newest events that fit, by column, newest first. Raises Unavailable, Broken."""
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
            for partition in self._log.partitions(OWED_TOPIC):
                for frames in self._unread(partition):
                    rows = [row for frame in frames for row in self._rows(frame)]
                    self.flow.add(rows)
                    self._after[partition] = frames[-1].last
                    time.sleep(0)

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
        before = self._totals.get(partition)
        if before is None:
            return
        found = _tail.decode(frame.body)
        if found.origin == RECEIVED_TOPIC:
            self.flow.skip(max(0, found.total - len(found.trail) - before))

    def _rows(self, frame: Frame) -> Iterator[LiveRow]:
        """Yield a frame's events as rows."""
        found = _tail.decode(frame.body)
        if found.origin == RECEIVED_TOPIC:
            self._totals[found.partition] = found.total
        owed, held = iter(found.owed), {one.id: one for one in found.quarantined}
        for row in found.trail:
            kind, _, reason = row.fate.partition(":")
            who: _Who | _Ids | None = None
            if kind == "routed":
                who = next(owed).event
            elif row.id in held:
                who = _said(held[row.id].envelope.letters[0].body)
            yield LiveRow(
                id=hex_id(row.id), at=row.received_at, source=row.source, type=row.type, event=row.name,
                bad=kind == "quarantined", tone=_TONES.get(kind, "info"), fate=kind, reason=reason, detail=row.detail,
                to=row.routes, flags=row.flags, persons=self._references(who),
            )  # fmt: skip  # a table of fields

    def _references(self, who: "_Who | _Ids | None") -> tuple[str, ...]:
        if who is None:
            return ()
        user, anonymous = as_id(who.user_id), as_id(who.anonymous_id)
        found = [self._persons.reference("user", user)] if user else []
        return tuple(found + ([self._persons.reference("anonymous", anonymous)] if anonymous else []))


_TONES = {"routed": "good", "unrouted": "info", "dropped": "again", "quarantined": "bad"}


def _said(body: bytes) -> _Ids | None:
    """Return the ids in what a client sent, when it can be read."""
    try:
        return _ids.decode(body)
    except (ValueError, RecursionError):
        return None
