"""
Books and lake after much: what `balance` and the metrics page cost, and a lake commit after thousands of them.

`balance` is measured as somebody types it, start of Python included; the metrics page by the CPU of the console.
"""

import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.calls import call
from bench.house import House, whole
from bench.units import Scale, within
from customhouse.testing.builders import events
from customhouse.warehouses.lake import Lake, LakeConfig

_ROWS = 100
_PAGES = 20


def rounds(scale: Scale) -> Iterator[dict[str, float]]:
    """Measure the windows on a house that has seen some events, then a lake that has seen many commits."""
    sent = scale.of(50_000, 10_000)
    with whole(scale.scratch) as house:
        with call(house.port("collector"), "gzip", events=sent, connections=4) as client:
            client.start()
            client.end()
        within(60, lambda: house.owed() >= sent and house.delivered(), "events in the lake", pause=0.1)
        commits = _commits(scale.scratch, scale.of(2_000, 600))
        for _ in range(scale.of(3, 2)):
            yield {"ledger.balance": _balance(house), "ledger.metrics": _metrics(house), **commits}


def _balance(house: House) -> float:
    """Return the CPU milliseconds of `customhouse balance`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    house.command("balance")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def _metrics(house: House) -> float:
    """Return the CPU milliseconds the console spends on one metrics page."""
    before = house.cpu()["console"]
    for _ in range(_PAGES):
        house.get("console", "/metrics")
    return (house.cpu()["console"] - before) / _PAGES * 1000


def _commits(scratch: Path, total: int) -> dict[str, float]:
    """Return the CPU milliseconds of a commit with its upkeep: early on, and after so many."""
    batch, spent = events(_ROWS), []
    with TemporaryDirectory(dir=scratch) as folder:
        lake = Lake(Path(folder), LakeConfig(keep_minutes=0.05))
        for number in range(total):
            began = time.process_time()
            lake.load(batch, 0, number, b"note")
            lake.tend()
            spent.append((time.process_time() - began) * 1000)
        lake.close()
    early, late = statistics.fmean(spent[100:300]), statistics.fmean(spent[-200:])
    return {"lake.commit.early": early, "lake.commit.late": late, "lake.commit.growth": late / early}
