"""
The load, as a process of its own whose CPU is not counted: keep-alive connections that send when they have their answer.

    python -m bench.client --port 8080 --kind single --seconds 3
    python -m bench.client --port 8080 --kind gzip --events 1000000 --connections 8
    python -m bench.client --port 8080 --kind batch --rate 1000 --size 10 --seconds 20 --acks FILE

Says `ready` when its requests are prepared, starts when it reads a line, and ends with a line of JSON.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from bench import load
from bench.units import quantile

_STAMPS = 50
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


class Caller(asyncio.Protocol):
    """One connection: sends its next request when it has its answer and `more` has another."""

    def __init__(self, more: Callable[[], bytes | None], answered: Callable[[float, float], None]) -> None:
        """`more` makes requests; `answered` is told when each was sent and answered."""
        self._more = more
        self._answered = answered
        self._part = b""
        self._ended = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take an answer, in however many pieces it comes; anything but a yes ends the measurement."""
        answer = self._part = self._part + data if self._part else data
        end = answer.find(b"\r\n\r\n")
        length = _LENGTH.search(answer, 0, end) if end >= 0 else None
        if length is None or len(answer) < end + 4 + int(length[1]):
            return
        self._part = b""
        if not answer.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(answer[:300].decode(errors="replace")))
            self._transport.abort()
            return
        self._answered(self._at, time.perf_counter())
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """Let the measurement end."""
        if self.done.done():
            return
        if self._ended:
            self.done.set_result(None)
        else:
            self.done.set_exception(error or ConnectionError("the server hung up"))

    def _send(self) -> None:
        request = self._more()
        if request is None:
            self._ended = True
            self._transport.close()
            return
        self._at = time.perf_counter()
        self._transport.write(request)


class Supply:
    """Requests until time or events are up."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Prepare what can be prepared."""
        self._options = options
        self._sent = 0
        self._until = float("inf")
        self._nth = 0
        self._prepared = _prepared(options) if not options.events else []
        self._stamps = [load.Stamp(load.events(options.size, nth), options.seed + nth) for nth in range(8)]

    def start(self) -> None:
        """Let the time run."""
        if self._options.seconds:
            self._until = time.perf_counter() + self._options.seconds

    def next(self) -> bytes | None:
        """Return one more request, or None at the end."""
        self._nth += 1
        if self._prepared:
            return self._prepared[self._nth % len(self._prepared)] if time.perf_counter() < self._until else None
        if self._sent >= self._options.events:
            return None
        self._sent += self._options.size
        body = self._stamps[self._nth % len(self._stamps)].press()
        return load.gzipped(body, 1) if self._options.kind == "gzip" else load.plain(body)


def _prepared(options: argparse.Namespace) -> list[bytes]:
    if options.kind == "single":
        return [load.single(event) for event in load.events(2000)]
    wrap = load.gzipped if options.kind == "gzip" else load.plain
    return [wrap(load.batch(load.events(options.size, seed))) for seed in range(64)]


async def as_fast_as_possible(options: argparse.Namespace) -> dict[str, Any]:
    """Send over all connections, each waiting for its own answers."""
    supply, taken = Supply(options), list[float]()
    await _go()
    supply.start()
    began = time.perf_counter()
    await _call(options, supply.next, lambda sent, at: taken.append(at - sent))
    return {"requests": len(taken), "seconds": time.perf_counter() - began, **_milliseconds(taken)}


async def steadily(options: argparse.Namespace) -> dict[str, Any]:
    """
    Send a batch at every beat, whatever the answers; note when each id was acknowledged.

    Waits count from the beat, also when all connections were busy then.
    """
    stamps = [load.Stamp(load.events(options.size, nth), options.seed * _STAMPS + nth) for nth in range(_STAMPS)]
    taken = list[float]()
    acks: list[tuple[str, float]] = []
    await _go()
    loop, began, tasks = asyncio.get_running_loop(), time.perf_counter(), set[asyncio.Task[None]]()
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(options.connections):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", options.port))

    async def send(body: bytes, ids: list[str], due: float) -> None:
        reader, writer = await free.get()
        writer.write(load.plain(body))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode())
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        taken.append(time.perf_counter() - due)
        at = time.time()
        acks.extend((each, at) for each in ids)
        free.put_nowait((reader, writer))

    for beat in range(int(options.seconds * options.rate / options.size)):
        due = began + beat * options.size / options.rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        stamp = stamps[beat % _STAMPS]
        task = loop.create_task(send(stamp.press(), stamp.latest(), due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    await loop.run_in_executor(None, Path(options.acks).write_text, json.dumps(acks))
    return {"requests": len(taken), "seconds": time.perf_counter() - began, **_milliseconds(taken)}


async def _go() -> None:
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def _call(
    options: argparse.Namespace, more: Callable[[], bytes | None], answered: Callable[[float, float], None]
) -> None:
    loop = asyncio.get_running_loop()
    callers = []
    for _ in range(options.connections):
        _, caller = await loop.create_connection(lambda: Caller(more, answered), "127.0.0.1", options.port)
        callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))


def _milliseconds(taken: list[float]) -> dict[str, float]:
    return {"p50_ms": quantile(taken, 0.5) * 1000, "p99_ms": quantile(taken, 0.99) * 1000, "most_ms": max(taken) * 1000}


def main() -> None:
    """Send what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--kind", choices=("single", "batch", "gzip"), default="single")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--size", type=int, default=load.BATCH, help="events in a batch")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--events", type=int, default=0, help="so many, all different")
    parser.add_argument("--rate", type=float, default=0.0, help="events per second, sent steadily")
    parser.add_argument(
        "--seed", type=int, default=99, help="keeps the ids of several clients apart (with --rate or --events)"
    )
    parser.add_argument("--acks", help="file for the time of each acknowledgement")
    options = parser.parse_args()
    said = uvloop.run(steadily(options) if options.rate else as_fast_as_possible(options))
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
