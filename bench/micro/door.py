"""
What the door costs: CPU microseconds per event of the server process, acknowledged only when durable.

The load comes from a second process whose CPU is not counted: 64 keep-alive connections, each sending its next request
when it has its answer. Rounds of the scenarios take turns, so that a neighbour's noise falls on all of them; the median
counts. The unit beside it is one generic JSON decode of the same events on the same machine.

    python bench/micro/door.py [--seconds 3] [--rounds 5] [--connections 64] [--memory] [--json]
"""

import argparse
import asyncio
import base64
import gc
import gzip
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import msgspec
import uvloop

from customhouse.collector.commit import Commit, Terms
from customhouse.collector.config import LimitsConfig, ListenConfig, SourceConfig
from customhouse.collector.door import Door
from customhouse.collector.serve import serve
from customhouse.collector.sources import Register
from customhouse.log.embedded import EmbeddedLog
from customhouse.log.memory import MemoryLog
from customhouse.model.contracts import Frame
from customhouse.protocols.rudderstack import RudderStack
from customhouse.protocols.segment import Segment
from customhouse.wire.spec_batch import looks_like_rudderstack

KEY = "bench-key"
GATES = {"single": 30.0, "batch": 5.5, "gzip": 8.0}
GOALS = {"single": 25.0, "batch": 4.5, "gzip": None}
BATCH = 100


# The server's side.


class Forgetful(MemoryLog):
    """A log that keeps nothing: what is left is the cost of the door itself."""

    def append(self, topic, partition, body, count, at, key=b""):
        self._frames.clear()
        return super().append(topic, partition, body, count, at, key) if count < 0 else Frame(0, count, 0, at, b"")


async def run_server(folder: str) -> None:
    """Serve until told to stop; answer each line on standard input with the CPU seconds used so far."""
    log = EmbeddedLog(Path(folder)) if folder else Forgetful()
    register = Register({"bench": SourceConfig(write_key=KEY)}, LimitsConfig(), 1)
    commit = Commit(log, Terms(folder=Path(folder) if folder else None))
    recognisers = {"rudderstack": looks_like_rudderstack}
    door = Door((Segment(), RudderStack()), commit, register, recognisers=recognisers)
    stop = asyncio.Event()

    def heard() -> None:
        if not sys.stdin.readline():
            stop.set()
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, flush=True)

    def ready(port: int) -> None:
        asyncio.get_running_loop().add_reader(sys.stdin, heard)
        gc.collect()
        gc.freeze()
        print(port, flush=True)

    await serve(ListenConfig(port=0), door, commit, stop, ready)
    log.close()


# The client's side.


def event(rng: random.Random) -> dict:
    return {
        "type": "track",
        "event": f"Event {int(rng.paretovariate(1.1)) % 100}",
        "messageId": str(uuid.UUID(int=rng.getrandbits(128))),
        "anonymousId": str(uuid.UUID(int=rng.getrandbits(128))),
        "userId": f"user-{rng.randrange(100_000)}",
        "timestamp": "2026-11-22T10:11:12.345678+00:00",
        "context": {"library": {"name": "analytics-python", "version": "2.4.0"}, "locale": "en-GB"},
        "integrations": {},
        "properties": {
            "order_id": f"o-{rng.randrange(10**9)}",
            "affiliation": "web shop",
            "total": round(rng.uniform(1, 500), 2),
            "revenue": round(rng.uniform(1, 500), 2),
            "shipping": 4.9,
            "tax": round(rng.uniform(0, 50), 2),
            "discount": 0,
            "coupon": "WINTER",
            "currency": "EUR",
            "checkout_id": str(uuid.UUID(int=rng.getrandbits(128))),
            "path": "/checkout/thank-you/and/come/again",
            "products": [
                {
                    "product_id": f"p-{rng.randrange(10**6)}",
                    "sku": f"SKU-{rng.randrange(10**6)}",
                    "name": "A thing with a rather long name that sells",
                    "price": round(rng.uniform(1, 100), 2),
                    "quantity": rng.randrange(1, 5),
                    "category": "Things",
                }
                for _ in range(3)
            ],
        },
    }


def request(path: str, body: bytes, *extra: str) -> bytes:
    basic = base64.b64encode(f"{KEY}:".encode()).decode()
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1:8080",
        "User-Agent: analytics-python/2.4.0",
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        "Connection: keep-alive",
        "Content-Type: application/json",
        f"Authorization: Basic {basic}",
        f"Content-Length: {len(body)}",
        *extra,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def prepared(scenario: str) -> list[bytes]:
    rng = random.Random(7)
    if scenario == "single":
        return [request("/v1/track", json.dumps(event(rng)).encode()) for _ in range(2000)]
    found = []
    for _ in range(64):
        body = {"batch": [event(rng) for _ in range(BATCH)], "sentAt": "2026-11-22T10:11:12.345678+00:00"}
        raw = json.dumps(body, separators=(",", ":")).encode()
        if scenario == "gzip":
            found.append(request("/v1/batch", gzip.compress(raw, 6), "Content-Encoding: gzip"))
        else:
            found.append(request("/v1/batch", raw))
    return found


