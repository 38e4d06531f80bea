import math
import random

import pytest
from bench.soak.judgement import MEGABYTE, slope, trend
from bench.soak.report import Result, document, page, verdicts
from bench.soak.watch import PARTS, Sight, process, size


def series(level, per_hour, seed=1, noise=0.0, seconds=1800):
    rng = random.Random(seed)
    return [(float(at), level + per_hour * at / 3600 + rng.uniform(-noise, noise)) for at in range(0, seconds, 5)]


def test_the_slope_is_that_of_the_line_whatever_a_few_spikes_do():
    points = series(100.0, 36.0)
    assert math.isclose(slope(points) * 3600, 36.0, rel_tol=1e-9)
    spiked = [(at, value + (10_000 if at % 100 == 0 else 0)) for at, value in points]
    assert math.isclose(slope(spiked) * 3600, 36.0, rel_tol=0.05)


def test_too_few_points_have_no_slope():
    assert slope([]) == slope([(1.0, 5.0)]) == slope([(1.0, 5.0), (1.0, 9.0)]) == 0.0


@pytest.mark.parametrize(
    ("per_hour", "noise", "flat"),
    [(0.0, 5.0, True), (-300.0, 0.0, True), (10.0, 5.0, True), (60.0, 5.0, False), (60.0, 0.0, False)],
)
def test_memory_that_grows_beyond_its_allowance_is_not_flat(per_hour, noise, flat):
    points = series(100.0 * MEGABYTE, per_hour * MEGABYTE, noise=noise * MEGABYTE)
    assert trend("delivery private", "private", points).flat is flat


def test_warming_up_in_the_first_half_does_not_count():
    points = [(float(at), min(at, 800) * MEGABYTE) for at in range(0, 1800, 5)]
    assert trend("pipeline private", "private", points).flat


def test_handles_that_leak_one_at_a_time_are_found():
    points = [(float(at), 20.0 + at // 100) for at in range(0, 1800, 5)]
    assert not trend("door files", "files", points).flat
    assert trend("door files", "files", [(at, 20.0 + at % 2) for at, _ in points]).flat


def result(**changes):
    held = {
        "rss": 60 * MEGABYTE,
        "pss": 50 * MEGABYTE,
        "private": 40 * MEGABYTE,
        "files": 12,
        "sockets": 8,
        "threads": 3,
    }
    sights = [
        Sight(float(at), {"collector": held}, dict.fromkeys(PARTS, at * 10), at * 10, 0, 0, 0.0, 1.5)
        for at in range(0, 600, 5)
    ]
    facts = {
        "sights": sights, "minutes": [{"requests": 10, "p50_ms": 1.0, "p99_ms": 2.0, "most_ms": 3.0}],
        "acknowledged": 100, "missing": 0, "doubled": 0, "strange": 0, "unaccounted": 0, "booked": 100, "at_hook": 100,
        "fresh": {"p50": 0.5, "p99": 1.0, "most": 1.5}, "troubles": [], "log_bytes": 64 * MEGABYTE,
        "removed": {"received": 50, "owed": 50},
    }  # fmt: skip
    return Result(**facts | changes)


def test_a_good_run_is_good_and_is_told():
    found = verdicts(result())
    assert all(verdict.good for verdict in found)
    told = page({"cpu": "one"}, result(), found)
    assert "collector" in told and "NO" not in told
    assert document({}, result(), found)["format"] == 1


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"missing": 1}, "exactly once"),
        ({"doubled": 1}, "exactly once"),
        ({"strange": 1}, "exactly once"),
        ({"unaccounted": 1}, "balance"),
        ({"booked": 99}, "balance"),
        ({"at_hook": 99}, "balance"),
        ({"troubles": ["pipeline was started anew"]}, "started anew"),
        ({"removed": {"received": 0, "owed": 5}}, "log received"),
        ({"log_bytes": -128 * MEGABYTE}, "bounds the log"),
    ],
)
def test_every_fault_is_named(fault, word):
    bad = [verdict.what for verdict in verdicts(result(**fault)) if not verdict.good]
    assert bad and all(word in what for what in bad)


def test_a_process_and_a_folder_are_seen(tmp_path):
    import os

    seen = process(os.getpid())
    assert seen["private"] > MEGABYTE and seen["files"] + seen["sockets"] >= 3 and seen["threads"] >= 1
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"x" * 10_000)
    assert 8_192 <= size(tmp_path) <= 64 * 1024
