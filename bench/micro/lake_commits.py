"""
What one commit of the lake costs after 100, 1,000, 5,000 … of them: run `python bench/micro/lake_commits.py --commits 50000`.

Each round appends and tends, as the delivery process does; the figures are CPU and wall time of the last hundred rounds.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from customhouse.testing.builders import events
from customhouse.warehouses.lake import Lake, LakeConfig

MARKS = (100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--keep", type=float, default=60.0, help="seconds that merged files and old commits stay")
    options = parser.parse_args()
    batch = events(options.rows)
    print(f"{'commits':>8} {'append CPU ms':>14} {'append ms':>10} {'tend CPU ms':>12} {'worst ms':>9} {'RSS MB':>7}")
    with tempfile.TemporaryDirectory() as scratch:
        lake = Lake(Path(scratch), LakeConfig(keep_minutes=options.keep / 60))
        costs: list[tuple[float, float, float, float]] = []
        for number in range(1, options.commits + 1):
            costs = [*costs[-99:], _round(lake, batch, number)]
            if number in MARKS or number == options.commits:
                cpu, wall, tend, _ = (1000 * sum(column) / len(costs) for column in zip(*costs, strict=True))
                worst = 1000 * max(cost[3] for cost in costs)
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                print(f"{number:>8} {cpu:>14.2f} {wall:>10.2f} {tend:>12.2f} {worst:>9.1f} {memory:>7.0f}", flush=True)


def _round(lake, batch, number):
    cpu, wall = time.process_time(), time.perf_counter()
    lake.load(batch, 0, number, b"note")
    loaded_cpu, loaded_wall = time.process_time(), time.perf_counter()
    lake.tend()
    done = time.perf_counter()
    return loaded_cpu - cpu, loaded_wall - wall, time.process_time() - loaded_cpu, done - wall


if __name__ == "__main__":
    main()