class Caller(asyncio.Protocol):
    """Sends its next request when it has its answer."""

    answered = 0
    until = 0.0
    taken: list[float] = []  # noqa: RUF012 (shared by all callers)

    def __init__(self, requests: list[bytes], nth: int, done: asyncio.Event) -> None:
        self.requests, self.nth, self.done = requests, nth, done

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.nth += 1
        self.at = time.perf_counter()
        self.transport.write(self.requests[self.nth % len(self.requests)])

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(data[:300])
        now = time.perf_counter()
        Caller.answered += 1
        Caller.taken.append(now - self.at)
        if now < Caller.until:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, exc) -> None:  # noqa: ARG002 (the transport's signature)
        self.done.set()


async def run_client(port: int, scenario: str, seconds: float, connections: int) -> None:
    requests = prepared(scenario)
    loop = asyncio.get_running_loop()
    print("prepared", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    Caller.until = time.perf_counter() + seconds
    waits = []
    for nth in range(connections):
        done = asyncio.Event()
        waits.append(done.wait())
        await loop.create_connection(lambda nth=nth, done=done: Caller(requests, nth * 31, done), "127.0.0.1", port)
    await asyncio.gather(*waits)
    print(json.dumps({"answered": Caller.answered, "ms": [1000 * q for q in quantiles(Caller.taken)]}), flush=True)


def quantiles(taken: list[float]) -> tuple[float, float]:
    ordered = sorted(taken)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


# The measurement.


def spawn(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, __file__, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def cpu(server: subprocess.Popen) -> float:
    server.stdin.write("cpu\n")
    return float(server.stdout.readline())


def one_round(scenario: str, options: argparse.Namespace) -> dict:
    """Measure one scenario against a fresh server and, unless in memory, a fresh log."""
    with tempfile.TemporaryDirectory() as folder:
        server = spawn("--serve", "" if options.memory else folder)
        port = server.stdout.readline().strip()
        client = spawn("--call", scenario, "--port", port, "--seconds", str(options.seconds))
        client.stdin.write(f"{client.stdout.readline()}\n")
        before, started = cpu(server), time.perf_counter()
        told = json.loads(client.stdout.readline())
        used, passed = cpu(server) - before, time.perf_counter() - started
        for process in (client, server):
            process.stdin.close()
            process.wait(30)
    events = told["answered"] * (1 if scenario == "single" else BATCH)
    return {"cpu": used / events * 1e6, "rate": events / passed, "p50": told["ms"][0], "p99": told["ms"][1]}


def unit() -> float:
    """Return the CPU microseconds of one generic decode of an event."""
    rng = random.Random(7)
    bodies = [json.dumps(event(rng)).encode() for _ in range(500)]
    rounds = []
    for _ in range(5):
        before = time.process_time()
        for body in bodies:
            msgspec.json.decode(body)
        rounds.append((time.process_time() - before) / len(bodies) * 1e6)
    return statistics.median(rounds)


def measure(options: argparse.Namespace) -> list[dict]:
    scenarios = options.scenario or list(GATES)
    rounds: dict[str, list[dict]] = {scenario: [] for scenario in scenarios}
    for _ in range(options.rounds):
        for scenario in scenarios:
            rounds[scenario].append(one_round(scenario, options))
    return [
        {
            "name": f"door.{scenario}",
            "cpu_us_per_event": statistics.median(found["cpu"] for found in rounds[scenario]),
            "best": min(found["cpu"] for found in rounds[scenario]),
            "events_per_second": statistics.median(found["rate"] for found in rounds[scenario]),
            "p50_ms": statistics.median(found["p50"] for found in rounds[scenario]),
            "p99_ms": statistics.median(found["p99"] for found in rounds[scenario]),
            "goal": GOALS[scenario],
            "gate": GATES[scenario],
        }
        for scenario in scenarios
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--call", metavar="SCENARIO", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--scenario", action="append", choices=list(GATES))
    parser.add_argument("--memory", action="store_true", help="without a log: the cost of the door alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    uvloop.install()
    if options.serve is not None:
        asyncio.run(run_server(options.serve))
        return 0
    if options.call:
        asyncio.run(run_client(options.port, options.call, options.seconds, options.connections))
        return 0
    decode = unit()
    results = measure(options)
    if options.json:
        print(json.dumps({"unit_us": decode, "results": results}))
    else:
        print(f"unit: generic msgspec.json.decode of one event {decode:.2f} µs")
        print(f"{'':12} {'µs/event':>9} {'best':>7} {'units':>7} {'events/s':>9} {'p50 ms':>7} {'p99 ms':>7} gate")
        for r in results:
            print(
                f"{r['name']:12} {r['cpu_us_per_event']:9.2f} {r['best']:7.2f} {r['cpu_us_per_event'] / decode:7.1f} "
                f"{r['events_per_second']:9.0f} {r['p50_ms']:7.2f} {r['p99_ms']:7.2f} {r['gate']:4}"
            )
    return int(not options.memory and any(r["cpu_us_per_event"] > r["gate"] for r in results))


if __name__ == "__main__":
    sys.exit(main())
