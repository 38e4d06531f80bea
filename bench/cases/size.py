"""
At size: how long somebody waits for an answer when ten million events are stored (see `bench.store` for what they are).

Everything is asked as people ask: the command line from the start of Python to its end, the console's first byte over
HTTP, while a whole house runs on the store and its newest events came through the door. Seconds on the wall, because
that is what somebody waits; the processor's beside them, for a machine that others keep busy. Every round asks for other
events, old ones and new ones.
"""

import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.calls import call
from bench.house import House, opened, workspace
from bench.store import prepare, samples
from bench.units import Scale, within

_LIVE = 20_000
_OVERVIEW = "/"
_PAUSE = 1.1
"""Seconds between two looks at the console, which keeps what it counted for one."""


def rounds(scale: Scale) -> Iterator[dict[str, float]]:
    """Prepare the store, run a house on it, and ask."""
    total = scale.of(10_000_000, 1_000_000)
    with TemporaryDirectory(dir=scale.scratch) as folder:
        place, began = workspace(Path(folder)), time.monotonic()
        past = prepare(place, total)
        facts = {"size.prepared": time.monotonic() - began, "size.disk": _bytes(place.lake) / 1e9}
        with opened(place) as house:
            _live(house)
            for event, message in samples(past, scale.of(7, 3)):
                yield {
                    **facts,
                    **_ask(house, "trace.event", event, "trace", event),
                    **_ask(house, "trace.message", event, "trace", message),
                    **_ask(house, "trace.unknown", "", "trace", f"no-{message}", code=1),
                    **_ask(house, "balance", "unaccounted: 0", "balance"),
                    **_overview(house),
                }


def _live(house: House) -> None:
    """Let the newest events come as they always do."""
    owed = house.owed() + _LIVE
    with call(house.port("collector"), "batch", size=10, events=_LIVE, connections=4) as client:
        client.start()
        client.end()
    within(60, lambda: house.owed() >= owed and house.delivered(), "events in the lake", pause=0.1)


def _ask(house: House, name: str, expected: str, *arguments: str, code: int = 0) -> dict[str, float]:
    """Return the milliseconds of a command, which must say what is expected: on the wall, and of the processor."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    told = house.command(*arguments, code=code)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if expected not in told:
        raise RuntimeError(f"{arguments[0]} did not find what is there")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {f"size.{name}": took * 1000, f"size.{name}.cpu": spent * 1000}


def _overview(house: House) -> dict[str, float]:
    """Return the milliseconds to the first byte of the console's first page; nothing while it has none."""
    time.sleep(_PAUSE)
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", house.port("console")), timeout=30) as connection:
        connection.sendall(f"GET {_OVERVIEW} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        status = connection.recv(16)
    took = time.perf_counter() - began
    return {"size.overview": took * 1000} if status.split()[1] == b"200" else {}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))
