import resource

import numpy as np
import pytest

from customhouse.model.errors import Broken, Unavailable
from customhouse.state.identries import Entries
from customhouse.state.ids import CHECKPOINT, MappedIndex


def some(day, count, first=0):
    keys = np.random.default_rng(first).integers(0, 2**64, (count, 2), np.uint64)
    claims = np.arange(first, first + count, dtype=np.uint64)
    return Entries(np.full(count, day, np.int64), keys, claims, claims)


def tables(folder, day):
    return sorted(path.name for path in folder.glob(f"{day}-*.ids"))


def test_a_day_grows_by_few_tables_and_the_next_starts_large_enough(tmp_path):
    index = MappedIndex(tmp_path, first_bits=6)
    for first in range(0, 2700, 100):
        index.add(some(5, 100, first))
    index.add(some(6, 2700, 5000))
    assert tables(tmp_path, 5) == ["5-0.ids", "5-1.ids", "5-2.ids", "5-3.ids"]
    assert tables(tmp_path, 6) == ["6-0.ids"]
    index.close()


def test_a_checkpoint_of_an_unknown_format_is_refused(tmp_path):
    index = MappedIndex(tmp_path, first_bits=6)
    index.checkpoint(1)
    index.close()
    (tmp_path / CHECKPOINT).write_text('{"format":2,"shape":"new"}')
    with pytest.raises(Broken, match="format 2"):
        MappedIndex.open(tmp_path)
    assert (tmp_path / CHECKPOINT).exists()


def test_a_folder_that_is_not_there_is_an_empty_index(tmp_path):
    index = MappedIndex.open(tmp_path / "new" / "ids")
    assert (index.synced_through, index.days()) == (-1, [])
    index.close()


def test_the_disk_space_of_a_table_is_its_own_before_anything_is_written(tmp_path):
    """A hole in a mapped file on a full disk would end the process with SIGBUS."""
    index = MappedIndex(tmp_path, first_bits=17)
    index.add(some(5, 1))
    file = tmp_path / "5-0.ids"
    assert file.stat().st_blocks * 512 >= (8 << 17) + (32 << 15)
    index.close()


def test_a_disk_without_room_is_told_and_harms_nothing(tmp_path):
    index = MappedIndex(tmp_path, first_bits=6)
    index.add(some(5, 32))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(Unavailable, match="no room"):
            index.add(some(5, 1, 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert tables(tmp_path, 5) == ["5-0.ids"]
    index.add(some(5, 1, 100))
    claims, _ = index.find(some(5, 1, 100).keys, np.zeros(1, np.int64))
    assert claims.tolist() == [100]
    index.close()


def test_a_checkpoint_the_disk_has_no_room_for_is_told_and_made_later(tmp_path):
    index = MappedIndex(tmp_path, first_bits=6)
    index.add(some(5, 3))
    index.checkpoint(7)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        with pytest.raises(Unavailable, match="cannot be brought to disk"):
            index.checkpoint(8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    again = MappedIndex.open(tmp_path)
    assert again.synced_through == 7
    again.close()
    index.checkpoint(8)
    index.close()
    again = MappedIndex.open(tmp_path)
    assert again.synced_through == 8
    again.close()
