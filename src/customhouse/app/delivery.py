"""The delivery process, put together: one lane per destination, the trail's own lane, and the jobs about rejected events."""

import asyncio
import random
import secrets
import time
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from customhouse.app.configuration import DestinationConfig
from customhouse.app.lanes import publish
from customhouse.app.process import Process
from customhouse.app.retention import SECONDS, retain
from customhouse.app.rules import newest
from customhouse.delivery.bulk import LakeLane, TrailConfig, TrailLane
from customhouse.delivery.lane import Lane, Tools
from customhouse.delivery.main import Carrier, Delivery
from customhouse.delivery.reading.feed import Feed
from customhouse.delivery.sender import HttpSender
from customhouse.delivery.settle import Paused, Settler
from customhouse.destinations.webhook import Webhook, WebhookConfig
from customhouse.ledger.trail import TrailTables
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.errors import CustomhouseError, Unavailable
from customhouse.model.frames import OWED_TOPIC, RECEIPTS_TOPIC
from customhouse.model.secret import Secret
from customhouse.settings import resolve
from customhouse.state.embedded import EmbeddedState
from customhouse.state.jobs import Answer, Job, Jobs
from customhouse.telemetry.tracing import child
from customhouse.warehouses.lake import Lake

_PUBLISH_SECONDS = 1.0
_JOBS_SECONDS = 0.25


class House:
    """The lanes as the configuration of now wants them. One that has not changed stays the same object."""

    def __init__(self, process: Process, tools: Tools, log: EmbeddedLog) -> None:
        """Open the trail; lanes come with `lanes`."""
        self._process = process
        self._tools = tools
        self.settler = tools.settler
        self._made: dict[str, tuple[tuple[Any, ...], Carrier]] = {}
        self._lake: Lake | None = None
        lake = process.workspace.lake
        self.trail = TrailLane(log, TrailTables(lake), TrailConfig(), fault=process.fault)

    def lanes(self, destinations: dict[str, DestinationConfig]) -> list[Carrier]:
        """Return a lane for every destination, and the trail's. Raises Misconfigured when a secret cannot be had."""
        wanted: dict[str, tuple[tuple[Any, ...], Carrier]] = {}
        for name, config in destinations.items():
            secret = _secrets(self._process, name, config) if isinstance(config, WebhookConfig) else {}
            same = (config, secret)
            known = self._made.get(name)
            wanted[name] = known if known and known[0] == same else (same, self._make(name, config, secret))
        self._made = wanted
        return [*(lane for _, lane in wanted.values()), self.trail]

    def _make(self, name: str, config: DestinationConfig, secret: dict[str, Any]) -> Carrier:
        if isinstance(config, WebhookConfig):
            return Lane(name, Webhook(name, config, **secret), config, self._tools)
        if self._lake is None:
            self._lake = Lake(self._process.workspace.lake, config)
        return LakeLane(name, self._tools.feed, self._lake, self._tools.settler, config, fault=self._process.fault)

    def floors(self, log: EmbeddedLog) -> dict[str, int]:
        """Return by log and partition the position up to which neither a lane nor the trail needs anything."""
        found = {}
        for partition in log.partitions(OWED_TOPIC):
            reached = [self.settler.mark(lane, partition).upto for lane in self._made]
            found[f"{OWED_TOPIC}/{partition}"] = min([*reached, self.trail.upto(OWED_TOPIC, partition)])
        found[f"{RECEIPTS_TOPIC}/0"] = self.trail.upto(RECEIPTS_TOPIC, 0)
        return found


def run(process: Process) -> None:
    """Run the delivery process until it is told to stop."""
    asyncio.run(_run(process))


async def _run(process: Process) -> None:
    log = EmbeddedLog(process.workspace.log, fault=process.fault)
    state = EmbeddedState(process.workspace.state("delivery"), fault=process.fault)
    settler = Settler(log, state, process.fault)
    async with HttpSender(version("customhouse"), lambda parent: child(parent, secrets.token_bytes(8))) as sender:
        tools = Tools(
            feed=Feed(log), settler=settler, sender=sender, now=lambda: time.time_ns() // 1000, chance=random.random,
            fault=process.fault, logger=process.logger, meter=process.meter,
        )  # fmt: skip
        house, rules, stop = House(process, tools, log), newest(process.workspace), asyncio.Event()
        settler.config = rules.versions.config
        delivery = Delivery(house.lanes(rules.configuration.destinations), settler, process.logger)
        tending = asyncio.create_task(_tend(process, delivery, house, log, stop))
        tending.add_done_callback(lambda _: stop.set())  # lanes that nobody tends hear no signal: better new ones
        process.announce(rules.versions.config)
        try:
            await delivery.run(stop)
        finally:
            tending.cancel()
            with suppress(asyncio.CancelledError):
                await tending
    state.close()
    log.close()


