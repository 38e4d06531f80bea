"""One run of the demo from the first event to the report: traffic, mistakes, packets, pace and client put together."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from customhouse.demo.client import Client, Note, Target
from customhouse.demo.mistakes import Mischief
from customhouse.demo.pace import Pace
from customhouse.demo.packets import Packer, Packet
from customhouse.demo.tally import Report, Slip, Tally
from customhouse.demo.traffic import Habits, Timing, traffic
from customhouse.demo.wire import Draft, Piece, Scribe

_TICK = 0.01
_LOOK_SECONDS = 0.25
_GRACE = 10.0
"""Seconds that requests under way have to finish after Ctrl-C."""
_BURST = 200
"""Events made in one go, before answers are listened to again."""


class Wishes(Struct, frozen=True, kw_only=True):
    """What somebody wants of a run."""

    rate: float = 50.0
    """Events per second."""
    seconds: float = 60.0
    """How long; 0 until it is stopped, or until `events` are sent."""
    events: int = 0
    """How many; 0 as many as fit into the time."""
    seed: int = 1
    families: tuple[str, ...] = ("segment", "rudderstack")
    """Whose SDKs to speak like."""
    shares: Mapping[str, float]
    """Of each mistake, by name."""
    history: float = 0.0
    """Seconds of the past over which the events are spread."""
    in_flight: int = 64
    """Requests under way at once."""
    patience: float = 120.0
    """Seconds after which a request nobody answers is given up."""


class Drafts:
    """The stream of events as their SDKs wrote them, mistakes included. Pure: the same wishes and start, the same stream."""

    def __init__(self, wishes: Wishes, start: int) -> None:
        """Begin at `start`, in microseconds since 1970."""
        self.mischief = Mischief(wishes.seed, wishes.shares)
        count = Pace(wishes.rate, wishes.seconds, wishes.events).total
        timing = Timing(start, wishes.rate, wishes.history, count)
        self._traffic = traffic(wishes.seed, timing, Habits(wishes.families, self.mischief.unlinked))
        self._scribe = Scribe(wishes.seed, start, wishes.families)

    def __iter__(self) -> Iterator[list[tuple[Draft, bool]]]:
        """Yield for each call of the shop what is sent for it, with the word whether its device is offline."""
        for happening in self._traffic:
            yield list(self.mischief.spoil(self._scribe.draft(happening)))


async def conduct(
    target: Target,
    wishes: Wishes,
    *,
    stop: asyncio.Event,
    look: Callable[[Tally, int], None],
    receipts: Path | None = None,
) -> Report:
    """
    Run the demo and return its report; `look` is called a few times a second with the tally and the planned total.

    `stop` ends it early. `receipts` names a file that gets one line per acknowledged request. Raises Unavailable when
    nobody listens at the start.
    """
    tally = Tally()
    with _slips(receipts) as note:
        async with Client(target, tally, wishes.in_flight, wishes.patience, note) as client:
            await client.reach()
            began = time.monotonic()
            run = _Run(wishes, client, stop)
            beside = [
                asyncio.create_task(_watch(tally, run.pace.total, look)),
                asyncio.create_task(_close(client, stop)),
            ]
            try:
                await run.send(began)
                await client.drain()
            finally:
                for task in beside:
                    task.cancel()
            seconds = time.monotonic() - began
    look(tally, run.pace.total)
    return tally.report(target.url, seconds)


class _Run:
    """The sending half of a run."""

    def __init__(self, wishes: Wishes, client: Client, stop: asyncio.Event) -> None:
        self.pace = Pace(wishes.rate, wishes.seconds, wishes.events)
        self._packer = Packer(wishes.rate)
        self._drafts = Drafts(wishes, time.time_ns() // 1000)
        self._client = client
        self._stop = stop

    async def send(self, began: float) -> None:
        """Send events as they are due, until it is over or somebody stops it."""
        made, stream = 0, iter(self._drafts)
        while not self._stop.is_set() and not self._client.denied:
            elapsed = time.monotonic() - began
            if self.pace.over(made, elapsed):
                break
            for _ in range(min(_BURST, self.pace.due(elapsed) - made)):
                made += 1
                await self._take(next(stream), elapsed)
            for packet in self._packer.ripe(elapsed):
                await self._submit(packet)
            # Behind the pace there is no time to sleep, but answers must be heard.
            behind = made < self.pace.due(time.monotonic() - began)
            await asyncio.sleep(0 if behind else _TICK)
        for packet in self._packer.rest():
            await self._submit(packet)

    async def _take(self, drafts: Sequence[tuple[Draft, bool]], elapsed: float) -> None:
        for draft, offline in drafts:
            for packet in self._packer.add(draft, elapsed, offline=offline):
                await self._submit(packet)

    async def _submit(self, packet: Packet) -> None:
        await self._client.submit(packet)
        if packet.clean and self._drafts.mischief.resent():
            await self._client.submit(packet.again())


async def _close(client: Client, stop: asyncio.Event) -> None:
    """After Ctrl-C, hear out what is under way for a while, and then wait for no further try."""
    await stop.wait()
    await asyncio.sleep(_GRACE)
    client.hurry()


async def _watch(tally: Tally, total: int, look: Callable[[Tally, int], None]) -> None:
    while True:
        look(tally, total)
        await asyncio.sleep(_LOOK_SECONDS)


@contextmanager
def _slips(path: Path | None) -> Iterator[Note | None]:
    """Give what writes receipts into a file, a line for each acknowledged request."""
    if path is None:
        yield None
        return
    encode = msgspec.json.Encoder().encode
    # Unbuffered: what was acknowledged stands there even if this process is killed.
    with path.open("wb", buffering=0) as file:

        def note(receipt: str, pieces: Sequence[Piece]) -> None:
            file.write(encode(Slip(receipt, [piece.message_id for piece in pieces])) + b"\n")

        yield note
