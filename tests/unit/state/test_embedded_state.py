import sqlite3
from errno import ENOSPC

import pytest

from customhouse.model.errors import Broken, Unavailable
from customhouse.state.embedded import EmbeddedState


def put(state, key, value=b"v"):
    with state.settle() as transaction:
        transaction.put("t", key, value)


def test_a_reader_may_come_before_the_file_and_sees_it_when_it_is_there(tmp_path):
    path = tmp_path / "later" / "owner.db"
    reader = EmbeddedState(path, readonly=True)
    assert reader.get("t", b"a") is None
    assert reader.scan("t") == [] and reader.count("t") == 0 and reader.counters("t") == {}
    assert not path.parent.exists()
    owner = EmbeddedState(path)
    put(owner, b"a")
    assert reader.get("t", b"a") == b"v"
    owner.close()
    reader.close()


def test_a_reader_of_a_file_without_tables_sees_nothing(tmp_path):
    path = tmp_path / "owner.db"
    path.touch()
    reader = EmbeddedState(path, readonly=True)
    assert reader.count("t") == 0
    reader.close()


def test_readers_do_not_wait_for_a_transaction_and_do_not_see_it(tmp_path):
    path = tmp_path / "owner.db"
    seen = []
    owner = EmbeddedState(path, fault=lambda _point: seen.append(reader.count("t")))
    reader = EmbeddedState(path, readonly=True)
    put(owner, b"a")
    assert seen == [0, 1]
    owner.close()
    assert reader.count("t") == 1
    reader.close()


def test_a_reader_holds_the_moment_at_which_it_began(tmp_path):
    path = tmp_path / "owner.db"
    owner, reader = EmbeddedState(path), EmbeddedState(path, readonly=True)
    put(owner, b"a")
    with reader.moment():
        put(owner, b"b")
        assert reader.count("t") == 1
    assert reader.count("t") == 2
    early = EmbeddedState(tmp_path / "later.db", readonly=True)
    with early.moment():
        later = EmbeddedState(tmp_path / "later.db")
        put(later, b"a")
        assert early.count("t") == 0
    assert early.count("t") == 1
    for state in (owner, reader, early, later):
        state.close()


def test_a_reader_opens_what_an_owner_closed_in_order(tmp_path):
    path = tmp_path / "owner.db"
    owner = EmbeddedState(path)
    put(owner, b"a")
    owner.close()
    reader = EmbeddedState(path, readonly=True)
    assert reader.get("t", b"a") == b"v"
    reader.close()


def test_a_reader_cannot_write(tmp_path):
    path = tmp_path / "owner.db"
    EmbeddedState(path).close()
    reader = EmbeddedState(path, readonly=True)
    with pytest.raises(Broken, match="reading only"), reader.settle():
        pytest.fail("a reader was given a transaction")
    reader.close()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_format_of_another_release_is_refused_in_words(tmp_path, readonly):
    path = tmp_path / "owner.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(Broken, match="format version 7; this release knows 1"):
        EmbeddedState(path, readonly=readonly)


def test_a_file_that_is_no_state_is_broken(tmp_path):
    path = tmp_path / "owner.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(Broken, match=r"owner\.db"):
        EmbeddedState(path)


def test_a_full_disk_is_unavailable_and_the_transaction_undone(tmp_path):
    full = True

    def fault(point):
        assert point in {"state.before_commit:owner", "state.after_commit:owner"}
        if full:
            raise OSError(ENOSPC, "No space left on device")

    state = EmbeddedState(tmp_path / "owner.db", fault=fault)
    with pytest.raises(Unavailable, match="No space left"):
        put(state, b"a")
    assert state.count("t") == 0
    full = False
    put(state, b"a")
    assert state.count("t") == 1
    state.close()


def test_sqlites_own_full_disk_is_unavailable_too(tmp_path):
    state = EmbeddedState(tmp_path / "owner.db")
    state._connection.execute("PRAGMA max_page_count = 8")
    with pytest.raises(Unavailable, match="SQLITE_FULL"):
        put(state, b"a", b"x" * 100_000)
    assert state.count("t") == 0
    put(state, b"a", b"small")
    assert state.get("t", b"a") == b"small"
    state.close()


def test_a_lock_held_by_another_program_is_unavailable(tmp_path):
    path = tmp_path / "owner.db"
    state = EmbeddedState(path)
    state._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        put(state, b"a")
    other.execute("ROLLBACK")
    other.close()
    put(state, b"a")
    assert state.count("t") == 1
    state.close()
