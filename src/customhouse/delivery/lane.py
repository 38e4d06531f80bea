"""
One destination's lane: reads what it is owed, sends it, weighs the answers, settles, and waits when it must.

A lane does one thing at a time, so that order is kept by doing nothing clever. Each step either sends one parcel or
finds out how long to wait. Whatever is settled is in the log; whatever is under way is written down before it is sent:
killed at any point, the lane goes on where it was and sends at most what it had sent already, under the same keys.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from msgspec import Struct

from customhouse.delivery.answers import Answers
from customhouse.delivery.courier import Courier, Result
from customhouse.delivery.reading.feed import Feed
from customhouse.delivery.reading.intake import Intake, Lost
from customhouse.delivery.reading.planner import Planner
from customhouse.delivery.reading.work import WAITING, Group, Work
from customhouse.delivery.receipts import Fate, Step, loss_frame, receipt_frame
from customhouse.delivery.retry.budget import EXPIRED, Budget
from customhouse.delivery.retry.held import Held
from customhouse.delivery.retry.trouble import Trouble
from customhouse.delivery.retry.verdicts import PATIENCE, Decision, Halve, Hold, Item, Settled, Tried, Verdict, decide
from customhouse.delivery.sender import Sender
from customhouse.delivery.settle import Mark, Paused, Settler
from customhouse.model.contracts import Destination, Fault, Parcel
from customhouse.model.errors import Unavailable
from customhouse.model.frames import HeldEvent, ReceiptFrame
from customhouse.model.lane import LaneConfig
from customhouse.model.posting import HOUR
from customhouse.telemetry.logs import Logger
from customhouse.telemetry.measure import Meter

POLL_SECONDS = 0.05
"""How often an idle lane looks for something new."""
TIDY_SECONDS = 10.0
"""How often an idle lane writes down that it has read on past what is not its own."""
WATCH_SECONDS = 5.0
"""How often the backlog is held to its budget."""


class Tools(Struct, frozen=True):
    """What every lane of a process works with. `now` is in microseconds since 1970, `chance` uniform in 0 to 1."""

    feed: Feed
    settler: Settler
    sender: Sender
    now: Callable[[], int]
    chance: Callable[[], float]
    fault: Fault
    logger: Logger
    meter: Meter


class Lane:
    """Carries what is owed to one destination there."""

    def __init__(self, name: str, destination: Destination, config: LaneConfig, tools: Tools) -> None:
        """Prepare; `run` starts. The settler has recovered."""
        self.name = name
        self._config = config
        self._tools = tools
        self._settler = tools.settler
        self._logger = tools.logger.bind(destination=name)
        self._courier = Courier(name, destination, config, tools.sender, tools.fault, tools.meter)
        self._answers = Answers()
        self._batch = destination.limits.events
        self._parked = tools.meter.gauge("customhouse_lane_parked", destination=name)
        self._stopping = False
        self._paused: Paused | None = None
        self._wake = asyncio.Event()
        self._reset()

    async def run(self) -> None:
        """Work until `stop`. Starts from the state; so it may be called again after it failed."""
        self._reset()
        self._paused = await asyncio.to_thread(self._settler.paused, self.name)
        self._held.fill(await asyncio.to_thread(self._settler.retrying, self.name))
        while not self._stopping:
            self._wake.clear()
            try:
                rest = await self._step()
            except Unavailable as error:
                self._trouble.stumble("log_unavailable")
                rest = self._trouble.remaining()
                self._logger.warning("lane.unavailable", reason=str(error), seconds=round(rest, 1))
            if rest and not self._stopping:
                await self._rest(rest)
        await self._close()

    def stop(self) -> None:
        """End after the step under way; what is not settled stays owed."""
        self._stopping = True
        self._wake.set()

    async def pause(self, paused: Paused) -> None:
        """Send nothing until `resume`, also after a restart; the backlog grows. Raises Unavailable."""
        await asyncio.to_thread(self._settler.pause, self.name, paused)
        self._paused = paused

    async def resume(self) -> None:
        """End a pause for good, and go on at once. Raises Unavailable."""
        await asyncio.to_thread(self._settler.pause, self.name, None)
        self._paused = None
        self.go_on()

    def go_on(self) -> None:
        """Try at once: after credentials were mended, or instead of waiting longer. A pause stays."""
        self._trouble.clear()
        self._wake.set()

    def room(self) -> int:
        """Return how many more events may be in retry by themselves."""
        return max(0, self._config.retrying_events - len(self._held))

    def adopt(self, events: Sequence[HeldEvent]) -> None:
        """Take in events that were put in retry from outside: rejected ones that are replayed."""
        self._held.fill(events)
        self._wake.set()

    def health(self) -> dict[str, Any]:
        """Return how the lane fares: its state, what waits and since when (seconds), the last answer. Reads the log."""
        now = self._tools.now()
        waiting = [intake.pending[0].owed_at for intake in self._planner.intakes.values() if intake.pending]
        first = self._held.next()
        if first and first.first_tried_at:
            waiting.append(first.first_tried_at)
        return {
            "state": self._state(),
            "lag_events": sum(intake.backlog() for intake in self._planner.intakes.values()) + len(self._held),
            "oldest_seconds": round(max(0, now - min(waiting)) / 1e6, 1) if waiting else 0.0,
            "retrying": len(self._held),
            "breaker": self._trouble.circuit,
            "failures": self._trouble.failures,
            "problem": self._trouble.problem,
            "last_answer": self._courier.last,
            "answers": self._answers.told(),
            "paused_at": self._paused.at if self._paused else 0,
            "paused_by": self._paused.by if self._paused else "",
            "upto": {str(partition): intake.mark.upto for partition, intake in self._planner.intakes.items()},
            "settled_at": max((intake.mark.at for intake in self._planner.intakes.values()), default=0),
            "over_budget": self._budget.is_exceeded,
        }

    def _reset(self) -> None:
        """Forget everything that stands in the state as well."""
        tools, config = self._tools, self._config
        self._planner = Planner(self.name, tools.feed, tools.settler, batch=self._batch, linger=config.linger_seconds)
        self._held = Held(by_key=config.order == "key")
        self._trouble = Trouble(config, tools.chance, self._logger, self._parked)
        self._budget = Budget(config, self._logger)
        self._work: Work | None = None
        self._tidied_at = monotonic()
        self._watched_at = -WATCH_SECONDS

    def _state(self) -> str:
        """Return the state in one word or two."""
        if self._paused or self._trouble.is_parked:
            return "paused" if self._paused else "parked"
        if self._trouble.circuit == "open":
            return "circuit open"
        if self._trouble.failures:
            return "backing off"
        return "running" if self.room() else "full"

    async def _step(self) -> float:
        """Do one thing; return the seconds to rest before the next."""
        await self._watch()
        if self._paused:
            return POLL_SECONDS
        if rest := self._trouble.remaining():
            return min(rest, WATCH_SECONDS)
        one = self._held.next()
        tried = one is not None and one.due_at <= self._tools.now()
        if one and tried:
            await self._try_again(one)
            if self._trouble.remaining():
                return 0.0
        self._work = self._work or await self._next_work()
        if self._work:
            await self._advance(self._work)
            return 0.0
        if tried:  # those who wait behind it are due now, and not only at the next look at the log
            return 0.0
        await self._tidy()
        return POLL_SECONDS

    async def _watch(self) -> None:
        """Look now and then what waits, and whether that is within the budget, also while nothing is sent."""
        if monotonic() >= self._watched_at + WATCH_SECONDS:
            self._watched_at = monotonic()
            await self._planner.survey()
            self._budget.watch(self._planner.intakes.values(), self._tools.now())

    async def _next_work(self) -> Work | None:
        """Return the next events to be sent; None while there is nothing, or no room for what may fail."""
        found = await self._planner.ready(self._held) if self.room() else None
        if found is None:
            return None
        intake, chunk = found
        if intake.lost:
            await self._book_loss(intake, intake.lost)
            return None
        return self._planner.plan(intake, chunk, self._held, self._budget, self._tools.now())

    # --- The attempt and what follows from it.

    async def _advance(self, work: Work) -> None:
        """Send the first group of a work, or settle the work when none is left."""
        now = self._tools.now()
        if work.blocked:
            work.sift(lambda item: item.event.order_key in work.blocked, WAITING, now)
        if self._config.on_overflow == "expire":
            work.sift(self._budget.expires(self._planner.intakes[work.partition], now), EXPIRED, 0)
        if work.groups:
            await self._send_group(work, work.groups[0])
        if not work.groups:
            await self._settle(work)

    async def _send_group(self, work: Work, group: Group) -> None:
        packed = self._courier.pack([item.event for item in group.items], self._tools.now())
        if packed.problem:
            self._judge_unpackable(work, group, packed.problem)
            return
        is_whole = len(packed.parcels) == 1 and len(packed.parcels[0].events) == len(group.items)
        if not is_whole and not work.regroup(packed.parcels):
            self._judge_unpackable(work, group, "parcels that do not carry every event once")
            return
        if not work.is_written:
            await asyncio.to_thread(self._settler.intend, self.name, work.partition, work.intent())
            work.is_written = True
        group = work.groups[0]
        group.attempts += 1
        result = await self._deliver(packed.parcels[0])
        group.faults += result.is_fault
        tried = Tried(len(group.items), group.faults, group.hunting, self._trouble.is_suspect)
        await self._follow(work, group, result, decide(result.receipts, result.status, tried))

    async def _deliver(self, parcel: Parcel) -> Result:
        """Make one attempt, and learn from it."""
        result = await self._courier.deliver(parcel)
        self._answers.note(result, self._tools.now())
        self._trouble.learn(result)
        return result

    async def _follow(self, work: Work, group: Group, result: Result, decision: Decision) -> None:
        """Act on the decision over the first group."""
        if isinstance(decision, Halve):
            if not decision.at_once:
                self._trouble.pause_briefly(decision.reason)
            work.halve(hunting=group.hunting or not decision.at_once)
        elif isinstance(decision, Settled):
            work.groups.popleft()
            self._trouble.is_suspect |= result.is_fault
            for item, verdict in zip(group.items, decision.verdicts, strict=True):
                due_at = self._due(1) if verdict.word == "retry" else 0
                if due_at and self._config.order == "key" and item.event.order_key:
                    work.blocked.add(item.event.order_key)
                work.settle([item], verdict, group.attempts, due_at)
        elif self._is_late(work.first_tried_at, decision.reason):
            work.groups.popleft()
            work.settle(group.items, Verdict("rejected", "delivery_deadline", decision.detail), group.attempts)
        else:
            self._trouble.hold(decision)
            await self._settle(work)

    async def _try_again(self, one: HeldEvent) -> None:
        """Try an event that is in retry by itself."""
        now = self._tools.now()
        packed = self._courier.pack([one.event], now)
        first, attempts = one.first_tried_at or now, one.attempts + 1
        if packed.problem or len(packed.parcels) != 1:
            verdict = Verdict("rejected", "poison", packed.problem)
        else:
            result = await self._deliver(packed.parcels[0])
            decision = decide(result.receipts, result.status, Tried(1, PATIENCE, hunting=True, suspect=False))
            if isinstance(decision, Hold) and not self._is_late(first, decision.reason):
                self._trouble.hold(decision)
                return
            verdict = self._verdict(decision, first)
        fate = Fate(Item(one.position, 0, 0, one.event), verdict, attempts, first, self._due(attempts))
        known = self._planner.intakes.get(one.partition)
        mark = known.mark if known else await asyncio.to_thread(self._settler.mark, self.name, one.partition)
        step = Step(self.name, one.partition, Mark(mark.upto, mark.seen, self._tools.now()))
        await self._commit(receipt_frame(step, [fate], held=True))

    def _verdict(self, decision: Decision, first_tried_at: int) -> Verdict:
        """Return what becomes of a single event that was tried again."""
        if not isinstance(decision, Settled):
            return Verdict("rejected", "delivery_deadline", decision.detail)
        verdict = decision.verdicts[0]
        if verdict.word != "retry":
            return verdict
        self._trouble.pause_briefly(verdict.reason)
        late = self._is_late(first_tried_at, verdict.reason)
        return Verdict("rejected", "delivery_deadline", verdict.answer) if late else verdict

    def _due(self, attempts: int) -> int:
        """Return when an event that failed so often is tried again by itself."""
        return self._tools.now() + self._trouble.due_in(attempts)

    def _judge_unpackable(self, work: Work, group: Group, problem: str) -> None:
        """Find the event a destination's code fails on, and reject it: a bug of ours harms one event and no other."""
        if len(group.items) > 1:
            work.halve(hunting=group.hunting)
        else:
            work.groups.popleft()
            work.settle(group.items, Verdict("rejected", "poison", problem), 0)

    def _is_late(self, first_tried_at: int, reason: str) -> bool:
        """Tell whether the deadline has passed. Refused credentials burn nothing, however long they take to mend."""
        deadline = first_tried_at + int(self._config.deadline_hours * HOUR)
        return reason != "unauthorized" and self._tools.now() >= deadline

    # --- Settling.

    async def _settle(self, work: Work) -> None:
        """Settle what is finished of a work, and let go of the work when that is all of it."""
        done = work.finished()
        if done is None:
            return
        mark, fates = done
        mark = Mark(mark.upto, mark.seen, self._tools.now())
        await self._commit(receipt_frame(Step(self.name, work.partition, mark), fates))
        self._planner.intakes[work.partition].settled(mark)
        settled = {id(fate) for fate in fates}
        work.fates = [fate for fate in work.fates if id(fate) not in settled]
        if not work.groups:
            self._work = None

    async def _book_loss(self, intake: Intake, lost: Lost) -> None:
        """Book what the log's retention removed before the lane could read it."""
        mark = Mark(lost.upto, lost.seen, self._tools.now())
        self._logger.error("lane.lost", reason="log_retention", events=lost.count)
        await self._commit(loss_frame(Step(self.name, intake.partition, mark), lost.first, lost.count))
        intake.skipped(mark)

    async def _tidy(self, *, at_once: bool = False) -> None:
        """Write down now and then how far was read past what is not ours: retention waits for the slowest lane."""
        if not at_once and monotonic() < self._tidied_at + TIDY_SECONDS:
            return
        self._tidied_at = monotonic()
        for intake in self._planner.intakes.values():
            if not intake.pending and intake.cursor > intake.mark.upto:
                mark = intake.mark_at(0, self._tools.now())
                await self._commit(receipt_frame(Step(self.name, intake.partition, mark), []))
                intake.settled(mark)

    async def _commit(self, frame: ReceiptFrame) -> None:
        """Make a frame durable; then memory follows it."""
        await asyncio.to_thread(self._settler.commit, frame)
        for event_id in frame.resolved:
            self._held.remove(event_id)
        for held in frame.retrying:
            self._held.put(held)

    async def _close(self) -> None:
        """Settle what is finished before the lane ends."""
        try:
            if self._work:
                await self._settle(self._work)
            await self._tidy(at_once=True)
        except Unavailable as error:
            self._logger.warning("lane.unsettled", reason=str(error))

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return
