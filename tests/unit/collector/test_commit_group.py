import asyncio
import threading
from types import SimpleNamespace

import pytest
from loopback import on_loop, until

from customhouse.collector import commit as commit_room
from customhouse.collector import writer as writer_room
from customhouse.collector.commit import Commit, Terms
from customhouse.log.memory import MemoryLog
from customhouse.model.envelope import Envelope, Letter, RequestFacts
from customhouse.model.errors import Broken, Unavailable
from customhouse.model.frames import RECEIVED_TOPIC, decode_door
from customhouse.model.http import Reply
from customhouse.model.posting import HOUR, Posting

NOW = 1_700_000_000 * 10**9
THIS_HOUR = NOW // 1000 // HOUR


class SlowLog(MemoryLog):
    """A log whose disk the test holds in its hands."""

    def __init__(self):
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.waiting = threading.Event()
        self.error = None

    def append(self, topic, partition, body, count, at, key=b""):
        self.waiting.set()
        assert self.open.wait(20)
        self.waiting.clear()
        if self.error is not None:
            raise self.error
        return super().append(topic, partition, body, count, at, key)


def envelope(name="e", letters=1, order_key="anna"):
    kept = [Letter(nth, order_key, f"{name}{nth}".encode()) for nth in range(letters)]
    return Envelope(name.encode().ljust(16), "shop", "segment", "batch", 1, "", b"", RequestFacts(), kept)


def told(outcome):
    """Say in a reply what the commit said."""
    return Reply(200, repr(outcome).encode())


def frames(log, partition=0):
    return [decode_door(f.body) for f in log.read(RECEIVED_TOPIC, partition, after=-1, limit=1 << 30)]


def with_commit(test, log=None, *, fault=lambda _: None, **terms):
    log = log or SlowLog()

    async def main():
        commit = Commit(log, Terms(**{"tick": 60.0, **terms}), fault=fault, clock=lambda: NOW)
        commit.config = 3
        commit.start()
        try:
            await test(commit, log)
        finally:
            log.open.set()
            await commit.drain()

    on_loop(main())
    return log


async def said(future):
    return (await future).body.decode()


def submit(commit, *envelopes, size=100, partition=0):
    return [commit.submit([(partition, e)], size, told) for e in envelopes]


def test_an_answer_says_where_the_letters_stand():
    async def test(commit, log):
        first, second = submit(commit, envelope("a", 2), envelope("b", 3))
        assert await said(first) == "[(0, 0, 2)]"
        assert await said(second) == "[(0, 2, 3)]"
        (third,) = submit(commit, envelope("c"))
        assert await said(third) == "[(0, 5, 1)]"

    log = with_commit(test)
    assert [len(frame.envelopes) for frame in frames(log)] == [2, 1]
    assert {frame.config for frame in frames(log)} == {3}


def test_nobody_is_answered_before_it_is_durable_and_who_comes_meanwhile_shares_the_next_commit():
    async def test(commit, log):
        log.open.clear()
        (first,) = submit(commit, envelope("a"))
        await until(log.waiting.is_set)
        later = submit(commit, *(envelope(f"b{nth}") for nth in range(10)))
        await asyncio.sleep(0.02)
        assert not first.done
        assert not any(future.done for future in later)
        log.open.set()
        await asyncio.gather(first, *later)

    log = with_commit(test)
    assert [len(frame.envelopes) for frame in frames(log)] == [1, 10]


def test_a_commit_is_cut_by_events_and_by_bytes(monkeypatch):
    monkeypatch.setattr(commit_room, "_FRAME_EVENTS", 10)
    monkeypatch.setattr(commit_room, "_FRAME_BYTES", 1000)

    async def test(commit, log):
        by_events = submit(commit, *(envelope(f"e{nth}", 4) for nth in range(5)))
        by_bytes = submit(commit, *(envelope(f"b{nth}") for nth in range(5)), size=400)
        huge = submit(commit, envelope("h", 50), size=5000)
        await asyncio.gather(*by_events, *by_bytes, *huge)

    log = with_commit(test)
    assert [len(frame.envelopes) for frame in frames(log)] == [2, 2, 3, 2, 1, 1]


