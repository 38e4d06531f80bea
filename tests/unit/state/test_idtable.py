import os

import numpy as np
import pytest

from customhouse.model.errors import Broken
from customhouse.state.identries import Entries
from customhouse.state.idtable import Damaged, Table, tags


def entries(keys, first=0):
    keys = np.array(keys, np.uint64).reshape(-1, 2)
    claims = np.arange(first, first + len(keys), dtype=np.uint64)
    return Entries(np.zeros(len(keys), np.int64), keys, claims, claims + np.uint64(100))


def held(table, keys):
    """Claims by place in `keys`."""
    keys = np.array(keys, np.uint64).reshape(-1, 2)
    places, numbers = table.probe(tags(keys), keys)
    return dict(zip(places.tolist(), table.claims(numbers)[0].tolist(), strict=True))


@pytest.fixture
def table(tmp_path):
    table = Table.create(tmp_path / "7-0.ids", 7, 6)
    yield table
    table.close()


def test_ids_of_one_line_overflow_into_the_next_and_around_the_end(table):
    home_of_all = 7  # the last of eight lines
    keys = [(home_of_all + (nth << 32), nth) for nth in range(32)]
    table.insert(entries(keys))
    assert table.room == 0
    assert held(table, keys) == {nth: nth for nth in range(32)}
    assert held(table, [(home_of_all + (99 << 32), 99)]) == {}


def test_an_id_that_differs_only_in_what_slots_do_not_hold_is_another(table):
    table.insert(entries([(5 + (1 << 40), 1)]))
    assert held(table, [(5 + (1 << 40), 2), (5 + (1 << 40) + (1 << 10), 1), (5 + (1 << 40) + (1 << 63), 1)]) == {}
    assert held(table, [(5 + (1 << 40), 1)]) == {0: 0}


def test_the_id_of_zeros_is_an_id(table):
    assert held(table, [(0, 0)]) == {}
    table.insert(entries([(0, 0)], first=9))
    assert held(table, [(0, 0)]) == {0: 9}


def test_a_stronger_claim_takes_the_place_and_a_weaker_does_not(table):
    table.insert(entries([(1, 1), (2, 2)], first=10))
    numbers = np.array([0, 1], np.intp)
    table.strengthen(numbers, np.array([4, 99], np.uint64), np.array([1, 1], np.uint64))
    assert held(table, [(1, 1), (2, 2)]) == {0: 4, 1: 11}
    assert table.claims(numbers)[1].tolist() == [1, 111]


def test_a_closed_table_opens_with_all_it_held(table):
    table.insert(entries([(1, 1), (2, 2)]))
    table.sync()
    table.close()
    again = Table.load(table.path, at_least=2)
    assert (again.day, again.bits, again.count) == (7, 6, 2)
    assert held(again, [(2, 2), (3, 3)]) == {0: 1}
    again.close()


def test_slots_whose_entries_never_reached_the_disk_do_no_harm(table):
    """What a power failure may leave of the writes after a sync: the new slots, and neither entries nor count."""
    table.insert(entries([(1, 1)]))
    table.sync()
    old = table.path.read_bytes()
    table.insert(entries([(2, 2), (1 + (3 << 40), 3)], first=1))
    table.close()
    new = table.path.read_bytes()
    slots = slice(4096, 4096 + 64 * 8)
    torn = bytearray(old)
    torn[slots] = new[slots]
    table.path.write_bytes(torn)
    again = Table.load(table.path, at_least=1)
    lost = [(2, 2), (1 + (3 << 40), 3)]
    assert held(again, [(1, 1), *lost]) == {0: 0}
    again.insert(entries(lost, first=1))
    assert held(again, [(1, 1), *lost]) == {0: 0, 1: 1, 2: 2}
    again.close()


def patch(path, offset, words):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(np.array(words, "<u8").tobytes())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: os.truncate(path, 100),
        lambda path: os.truncate(path, path.stat().st_size - 1),
        lambda path: path.write_bytes(b""),
        lambda path: patch(path, 0, [0]),
        lambda path: patch(path, 24, [2**40]),
        lambda path: patch(path, 32, [1]),
        lambda path: patch(path, 32, [33]),
    ],
    ids=["missing", "short", "cut", "empty", "magic", "size", "fewer", "too many"],
)
def test_a_damaged_file_is_told(table, spoil):
    table.insert(entries([(1, 1), (2, 2)]))
    table.close()
    spoil(table.path)
    with pytest.raises(Damaged):
        Table.load(table.path, at_least=2)


def test_a_format_from_the_future_is_refused_and_kept(table):
    table.close()
    patch(table.path, 8, [2])
    with pytest.raises(Broken, match="format 2") as raised:
        Table.load(table.path, at_least=0)
    assert not isinstance(raised.value, Damaged)
    assert table.path.exists()
