"""What every log must do. Each test runs on every log there is."""

import threading
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.log.embedded import EmbeddedLog
from customhouse.log.memory import MemoryLog

PLENTY = 1 << 30


@pytest.fixture(params=["memory", "embedded", "embedded with tiny segments"])
def log(request, tmp_path):
    if request.param == "memory":
        made = MemoryLog()
    else:
        made = EmbeddedLog(tmp_path / "log", segment_bytes=1 if "tiny" in request.param else 1 << 20)
    yield made
    made.close()


def everything(log, topic="received", partition=0):
    return log.read(topic, partition, after=-1, limit=PLENTY)


def test_nothing_is_there_before_the_first_append(log):
    assert everything(log) == []
    assert log.last("received", 0) is None
    assert log.partitions("received") == []
    assert log.retain("received", 0, floor=PLENTY, before=PLENTY, size=0) == []


def test_a_frame_comes_back_as_it_was_appended(log):
    frame = log.append("received", 0, b"three", 3, 1_000, key=b"k")
    assert (frame.base, frame.count, frame.total, frame.at, frame.body) == (0, 3, 0, 1_000, b"three")
    assert everything(log) == [frame]
    assert log.last("received", 0) == frame


def test_positions_count_records_and_an_empty_frame_takes_one(log):
    frames = [log.append("owed", 0, bytes([n]) * n, count, n) for n, count in enumerate((2, 0, 5, 1))]
    assert [(f.base, f.last, f.total) for f in frames] == [(0, 1, 0), (2, 2, 2), (3, 7, 2), (8, 8, 7)]
    assert everything(log, "owed") == frames


def test_reading_starts_with_the_frame_that_holds_the_next_position(log):
    frames = [log.append("received", 0, b"x", 4, n) for n in range(5)]
    for after in range(-1, 20):
        assert log.read("received", 0, after=after, limit=PLENTY) == [f for f in frames if f.last > after]
    assert log.read("received", 0, after=10_000, limit=PLENTY) == []


def test_the_limit_bounds_a_read_but_never_starves_it(log):
    frames = [log.append("received", 0, b"x" * 1000, 1, n) for n in range(20)]
    some = log.read("received", 0, after=-1, limit=5_000)
    assert 3 <= len(some) <= 6
    assert some == frames[: len(some)]
    assert log.read("received", 0, after=-1, limit=1) == frames[:1]


def test_a_reader_that_asks_on_and_on_gets_every_frame_once(log):
    frames, seen, after = [], [], -1
    for n in range(60):
        frames.append(log.append("received", 0, b"x" * (n * 7 % 50), n % 4, n))
        if n % 7 == 0:
            while got := log.read("received", 0, after=after, limit=60):
                seen += got
                after = got[-1].last
            assert seen == frames
            assert log.read("received", 0, after=after, limit=60) == []


def test_topics_and_partitions_are_apart(log):
    one = log.append("received", 0, b"one", 1, 1)
    two = log.append("received", 10, b"two", 1, 1)
    three = log.append("owed", 2, b"three", 1, 1)
    assert [f.base for f in (one, two, three)] == [0, 0, 0]
    assert log.partitions("received") == [0, 10]
    assert log.partitions("owed") == [2]
    assert everything(log, "received", 10) == [two]
    assert log.last("received", 0) == one


def test_partitions_are_appended_to_by_threads_of_their_own_while_others_read(log):
    written = {partition: [] for partition in range(3)}
    seen = {partition: [] for partition in range(3)}
    done = threading.Event()

    def write(partition):
        for n in range(150):
            written[partition].append(log.append("received", partition, b"%d" % n, 1, n))

    def follow(partition):
        while True:
            finished = done.is_set()
            after = seen[partition][-1].last if seen[partition] else -1
            got = log.read("received", partition, after=after, limit=100)
            seen[partition] += got
            if finished and not got:
                return

    writers = [threading.Thread(target=write, args=(partition,)) for partition in written]
    readers = [threading.Thread(target=follow, args=(partition,)) for partition in seen]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert seen == written


def test_retention_removes_what_is_old_and_says_how_much(log):
    for n in range(10):
        log.append("received", 0, b"x" * 100, 3, n)
    removed = log.retain("received", 0, floor=PLENTY, before=4, size=PLENTY)
    left = everything(log)
    assert (sum(r.records for r in removed) if removed else 0) == left[0].total
    if removed:
        assert (removed[0].topic, removed[0].partition) == ("received", 0)
        assert (removed[0].first, removed[-1].last) == (0, left[0].base - 1)
        assert all(earlier.last + 1 == later.first for earlier, later in pairwise(removed))
    assert all(f.at >= 4 for f in left) or not removed
    assert log.append("received", 0, b"x", 1, 99).base == 30


def test_retention_keeps_what_the_slowest_reader_has_yet_to_read(log):
    for n in range(10):
        log.append("received", 0, b"x" * 100, 3, n)
    log.retain("received", 0, floor=7, before=PLENTY, size=0)
    assert log.read("received", 0, after=7, limit=PLENTY)[0].base <= 8


def test_retention_never_removes_the_newest_frame(log):
    frames = [log.append("received", 0, b"x" * 100, 3, n) for n in range(10)]
    log.retain("received", 0, floor=PLENTY, before=PLENTY, size=0)
    assert everything(log)[-1] == frames[-1]
    assert log.last("received", 0) == frames[-1]


def test_a_reader_older_than_the_oldest_frame_goes_on_from_there(log):
    frames = [log.append("received", 0, b"x" * 100, 3, n) for n in range(10)]
    early = log.read("received", 0, after=-1, limit=1)
    log.retain("received", 0, floor=PLENTY, before=5, size=PLENTY)
    later = log.read("received", 0, after=early[-1].last, limit=PLENTY)
    assert later == frames[-len(later) :]
    assert later[-1] == frames[-1]


@settings(max_examples=40, deadline=None)
@given(
    appends=st.lists(st.tuples(st.binary(max_size=200), st.integers(0, 5)), min_size=1, max_size=20),
    segment=st.integers(1, 600),
    limit=st.integers(1, 800),
    after=st.integers(-1, 60),
)
def test_the_embedded_log_and_the_one_in_memory_cannot_be_told_apart(tmp_path_factory, appends, segment, limit, after):
    memory = MemoryLog()
    embedded = EmbeddedLog(tmp_path_factory.mktemp("log"), segment_bytes=segment)
    try:
        for n, (body, count) in enumerate(appends):
            assert embedded.append("t", 0, body, count, n) == memory.append("t", 0, body, count, n)
        for log_ in (embedded, memory):
            got = log_.read("t", 0, after=after, limit=limit)
            assert got == memory.read("t", 0, after=after, limit=PLENTY)[: len(got)]
            assert bool(got) == (memory.last("t", 0).last > after)
        assert everything(embedded, "t") == everything(memory, "t")
    finally:
        embedded.close()
