"""The demo sent through a real door on the loopback, and judged on the real road by the example shop's plan."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import uvloop

from customhouse.app.configuration import Configuration
from customhouse.app.road import Rules, road
from customhouse.collector.commit import Commit, Terms
from customhouse.collector.config import LimitsConfig, ListenConfig, SourceConfig
from customhouse.collector.door import Door
from customhouse.collector.serve import serve
from customhouse.collector.sources import Register
from customhouse.demo.client import Target
from customhouse.demo.conduct import Wishes, conduct
from customhouse.demo.mistakes import shares
from customhouse.demo.tally import Report
from customhouse.log.memory import MemoryLog
from customhouse.model.contracts import no_fault
from customhouse.model.event import Event
from customhouse.model.frames import TrailRow, decode_event
from customhouse.model.outcome import Versions
from customhouse.model.secret import Secret
from customhouse.pipeline.batch import Intake, Place
from customhouse.pipeline.judgement import judge
from customhouse.plan.load import load
from customhouse.protocols.rudderstack import RudderStack
from customhouse.protocols.segment import Segment
from customhouse.settings import decode, load_yaml
from customhouse.state.ids import MemoryIndex
from customhouse.wire.spec_batch import looks_like_rudderstack

KEY = "shop-demo-key"
SHOP = Path(__file__).parents[3] / "examples" / "shop"


@dataclass
class Seen:
    """What the demo said, and what the road made of it."""

    report: Report
    trail: list[TrailRow]
    events: list[Event]

    def fates(self):
        found = {}
        for row in self.trail:
            found[row.fate] = found.get(row.fate, 0) + 1
        return found


@asynccontextmanager
async def door(log, fault=no_fault, port=0):
    """Open a door with the shop's source on a free port of the loopback."""
    commit = Commit(log, Terms(tick=0.02), fault=fault)
    register = Register({"shop": SourceConfig(write_key=KEY)}, LimitsConfig(), 1)
    opened = Door((Segment(), RudderStack()), commit, register, recognisers={"rudderstack": looks_like_rudderstack})
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    served = asyncio.ensure_future(serve(ListenConfig(port=port), opened, commit, stop, ready.set_result))
    await asyncio.wait((ready, served), return_when=asyncio.FIRST_COMPLETED)
    try:
        yield f"http://127.0.0.1:{ready.result()}"
    finally:
        stop.set()
        await served


def wishes(level="none", single=None, **others):
    """Return what a quick run wants."""
    return Wishes(shares=shares(level, single), **({"rate": 5000.0, "seconds": 0.0, "events": 200} | others))


async def sent(url, wanted, *, stop=None, receipts=None, look=lambda *_: None, key=KEY):
    """Run the demo and return its report."""
    target = Target(url, Secret(key))
    return await conduct(target, wanted, stop=stop or asyncio.Event(), look=look, receipts=receipts)


def on_loop(coroutine):
    """Run a coroutine on the loop the command line uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


@cache
def rules():
    """Return the example shop's configuration and plan, as a house would accept them."""
    data, _ = load_yaml(SHOP / "customhouse.yaml")
    configuration, problems = decode(Configuration, data, "customhouse.yaml")
    assert problems == []
    return Rules(configuration, load(SHOP / "plan"), Versions(1, 1))


def judged(log):
    """Return trail and surviving events of everything in a log, by the shop's configuration and plan."""
    way = road(rules(), MemoryIndex(), 7)
    intake, trail, events = Intake(log, 0, Place(), 500), [], []
    while batch := intake.take():
        frame = judge(batch, way, time.time_ns() // 1000, {}, lambda *_: None)
        for stage in way.stages:
            if stage.name in frame.memory:
                stage.remember(frame.memory[stage.name])
        trail += frame.trail
        events += [decode_event(record.event) for record in frame.owed]
    return trail, events


def run(level="none", single=None, **others):
    """Run the demo through a door of its own and judge what came."""

    async def main():
        log = MemoryLog()
        async with door(log) as url:
            report = await sent(url, wishes(level, single, **others))
        return report, log

    report, log = on_loop(main())
    return Seen(report, *judged(log))
