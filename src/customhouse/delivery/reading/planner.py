"""
What a lane sends next: the partitions in turn, each batch as large as waiting a little makes it.

After a restart the first batch of a partition is the one that was under way, in the groups that were written down.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from customhouse.delivery.reading.feed import Feed
from customhouse.delivery.reading.intake import Intake
from customhouse.delivery.reading.work import WAITING, Work
from customhouse.delivery.retry.budget import EXPIRED, Budget
from customhouse.delivery.retry.held import Held
from customhouse.delivery.retry.verdicts import Item
from customhouse.delivery.settle import Intent, Settler


class Planner:
    """Reads for one lane. Blocking reads happen in a thread."""

    def __init__(self, lane: str, feed: Feed, settler: Settler, *, batch: int, linger: float) -> None:
        """Plan batches of up to `batch` events that waited up to `linger` seconds to be filled."""
        self.intakes: dict[int, Intake] = {}
        self._lane = lane
        self._feed = feed
        self._settler = settler
        self._batch = batch
        self._linger = linger
        self._intents: dict[int, Intent] = {}
        self._since: dict[int, float] = {}

    async def ready(self, held: Held) -> tuple[Intake, list[Item]] | None:
        """Return the events to be sent next and where they come from; no events, where a loss must be booked first."""
        partitions = await asyncio.to_thread(self._feed.partitions)
        known = [each for each in self.intakes if each in partitions]
        for partition in known + [each for each in partitions if each not in self.intakes]:
            intake = self.intakes.pop(partition, None) or await self._open(partition)
            self.intakes[partition] = intake  # now the last in turn
            await asyncio.to_thread(intake.fill, self._batch)
            chunk = [] if intake.lost else self._chunk(intake, held)
            if chunk or intake.lost:
                return intake, chunk
        return None

    async def survey(self) -> None:
        """Look at every partition, so that health knows what waits also while nothing is sent."""
        for partition in await asyncio.to_thread(self._feed.partitions):
            if partition not in self.intakes:
                self.intakes[partition] = await self._open(partition)
            await asyncio.to_thread(self.intakes[partition].fill, 1)

    def plan(self, intake: Intake, chunk: list[Item], held: Held, budget: Budget, now: int) -> Work:
        """Decide who of a chunk is sent, who expires, and who waits behind an event in retry."""
        self._since.pop(intake.partition, None)
        intent = self._intents.pop(intake.partition, None)
        work = Work(intake.partition, intake.mark_at(len(chunk), now), intent.first_tried_at if intent else now)
        expires = budget.expires(intake, now)
        sent = []
        for item in chunk:
            if expires(item):
                work.settle([item], EXPIRED, 0)
            elif held.blocks(item.event.order_key):
                work.settle([item], WAITING, 0, now)
            else:
                sent.append(item)
        work.plan(sent, intent)
        return work

    async def _open(self, partition: int) -> Intake:
        mark = await asyncio.to_thread(self._settler.mark, self._lane, partition)
        intent = await asyncio.to_thread(self._settler.intent, self._lane, partition)
        if intent and intent.last > mark.upto:
            self._intents[partition] = intent
        return Intake(self._feed, self._lane, partition, mark)

    def _chunk(self, intake: Intake, held: Held) -> list[Item]:
        """Return the events to be sent together now; none while waiting may make the batch larger."""
        pending, clock = intake.pending, monotonic()
        if not pending:
            return []
        since = self._since.setdefault(intake.partition, clock)
        intent = self._intents.get(intake.partition)
        if intent and intake.cursor < intent.last and not intake.gap_ahead:
            return []
        if intent:
            chunk = [item for item in pending if item.position <= intent.last]
        else:
            is_ripe = intake.gap_ahead or len(pending) >= self._batch or clock >= since + self._linger
            chunk = [pending[nth] for nth in range(min(len(pending), self._batch))] if is_ripe else []
        return _distinct(chunk, lambda event_id: event_id in held)


def _distinct(chunk: list[Item], is_held: Callable[[bytes], bool]) -> list[Item]:
    """Cut a chunk before an event that is in retry already or comes twice: an id names one event, also to others."""
    seen: set[bytes] = set()
    for nth, item in enumerate(chunk):
        if item.event.id in seen or is_held(item.event.id):
            return chunk[:nth]
        seen.add(item.event.id)
    return chunk
