"""On a quick disk commits are made on the loop itself; everything the thread promises must hold there too."""

import threading
import time

from loopback import until
from test_commit_group import SlowLog, envelope, frames, said, submit, told, with_commit

from customhouse.collector.commit import _CAUTION, _QUICK
from customhouse.model.errors import Unavailable


class WatchedLog(SlowLog):
    """Notes on which thread each append is made; may be slow without waiting for anybody."""

    def __init__(self):
        super().__init__()
        self.threads = []
        self.pause = 0.0

    def append(self, *args, **kwargs):
        self.threads.append(threading.current_thread())
        time.sleep(self.pause)
        return super().append(*args, **kwargs)

    @property
    def on_loop(self):
        return [thread is threading.main_thread() for thread in self.threads]


async def trusted(commit, log):
    """Make commits until the disk is known to be quick, and the next one will be made on the loop."""
    for _ in range(100 * _CAUTION):
        (future,) = submit(commit, envelope("warm"))
        await future
        if log.on_loop[-1] and not commit._caution:
            return
    raise AssertionError("no commit was made on the loop")


def test_the_disk_is_trusted_only_after_a_while():
    async def test(commit, log):
        await trusted(commit, log)
        assert log.on_loop.index(True) >= _CAUTION

    with_commit(test, WatchedLog())


def test_one_slow_commit_sends_the_next_ones_to_the_thread():
    async def test(commit, log):
        await trusted(commit, log)
        log.pause = 2 * _QUICK
        (slow,) = submit(commit, envelope("slow"))
        await slow
        log.pause = 0.0
        (after,) = submit(commit, envelope("after"))
        await after
        assert log.on_loop[-2:] == [True, False]

    with_commit(test, WatchedLog())


def test_a_log_that_fails_on_the_loop_is_told_and_recovered_from():
    async def test(commit, log):
        await trusted(commit, log)
        log.error = Unavailable("no space")
        assert [await said(f) for f in submit(commit, envelope("a"), envelope("b"))] == ["'log_unavailable'"] * 2
        assert not commit.health().ready
        log.error = None
        (good,) = submit(commit, envelope("c"))
        assert "(0, " in await said(good)
        assert commit.health().ready
        assert commit.health().uncommitted_bytes == 0

    with_commit(test, WatchedLog())


def test_a_waiter_that_fails_breaks_neither_its_group_nor_the_loop():
    def failing(_outcome):
        raise RuntimeError("on purpose")

    async def test(commit, log):
        await trusted(commit, log)
        first = commit.submit([(0, envelope("a"))], 1, failing)
        gone = commit.submit([(0, envelope("b"))], 1, told)
        gone.then(failing)
        (last,) = submit(commit, envelope("c"))
        assert "(0, " in await said(last)
        assert (first.done, first.reply) == (True, None)
        assert log.on_loop[-1]

    with_commit(test, WatchedLog())


def test_a_large_group_tried_again_one_by_one_needs_no_deep_stack():
    async def test(commit, log):
        await trusted(commit, log)
        before = len(frames(log))
        many = [commit.submit([(0, envelope(f"{n}"))], 1, told) for n in range(3000)]
        (bad,) = submit(commit, envelope("bad", order_key="\ud800"))
        assert await said(bad) == "'body_not_json'"
        await until(lambda: all(later.done for later in many))
        assert all(b"(0, " in later.reply.body for later in many)
        assert len(frames(log)) == before + 3000, "each was written once, alone"
        assert commit.health().uncommitted_bytes == 0

    with_commit(test, WatchedLog())


def test_a_drain_from_the_loop_writes_the_counts():
    async def test(commit, log):
        await trusted(commit, log)
        commit.refuse("shop", "batch_empty")
        await commit.drain()
        assert sum(p.count for frame in frames(log) for p in frame.postings) == 1

    with_commit(test, WatchedLog())
