"""A disk that fails, fills up or drags: the door says 503 while it must, opens by itself, and loses nothing it took."""

import contextlib
import os
import shutil
import subprocess
import time

import pytest
from breaking import Breaker
from knock import request
from load import Load
from lying import LyingServer
from oracle import judge

_OUTAGE = 1.0
FAILING = (
    ("collector", "log.before_sync:received=eio@*"),
    ("collector", "log.after_write:received=enospc@*"),
    ("pipeline", "log.before_sync:owed=eio@*"),
    ("pipeline", "state.before_commit:pipeline=enospc@*"),
    ("delivery", "log.before_sync:receipts=eio@*"),
    ("delivery", "delivery.before_receipt=enospc@*"),
    ("delivery", "state.before_commit:delivery=enospc@*"),
    ("delivery", "state.after_commit:delivery=eio@*"),
    ("delivery", "lake.before_load=enospc@*;lake.after_load=eio@*;trail.after_store=eio@*"),
)


def test_failing_writes_and_syncs(house_of, seed, report):
    with LyingServer() as hook:
        house = house_of({"hook": hook})
        breaker = Breaker(house)
        breaker.start()
        before = house.pids()
        with Load(house.url, seed) as load:
            for kind, rules in FAILING:
                taken = load.acknowledged()
                house.wait_until(lambda taken=taken: load.acknowledged() > taken + 20, 30, "the door is open")
                breaker.set(kind, rules)
                if kind == "collector":
                    _closed(house, load)
                else:
                    time.sleep(_OUTAGE)
                breaker.set(kind, "")
        line = judge(house, load.journal, hook=hook)
        assert house.pids() == before, "a failing disk is no reason to die"
        report(f"{len(FAILING)} outages, {line}")
        house.stop()


def test_a_slow_disk(house_of, seed, report):
    with LyingServer() as hook:
        house = house_of({"hook": hook})
        breaker = Breaker(house)
        breaker.start()
        with Load(house.url, seed + 1, senders=6) as load:
            for kind in ("collector", "pipeline", "delivery"):
                breaker.set(kind, "log.before_sync:*=sleep:0.25@*;state.before_commit:*=sleep:0.05@*")
            time.sleep(3)
            for kind in ("collector", "pipeline", "delivery"):
                breaker.set(kind, "")
        assert "broken" not in load.journal.troubles, "slow is not broken"
        report(judge(house, load.journal, hook=hook))
        house.stop()


@pytest.mark.parametrize("floor", [12_000_000, 0], ids=["floor", "to the last byte"])
def test_a_full_disk(floor, house_of, small_disk, seed, report):
    """With a floor the door closes early and the house goes on behind it; without one every write fails for real."""
    with LyingServer() as hook:
        house = house_of({"hook": hook}, limits={"free_disk_bytes": floor})
        small_disk(house.data)
        breaker = Breaker(house)
        breaker.start()
        before, ballast = house.pids(), house.data / "ballast"
        with Load(house.url, seed + 2) as load:
            for _ in range(2):
                taken = load.acknowledged()
                house.wait_until(lambda taken=taken: load.acknowledged() > taken + 100, 30, "the door is open")
                _fill(ballast, house.data, floor // 2)
                _closed(house, load)
                ready = request(house.url, "GET", "/ready").status
                ballast.unlink()
                assert ready == 503
        assert house.pids() == before, "a full disk is no reason to die"
        report(judge(house, load.journal, hook=hook))
        house.stop()


def _closed(house, load):
    """Wait until the door says 503 and takes nothing any more; see that it stays so for a while."""
    said = load.journal.troubles["503"]
    house.wait_until(lambda: load.journal.troubles["503"] >= said + 6, 30, "the door is closed")
    taken = load.acknowledged()
    time.sleep(_OUTAGE)
    assert load.acknowledged() == taken, "acknowledged what cannot be kept"


def _fill(path, folder, leave):
    """Write until so many bytes are free; all of them for 0."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while (free := shutil.disk_usage(folder).free) > leave:
            file.write(bytes(min(1 << 16, free - leave)))


@pytest.fixture
def small_disk():
    """Mount small disks of their own; skip, and say so, where that is not permitted."""
    mounted = []

    def mount(folder):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False) if _may() else None
        if done is None or done.returncode:
            print("\nSKIPPED: a really full disk, because nothing can be mounted here (run as root on Linux)")
            pytest.skip("nothing can be mounted here")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], timeout=10, check=True)


def _may():
    return os.geteuid() == 0 and shutil.which("mount") is not None
