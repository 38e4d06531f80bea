import os
import sys

import msgspec
import pytest

from customhouse.model.errors import Broken
from customhouse.telemetry.measure import BOUNDS, Meter, read_all
from customhouse.telemetry.vitals import vitals

STAGE = "customhouse_stage_duration_seconds"


def test_the_same_labels_are_the_same_handle():
    meter = Meter("pipeline")
    meter.histogram(STAGE, stage="clock").observe(0.00002)
    meter.histogram(STAGE, stage="clock").observe(100)
    meter.histogram(STAGE, stage="dedupe").observe(1)
    meter.counter("customhouse_requests_total", status="200", protocol="segment").add(3)
    meter.counter("customhouse_requests_total", protocol="segment", status="200").add()
    meter.gauge("customhouse_free_disk_bytes").set(5)
    taken = meter.take()
    clock, dedupe = taken.histograms
    assert (clock.labels, clock.total, sum(clock.counts)) == ((("stage", "clock"),), 100.00002, 2)
    assert (clock.counts[1], clock.counts[-1]) == (1, 1)
    assert dedupe.counts[BOUNDS.index(1.0)] == 1
    assert [(n.labels, n.value) for n in taken.counters] == [((("protocol", "segment"), ("status", "200")), 4)]
    assert [n.value for n in taken.gauges] == [5]


def test_what_is_not_listed_cannot_be_measured():
    meter = Meter("pipeline")
    with pytest.raises(Broken):
        meter.counter("customhouse_people_total")
    with pytest.raises(Broken):
        meter.histogram(STAGE, user="ada")
    with pytest.raises(Broken):
        meter.gauge(STAGE, stage="clock")


def test_a_file_tells_what_was_measured(tmp_path):
    meter = Meter("collector")
    meter.gauge("customhouse_free_disk_bytes").set(1)
    meter.write(tmp_path)
    meter.gauge("customhouse_free_disk_bytes").set(2)
    path = meter.write(tmp_path)
    Meter("pipeline").write(tmp_path)
    first, second = read_all(tmp_path)
    assert (first.process, second.process) == ("collector", "pipeline")
    assert first.gauges[0].value == 2
    assert (first.pid, first.at >= first.started_at) == (os.getpid(), True)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, "pipeline.metrics"]


def test_missing_half_and_stale_files_are_left_out(tmp_path):
    assert read_all(tmp_path / "none") == []
    meter = Meter("collector")
    whole = meter.snapshot()
    (tmp_path / "half.metrics").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "other.metrics").write_bytes(b"\xc1")
    (tmp_path / "folder.metrics").mkdir()
    later = msgspec.structs.replace(meter.take(), format=2)
    (tmp_path / "later.metrics").write_bytes(msgspec.msgpack.encode(later))
    old = msgspec.structs.replace(meter.take(), at=meter.take().at - 61_000_000)
    (tmp_path / "stale.metrics").write_bytes(msgspec.msgpack.encode(old))
    (tmp_path / "good.metrics").write_bytes(whole)
    assert [s.process for s in read_all(tmp_path)] == ["collector"]
    assert len(read_all(tmp_path, fresh=120)) == 2


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "collector.metrics").mkdir()
    (tmp_path / "collector.metrics" / "x").touch()
    with pytest.raises(OSError, match="directory"):
        Meter("collector").write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["collector.metrics"]


def test_vitals_are_those_of_this_process(tmp_path):
    before = vitals()
    with (tmp_path / "a").open("w"), (tmp_path / "b").open("w"):
        during = vitals()
    assert during.open_fds == before.open_fds + 2
    assert during.cpu_seconds > 0
    assert during.resident_bytes > 1_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells proportional memory")
def test_memory_is_told_in_three_ways():
    held = bytearray(b"x" * 8_000_000)
    told = vitals()
    assert told.resident_bytes >= told.proportional_bytes >= told.private_bytes >= len(held)
