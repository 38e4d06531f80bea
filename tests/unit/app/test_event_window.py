"""Where the Event page finds an event: the logs while they keep it, then quarantine, then the lake."""

import json

import pytest
from msgspec import Raw

from customhouse.app.windows.event import EventOf
from customhouse.app.windows.persons import Persons
from customhouse.app.workspace import Workspace
from customhouse.ledger.trail import TrailTables
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.envelope import Envelope, Letter, RequestFacts
from customhouse.model.frames import (
    OWED_TOPIC,
    RECEIVED_TOPIC,
    DoorFrame,
    OwedFrame,
    OwedRecord,
    Quarantined,
    TrailRow,
    encode,
)
from customhouse.model.outcome import Versions
from customhouse.pipeline.settle import QUARANTINED
from customhouse.state.embedded import EmbeddedState
from customhouse.tables.delta import DeltaFolder
from customhouse.tables.events import SHAPE, TABLE, table
from customhouse.testing.builders import RECEIVED_AT, event
from customhouse.wire.ids import hex_id

ONE = event(position=0, user_id="ada", properties={"total": 12.5})
RAW = {"type": "track", "event": ONE.name, "messageId": ONE.message_id, "userId": "ada", "properties": {"total": 12.5}}


def envelope(body):
    facts = RequestFacts(ip="203.0.113.0", language="en")
    letter = Letter(int.from_bytes(ONE.id) & 0xFFF, "ada", body)
    base = (int.from_bytes(ONE.id) & ~0xFFF).to_bytes(16)
    return Envelope(base, "web", "segment", "track", RECEIVED_AT, "", b'{"context":{"locale":"en"}}', facts, [letter])


def trail(fate="routed", detail=""):
    return TrailRow(ONE.id, 0, ONE.message_id, "web", "track", ONE.name, RECEIVED_AT, RECEIVED_AT, None, fate,
                    "routing", detail, (), "", ("lake",) if fate == "routed" else ())  # fmt: skip


def frame(row, owed=(), quarantined=()):
    return OwedFrame(
        format=1, origin="received", partition=0, first=0, last=0, total=1, now=RECEIVED_AT, versions=Versions(),
        postings=[], memory={}, totals={}, trail=[row], quarantined=list(quarantined), owed=list(owed),
    )  # fmt: skip


@pytest.fixture
def place(tmp_path):
    workspace = Workspace(tmp_path, tmp_path / ".data")
    for folder in (workspace.log, workspace.lake, workspace.state("pipeline").parent):
        folder.mkdir(parents=True)
    return workspace


@pytest.fixture
def log(place):
    log = EmbeddedLog(place.log)
    yield log
    log.close()


def find(place, text):
    return EventOf(place, Persons(b"k" * 32)).find(text)


def receive(log, body):
    log.append(RECEIVED_TOPIC, 0, encode(DoorFrame(1, 1, [], [envelope(body)])), 1, RECEIVED_AT)


@pytest.mark.parametrize("asked", [hex_id(ONE.id), ONE.message_id, "0:0+1"])
def test_raw_and_canonical_stand_in_the_logs(place, log, asked):
    receive(log, json.dumps(RAW).encode())
    owed = frame(trail(), [OwedRecord(("lake",), Raw(encode(ONE)))])
    log.append(OWED_TOPIC, 0, encode(owed), 1, RECEIVED_AT)
    (told,) = find(place, asked)
    assert (told.raw, told.raw_note) == (RAW, "from the log received")
    assert (told.facts.protocol, told.facts.request) == ("segment", {"ip": "203.0.113.0", "language": "en"})
    assert told.facts.shared == {"context": {"locale": "en"}}
    assert (told.canonical["event_id"], told.canonical["user_id"]) == (hex_id(ONE.id), "ada")
    assert (told.canonical["properties"], told.canonical["received_at"]) == (
        {"total": 12.5},
        "2026-01-01T12:00:00.000Z",
    )
    assert told.story.state == "waiting"


def test_an_event_that_waits_for_the_pipeline_is_shown_as_it_was_sent(place, log):
    receive(log, json.dumps(RAW).encode())
    (told,) = find(place, ONE.message_id)
    assert told.raw == RAW and told.canonical is None
    assert "has not been judged yet" in told.canonical_note


def test_what_the_log_keeps_no_longer_may_lie_in_quarantine_even_when_it_is_no_json(place, log):
    kept = Quarantined(ONE.id, 0, 0, RECEIVED_AT, "web", "track", ONE.name, ONE.message_id, "reading",
                       "event_unreadable", "", Versions(), envelope(b"{not json \xff"))  # fmt: skip
    state = EmbeddedState(place.state("pipeline"))
    with state.settle() as transaction:
        transaction.put(QUARANTINED, ONE.id, encode(kept))
    state.close()
    owed = frame(trail("quarantined:event_unreadable"), quarantined=[kept])
    log.append(OWED_TOPIC, 0, encode(owed), 0, RECEIVED_AT)
    (told,) = find(place, hex_id(ONE.id))
    assert (told.raw, told.raw_text, told.raw_note) == (None, "{not json \ufffd", "from quarantine")
    assert told.canonical is None and "never owed" in told.canonical_note


def test_what_no_log_keeps_stands_in_the_lake(place, log):
    tables = TrailTables(place.lake)
    written = log.append(OWED_TOPIC, 0, b"", 1, RECEIVED_AT)
    tables.store_trail(0, [(written, frame(trail(), [OwedRecord(("lake",), Raw(encode(ONE)))]))])
    tables.close()
    lake = DeltaFolder(place.lake / TABLE, SHAPE)
    lake.append(table([ONE], 0, 0), "lake-0", 0)
    lake.close()
    for folder in (place.log / OWED_TOPIC).iterdir():
        for path in folder.glob("*.seg"):
            path.unlink()
    log.close()
    (told,) = find(place, hex_id(ONE.id))
    assert told.canonical_note == "from the lake"
    assert (told.canonical["user_id"], told.canonical["properties"]) == ("ada", {"total": 12.5})
    assert told.canonical["received_at"] == "2026-01-01T12:00:00.000Z"
    assert told.raw is None and "retention" in told.raw_note


def test_nobody_knows_what_was_never_sent(place, log):
    assert find(place, "unheard-of") == []
