"""
What a durable event costs in the embedded log, and whether recycled segments would pay.

    python bench/micro/log_append.py [--rounds 5] [--folder DIR] [--json]

Prints CPU µs per event (user and system time of this process, median of the rounds) and the wall time of one append.
Bodies are ready-made bytes of 1.2 KB per event: encoding is measured elsewhere. The variants take turns within a round,
because a shared machine changes from minute to minute.

    embedded    EmbeddedLog as it is: new bytes at the end of the file, mark, everything
    append      only its write and sync: the floor for a file that grows
    recycled    the same, over the bytes of a file written before and still in memory
    recycled*   the same, but the old bytes have left memory, as those of a pool larger than memory do
    prewriting  what filling a fresh segment with zeros costs, once for each file of the pool
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from customhouse.log.embedded import EmbeddedLog
from customhouse.log.files import sync
from customhouse.log.segment import FILE_HEADER, pack
from customhouse.model.contracts import Frame

EVENT_BYTES = 1_200
SHAPES = {640: 40, 64: 400, 1: 2_000}
"""Events per frame, and frames per round."""
GENERATION = 4_711


def clocked(work, events, appends):
    """Return CPU µs per event and wall ms per append."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {
        "cpu": (time.process_time() - cpu) / events * 1e6,
        "wall": (time.perf_counter() - wall) / appends * 1e3,
    }


def append_raw(path, bodies, count):
    """Write frames one behind the other, each made durable."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    offset = FILE_HEADER
    for n, body in enumerate(bodies):
        offset += os.pwritev(fd, (pack(Frame(n * count, count, n * count, n, body), GENERATION), body), offset)
        sync(fd)
    os.close(fd)


def prewrite(path, size):
    """Fill a file with zeros, durably."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    zeros = bytes(1 << 20)
    for offset in range(0, size, len(zeros)):
        os.pwrite(fd, zeros, offset)
    sync(fd)
    os.close(fd)


def forget(path):
    """Let the page cache drop the file."""
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def read_all(log):
    after = -1
    while frames := log.read("t", 0, after=after, limit=1 << 20):
        after = frames[-1].last
    return after


def measure(folder, count, frames):
    """Run every variant once; return figures by variant."""
    bodies = [os.urandom(count * EVENT_BYTES) for _ in range(8)] * (frames // 8)
    events = len(bodies) * count
    found = {}
    log = EmbeddedLog(folder / "log")

    def append_all():
        for n, body in enumerate(bodies):
            log.append("t", 0, body, count, n)

    found["embedded"] = clocked(append_all, events, len(bodies))
    reader = EmbeddedLog(folder / "log")
    found["read back"] = clocked(lambda: read_all(reader), events, len(bodies))
    after = log.last("t", 0).last
    polls = 20_000
    found["idle poll"] = clocked(
        lambda: [reader.read("t", 0, after=after, limit=1) for _ in range(polls)], polls, polls
    )
    log.close()
    reader.close()
    found["append"] = clocked(lambda: append_raw(folder / "append", bodies, count), events, len(bodies))
    size = events * EVENT_BYTES + len(bodies) * 64 + FILE_HEADER
    pool = folder / "pool"
    found["prewriting"] = clocked(lambda: prewrite(pool, size), events, len(bodies))
    found["recycled"] = clocked(lambda: append_raw(pool, bodies, count), events, len(bodies))
    if hasattr(os, "posix_fadvise"):
        forget(pool)
        found["recycled*"] = clocked(lambda: append_raw(pool, bodies, count), events, len(bodies))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: the system's temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {count: [] for count in SHAPES}
    for _ in range(options.rounds):
        for count, frames in SHAPES.items():
            folder = Path(tempfile.mkdtemp(dir=options.folder))
            try:
                results[count].append(measure(folder, count, frames))
            finally:
                shutil.rmtree(folder)
    table = [
        {
            "events per frame": count,
            "variant": variant,
            "cpu_us_per_event": round(statistics.median(r[variant]["cpu"] for r in rounds), 2),
            "lowest": round(min(r[variant]["cpu"] for r in rounds), 2),
            "wall_ms_per_append": round(statistics.median(r[variant]["wall"] for r in rounds), 4),
        }
        for count, rounds in results.items()
        for variant in rounds[0]
    ]
    if options.json:
        print(json.dumps(table, indent=1))
        return
    print(f"{'events/frame':>12}  {'variant':<11} {'CPU µs/event':>12} {'lowest':>8} {'wall ms/append':>15}")
    for row in table:
        print("{:>12}  {:<11} {:>12.2f} {:>8.2f} {:>15.4f}".format(*row.values()))


if __name__ == "__main__":
    main()
