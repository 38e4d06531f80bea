"""What every index of ids does, shown on both; and that the mapped one is the dictionary, through growth and crashes."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from customhouse.state.identries import NOBODY, Entries, claim
from customhouse.state.ids import MappedIndex, MemoryIndex

SMALLEST = 4


def entries(*rows):
    """From rows of day, key, claim, fingerprint."""
    table = [list(column) for column in zip(*rows, strict=True)] or [[]] * 4
    keys = np.array([spread(key) for key in table[1]], np.uint64).reshape(-1, 2)
    return Entries(np.array(table[0], np.int64), keys, np.array(table[2], np.uint64), np.array(table[3], np.uint64))


def spread(key):
    """A key of two words: few homes and few tags, so that small numbers collide in every way."""
    return (key % 3 + (key // 3 % 5 << 40), key)


def find(index, *asked):
    keys = np.array([spread(key) for key, _ in asked], np.uint64).reshape(-1, 2)
    claims, fingerprints = index.find(keys, np.array([since for _, since in asked], np.int64))
    return list(zip(claims.tolist(), fingerprints.tolist(), strict=True))


@pytest.fixture(params=["memory", "mapped"])
def index(request, tmp_path):
    index = MemoryIndex() if request.param == "memory" else MappedIndex(tmp_path / "ids", first_bits=SMALLEST)
    yield index
    index.close()


def test_nobody_owns_an_id_nobody_claimed(index):
    index.add(entries((5, 1, 10, 7)))
    assert find(index, (1, 0), (2, 0)) == [(10, 7), (NOBODY, 0)]
    assert find(index) == []


def test_an_id_is_not_seen_from_beyond_the_window(index):
    index.add(entries((5, 1, 10, 7)))
    assert find(index, (1, 5), (1, 6)) == [(10, 7), (NOBODY, 0)]


def test_the_strongest_claim_of_all_days_in_view_is_found(index):
    index.add(entries((5, 1, claim(10, quarantined=True), 7)))
    index.add(entries((6, 1, 30, 8), (7, 1, 20, 9)))
    assert find(index, (1, 5), (1, 6), (1, 7), (1, 8)) == [(20, 9), (20, 9), (20, 9), (NOBODY, 0)]


def test_claims_may_come_twice_late_and_in_one_batch(index):
    rows = [(5, 1, claim(9, quarantined=True), 7), (5, 1, 12, 8), (5, 1, 11, 8), (5, 2, 13, 4), (5, 2, 13, 3)]
    index.add(entries(*rows))
    for row in reversed(rows):
        index.add(entries(row))
    assert find(index, (1, 0), (2, 0)) == [(11, 8), (13, 3)]


def test_a_day_is_forgotten(index):
    index.add(entries((5, 1, 10, 7), (6, 2, 11, 7)))
    index.forget(6)
    assert index.days() == [6]
    assert find(index, (1, 0), (2, 0)) == [(NOBODY, 0), (11, 7)]


def test_nothing_to_add_is_nothing(index):
    index.add(entries())
    assert index.days() == []


def test_a_new_index_is_complete_up_to_nothing(index):
    assert index.synced_through == -1
    index.checkpoint(17)
    assert index.synced_through == 17


ROW = st.tuples(st.integers(10, 14), st.integers(0, 40), st.integers(0, NOBODY - 1), st.integers(0, 3))


class Model(RuleBasedStateMachine):
    """The mapped index holds what the dictionary holds, whatever happens to the process."""

    @initialize()
    def start(self):
        self.cleanup = contextlib.ExitStack()
        self.folder = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory())) / "ids"
        self.mapped, self.memory = MappedIndex(self.folder, first_bits=SMALLEST), MemoryIndex()
        self.frames = []
        self.forgotten = 0

    @rule(rows=st.lists(ROW, max_size=60))
    def add(self, rows):
        rows = [row for row in rows if row[0] >= self.forgotten]
        self.frames.append(rows)
        self.mapped.add(entries(*rows))
        self.memory.add(entries(*rows))

    @rule(asked=st.lists(st.tuples(st.integers(0, 45), st.integers(9, 15)), max_size=60))
    def look(self, asked):
        assert find(self.mapped, *asked) == find(self.memory, *asked)
        assert self.mapped.days() == self.memory.days()

    @rule(day=st.integers(10, 13))
    def forget(self, day):
        self.forgotten = max(self.forgotten, day)
        self.mapped.forget(day)
        self.memory.forget(day)

    @rule()
    def checkpoint(self):
        self.mapped.checkpoint(len(self.frames) - 1)

    @rule()
    def reopen(self):
        self.mapped.close()
        self.recover()

    @rule(garbage=st.binary(max_size=40), nth=st.integers(0, 20))
    def damage(self, garbage, nth):
        self.mapped.close()
        files = sorted(self.folder.iterdir())
        if files:
            files[nth % len(files)].write_bytes(garbage)
        self.recover()

    def recover(self):
        self.mapped = MappedIndex.open(self.folder, first_bits=SMALLEST)
        for rows in self.frames[self.mapped.synced_through + 1 :]:
            self.mapped.add(entries(*(row for row in rows if row[0] >= self.forgotten)))

    def teardown(self):
        self.look([(key, 0) for key in range(41)])
        self.mapped.close()
        self.cleanup.close()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


CHILD = """
import sys
from pathlib import Path
import numpy as np
from customhouse.state.identries import Entries
from customhouse.state.ids import MappedIndex

