from datetime import UTC, datetime

import msgspec
import pytest
from deltalake import DeltaTable

from customhouse.model.event import Violation
from customhouse.tables.events import SHAPE
from customhouse.tables.query import query
from customhouse.testing.builders import RECEIVED_AT, event, events
from customhouse.warehouses.lake import Lake, LakeConfig


def stored(folder, columns="*"):
    return query(folder, f"select {columns} from events order by event_id").to_pylist()


def test_an_event_arrives_with_all_its_fields(tmp_path):
    one = event(
        flags=("clock_corrected", "json_repaired"),
        violations=(Violation("/total", "minimum", "is less than 0"),),
        plan_release=3,
        schema_version="2-1",
        group_id="group",
        category="shoes",
    )
    Lake(tmp_path).load([one], 2, 17, b"")
    (row,) = stored(tmp_path)
    assert row["event_id"].replace("-", "") == one.id.hex()
    assert (row["type"], row["event"], row["category"]) == (one.type, one.name, "shoes")
    assert (row["user_id"], row["anonymous_id"], row["group_id"], row["previous_id"]) == (
        *(one.user_id, one.anonymous_id),
        *("group", None),
    )
    assert row["received_at"] == datetime.fromtimestamp(RECEIVED_AT / 1e6, UTC)
    assert row["occurred_at"] == datetime.fromtimestamp(one.occurred_at / 1e6, UTC)
    assert msgspec.json.decode(row["properties"]) == {"order_id": "A-1", "total": 25.5, "currency": "EUR"}
    assert msgspec.json.decode(row["violations"]) == [
        {"path": "/total", "rule": "minimum", "message": "is less than 0"}
    ]
    assert row["flags"] == ["clock_corrected", "json_repaired"]
    assert (row["plan_release"], row["schema_version"]) == (3, "2-1")
    assert (row["ip"], row["replay"], row["position"]) == ("203.0.113.0", False, 1)
    assert (row["owed_partition"], row["owed_upto"], str(row["day"])) == (2, 17, "2026-01-01")


def test_days_are_partitions(tmp_path):
    Lake(tmp_path).load([event(position=1), event(position=2, received_at=RECEIVED_AT + 86_400_000_000)], 0, 2, b"")
    assert sorted(part["day"] for part in DeltaTable(tmp_path / "events").partitions()) == ["2026-01-01", "2026-01-02"]


def test_a_batch_is_loaded_once(tmp_path):
    lake = Lake(tmp_path)
    first = lake.load(events(3), 0, 3, b"note")
    assert lake.load(events(3), 0, 3, b"other") == first
    assert lake.load(events(2), 0, 2, b"other") == first
    assert len(stored(tmp_path)) == 3
    assert lake.last(0) == first
    assert lake.last(1) is None


def test_partitions_are_counted_apart(tmp_path):
    lake = Lake(tmp_path)
    lake.load([event(position=1)], 0, 10, b"zero")
    lake.load([event(position=2)], 1, 5, b"one")
    lake.close()
    again = Lake(tmp_path)
    assert (again.last(0).upto, again.last(0).note) == (10, b"zero")
    assert (again.last(1).upto, again.last(1).note) == (5, b"one")


def test_a_replayed_event_that_is_held_is_left_out(tmp_path):
    lake = Lake(tmp_path)
    lake.load(events(3), 0, 3, b"")
    again = [event(position=2, replay_of=2), event(position=9, replay_of=9), event(position=9, replay_of=9)]
    lake.load([*again, event(position=10)], 0, 7, b"")
    rows = stored(tmp_path, "position, replay")
    assert [(row["position"], row["replay"]) for row in rows] == [
        *((1, False), (2, False), (3, False)),
        *((9, True), (10, False)),
    ]


def test_a_batch_of_held_events_only_is_still_loaded(tmp_path):
    lake = Lake(tmp_path)
    lake.load(events(1), 0, 1, b"")
    assert lake.load([event(position=1, replay_of=1)], 0, 2, b"two").upto == 2
    assert lake.last(0).note == b"two"
    assert len(stored(tmp_path)) == 1


def test_strange_text_is_taken(tmp_path):
    odd = event(name="a\x00b\ud800", properties=b'{"x":"\xff"}', user_id="'; drop table events --")
    Lake(tmp_path).load([odd], 0, 1, b"")
    (row,) = stored(tmp_path)
    assert (row["event"], row["user_id"]) == ("a\x00b?", "'; drop table events --")
    assert row["properties"] == '{"x":"\ufffd"}'


def test_no_personal_column_has_statistics_in_the_log():
    personal = {"user_id", "anonymous_id", "message_id", "ip", "properties", "traits", "context", "previous_id"}
    assert not personal & set(SHAPE.statistics)


def test_configuration_is_strict():
    assert msgspec.convert({"type": "lake"}, LakeConfig) == LakeConfig(flush_seconds=1.0, batch_events=20_000)
    with pytest.raises(msgspec.ValidationError, match="flush"):
        msgspec.convert({"type": "lake", "flush": 3}, LakeConfig)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": "lake", "batch_events": 0}, LakeConfig)