def test_more_than_may_wait_is_refused_and_taken_again_afterwards():
    async def test(commit, log):
        log.open.clear()
        waiting = submit(commit, envelope("a"), envelope("b"), size=450)
        assert submit(commit, envelope("c"), size=450) == ["too_busy"]
        assert commit.health().uncommitted_bytes == 900
        log.open.set()
        await asyncio.gather(*waiting)
        (taken,) = submit(commit, envelope("c"), size=450)
        await taken
        assert commit.health().uncommitted_bytes == 0

    with_commit(test, max_uncommitted_bytes=1000)


def test_a_request_larger_than_what_may_wait_is_taken_alone():
    async def test(commit, log):
        (taken,) = submit(commit, envelope("a"), size=5000)
        assert await said(taken) == "[(0, 0, 1)]"

    with_commit(test, max_uncommitted_bytes=1000)


@pytest.mark.parametrize("error", [Unavailable("the disk is gone"), Broken("a bug")])
def test_a_failing_log_fails_its_group_and_the_next_group_recovers(error):
    async def test(commit, log):
        log.error = error
        failed = submit(commit, envelope("a"), envelope("b"))
        assert [await said(future) for future in failed] == ["'log_unavailable'"] * 2
        health = commit.health()
        assert (health.failing, health.ready) == (True, False)
        assert health.seconds_since_failure is not None
        log.error = None
        (taken,) = submit(commit, envelope("c"))
        assert await said(taken) == "[(0, 0, 1)]"
        assert commit.health().ready
        assert commit.health().uncommitted_bytes == 0

    with_commit(test)


def test_refusals_travel_in_the_next_frame_and_survive_a_failing_log():
    async def test(commit, log):
        commit.refuse("shop", "batch_empty")
        commit.refuse("shop", "batch_empty")
        commit.refuse("-", "unknown_write_key")
        log.error = Unavailable("not now")
        (failed,) = submit(commit, envelope("a"))
        await failed
        log.error = None
        (taken,) = submit(commit, envelope("a"))
        await taken

    log = with_commit(test)
    (frame,) = frames(log)
    assert frame.postings == [
        Posting("-", THIS_HOUR, "received", "refused:unknown_write_key", 1),
        Posting("shop", THIS_HOUR, "received", "refused:batch_empty", 2),
    ]


def test_refusals_alone_are_written_when_nothing_else_is():
    async def test(commit, log):
        commit.refuse("shop", "batch_empty")
        await until(lambda: log.last(RECEIVED_TOPIC, 0))

    log = with_commit(test, tick=0.02)
    (frame,) = log.read(RECEIVED_TOPIC, 0, after=-1, limit=1)
    assert (frame.count, len(frames(log))) == (0, 1)


def test_a_failing_log_is_tried_again_by_itself_for_the_sake_of_the_counts():
    async def test(commit, log):
        log.error = Unavailable("not now")
        (failed,) = submit(commit, envelope("a"))
        await failed
        commit.refuse("shop", "log_unavailable")
        log.error = None
        await until(lambda: not commit.health().failing)

    with_commit(test, tick=0.02)


def test_a_drain_writes_what_waits_and_what_was_counted_and_takes_no_more():
    async def test(commit, log):
        log.open.clear()
        futures = submit(commit, envelope("a"))
        await until(log.waiting.is_set)
        futures += submit(commit, envelope("b"))
        commit.refuse("shop", "batch_empty")
        draining = asyncio.ensure_future(commit.drain())
        await asyncio.sleep(0.02)
        assert submit(commit, envelope("c")) == ["draining"]
        assert not commit.health().ready
        log.open.set()
        await draining
        assert all(future.done for future in futures)

    log = with_commit(test)
    assert [len(frame.envelopes) for frame in frames(log)] == [1, 1]
    assert sum(p.count for frame in frames(log) for p in frame.postings) == 1


