"""
What the demo costs its own machine: CPU microseconds per event, of making the events and of sending them as SDKs do.

`make`: traffic, mistakes, JSON, packets and gzip, with no network. `send`: a whole run of `customhouse demo` at its
pace, against a process that reads each request and says yes; its CPU is not counted. The last column is what part of
a core the demo takes at that rate: it must stay under a half at 2,000 events per second.

    python bench/micro/demo.py [--seconds 5] [--rounds 3] [--json]
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from itertools import islice

import uvloop

from customhouse.demo.client import Target
from customhouse.demo.conduct import Drafts, Wishes, conduct
from customhouse.demo.mistakes import shares
from customhouse.demo.packets import Packer
from customhouse.model.secret import Secret

RATES = (50, 500, 2000)
START = 1_767_268_800_000_000
CALLS = 20_000
GATE = 0.5
"""Of a core, at the highest rate."""


class Yes(asyncio.Protocol):
    """Reads requests that say how long they are, and says yes to each."""

    def connection_made(self, transport):
        self.transport, self.data = transport, b""

    def data_received(self, data):
        self.data += data
        while True:
            head, end, rest = self.data.partition(b"\r\n\r\n")
            if not end:
                return
            at = head.lower().find(b"content-length: ")
            length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(rest) < length:
                return
            self.data = rest[length:]
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")


async def serve():
    server = await asyncio.get_running_loop().create_server(Yes, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


def wishes(rate, seconds):
    return Wishes(rate=rate, seconds=seconds, shares=shares("some"))


def make(rate):
    """Return CPU microseconds per event, and how many events a request holds."""
    packer, packets, began = Packer(rate), [], time.process_time()
    for nth, several in enumerate(islice(Drafts(wishes(rate, 0.0), START), CALLS)):
        for draft, offline in several:
            packets += packer.add(draft, nth / rate, offline=offline)
        packets += packer.ripe(nth / rate) if nth % 20 == 0 else []
    packets += packer.rest()
    for packet in packets:
        packet.body(START)
    events = sum(len(packet.pieces) for packet in packets)
    return (time.process_time() - began) / events * 1e6, events / len(packets)


def send(rate, seconds, port):
    """Return CPU microseconds per event of a run at its pace."""

    async def run():
        target = Target(f"http://127.0.0.1:{port}", Secret("bench"))
        return await conduct(target, wishes(rate, seconds), stop=asyncio.Event(), look=lambda *_: None)

    began = time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(run())
    assert report.acknowledged == report.sent, "every event is answered"
    return (time.process_time() - began) / report.sent * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run that sends")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return 0
    command = [sys.executable, __file__, "--serve"]
    rows = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline())
        for rate in RATES:
            made = [make(rate) for _ in range(options.rounds)]
            sent = statistics.median(send(rate, options.seconds, port) for _ in range(options.rounds))
            rows.append(
                {
                    "rate": rate,
                    "events_per_request": round(made[0][1], 1),
                    "make_us": round(statistics.median(cost for cost, _ in made), 1),
                    "send_us": round(sent, 1),
                    "of_a_core": round(sent * rate / 1e6, 3),
                }
            )
        server.stdin.close()
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print(f"{'events/s':>9} {'per request':>12} {'make µs':>9} {'make and send µs':>17} {'of a core':>10}")
        for row in rows:
            print("{:>9} {:>12} {:>9} {:>17} {:>10.1%}".format(*row.values()))
    return int(rows[-1]["of_a_core"] > GATE)


if __name__ == "__main__":
    sys.exit(main())