index = MappedIndex(Path(sys.argv[1]), first_bits=8)
nth = 0
while True:
    rng = np.random.default_rng(nth)
    size = 100
    index.add(Entries(np.full(size, 3 + nth // 50), rng.integers(0, 2**64, (size, 2), np.uint64),
        np.arange(nth * size, nth * size + size, dtype=np.uint64), np.full(size, nth, np.uint64)))
    if nth % 10 == 4:
        index.checkpoint(nth)
    print(nth, flush=True)
    nth += 1
"""


@pytest.mark.parametrize("kill_after", [3, 57, 140])
def test_a_killed_process_leaves_what_it_synced_and_the_rest_can_come_again(tmp_path, kill_after):
    with subprocess.Popen([sys.executable, "-c", CHILD, tmp_path], stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            if int(line) >= kill_after:
                break
        os.kill(child.pid, signal.SIGKILL)
        done = max([kill_after, *(int(line) for line in child.stdout.read().split("\n")[:-1])])
    index = MappedIndex.open(tmp_path, first_bits=8)
    last = index.synced_through
    assert last >= kill_after - 10
    for nth in range(done + 1):
        rng = np.random.default_rng(nth)
        keys = rng.integers(0, 2**64, (100, 2), np.uint64)
        claims = np.arange(nth * 100, nth * 100 + 100, dtype=np.uint64)
        if nth > last:
            index.add(Entries(np.full(100, 3 + nth // 50), keys, claims, np.full(100, nth, np.uint64)))
        found, fingerprints = index.find(keys, np.zeros(100, np.int64))
        assert (found == claims).all() and (fingerprints == nth).all()
    index.close()


def test_only_the_tables_of_a_checkpoint_outlive_a_crash(tmp_path):
    index = MappedIndex(tmp_path, first_bits=SMALLEST)
    index.add(entries((5, 1, 10, 7)))
    index.checkpoint(3)
    index.add(entries((6, 2, 11, 7)))
    index.close()
    again = MappedIndex.open(tmp_path, first_bits=SMALLEST)
    assert (again.synced_through, again.days()) == (3, [5])
    assert [path.name for path in tmp_path.glob("*.ids")] == ["5-0.ids"]
    again.close()


def test_a_forgotten_day_is_not_missed_at_the_next_start(tmp_path):
    index = MappedIndex(tmp_path, first_bits=SMALLEST)
    index.add(entries((5, 1, 10, 7), (6, 2, 11, 7)))
    index.checkpoint(3)
    index.forget(6)
    index.close()
    again = MappedIndex.open(tmp_path, first_bits=SMALLEST)
    assert (again.synced_through, again.days()) == (3, [6])
    again.close()
