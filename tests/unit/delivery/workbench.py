"""What lane tests build on: a log and a state in memory, events owed in frames, and a lane to a server that lies."""

import asyncio
import io
import random
import time
from collections.abc import Callable, Sequence

from msgspec import Raw

from customhouse.delivery.lane import Lane, Tools
from customhouse.delivery.reading.feed import Feed
from customhouse.delivery.sender import HttpSender
from customhouse.delivery.settle import Settler, marks, rejected, retrying
from customhouse.destinations.webhook import Webhook, WebhookConfig
from customhouse.ledger.books import balances, flows
from customhouse.log.memory import MemoryLog
from customhouse.model.contracts import no_fault
from customhouse.model.frames import OWED_TOPIC, OwedFrame, OwedRecord, decode_receipt, encode
from customhouse.model.outcome import Versions
from customhouse.state.memory import MemoryState
from customhouse.telemetry.logs import open_log
from customhouse.telemetry.measure import Meter
from customhouse.testing.builders import event

QUICK = {
    "linger_seconds": 0.0,
    "retry_base_seconds": 0.004,
    "retry_cap_seconds": 0.02,
    "breaker_seconds": 0.05,
    "timeout_seconds": 2.0,
}


def now() -> int:
    return time.time_ns() // 1000


class Bench:
    """One house without a pipeline: the tests say what is owed."""

    def __init__(self, name: str = "crm") -> None:
        self.name = name
        self.log = MemoryLog()
        self.state = MemoryState()
        self.log_text = io.StringIO()
        self.fault = no_fault
        self.now: Callable[[], int] = now
        self._totals: dict[int, dict[str, int]] = {}
        self._next = 1

    def owe(self, count: int = 0, *, keys: Sequence[str] = (), partition: int = 0, to=("crm",), at=None, **changes):
        """Owe events in one frame; return their message ids."""
        chosen = list(keys) or [f"person-{self._next + nth}" for nth in range(count)]
        events = []
        for key in chosen:
            events.append(event(position=self._next, anonymous_id=key, **changes))
            self._next += 1
        totals = self._totals.setdefault(partition, {})
        for name in to:
            totals[name] = totals.get(name, 0) + len(events)
        frame = OwedFrame(
            format=1, origin="received", partition=partition, first=0, last=0, total=0, now=at or now(),
            versions=Versions(), postings=[], memory={}, totals=dict(totals), trail=[], quarantined=[],
            owed=[OwedRecord(tuple(to), Raw(encode(each))) for each in events],
        )  # fmt: skip
        self.log.append(OWED_TOPIC, partition, encode(frame), len(events), now())
        return [each.message_id for each in events]

    def settler(self) -> Settler:
        settler = Settler(self.log, self.state, self.fault)
        settler.recover()
        return settler

    def lane(self, sender: HttpSender, url: str, **config) -> Lane:
        configuration = WebhookConfig(url=url, **{"batch_events": 10, **QUICK, **config})
        tools = Tools(
            feed=Feed(self.log),
            settler=self.settler(),
            sender=sender,
            now=self.now,
            chance=random.Random(1).random,
            fault=self.fault,
            logger=open_log("delivery", stream=self.log_text),
            meter=Meter("delivery"),
        )
        return Lane(self.name, Webhook(self.name, configuration), configuration, tools)

    def balance(self, account: str) -> int:
        """Return an account's balance, of what the lanes have posted."""
        return balances(flows(self.state)).get(account, 0)

    def rejected(self):
        return list(rejected(self.state, self.name, newest_first=False))

    def retrying(self):
        return list(retrying(self.state, self.name))

    def mark(self, partition: int = 0):
        return marks(self.state).get((self.name, partition))

    def receipts(self):
        return [decode_receipt(frame.body) for frame in self.log.read("receipts", 0, after=-1, limit=1 << 30)]


def sender() -> HttpSender:
    return HttpSender("test", lambda parent: parent)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something to become true; the limit only ends a test that has failed anyway."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.005)


class Running:
    """A lane at work, until the block ends."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane

    async def __aenter__(self) -> Lane:
        self._task = asyncio.create_task(self.lane.run())
        return self.lane

    async def __aexit__(self, *_) -> None:
        self.lane.stop()
        await self._task


class Killed(Running):
    """A lane at work that is cut off in the middle of whatever it does, as by SIGKILL."""

    async def __aexit__(self, *_) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
