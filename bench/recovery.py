"""
How long a house takes to be itself again after every process of it was killed at once.

    python -m bench.recovery [--stored 1000000] [--waiting 100000]

A house takes in and delivers `stored` events. Then its pipeline and delivery are stopped (SIGSTOP), so that what comes
waits in the log; when `waiting` events wait there, everything is killed (SIGKILL) and `customhouse run` is started
again. Measured from that start, Python's included: until the door answers 200 to an event, until every process says
that it is ready, and until everything that waited is judged and in the lake. `_cpu` are CPU
seconds up to there, of supervisor and door, and of all: they say what a busy machine hides. The books must balance in
the end. What a power cut adds, the disk's own recovery, is not in it: the page cache survives a kill.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from bench import load
from bench.calls import call
from bench.house import House, opened, workspace
from bench.units import cpu_of, machine, others_busy, within
from customhouse.app.process import KINDS, announcement
from customhouse.app.workspace import Workspace

_RUN = (sys.executable, "-m", "customhouse.cli.main", "run")


def main() -> None:
    """Fill, stop, fill, kill, start, and tell."""
    options = _options()
    facts = machine() | {"others": f"{others_busy():.1f} cores busy at the start"}
    with TemporaryDirectory(prefix="customhouse-recovery-", dir=options.folder) as scratch:
        place = workspace(Path(scratch))
        said = yaml.safe_load(place.config_file.read_text())
        said["listen"] = {"port": _free_port()}  # the same one after the kill, as it would be
        place.config_file.write_text(yaml.safe_dump(said))
        _fill(place, options.stored)
        killed = _fill_and_kill(place, options.waiting)
        figures = _recover(place, killed)
    told = {"machine": facts, "stored": options.stored, "waiting": options.waiting, "seconds": figures}
    print(json.dumps(told, indent=1))


def _fill(place: Workspace, events: int) -> None:
    """Take events in and deliver them."""
    with opened(place) as house:
        _send(house, events)
        within(900, lambda: house.owed() >= events and house.delivered(), "events in the lake", pause=0.2)


def _fill_and_kill(place: Workspace, events: int) -> int:
    """Let events wait in the log, kill everything, and return how many the door had acknowledged in all."""
    with _killable(place) as house:
        for kind in ("pipeline", "delivery"):
            os.kill(house.pids[kind], signal.SIGSTOP)
        _send(house, events, seed=50)
        received = house.received()
        for pid in house.pids.values():
            os.kill(pid, signal.SIGKILL)
    return received


def _recover(place: Workspace, received: int) -> dict[str, float]:
    """Start again and return the seconds to each step."""
    began = time.monotonic()
    figures: dict[str, float] = {}
    with _killable(place, wait=False) as house:
        port = yaml.safe_load(place.config_file.read_text())["listen"]["port"]
        within(120, lambda: _answers(port), "the door answers", pause=0.01)
        figures["door"] = time.monotonic() - began
        house.pids |= house.announced()
        figures["door_cpu"] = sum(cpu_of([house.pids[kind]]) for kind in ("supervisor", "collector"))
        within(120, lambda: all(announcement(place, kind) for kind in KINDS), "every process is ready")
        figures["ready"] = time.monotonic() - began
        within(600, lambda: house.judged() >= received, "what waited is judged", pause=0.05)
        figures["judged"] = time.monotonic() - began
        within(600, house.delivered, "what waited is in the lake", pause=0.05)
        figures["delivered"] = time.monotonic() - began
        house.pids |= house.announced()
        figures["delivered_cpu"] = sum(house.cpu().values())
        within(60, lambda: _balanced(house), "the books balance", pause=0.5)
        os.kill(house.pids["supervisor"], signal.SIGTERM)
    return {name: round(value, 2) for name, value in figures.items()}


@contextmanager
def _killable(place: Workspace, *, wait: bool = True) -> Iterator[House]:
    """Run the house; whoever leaves has killed it, or told it to end."""
    for kind in KINDS:
        (place.run / f"{kind}.json").unlink(missing_ok=True)
    said = ["--workspace", str(place.root), "--data", str(place.data)]
    supervisor = subprocess.Popen([*_RUN, *said], stdout=subprocess.DEVNULL)
    house = House(place, {"supervisor": supervisor.pid})
    try:
        if wait:
            within(60, lambda: len(house.announced()) == len(KINDS), "the house is open")
            house.pids |= house.announced()
        yield house
        supervisor.wait(120)
    finally:
        supervisor.kill()
        supervisor.wait(10)


def _send(house: House, events: int, seed: int = 0) -> None:
    """Send events as fast as the door takes them."""
    with call(house.port("collector"), "gzip", events=events, connections=8, seed=seed) as client:
        client.start()
        client.end()


def _answers(port: int) -> bool:
    """Tell whether the door takes an event."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(load.single(load.events(1, seed=99)[0]))
            return connection.recv(16).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _balanced(house: House) -> bool:
    books: dict[str, Any] = json.loads(house.command("balance", "--json"))
    return books["unaccounted"] == 0 and not books["in_flight"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.recovery", description=__doc__.splitlines()[1])
    parser.add_argument("--stored", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--folder", help="where the house stands; the system's temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
