"""What every state must do. Each test runs on every state there is."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.model.errors import Broken
from customhouse.state.embedded import EmbeddedState
from customhouse.state.memory import MemoryState


@pytest.fixture(params=["memory", "embedded"])
def state(request, tmp_path):
    made = MemoryState() if request.param == "memory" else EmbeddedState(tmp_path / "state" / "owner.db")
    yield made
    made.close()


def fill(state, **values):
    with state.settle() as transaction:
        for key, value in values.items():
            transaction.put("t", key.encode(), value)


def test_it_starts_empty(state):
    assert state.get("t", b"k") is None
    assert state.scan("t") == []
    assert state.count("t") == 0
    assert state.counters("t") == {}


def test_values_are_set_replaced_and_removed(state):
    fill(state, a=b"1", b=b"2")
    with state.settle() as transaction:
        transaction.put("t", b"a", b"3")
        transaction.delete("t", b"b")
        transaction.delete("t", b"never there")
        transaction.put("other", b"a", b"elsewhere")
    assert state.get("t", b"a") == b"3"
    assert state.get("t", b"b") is None
    assert state.get("other", b"a") == b"elsewhere"
    assert (state.count("t"), state.count("other")) == (1, 1)


def test_the_last_word_within_a_transaction_holds(state):
    with state.settle() as transaction:
        transaction.put("t", b"a", b"1")
        transaction.delete("t", b"a")
        transaction.delete("t", b"b")
        transaction.put("t", b"b", b"2")
    assert state.scan("t") == [(b"b", b"2")]


def test_counters_add_up_and_may_fall(state):
    for delta in (5, -7, 1 << 40):
        with state.settle() as transaction:
            transaction.add("t", b"k", delta)
            transaction.add("t", b"k", 1)
            transaction.add("u", b"k", 1)
    assert state.counters("t") == {b"k": 5 - 7 + (1 << 40) + 3}
    assert state.counters("u") == {b"k": 3}


def test_a_block_that_raises_changes_nothing(state):
    fill(state, a=b"1")

    def fail_halfway():
        with state.settle() as transaction:
            transaction.put("t", b"a", b"2")
            transaction.add("t", b"n", 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert state.get("t", b"a") == b"1"
    assert state.counters("t") == {}
    fill(state, b=b"works again")
    assert state.get("t", b"b") == b"works again"


def test_nothing_is_visible_before_the_end_of_the_block(state):
    with state.settle() as transaction:
        transaction.put("t", b"a", b"1")
        assert state.get("t", b"a") is None
    assert state.get("t", b"a") == b"1"


def test_a_moment_holds_still_and_ends(state):
    fill(state, a=b"1")
    with state.moment(), state.moment():
        assert state.get("t", b"a") == b"1"
        assert state.count("t") == 1
    fill(state, a=b"2")
    assert state.get("t", b"a") == b"2"


def test_a_state_does_not_settle_within_its_own_moment(state):
    with state.moment(), pytest.raises(Broken, match="moment"):
        fill(state, a=b"1")
    assert state.get("t", b"a") is None
    fill(state, a=b"2")
    assert state.get("t", b"a") == b"2"


def test_scanning_goes_on_from_behind_a_key_in_both_directions(state):
    fill(state, **{f"k{n}": b"%d" % n for n in range(7)})
    assert [key for key, _ in state.scan("t", limit=3)] == [b"k0", b"k1", b"k2"]
    assert [key for key, _ in state.scan("t", after=b"k2", limit=3)] == [b"k3", b"k4", b"k5"]
    assert [key for key, _ in state.scan("t", newest_first=True, limit=2)] == [b"k6", b"k5"]
    assert [key for key, _ in state.scan("t", newest_first=True, after=b"k5", limit=2)] == [b"k4", b"k3"]


@pytest.mark.parametrize("prefix", [b"", b"a", b"a\xff", b"\xff", b"\xff\xff", b"b"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_prefix_chooses_keys_also_at_the_end_of_the_alphabet(state, prefix, newest_first):
    keys = [b"a", b"a\xfe", b"a\xff", b"a\xff\x00", b"b", b"\xff", b"\xff\xff", b"\xff\xff\xff"]
    with state.settle() as transaction:
        for key in keys:
            transaction.put("t", key, key)
    expected = sorted((key for key in keys if key.startswith(prefix)), reverse=newest_first)
    assert [key for key, _ in state.scan("t", prefix=prefix, newest_first=newest_first)] == expected


def test_it_may_be_made_in_one_thread_and_used_in_another(state):
    worker = threading.Thread(target=fill, args=(state,), kwargs={"a": b"from elsewhere"})
    worker.start()
    worker.join()
    assert state.get("t", b"a") == b"from elsewhere"


_KEYS = st.binary(max_size=3)
_WRITES = st.one_of(
    st.tuples(st.just("put"), _KEYS, st.binary(max_size=4)),
    st.tuples(st.just("delete"), _KEYS),
    st.tuples(st.just("add"), _KEYS, st.integers(-9, 9)),
)


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.lists(_WRITES, max_size=8), max_size=5),
    prefix=st.binary(max_size=1),
    after=_KEYS,
    limit=st.integers(1, 5),
)
def test_the_embedded_state_and_the_one_in_memory_cannot_be_told_apart(tmp_path_factory, batches, prefix, after, limit):
    memory, embedded = MemoryState(), EmbeddedState(tmp_path_factory.mktemp("state") / "owner.db")
    try:
        for state in (memory, embedded):
            for batch in batches:
                with state.settle() as transaction:
                    for word, key, *rest in batch:
                        getattr(transaction, word)("t", key, *rest)
        assert embedded.counters("t") == memory.counters("t")
        assert embedded.count("t") == memory.count("t")
        for newest_first in (False, True):
            asked = {"prefix": prefix, "after": after, "limit": limit, "newest_first": newest_first}
            assert embedded.scan("t", **asked) == memory.scan("t", **asked)
    finally:
        embedded.close()


_SETTLER = """
import sys
from pathlib import Path
from customhouse.state.embedded import EmbeddedState
state = EmbeddedState(Path(sys.argv[1]))
n = 0
while True:
    n += 1
    with state.settle() as transaction:
        transaction.put("bookmark", b"upto", b"%d" % n)
        transaction.put("rows", b"%09d" % n, b"x" * 500)
        transaction.add("books", b"settled", 1)
    print(n, flush=True)
"""


@pytest.mark.parametrize("wait_for", [1, 40, 400])
def test_a_killed_owner_loses_nothing_it_settled_and_leaves_nothing_half_done(tmp_path, wait_for):
    path = tmp_path / "owner.db"
    with subprocess.Popen([sys.executable, "-c", _SETTLER, str(path)], stdout=subprocess.PIPE) as child:
        for line in child.stdout:
            if int(line) >= wait_for:
                os.kill(child.pid, signal.SIGKILL)
                break
        settled = [int(line), *(int(more) for more in child.stdout.read().split())][-1]
    state = EmbeddedState(path)
    upto = int(state.get("bookmark", b"upto"))
    assert settled <= upto <= settled + 1
    assert state.counters("books") == {b"settled": upto}
    assert state.count("rows") == upto
    state.close()
