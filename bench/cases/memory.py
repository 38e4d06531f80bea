"""
Memory and endurance: five million events as fast as the house takes them, then what all its processes cost in memory.

Memory is the proportional share of each process without pages that are merely mapped from files, added up. The client
sends compressed batches over eight connections and never has more than these under way. Afterwards the books must say
that nothing is missing.
"""

import json
import time
from collections.abc import Iterator
from threading import Event, Thread

from bench.calls import call
from bench.house import House, whole
from bench.units import Scale, private_bytes, within

_MEGABYTE = 1024 * 1024


def rounds(scale: Scale) -> Iterator[dict[str, float]]:
    """Drive the events through, once."""
    events = scale.of(5_000_000, 300_000)
    with whole(scale.scratch) as house:
        watch = _Watch(house)
        with call(house.port("collector"), "gzip", events=events, connections=8) as client:
            before, began = house.cpu(), time.monotonic()
            client.start()
            client.end()
            accepted = time.monotonic() - began
        within(600, lambda: house.owed() >= events and house.delivered(), "events in the lake", pause=0.2)
        seconds, used = time.monotonic() - began, house.cpu()
        after, peak = watch.end()
        books = json.loads(house.command("balance", "--json"))
        if books["unaccounted"] != 0:
            raise RuntimeError(f"the books miss {books['unaccounted']} events")
        yield {
            "memory.after": sum(after.values()) / _MEGABYTE,
            "memory.peak": peak / _MEGABYTE,
            **{f"memory.{kind}": size / _MEGABYTE for kind, size in after.items()},
            "sustained.door.rate": events / accepted,
            "sustained.rate": events / seconds,
            "sustained": sum(used[kind] - before[kind] for kind in used) / events * 1e6,
            **{f"sustained.{kind}": (used[kind] - before[kind]) / events * 1e6 for kind in used},
        }


class _Watch:
    """Looks at the memory of a house now and then."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._peak = 0
        self._done = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def end(self) -> tuple[dict[str, int], int]:
        """Return what each process costs now, and the most they cost together."""
        self._done.set()
        self._thread.join()
        now = self._look()
        return now, self._peak

    def _run(self) -> None:
        while not self._done.wait(1.0):
            self._look()

    def _look(self) -> dict[str, int]:
        found = {kind: private_bytes(pid) for kind, pid in self._house.pids.items()}
        self._peak = max(self._peak, sum(found.values()))
        return found
