"""The history of the house: rates from counters, gaps as gaps, and never more than it may keep."""

import random

import msgspec
import pytest

from customhouse.telemetry.history import SERIES, History, Sample


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "history.msgpack")


def test_counters_become_rates(history):
    for at, count in ((0, 100), (5, 150), (10, 150), (15, 400)):
        history.add(at, {"received:web": count, "lag:lake": count})
    points = history.rates(60, 15, "received:")
    assert (points.times, points.lines) == ([5, 10, 15], {"web": [10.0, 0.0, 50.0]})
    assert history.gauges(60, 15, "lag:").lines == {"lake": [100, 150, 150, 400]}


def test_a_gap_stays_a_gap(history):
    for at in (0, 5, 60, 65):
        history.add(at, {"received:web": at, "lag:lake": 1})
    assert history.rates(100, 65, "received:").lines == {"web": [1.0, None, 1.0]}
    assert history.gauges(100, 65, "lag:").lines == {"lake": [1, 1, None, 1, 1]}


def test_a_counter_that_fell_says_nothing_and_a_new_one_began_at_zero(history):
    history.add(0, {"received:web": 100})
    history.add(5, {"received:web": 20, "received:app": 10})
    history.add(10, {"received:web": 30, "received:app": 10})
    assert history.rates(60, 10, "received:").lines == {"app": [2.0, 0.0], "web": [None, 2.0]}


def test_long_times_are_told_from_coarser_samples_and_all_is_bounded(history):
    for at in range(0, 200_000, 5):
        history.add(at, {"received:web": at})
    assert len(history.gauges(3600, 199_995, "received:").times) <= 721
    day = history.gauges(86_400, 199_995, "received:").times
    assert len(day) <= 1441 and day[0] <= 199_995 - 86_000
    assert len(history.rates(604_800, 199_995, "received:").times) <= 1008


def test_growth_and_since_when_it_is_known(history):
    assert history.growth(3600, 50, "quarantined") == (0.0, 50)
    history.add(10, {"quarantined": 4})
    history.add(20, {"quarantined": 9})
    assert history.growth(3600, 50, "quarantined") == (5.0, 10)


def test_it_goes_on_after_a_restart(history, tmp_path):
    history.add(10, {"lag:lake": 1})
    history.save()
    again = History(tmp_path / "history.msgpack")
    again.add(15, {"lag:lake": 2})
    assert again.gauges(60, 15, "lag:").lines == {"lake": [1, 2]}


@pytest.mark.parametrize("content", [b"", b"\xff\xff", msgspec.msgpack.encode({"format": 2, "tiers": []})])
def test_a_file_it_does_not_know_is_begun_anew(tmp_path, content):
    (tmp_path / "h").write_bytes(content)
    assert History(tmp_path / "h").gauges(60, 0, "").times == []


def test_a_clock_set_back_begins_anew_and_too_many_numbers_are_cut(history):
    history.add(100, {"lag:lake": 1})
    history.add(50, {"lag:lake": 2})
    assert history.gauges(1000, 100, "lag:").times == [50]
    names = [f"lag:{n}" for n in range(SERIES + 50)]
    random.shuffle(names)
    history.add(60, dict.fromkeys(names, 1))
    assert len(history.gauges(5, 60, "lag:").lines) == SERIES


def test_what_is_kept_is_small(history, tmp_path):
    for at in range(0, 605_000, 60):
        history.add(at, {f"received:{n}": at * n for n in range(20)})
    history.save()
    assert (tmp_path / "history.msgpack").stat().st_size < 2_000_000
    assert msgspec.msgpack.decode((tmp_path / "history.msgpack").read_bytes())["format"] == 1
    assert isinstance(history._tiers[0][0], Sample)
