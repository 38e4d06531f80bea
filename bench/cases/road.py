"""
The road: CPU per event from the received log to the lake, by the processes that do it: pipeline, lake lane, trail lane.

The processes run as always, first on an empty log; then the events are put there at once. Their whole CPU counts, all
threads. Once with an empty memory of ids, and once with twenty million ids in it.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time

import numpy as np

from bench.house import House, running, workspace
from bench.received import append, frames
from bench.units import Scale, within
from customhouse.app.rules import take_in
from customhouse.log.embedded import EmbeddedLog
from customhouse.state.identries import Entries
from customhouse.state.ids import MappedIndex

_DAY = 86_400
_SECONDS = 120.0
_seeds = count(1)


def rounds(scale: Scale) -> Iterator[dict[str, float]]:
    """Measure with no ids, then with many, in turn."""
    events = scale.of(80_000, 30_000)
    with _road(scale.scratch, 0) as fresh, _road(scale.scratch, scale.of(20_000_000, 0)) as full:
        for _ in range(scale.of(5, 2)):
            found = _round(fresh, events)
            if not scale.quick:
                found["road.full"] = _round(full, events)["road"]
                found["road.full.share"] = found["road.full"] / found["road"]
            yield found


def _round(house: House, events: int) -> dict[str, float]:
    """Put events into the log and wait until lake and trail hold them."""
    made = frames(events, next(_seeds))
    owed, before = house.owed() + events, house.cpu()
    with closing(EmbeddedLog(house.place.log)) as log:
        append(log, made)
    within(_SECONDS, lambda: house.owed() >= owed and house.delivered(), "events in the lake", pause=0.1)
    after = house.cpu()
    cost = {kind: (after[kind] - before[kind]) / events * 1e6 for kind in after}
    return {"road": sum(cost.values()), "road.pipeline": cost["pipeline"], "road.delivery": cost["delivery"]}


@contextmanager
def _road(scratch: Path, ids: int) -> Iterator[House]:
    """Run pipeline and delivery with so many ids remembered, and warm them up."""
    with TemporaryDirectory(dir=scratch) as folder:
        place = workspace(Path(folder))
        place.prepare()
        take_in(place, {})
        _remember(place.ids(0), ids)
        with running(place, "pipeline", "delivery") as house:
            _round(house, 4_000)
            yield house


def _remember(folder: Path, total: int) -> None:
    """Fill the index with random ids of a week, and say that it is on disk."""
    rng, today = np.random.default_rng(total), int(time()) // _DAY
    index = MappedIndex(folder)
    for day in range(today - 6, today + 1):
        for start in range(0, total // 7, 20_000):
            keys = rng.integers(0, 2**64, (20_000, 2), np.uint64)
            claims = np.arange(start, start + 20_000, dtype=np.uint64)
            index.add(Entries(np.full(20_000, day, np.int64), keys, claims, keys[:, 1]))
    index.checkpoint(0)
    index.close()
