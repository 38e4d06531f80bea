"""
Rows made ready: each an event as it would be sent, or a reason why it is not. The house's own reader has the last word.

What the house would put into quarantine because it cannot be read stays with the file it came from instead, where it
can be mended. What breaks the plan is sent: to judge that is the house's business.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct

from customhouse.app.upkeep.history.ids import Counts, digest, message_id
from customhouse.app.upkeep.history.rows import Row
from customhouse.app.upkeep.history.shape import Shape, shaped
from customhouse.model.contracts import Limits, Opened, WireProtocol
from customhouse.model.envelope import Envelope, RequestFacts
from customhouse.model.http import Request
from customhouse.model.outcome import Quarantine
from customhouse.model.reasons import REASONS
from customhouse.protocols.rudderstack import RudderStack
from customhouse.protocols.segment import Segment
from customhouse.wire import lenient, times
from customhouse.wire.ids import as_id
from customhouse.wire.spec_batch import looks_like_rudderstack

_IMPORT = "import"
_PATH = "/v1/import"
_NO_ID = bytes(16)


class Ready(Struct):
    """One row, made ready. Without a reason, `body` is the event as it is sent."""

    row: Row
    body: bytes = b""
    reason: str = ""
    detail: str = ""


class Judge:
    """Makes rows ready for one source. `undated` also takes rows that do not say when."""

    def __init__(self, shape: Shape, counts: Counts, limits: Limits, protocol: str, *, undated: bool) -> None:
        """Take how rows become events, and by what the house reads them."""
        self._shape = shape
        self._counts = counts
        self._limits = limits
        self._protocol = protocol
        self._undated = undated

    def prepare(self, rows: Iterable[Row]) -> Iterator[Ready]:
        """Make rows into events, one by one, as far as that can be told from each alone."""
        for row in rows:
            yield Ready(row, b"", row.reason, row.detail) if row.reason else self._prepared(row)

    def settle(self, batch: Sequence[Ready]) -> None:
        """Have the house's reader look at events that will travel together; what it cannot read gets its reason."""
        events = [ready for ready in batch if not ready.reason]
        if not events:
            return
        body = as_batch([ready.body for ready in events])
        protocol = self._reader(body)
        route = next(route for route in protocol.routes if route.path == _PATH)
        opened = protocol.open(Request("POST", _PATH, "", {}, body, ""), route, self._limits)
        if not isinstance(opened, Opened):  # cannot be: every event was read, and the batch is within the limits
            for ready in events:
                ready.reason, ready.detail = opened.reason, opened.detail
            return
        letters = opened.letters
        envelope = Envelope(_NO_ID, "", protocol.name, _IMPORT, 0, "", b"", RequestFacts(), letters)
        for ready, found in zip(events, protocol.read(envelope, letters, range(len(letters))), strict=True):
            if isinstance(found, Quarantine):
                ready.reason, ready.detail = found.reason, found.detail or _meaning(found.reason)

    def _reader(self, body: bytes) -> WireProtocol:
        """Choose the family whose way of reading the door will use."""
        auto = self._protocol == "auto" and looks_like_rudderstack(body)
        return RudderStack() if auto or self._protocol == "rudderstack" else Segment()

    def _prepared(self, row: Row) -> Ready:
        plain = not (self._shape.rules or self._shape.rest or self._shape.constants)
        event, wrong = (row.values, "") if plain else shaped(self._shape, row)
        added: dict[str, Any] = {}
        if as_id(event.get("messageId")) is None:
            hashed = digest(row.values)
            added["messageId"] = message_id(hashed, self._counts.count(hashed))
        if wrong:
            return Ready(row, b"", "mapping_failed", wrong)
        if event.get("type") is None and event.get("event") is not None:
            added["type"] = "track"
        said = event.get("timestamp") or event.get("originalTimestamp")
        if times.parse(said) is None and not self._undated:
            detail = "the time cannot be read" if said else "no time: map a column to timestamp, or say --undated"
            return Ready(row, b"", "time_unreadable" if said else "time_missing", detail)
        body = _written(event, added, row.text if plain and not row.repaired else b"")
        if len(body) > self._limits.event_bytes:
            return Ready(
                row, b"", "event_too_large", f"{len(body)} bytes; limits.event_bytes is {self._limits.event_bytes}"
            )
        return Ready(row, body)


def as_batch(bodies: Sequence[bytes]) -> bytes:
    """Return the body of a request that carries these events."""
    return b'{"batch":[%b]}' % b",".join(bodies)


def _written(event: dict[str, Any], added: dict[str, Any], text: bytes) -> bytes:
    """Return an event as JSON: the row's own bytes, where there are some, with what is added in front."""
    if text and not added:
        return text
    if text and event and not any(name in event for name in added):
        return lenient.dumps(added)[:-1] + b"," + text[1:].lstrip()
    return lenient.dumps(event | added)


def _meaning(reason: str) -> str:
    known = REASONS.get(reason)
    return known.meaning if known else ""
