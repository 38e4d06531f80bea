"""The door: CPU per event of the collector process, each acknowledged only when durable; and a bare uvicorn beside it."""

import subprocess
import sys
from collections.abc import Iterator

from bench.calls import call
from bench.house import parts
from bench.load import BATCH
from bench.units import Scale, cpu_of

CONNECTIONS = 64


def rounds(scale: Scale) -> Iterator[dict[str, float]]:
    """Measure single events, batches, compressed batches and the peer, in turn."""
    seconds = scale.of(3, 1)
    with parts(scale.scratch, "collector") as house, _peer() as (peer, peer_port):
        port, pid = house.port("collector"), house.pids["collector"]
        for _ in range(scale.of(7, 3)):
            found: dict[str, float] = {}
            for kind, size in (("single", 1), ("batch", BATCH), ("gzip", BATCH)):
                cost, said = _cost(port, pid, kind, seconds)
                found[f"door.{kind}"] = cost / size
                found[f"door.{kind}.rate"] = said["requests"] * size / said["seconds"]
                found[f"door.{kind}.p99"] = said["p99_ms"]
            found["peer.single"], _ = _cost(peer_port, peer.pid, "single", seconds)
            found["peer.batch"] = _cost(peer_port, peer.pid, "batch", seconds)[0] / BATCH
            yield found


def _cost(port: int, pid: int, kind: str, seconds: float) -> tuple[float, dict[str, float]]:
    """Return the CPU microseconds of a request, and what the client saw."""
    with call(port, kind, seconds=seconds, connections=CONNECTIONS) as client:
        before = cpu_of([pid])
        client.start()
        said = client.end()
        return (cpu_of([pid]) - before) / said["requests"] * 1e6, said


class _peer:  # noqa: N801 -- reads as a function
    """Runs the peer."""

    def __enter__(self) -> tuple[subprocess.Popen[str], int]:
        self._process = subprocess.Popen([sys.executable, "-m", "bench.peer"], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        return self._process, int(self._process.stdout.readline())

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
