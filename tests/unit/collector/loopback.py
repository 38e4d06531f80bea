"""Real sockets on the loopback for the door's tests: servers that live as long as a block, and a client that sends bytes."""

import asyncio
import base64
import json
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvloop

from customhouse.collector.commit import Commit, Terms
from customhouse.collector.config import LimitsConfig, ListenConfig, SourceConfig
from customhouse.collector.door import About, Door
from customhouse.collector.http.server import Server
from customhouse.collector.serve import serve
from customhouse.collector.sources import Register
from customhouse.log.memory import MemoryLog
from customhouse.model.contracts import no_fault
from customhouse.model.frames import RECEIVED_TOPIC, decode_door
from customhouse.protocols.rudderstack import RudderStack
from customhouse.protocols.segment import Segment
from customhouse.wire.spec_batch import looks_like_rudderstack

KEY = "shop-key"


def on_loop(coroutine):
    """Run a test's coroutine on uvloop, and fail when anything failed unseen in a callback."""
    unseen = []

    async def watched():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        return await asyncio.wait_for(coroutine, 30)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(watched())
    assert unseen == []
    return result


async def until(condition):
    """Wait until something outside has happened; the test's own time-out ends the wait."""
    while not condition():  # noqa: ASYNC110 (nobody outside sets an event for us)
        await asyncio.sleep(0.005)


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """One connection, spoken to in bytes."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head=False):
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {}
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        status = int(lines[0].split()[1])
        length = 0 if head or status == 100 else int(headers["content-length"])
        return Answer(status, headers, await self.reader.readexactly(length))

    async def ask(self, data, **options):
        await self.send(data)
        return await self.answer(**options)

    async def rest(self):
        """Return everything up to the end of the connection."""
        try:
            return await self.reader.read(-1)
        except ConnectionError:
            return b""

    def close(self):
        self.writer.close()

    def reset(self):
        """Leave so that the other side hears of it at once."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def get(path="/", *headers, version="1.1", method="GET"):
    return "\r\n".join((f"{method} {path} HTTP/{version}", "Host: x", *headers, "", "")).encode()


def post(path, body, *headers, host="x"):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = (f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def basic(key=KEY):
    return "Authorization: Basic " + base64.b64encode(f"{key}:".encode()).decode()


def track(name="Bought", **more):
    return {"type": "track", "event": name, "anonymousId": "anna", "messageId": "m-1", "properties": {}, **more}


@asynccontextmanager
async def http(host, **listen):
    """Serve a bare host."""
    server = Server(host, ListenConfig(**listen))
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    server.start()
    try:
        yield listening.sockets[0].getsockname()[1], server
    finally:
        listening.close()
        await server.drain()


@dataclass
class House:
    """A door that is open."""

    port: int
    door: Door
    commit: Commit
    log: MemoryLog
    stop: asyncio.Event
    served: asyncio.Task = field(repr=False)

    async def ask(self, data, **options):
        client = await Client.to(self.port)
        try:
            return await client.ask(data, **options)
        finally:
            client.close()

    def frames(self, partition=0):
        return self.log.read(RECEIVED_TOPIC, partition, after=-1, limit=1 << 30)

    def door_frames(self, partition=0):
        return [decode_door(frame.body) for frame in self.frames(partition)]

    def envelopes(self, partition=0):
        return [envelope for frame in self.door_frames(partition) for envelope in frame.envelopes]

    def refusals(self):
        """Return how many requests were refused: by source and account."""
        found = {}
        for frame in self.door_frames():
            for p in frame.postings:
                found[p.source, p.moved_to] = found.get((p.source, p.moved_to), 0) + p.count
        return found

    async def close(self):
        self.stop.set()
        await self.served


@asynccontextmanager
async def house(log=None, *, sources=None, limits=None, terms=None, listen=None, fault=no_fault, about=None, host=None):
    """Open a whole door on a memory log, with both families."""
    log = log if log is not None else MemoryLog()
    sources = sources or {"shop": SourceConfig(write_key=KEY)}
    commit = Commit(log, terms or Terms(tick=0.02), fault=fault)
    register = Register(sources, limits or LimitsConfig(), 7)
    recognisers = {"rudderstack": looks_like_rudderstack}
    door = Door((Segment(), RudderStack()), commit, register, recognisers=recognisers, about=about or About())
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    listening = listen or ListenConfig(port=0)
    served = asyncio.ensure_future(serve(listening, host(door) if host else door, commit, stop, ready.set_result))
    await asyncio.wait((ready, served), return_when=asyncio.FIRST_COMPLETED)
    if served.done():
        served.result()
    opened = House(ready.result(), door, commit, log, stop, served)
    try:
        yield opened
    finally:
        await opened.close()
