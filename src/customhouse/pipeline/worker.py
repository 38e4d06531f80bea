"""
The pipeline's loop: read a batch, judge it, settle it, again; between batches whatever must not happen inside one.

One process may walk several partitions, one after the other. It never waits for anybody but the disk: destinations are
the delivery's business.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from customhouse.model.contracts import Fault, Log, Remembering, State
from customhouse.model.errors import CustomhouseError, Unavailable
from customhouse.model.frames import OWED_TOPIC, RECEIVED_TOPIC, OwedFrame, Quarantined
from customhouse.pipeline.batch import Batch, Intake, apart
from customhouse.pipeline.judgement import Road, condemn, judge
from customhouse.pipeline.preview import foresee, told
from customhouse.pipeline.quarantine import Asked, asked, discard_frame, find, replay_batch
from customhouse.pipeline.settle import Settler, place
from customhouse.state.jobs import Answer, Job, Jobs
from customhouse.telemetry.logs import Logger
from customhouse.telemetry.measure import Meter

CHECKPOINT_SECONDS = 30.0
JOBS_SECONDS = 0.5
_PAUSE_LIMIT = 5.0


class Memory(Protocol):
    """What the stages of one partition remember on disk, as the worker must know it."""

    stages: Mapping[str, Remembering]
    synced_through: int
    """Position of `owed` through which the memory on disk is complete."""

    def checkpoint(self, position: int) -> None:
        """Make everything remembered through this position of `owed` safe against a power cut."""


class Pace(Struct, frozen=True, kw_only=True):
    """How the worker works."""

    batch_events: int = 1000
    small_batch: int = 200
    """A batch smaller than this means that the worker keeps up; it then waits a little, to make the next one larger."""
    linger_seconds: float = 0.05
    idle_seconds: float = 0.02
    rest_seconds: float = 0.1
    """The longest pause between two looks at a log with nothing new: each pause is twice the one before."""


class Parts(Struct, frozen=True):
    """What a worker works with, made by the composition root."""

    log: Log
    state: State
    jobs: Jobs
    logger: Logger
    meter: Meter
    fault: Fault


class Worker:
    """Walks its partitions until it is stopped."""

    def __init__(
        self, parts: Parts, road: Callable[[int], Road], memory: Callable[[int], Memory], pace: Pace | None = None
    ) -> None:
        """Take the parts; nothing is read before `run`. `road` is asked anew for every batch, so a reload is one swap."""
        self._log = parts.log
        self._state = parts.state
        self._jobs = parts.jobs
        self._logger = parts.logger
        self._meter = parts.meter
        self._batches = parts.meter.histogram("customhouse_batch_duration_seconds")
        self._road = road
        self._make_memory = memory
        self._pace = pace or Pace()
        self._settler = Settler(parts.log, parts.state, parts.fault)
        self._memory: dict[int, Memory] = {}
        self._intakes: dict[int, Intake] = {}
        self._totals: dict[int, dict[str, int]] = {}
        self._idle = self._pace.idle_seconds
        self._next_jobs = 0.0
        self._next_checkpoint = 0.0

    def run(self, stopping: Callable[[], bool], tend: Callable[[], None]) -> None:
        """Work until `stopping` says so, then until the log is empty. `tend` is called between batches when idle or due."""
        trouble = 0
        while True:
            stop = stopping()
            try:
                events = self.step()
                trouble = 0
            except Unavailable as error:
                trouble += 1
                self._forget_place()
                self._logger.warning("pipeline.unavailable", reason=str(error), attempt=trouble)
                time.sleep(min(_PAUSE_LIMIT, 0.1 * 2 ** min(trouble, 6)))
                if not stop:
                    continue
                break
            tend()
            if stop and not events:
                break
            if not stop:
                self._wait(events)
        try:
            self.checkpoint()
        except Unavailable as error:  # the next start takes it from the log
            self._logger.warning("pipeline.unavailable", reason=str(error), attempt=trouble)

    def step(self) -> int:
        """Judge and settle at most one batch of every partition, and do the jobs that are due; return the events judged."""
        events = 0
        for partition in self._log.partitions(RECEIVED_TOPIC):
            self._open(partition)
            batch = self._intakes[partition].take()
            if batch is not None:
                self._settle(batch)
                events += batch.size
        now = time.monotonic()
        if now >= self._next_jobs:
            self._next_jobs = now + JOBS_SECONDS
            self._jobs.carry_out(self._perform)
        if now >= self._next_checkpoint:
            self.checkpoint()
            self._next_checkpoint = now + CHECKPOINT_SECONDS
        return events

    def checkpoint(self) -> None:
        """Make what the stages remember safe on disk."""
        for partition, memory in self._memory.items():
            memory.checkpoint(place(self._state, OWED_TOPIC, partition).position)

    def _open(self, partition: int) -> None:
        """Recover a partition, once."""
        if partition in self._intakes:
            return
        memory = self._memory.get(partition) or self._make_memory(partition)
        self._memory[partition] = memory
        began = time.perf_counter()
        frames = self._settler.recover(partition, memory.stages, memory.synced_through)
        at = place(self._state, RECEIVED_TOPIC, partition)
        self._intakes[partition] = Intake(self._log, partition, at, self._pace.batch_events)
        self._totals[partition] = self._settler.totals(partition)
        seconds = round(time.perf_counter() - began, 3)
        self._logger.info("pipeline.recovered", partition=partition, frames=frames, seconds=seconds, after=at.position)

    def _settle(self, batch: Batch) -> None:
        """Judge a batch under the road as it is now, and settle what came out."""
        began = time.perf_counter()
        road, now = self._road(batch.partition), time.time_ns() // 1000
        try:
            owed = judge(batch, road, now, self._totals[batch.partition], self._observe)
        except CustomhouseError:
            raise
        except Exception as error:  # noqa: BLE001  # a bug of ours, woken by one event, must not stop the others
            self._logger.failed("pipeline.poison", error, partition=batch.partition, first=batch.first)
            self._settle_apart(batch, road, now, type(error).__name__)
            return
        self._commit(owed)
        seconds = time.perf_counter() - began
        self._batches.observe(seconds)
        self._logger.debug(
            "pipeline.settled",
            origin=batch.origin,
            partition=batch.partition,
            first=batch.first,
            last=batch.last,
            events=batch.size,
            quarantined=len(owed.quarantined),
            seconds=round(seconds, 4),
        )

    def _settle_apart(self, batch: Batch, road: Road, now: int, why: str) -> None:
        """Judge each event of a batch by itself; what cannot be judged even so is quarantined unread."""
        for alone in apart(batch):
            totals = self._totals[batch.partition]
            try:
                owed = judge(alone, road, now, totals, self._observe)
            except CustomhouseError:
                raise
            except Exception:  # noqa: BLE001  # as above
                owed = condemn(alone, road, now, totals, why)
            self._commit(owed)

    def _commit(self, owed: OwedFrame) -> None:
        self._settler.commit(owed, self._memory[owed.partition].stages)
        self._totals[owed.partition] = owed.totals

    def _observe(self, stage: str, seconds: float, _events: int) -> None:
        self._meter.histogram("customhouse_stage_duration_seconds", stage=stage).observe(seconds)

    def _forget_place(self) -> None:
        """After a failed append nothing of the batch has happened: read it again from the bookmark."""
        self._intakes.clear()

    def _wait(self, events: int) -> None:
        """Let a small batch be followed by a larger one."""
        if events == 0:
            time.sleep(self._idle)
            self._idle = min(2 * self._idle, self._pace.rest_seconds)
            return
        self._idle = self._pace.idle_seconds
        if events < self._pace.small_batch:
            time.sleep(self._pace.linger_seconds)

    def _perform(self, job: Job) -> Answer:
        """Replay or discard quarantined events, or tell what a replay would do."""
        if job.verb not in ("replay", "discard", "preview"):
            return Answer(ok=False, message=f"the pipeline knows no job {job.verb}")
        wanted = asked(job.arguments)
        if isinstance(wanted, str):
            return Answer(ok=False, message=wanted)
        chosen = find(self._state, wanted.ids)
        foreseen: list[OwedFrame] = []
        for partition in sorted({one.partition for one in chosen}):
            self._open(partition)
            mine = [one for one in chosen if one.partition == partition]
            foreseen += self._carry_out(job.verb, mine, partition, wanted)
        again = len(find(self._state, wanted.ids)) if job.verb == "replay" else 0
        more = told(foreseen) if job.verb == "preview" else {}
        return Answer(
            ok=True,
            message=f"{len(chosen)} of {len(wanted.ids)} found in quarantine",
            details={"done": len(chosen), "again": again, "missing": len(wanted.ids) - len(chosen), **more},
        )

    def _carry_out(self, verb: str, mine: list[Quarantined], partition: int, wanted: Asked) -> list[OwedFrame]:
        """Do what a job asks with the events of one partition; return the frames that were only looked at."""
        road, now, totals = self._road(partition), time.time_ns() // 1000, self._totals[partition]
        if verb == "discard":
            self._commit(discard_frame(mine, partition, now, road.versions, totals))
            return []
        batch = replay_batch(mine, partition, wanted.repaired)
        if verb == "preview":
            return foresee(batch, road, now, totals)
        self._settle(batch)
        return []