def test_a_drain_counts_what_its_last_group_was_refused(caplog):
    async def test(commit, log):
        log.error = Unavailable("for good")
        (failed,) = submit(commit, envelope("a"))
        commit.refuse("shop", "batch_empty")
        await commit.drain()
        assert await said(failed) == "'log_unavailable'"

    with_commit(test)
    assert "1 refusals could not be written" in caplog.text


def test_partitions_get_frames_of_their_own():
    async def test(commit, log):
        both = commit.submit([(0, envelope("a", 2)), (3, envelope("a"))], 100, told)
        (other,) = submit(commit, envelope("b"), partition=3)
        assert await said(both) == "[(0, 0, 2), (3, 0, 1)]"
        assert await said(other) == "[(3, 1, 1)]"

    log = with_commit(test, partitions=4)
    assert log.partitions(RECEIVED_TOPIC) == [0, 3]


def test_an_envelope_that_cannot_be_written_fails_alone():
    async def test(commit, log):
        good, bad, fine = submit(commit, envelope("a"), envelope("b", order_key="\ud800"), envelope("c"))
        assert await said(good) == "[(0, 0, 1)]"
        assert await said(bad) == "'body_not_json'"
        assert await said(fine) == "[(0, 1, 1)]"
        assert not commit.health().failing

    with_commit(test)


def test_one_waiter_never_breaks_the_group(caplog):
    def failing(_outcome):
        raise RuntimeError("on purpose")

    async def test(commit, log):
        first = commit.submit([(0, envelope("a"))], 1, failing)
        gone = commit.submit([(0, envelope("b"))], 1, told)
        gone.then(failing)
        (last,) = submit(commit, envelope("c"))
        assert await said(last) == "[(0, 2, 1)]"
        assert (first.done, first.reply) == (True, None)
        assert commit.health().uncommitted_bytes == 0

    with_commit(test)
    assert "could not be answered" in caplog.text


def test_a_disk_that_runs_full_closes_the_door_until_there_is_room(monkeypatch, tmp_path):
    free = {"bytes": 1000}
    # The one thing here that is not real: nobody fills a disk in a unit test.
    monkeypatch.setattr(writer_room.shutil, "disk_usage", lambda _: SimpleNamespace(free=free["bytes"]))

    async def test(commit, log):
        assert commit.health().ready
        free["bytes"] = 99
        await until(lambda: commit.health().disk_low)
        assert submit(commit, envelope("a")) == ["disk_low"]
        assert not commit.health().ready
        free["bytes"] = 100
        await until(lambda: commit.health().ready)
        (taken,) = submit(commit, envelope("a"))
        await taken

    with_commit(test, folder=tmp_path, free_disk_bytes=100, tick=0.02)


def test_the_disk_of_a_missing_folder_says_nothing(tmp_path):
    assert writer_room.free_bytes(tmp_path / "not" / "there") is None
    assert writer_room.free_bytes(tmp_path) > 0


def test_fault_points_are_passed_in_order_and_a_fault_before_the_answer_takes_the_promise_back(caplog):
    passed = []
    broken = {"collector.before_ack": False}

    def fault(point):
        passed.append(point)
        if broken.get(point):
            raise Unavailable("on purpose")

    async def test(commit, log):
        (taken,) = submit(commit, envelope("a"))
        assert await said(taken) == "[(0, 0, 1)]"
        assert passed == ["collector.before_append", "collector.after_append", "collector.before_ack"]
        broken["collector.before_ack"] = True
        (failed,) = submit(commit, envelope("b"))
        assert await said(failed) == "'log_unavailable'"
        broken.update({"collector.before_ack": False, "collector.before_append": True})
        (failed,) = submit(commit, envelope("c"))
        assert await said(failed) == "'log_unavailable'"

    log = with_commit(test, fault=fault)
    assert [len(frame.envelopes) for frame in frames(log)] == [1, 1]
