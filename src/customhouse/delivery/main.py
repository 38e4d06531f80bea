"""
The delivery: all lanes of one process, started, watched, reloaded and drained together, and none the other's trouble.

A lane that fails on a bug of ours is started again after a while, from the state; the others never notice.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from customhouse.delivery.lane import Lane
from customhouse.delivery.rejected import discard_rejected, replay_rejected
from customhouse.delivery.retry import backoff
from customhouse.delivery.settle import Paused, Settler
from customhouse.telemetry.logs import Logger

DRAIN_SECONDS = 10.0
_RESTART_BASE = 1.0
_RESTART_CAP = 60.0


class Carrier(Protocol):
    """Anything that carries what is owed: a lane to a service, to a warehouse, to the trail."""

    name: str

    async def run(self) -> None:
        """Work until stopped. May be called again after it raised."""

    def stop(self) -> None:
        """End after the step under way."""

    def health(self) -> dict[str, Any]:
        """Return how it fares."""


class Delivery:
    """The lanes of one process. All methods are called in its event loop."""

    def __init__(self, lanes: Sequence[Carrier], settler: Settler, logger: Logger) -> None:
        """Prepare; `run` starts. Names are unique."""
        self._lanes = {lane.name: lane for lane in lanes}
        self._settler = settler
        self._logger = logger
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._states: dict[str, tuple[str, int]] = {}
        """By lane the state it was last seen in, and since when."""

    async def run(self, stop: asyncio.Event) -> None:
        """Bring the state up to the receipts, run all lanes until `stop`, then drain. Raises Unavailable at the start."""
        settled = await asyncio.to_thread(self._settler.recover)
        self._logger.info("delivery.recovered", frames=settled)
        for lane in self._lanes.values():
            self._start(lane, None)
        await stop.wait()
        await self.drain(DRAIN_SECONDS)

    def reload(self, lanes: Sequence[Carrier]) -> None:
        """Run these lanes from now on. One that is the same object goes on; one of the same name starts when the old ends."""
        wanted = {lane.name: lane for lane in lanes}
        before = {name: self._tasks[name] for name in self._lanes if name in self._tasks}
        for name, lane in self._lanes.items():
            if wanted.get(name) is not lane:
                lane.stop()
        old, self._lanes = self._lanes, wanted
        for name, lane in wanted.items():
            if old.get(name) is not lane:
                self._start(lane, before.get(name))

    async def pause(self, name: str, paused: Paused) -> bool:
        """
        Stop sending to a destination until `resume`, also over restarts; False when no such lane can be paused.

        A lane that is paused already keeps its first word. Raises Unavailable.
        """
        if (lane := self._lane(name)) and await asyncio.to_thread(self._settler.paused, name) is None:
            await lane.pause(paused)
        return lane is not None

    async def resume(self, name: str) -> bool:
        """Go on sending at once, also when parked or backing off; False when there is no such lane. Raises Unavailable."""
        if lane := self._lane(name):
            await lane.resume()
        return lane is not None

    def go_on(self, name: str) -> None:
        """Have a lane that waits try at once; one that is paused stays so."""
        if lane := self._lane(name):
            lane.go_on()

    def health(self, now: int) -> dict[str, dict[str, Any]]:
        """Return how each lane fares, by name, and since when it does. `now` is in microseconds. Reads the log, a little."""
        found = {name: lane.health() | self._settler.pace.of(name, now) for name, lane in self._lanes.items()}
        for name, said in found.items():
            if self._states.get(name, ("", 0))[0] != said["state"]:
                self._states[name] = (said["state"], now)
            said["state_since"] = self._states[name][1]
        return found

    async def replay(self, name: str, ids: Iterable[bytes] | None, now: int) -> int:
        """Owe a lane's rejected events once more, all or those named; return how many. As many as it has room for."""
        lane = self._lane(name)
        if lane is None:
            return 0
        again = await asyncio.to_thread(replay_rejected, self._settler, name, ids, now=now, room=lane.room())
        lane.adopt(again)
        return len(again)

    async def discard(self, name: str, ids: Iterable[bytes] | None, now: int) -> int:
        """End a lane's rejected events, all or those named; return how many. The lane need not exist any more."""
        return await asyncio.to_thread(discard_rejected, self._settler, name, ids, now=now)

    async def drain(self, seconds: float) -> None:
        """Let every lane end its step, for at most so long; what is not settled then stays owed."""
        self._stopping.set()
        for lane in self._lanes.values():
            lane.stop()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks.values(), timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            self._logger.warning("delivery.cut", lanes=len(late), seconds=seconds)
            await asyncio.wait(late)

    def _lane(self, name: str) -> Lane | None:
        lane = self._lanes.get(name)
        return lane if isinstance(lane, Lane) else None

    def _start(self, lane: Carrier, after: asyncio.Task[None] | None) -> None:
        self._tasks[lane.name] = asyncio.create_task(self._watch(lane, after), name=f"lane {lane.name}")

    async def _watch(self, lane: Carrier, after: asyncio.Task[None] | None) -> None:
        """Run a lane, once its forerunner has ended; start it again when it fails."""
        if after:
            await asyncio.wait([after])
        failures = 0
        while not self._stopping.is_set() and self._lanes.get(lane.name) is lane:
            try:
                await lane.run()
            except Exception as error:  # noqa: BLE001  # whatever it is, the other lanes go on
                failures += 1
                rest = backoff.delay(failures, 1.0, base=_RESTART_BASE, cap=_RESTART_CAP)
                self._logger.failed("lane.failed", error, destination=lane.name, failures=failures, seconds=rest)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), rest)
            else:
                return
