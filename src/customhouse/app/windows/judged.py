"""
Judged events as rows of a list: decoded from the frames of the log `owed`, as far as a list shows them.

The frames hold whole events; of these only the ids of whose they are is looked at, and only to make references of them.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from customhouse.app.windows.persons import Persons
from customhouse.console.flow import LiveRow
from customhouse.model.contracts import Frame
from customhouse.model.frames import RECEIVED_TOPIC, Quarantined, TrailRow
from customhouse.wire.ids import as_id, hex_id


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


class Judged:
    """Reads frames into rows."""

    def __init__(self, persons: Persons) -> None:
        """Name persons by these references."""
        self._persons = persons
        self._totals: dict[int, int] = {}

    def rows(self, frame: Frame) -> list[LiveRow]:
        """Return a frame's events, in the order in which they were judged."""
        found = _tail.decode(frame.body)
        if found.origin == RECEIVED_TOPIC:
            self._totals[found.partition] = found.total
        return list(self._rows(found))

    def between(self, partition: int, frame: Frame) -> int:
        """Return how many events were judged after the frames read so far and before this one, as it counts itself."""
        found, before = _tail.decode(frame.body), self._totals.get(partition)
        if before is None or found.origin != RECEIVED_TOPIC:
            return 0
        return max(0, found.total - len(found.trail) - before)

    def held(self, one: Quarantined) -> LiveRow:
        """Return an event in quarantine as the frame that put it there would tell it."""
        return LiveRow(
            id=hex_id(one.id), at=one.envelope.received_at, source=one.source, type=one.type, event=one.name, bad=True,
            tone="bad", fate="quarantined", reason=one.reason, detail=one.detail,
            persons=self._references(_said(one.envelope.letters[0].body)),
        )  # fmt: skip  # a table of fields

    def _rows(self, found: _Tail) -> Iterator[LiveRow]:
        owed, kept = iter(found.owed), {one.id: one for one in found.quarantined}
        for row in found.trail:
            kind, _, reason = row.fate.partition(":")
            who: _Who | _Ids | None = None
            if kind == "routed":
                who = next(owed).event
            elif row.id in kept:
                who = _said(kept[row.id].envelope.letters[0].body)
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
