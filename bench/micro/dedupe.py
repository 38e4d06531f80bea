"""
What dedupe costs: CPU µs per event at 0, 1 and 20 million ids, bytes per id, and the rate of a rebuild from the log.

    python bench/micro/dedupe.py [--json] [--batch EVENTS] [--folder FOLDER]

The index is filled from packed entries (as after a crash), then 60 batches of 1,000 events (or `--batch`), 2 % of
them repeats, go through judge, reconsider, learn and remember. Figures are the median and the least of the rounds, in CPU time of the process.
"""

import argparse
import json
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from customhouse.model.envelope import RequestFacts
from customhouse.model.event import Event
from customhouse.model.outcome import Scope
from customhouse.stages.dedupe import DAY, Dedupe
from customhouse.state.identries import Entries, pack
from customhouse.state.ids import MappedIndex

TODAY = 20_000
FRAME = 1_000
ROUNDS = 60
SECRET = 0x1234_5678_9ABC_DEF0
SCOPE = Scope(now=TODAY * DAY)
FACTS = RequestFacts()


def event(position: int, message_id: str) -> Event:
    return Event(
        id=position.to_bytes(16, "big"),
        position=position,
        source="web",
        protocol="segment",
        type="track",
        name="Order Completed",
        message_id=message_id,
        user_id="u",
        anonymous_id=None,
        group_id=None,
        previous_id=None,
        received_at=TODAY * DAY + 5,
        original_at=None,
        sent_at=None,
        properties=b"{}",
        traits=b"{}",
        context=b"{}",
        integrations=b"{}",
        request=FACTS,
        order_key="u",
        fingerprint=position * 0x9E37_79B9_7F4A_7C15 % 2**64,
    )


def batches(rng: np.random.Generator, base: int, size: int) -> list[list[Event]]:
    """Fresh random ids; every fiftieth event repeats one of the batch before."""
    made: list[list[Event]] = []
    for nth in range(ROUNDS):
        ids = [f"node-{rng.bytes(16).hex()}" for _ in range(size)]
        if made:
            ids[::50] = [earlier.message_id for earlier in made[-1][1::50]]
        made.append([event(base + nth * size + place, text) for place, text in enumerate(ids)])
    return made


def fill(dedupe: Dedupe, rng: np.random.Generator, total: int, days: list[int]) -> float:
    """Remember `total` random ids, spread over days in order; returns ids per CPU second."""
    spent, position = 0.0, 0
    for day in days:
        for _ in range(total // len(days) // FRAME):
            keys = rng.integers(0, 2**64, (FRAME, 2), np.uint64)
            claims = np.arange(position, position + FRAME, dtype=np.uint64)
            memory = pack(Entries(np.full(FRAME, day, np.int64), keys, claims, keys[:, 1]))
            position += FRAME
            began = time.process_time()
            dedupe.remember(memory)
            spent += time.process_time() - began
    return position / spent if spent else 0.0


def private_bytes() -> int:
    """Anonymous memory of this process, without file pages; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def measure(folder: Path, total: int, days: list[int], size: int) -> dict[str, float]:
    shutil.rmtree(folder, ignore_errors=True)
    rng = np.random.default_rng(total + len(days))
    index = MappedIndex(folder)
    dedupe = Dedupe(index, 7, SECRET)
    before = private_bytes()
    rate = fill(dedupe, rng, total, days)
    grown = private_bytes() - before
    disk = sum(path.stat().st_blocks * 512 for path in folder.glob("*.ids"))
    tables = len(list(folder.glob("*.ids")))
    costs = []
    steps = [0.0, 0.0, 0.0]
    for events in batches(rng, 2**40, size):
        began = time.process_time()
        outcomes = dedupe.judge(list(events), SCOPE)
        dedupe.reconsider(events, outcomes, SCOPE)
        judged = time.process_time()
        memory = dedupe.learn(events, outcomes, SCOPE)
        learned = time.process_time()
        dedupe.remember(memory)
        ended = time.process_time()
        costs.append((ended - began) / size * 1e6)
        steps = [a + b for a, b in zip(steps, (judged - began, learned - judged, ended - learned), strict=True)]
    began = time.perf_counter()
    index.checkpoint(1)
    synced = time.perf_counter() - began
    index.close()
    return {
        "ids": total,
        "days": len(days),
        "batch": size,
        "tables": tables,
        "us_per_event": statistics.median(costs),
        "us_least": min(costs),
        "us_judge": steps[0] / ROUNDS / size * 1e6,
        "us_learn": steps[1] / ROUNDS / size * 1e6,
        "us_remember": steps[2] / ROUNDS / size * 1e6,
        "bytes_per_id": disk / total if total else 0.0,
        "rebuilt_per_cpu_second": rate,
        "private_mb_grown": grown / 1e6,
        "checkpoint_seconds": synced,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="where to put the index; a temporary folder unless told")
    parser.add_argument("--batch", type=int, default=1_000, help="events in a batch")
    options = parser.parse_args()
    week = list(range(TODAY - 6, TODAY + 1))
    cases = ((0, [TODAY]), (1_000_000, week), (1_000_000, [TODAY]), (20_000_000, week), (20_000_000, [TODAY]))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = [measure(Path(folder) / "ids", total, days, options.batch) for total, days in cases]
    if options.json:
        json.dump({"dedupe": rows, "peak_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}, sys.stdout)
        return
    print(*(f"{name:>12.12}" for name in rows[0]))
    for row in rows:
        print(*(f"{value:>12.3f}" if isinstance(value, float) else f"{value:>12}" for value in row.values()))


if __name__ == "__main__":
    main()
