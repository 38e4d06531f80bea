from customhouse.tables.compaction import CLOSED_FANOUT, FANOUT, Smalls
from customhouse.tables.datafile import DataFile

MEGABYTE = 1024 * 1024
TARGET = 64 * MEGABYTE


def file(nth: int, size: int, day: str = "2026-01-02") -> DataFile:
    return DataFile(f"{day}/{nth}", day, size, 10)


def filled(*files: DataFile) -> Smalls:
    smalls = Smalls(TARGET)
    for each in files:
        smalls.add(each)
    return smalls


def test_a_few_small_files_of_the_newest_day_wait():
    assert filled(*(file(nth, 1000) for nth in range(FANOUT - 1))).ripe() == []


def test_enough_files_of_one_tier_are_merged_oldest_first():
    files = [file(nth, 1000) for nth in range(FANOUT)]
    assert filled(*files).ripe() == files


def test_files_of_different_tiers_do_not_add_up():
    small = [file(nth, 1000) for nth in range(FANOUT - 1)]
    middle = [file(nth + 100, MEGABYTE) for nth in range(FANOUT - 1)]
    assert filled(*small, *middle).ripe() == []


def test_one_step_reads_no_more_than_a_whole_file():
    files = [file(nth, 15 * MEGABYTE) for nth in range(20)]
    assert filled(*files).ripe() == files[:4]


def test_large_files_are_left_alone():
    assert len(filled(*(file(nth, TARGET // 4) for nth in range(50)))) == 0


def test_a_day_that_is_over_is_tidied_sooner():
    over = [file(nth, 1000 * 20**nth, "2026-01-01") for nth in range(CLOSED_FANOUT)]
    assert filled(*over).ripe() == []
    assert filled(*over, file(9, 1000)).ripe() == over


def test_merged_files_are_forgotten():
    files = [file(nth, 1000) for nth in range(FANOUT + 2)]
    smalls = filled(*files)
    smalls.remove(files[:FANOUT])
    assert len(smalls) == 2
    assert smalls.ripe() == []