async def _tend(process: Process, delivery: Delivery, house: House, log: EmbeddedLog, stop: asyncio.Event) -> None:
    """Do beside the lanes' work: signals, jobs, and telling the others how the lanes fare."""
    jobs, due = Jobs(process.workspace.jobs("delivery")), 0.0
    retain_due = time.monotonic() + SECONDS
    loop = asyncio.get_running_loop()

    def perform(job: Job) -> Answer:
        return asyncio.run_coroutine_threadsafe(_perform(delivery, job), loop).result()

    while True:
        await asyncio.sleep(_JOBS_SECONDS)
        if process.stop.is_set():
            stop.set()
        if process.reload.is_set():
            process.reload.clear()
            _reload(process, delivery, house)
        with process.chore("jobs"):
            await asyncio.to_thread(jobs.carry_out, perform)
        process.write_meters()
        if time.monotonic() >= due:
            due = time.monotonic() + _PUBLISH_SECONDS
            with process.chore("publishing"):
                floors = await asyncio.to_thread(house.floors, log)
                publish(process.workspace, delivery.health(_now()), floors)
        if time.monotonic() >= retain_due:
            retain_due = time.monotonic() + SECONDS
            with process.chore("retention"):
                await asyncio.to_thread(_retain, process, house, log)


def _retain(process: Process, house: House, log: EmbeddedLog) -> None:
    """Remove receipts that are in the trail, once they are old."""
    kept = newest(process.workspace).configuration.retention
    retain(
        log,
        RECEIPTS_TOPIC,
        lambda partition: house.trail.upto(RECEIPTS_TOPIC, partition),
        process.logger,
        days=kept.receipts_days,
        size=kept.log_bytes,
    )


def _reload(process: Process, delivery: Delivery, house: House) -> None:
    try:
        rules = newest(process.workspace)
        lanes = house.lanes(rules.configuration.destinations)
    except CustomhouseError as error:
        process.logger.error("delivery.reload_refused", reason=type(error).__name__)
        return
    house.settler.config = rules.versions.config
    delivery.reload(lanes)
    for name, health in delivery.health(_now()).items():
        if health.get("state") == "parked":  # a reload is how somebody says that credentials were mended
            delivery.go_on(name)
    with process.chore("announcing"):
        process.announce(rules.versions.config)


async def _perform(delivery: Delivery, job: Job) -> Answer:
    """Replay or discard rejected events, pause or resume a lane."""
    said = job.arguments
    if job.verb in ("pause", "resume"):
        return await _hold(delivery, job)
    if job.verb not in ("replay", "discard"):
        return Answer(ok=False, message=f"the delivery knows no job {job.verb}")
    if job.verb == "replay" and isinstance(said.get("lane"), str):  # everything one destination refused
        count = await delivery.replay(said["lane"], None, _now())
        return Answer(ok=True, message=f"{count} done", details={"done": count})
    by_lane: dict[str, list[bytes]] = {}
    for text, lane in zip(said.get("ids", []), said.get("lanes", []), strict=True):
        by_lane.setdefault(lane, []).append(bytes.fromhex(text))
    act = delivery.replay if job.verb == "replay" else delivery.discard
    count = sum([await act(lane, ids, _now()) for lane, ids in by_lane.items()])
    return Answer(ok=True, message=f"{count} done", details={"done": count})


async def _hold(delivery: Delivery, job: Job) -> Answer:
    """Pause a lane or let it go on; the state remembers which, since when and through which window."""
    lane = str(job.arguments.get("lane"))
    try:
        if job.verb == "pause":
            done = await delivery.pause(lane, Paused(_now(), job.asked_by))
        else:
            done = await delivery.resume(lane)
    except Unavailable as error:
        return Answer(ok=False, message=f"this could not be written down, so nothing has changed: {error}")
    return Answer(ok=done, message="done" if done else f"there is no lane {lane} that can be paused")


def _now() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def _secrets(process: Process, name: str, config: WebhookConfig) -> dict[str, Any]:
    """Return what the references of a destination stand for. Raises Misconfigured."""

    def opened(reference: str | None, field: str) -> Secret | None:
        return resolve(reference, process.workspace.root, f"destinations.{name}.{field}") if reference else None

    headers = {each: opened(reference, f"headers.{each}") for each, reference in config.headers.items()}
    return {
        "secret": opened(config.secret, "secret"),
        "write_key": opened(config.write_key, "write_key"),
        "headers": headers,
    }
