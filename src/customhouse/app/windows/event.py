"""
Where one event is, for the Event page: its story, what its client sent, and what became of that.

The client's own bytes stand in the log as long as it is retained, and in quarantine as long as the event is there; the
canonical event stands in the log `owed` and in the lake. Everything is opened for the one question and closed again,
because the question is asked beside others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from customhouse.app.windows.persons import PersonKind, Persons
from customhouse.app.windows.window import Window
from customhouse.app.workspace import Workspace
from customhouse.console.pages.event import Facts, Told
from customhouse.ledger.explain import Story
from customhouse.model.contracts import Log
from customhouse.model.envelope import Envelope, Letter, event_id
from customhouse.model.errors import Broken, Unavailable
from customhouse.model.event import Event
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC, decode_door, decode_event, decode_owed
from customhouse.pipeline.quarantine import find
from customhouse.state.jobs import Jobs
from customhouse.wire import lenient
from customhouse.wire.ids import hex_id, id_bytes

_ONE = 1
_REVEAL_SECONDS = 10.0
_KINDS: dict[str, PersonKind] = {"user": "user", "anonymous": "anonymous", "group": "group"}
_OPEN_ENDED = ("properties", "traits", "context", "integrations")
_LAKE = (
    "event_id", "type", "event", "category", "source", "protocol", "message_id", "user_id", "anonymous_id", "group_id",
    "previous_id", "occurred_at", "original_at", "sent_at", "received_at", "properties", "traits", "context",
    "integrations", "plan_release", "schema_version", "violations", "flags",
)  # fmt: skip


class EventOf:
    """Finds events of a workspace. Every call may block for as long as a search takes."""

    def __init__(self, workspace: Workspace, persons: Persons) -> None:
        """Open nothing yet."""
        self._workspace = workspace
        self._persons = persons

    def find(self, text: str) -> list[Told]:
        """Return everything about the events that an event id, a message id or a receipt means. Raises Unavailable, Broken."""
        from customhouse.app.trace import (
            trace,
        )  # brings the tables, tens of megabytes that a console nobody asks has no need of

        with self._opened() as window:
            lake = self._workspace.lake
            stories = trace(lake, window.log, window.pipeline, window.delivery, text)
            return [self._told(window, story) for story in stories]

    def reveal(self, event: str) -> None:
        """Leave a line in the audit: somebody looks at an event unmasked. Raises Unavailable when it cannot be left."""
        jobs = Jobs(self._workspace.jobs("supervisor"))
        answer = jobs.ask("reveal", {"what": event}, timeout=_REVEAL_SECONDS, asked_by="console")
        if not answer.ok:
            raise Unavailable(answer.message)

    def refer(self, kind: str, person: str) -> str:
        """Return the keyed reference of a person."""
        return self._persons.reference(_KINDS[kind], person)

    @contextmanager
    def _opened(self) -> Iterator[Window]:
        window = Window(self._workspace)
        try:
            yield window
        finally:
            window.close()

    def _told(self, window: Window, story: Story) -> Told:
        key = id_bytes(story.event_id) or b""
        letter, facts, note = _received(window, story, key)
        raw = lenient.loads(letter.body) if letter is not None else None
        canonical, canonical_note = self._canonical(window.log, story, key)
        return Told(
            story=story,
            raw=raw[0] if raw else None,
            raw_text=letter.body.decode("utf-8", "replace") if letter is not None and raw is None else "",
            raw_note=note,
            facts=facts,
            canonical=canonical,
            canonical_note=canonical_note,
        )

    def _canonical(self, log: Log, story: Story, key: bytes) -> tuple[dict[str, Any] | None, str]:
        """Return the canonical event and where it stands, or None and why there is none."""
        event = _owed(log, story, key)
        if event is not None:
            return _document(event), "from the log owed"
        if story.owed_position is None and story.state == "logged":
            return None, "It has not been judged yet; it becomes canonical then."
        if story.owed_position is None:
            return None, "It was never owed to anybody, so no canonical form of it is kept."
        found = self._in_lake(key)
        if found:
            return _row(found[0]), "from the lake"
        return None, "The log owed does not keep it any longer, and it is not in the lake."

    def _in_lake(self, key: bytes) -> list[dict[str, Any]]:
        from customhouse.tables.events import TABLE  # as above
        from customhouse.tables.lookup import Ask, rows

        text = hex_id(key)
        return rows(self._workspace.lake / TABLE, Ask("event_id = ?", [text], prune=f"event_id = '{text}'", limit=1))


def _received(window: Window, story: Story, key: bytes) -> tuple[Letter | None, Facts, str]:
    """Return the client's own bytes, the facts of the request, and where they stand or why they are gone."""
    found = _in_log(window.log, story, key)
    if found is not None:
        return found[1], _facts(found[0]), "from the log received"
    for held in find(window.pipeline, [key]):
        return held.envelope.letters[0], _facts(held.envelope), "from quarantine"
    return None, Facts(), "The log received does not keep it any longer (see retention.received_days)."


def _in_log(log: Log, story: Story, key: bytes) -> tuple[Envelope, Letter] | None:
    if story.position < 0:
        return None
    try:
        frames = log.read(RECEIVED_TOPIC, story.partition, after=story.position - 1, limit=_ONE)
    except Broken:
        return None
    for frame in frames[:1]:
        for envelope in decode_door(frame.body).envelopes:
            for letter in envelope.letters:
                if event_id(envelope.id, letter.nth) == key:
                    return envelope, letter
    return None


def _owed(log: Log, story: Story, key: bytes) -> Event | None:
    if story.owed_position is None:
        return None
    try:
        frames = log.read(OWED_TOPIC, story.partition, after=story.owed_position - 1, limit=_ONE)
    except Broken:
        return None
    for frame in frames[:1]:
        nth, records = story.owed_position - frame.base, decode_owed(frame.body).owed
        if 0 <= nth < len(records):
            event = decode_event(records[nth].event)
            return event if event.id == key else None
    return None


def _facts(envelope: Envelope) -> Facts:
    """Return what the request said besides the event itself."""
    said = {name: value for name, value in msgspec.structs.asdict(envelope.facts).items() if value}
    shared = lenient.loads(envelope.shared) if envelope.shared else None
    return Facts(protocol=envelope.protocol, route=envelope.route, request=said, shared=shared[0] if shared else None)


def _document(event: Event) -> dict[str, Any]:
    """Return a canonical event as the lake would have it."""
    plain = {name: getattr(event, name) for name in _LAKE if hasattr(event, name)}
    plain |= {name: _json(getattr(event, name)) for name in _OPEN_ENDED}
    times = {name: _iso(getattr(event, name)) for name in ("occurred_at", "original_at", "sent_at", "received_at")}
    violations = [msgspec.structs.asdict(violation) for violation in event.violations]
    own = {"event_id": hex_id(event.id), "event": event.name, "flags": list(event.flags), "violations": violations}
    whole = plain | times | own
    return {name: whole[name] for name in _LAKE}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the lake as a document: its texts of JSON are JSON again."""
    found = {name: row.get(name) for name in _LAKE}
    for name in (*_OPEN_ENDED, "violations"):
        found[name] = _json((found[name] or "null").encode())
    for name, value in found.items():
        if isinstance(value, datetime):
            found[name] = _iso(round(value.timestamp() * 1e6))
    return found


def _json(text: bytes) -> Any:
    read = lenient.loads(text)
    return read[0] if read else None


def _iso(us: int | None) -> str | None:
    if us is None or abs(us) > 250_000_000_000_000_000:
        return None
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
