"""The prepared store of the benchmark: what it pretends must be found and add up, or its figures say nothing."""

from contextlib import closing
from uuid import UUID

import pyarrow.compute as pc
import pytest
from bench.store import Past, _books, _fill, samples
from deltalake import DeltaTable

from customhouse.app.workspace import Workspace
from customhouse.delivery.settle import mark
from customhouse.ledger.books import balances, flows
from customhouse.ledger.trail import find_event, find_message, find_receipts
from customhouse.state.embedded import EmbeddedState

EVENTS = 6_000
PAST = Past(EVENTS, 1_790_000_000_000_000)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("past")
    place = Workspace(root, root / ".data")
    for name in ("trail", "receipts"):
        _fill(place.lake, name, PAST)
    return place


def test_events_are_found_by_both_ids_with_their_receipt(place):
    for event, message in samples(PAST, 5):
        (row,) = find_message(place.lake, message)
        assert row["event_id"] == event and row["fate"] == "routed"
        key = UUID(event).bytes
        assert find_event(place.lake, key) == [row]
        (receipt,) = find_receipts(place.lake, 0, row["owed_position"], key)
        assert (receipt["lane"], receipt["verdict"]) == ("lake", "delivered")


def test_rows_stand_in_the_order_of_receipt_once_each(place):
    table = DeltaTable(place.lake / "trail").to_pyarrow_table(columns=["event_id", "message_id", "position", "fate"])
    rows = table.sort_by("position")
    assert rows.column("position").to_pylist() == list(range(EVENTS))
    ids = rows.column("event_id").to_pylist()
    assert ids == sorted(ids) and len(set(ids)) == EVENTS
    assert len(set(rows.column("message_id").to_pylist())) == EVENTS
    assert pc.sum(pc.equal(rows.column("fate"), "routed")).as_py() == PAST.copies


def test_the_books_balance(place):
    _books(place, PAST)
    with (
        closing(EmbeddedState(place.state("pipeline"), readonly=True)) as pipeline,
        closing(EmbeddedState(place.state("delivery"), readonly=True)) as delivery,
    ):
        accounts = balances(flows(pipeline, delivery))
        assert mark(delivery, "lake", 0).seen == PAST.copies
    assert accounts["received"] == -EVENTS and accounts["delivered:lake"] == PAST.copies
    assert accounts["dropped:duplicate"] == EVENTS - PAST.copies
    stations = ("logged", "dedupe", "clock", "validation", "routing", "owed:lake")
    assert [accounts[station] for station in stations] == [0] * len(stations)
