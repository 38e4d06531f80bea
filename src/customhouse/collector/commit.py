"""
Group commit: everybody who waits for the disk shares one write and one fsync, and is answered when it is done.

One commit is in flight; what arrives meanwhile is the next group. What may wait is bounded in bytes, and the free disk
has a floor: beyond either the door refuses, and recovers by itself.

On a quick disk a commit is made on the loop itself, because handing it to a thread costs more than the disk does. One
slow commit, and the next ones are made on the writer's thread, so that the door goes on accepting meanwhile.
"""

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from customhouse.collector.later import Later
from customhouse.collector.writer import Sheet, Unwritable, Writer, free_bytes, write
from customhouse.model.contracts import Fault, Log, no_fault
from customhouse.model.envelope import Envelope
from customhouse.model.http import Reply
from customhouse.model.posting import HOUR, RECEIVED, Tally, refused

_logger = logging.getLogger(__name__)

UNKNOWN_SOURCE = "-"
"""Who is booked when a request does not say, or not truly, whose it is."""
_FRAME_EVENTS = 32_768
_FRAME_BYTES = 1 * 1024 * 1024
_GROUP = 64
_GROUP_BYTES = 256 * 1024
"""Requests, and bytes of them, that are enough for a commit; fewer wait as long as every round of the loop brings more."""
_QUICK = 0.004
"""Seconds a commit may take on the loop."""
_CAUTION = 50
"""Commits that are made on the writer's thread after a slow one, and at the start."""

Places = list[tuple[int, int, int]]
"""Where letters stand in the log: partition, first position, how many."""
Answer = Callable[[Places | str], Reply]
"""Makes the reply from where the letters stand, or from the reason why they do not."""


class Terms(Struct, frozen=True, kw_only=True):
    """What a commit may hold, and where it goes."""

    partitions: int = 1
    max_uncommitted_bytes: int = 64 * 1024 * 1024
    free_disk_bytes: int = 512 * 1024 * 1024
    folder: Path | None = None
    """The log's folder, whose disk is watched; None for a log that is not on this machine's disk."""
    tick: float = 1.0
    """Seconds between looks at the disk, and between frames that carry nothing but counts."""


class Health(Struct, frozen=True):
    """How the door stands with its disk."""

    uncommitted_bytes: int
    free_bytes: int | None
    free_bytes_floor: int
    seconds_since_failure: float | None
    """Since the last failed append; None when there was none."""
    failing: bool
    """The last append failed."""
    draining: bool

    @property
    def ready(self) -> bool:
        """Say whether events can be taken."""
        return not (self.failing or self.draining or self.disk_low)

    @property
    def disk_low(self) -> bool:
        """Say whether free space is under the floor."""
        return self.free_bytes is not None and self.free_bytes < self.free_bytes_floor


class _Deposit:
    """The envelopes of one request, and who waits for them."""

    __slots__ = ("answer", "count", "later", "parts", "places", "size")

    def __init__(self, parts: Sequence[tuple[int, Envelope]], size: int, answer: Answer) -> None:
        self.parts = parts
        self.size = size
        self.answer = answer
        self.later = Later()
        self.count = 0
        for _, envelope in parts:
            self.count += len(envelope.letters)
        self.places: list[tuple[Sheet, int, int]] = []

    def settle(self, reason: str) -> None:
        """Answer with where it stands, or with the reason why it does not."""
        places = []
        for sheet, offset, count in self.places:
            error = sheet.error
            if error is not None:
                reason = "body_not_json" if isinstance(error, Unwritable) else "log_unavailable"
            places.append((sheet.partition, sheet.base + offset, count))
        self.later.set(self.answer(reason or places))


def _unseen(_seconds: float) -> None:
    """Be told of a commit where nobody measures."""


class Commit:
    """The way into the log. Lives on one loop; only the writer's jobs run elsewhere."""

    def __init__(
        self,
        log: Log,
        terms: Terms,
        *,
        fault: Fault = no_fault,
        clock: Callable[[], int] = time.time_ns,
        observe: Callable[[float], None] = _unseen,
    ) -> None:
        """Write to a log under given terms; `clock` tells nanoseconds, `observe` is told the seconds of each commit."""
        self._observe = observe
        self.terms = terms
        self.config = 0
        """Number of the configuration in force; every frame carries it."""
        self._writing = log
        self._fault = fault
        self._clock = clock
        self._writer = Writer()
        self._waiting: deque[_Deposit] = deque()
        self._alone: deque[_Deposit] = deque()
        self._uncommitted = 0
        self._tally = Tally()
        self._busy = self._kicked = self._draining = self._failing = False
        self._failed_at: float | None = None
        self._free: int | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        self._idle = asyncio.Event()
        self._caution = _CAUTION
        """Commits that are still to be made on the writer's thread, because the disk was slow or is not known yet."""

    # What the door calls.

    def start(self) -> None:
        """Look at the disk and start the writer. Needs a running loop."""
        self._free = free_bytes(self.terms.folder)
        self._loop = asyncio.get_running_loop()
        self._writer.start(self._loop)
        self._ticker = self._loop.call_later(self.terms.tick, self._tick)

    def submit(self, parts: Sequence[tuple[int, Envelope]], size: int, answer: Answer) -> Later | str:
        """Take the envelopes of one request, of about `size` bytes; or return the reason why not."""
        waiting = self._uncommitted
        if waiting and waiting + size > self.terms.max_uncommitted_bytes:
            return "too_busy"
        if self._draining:
            return "draining"
        if self._free is not None and self._free < self.terms.free_disk_bytes:
            return "disk_low"
        deposit = _Deposit(parts, size, answer)
        self._uncommitted = waiting + size
        self._waiting.append(deposit)
        if not self._busy and not self._kicked:
            self._kicked = True
            # At the end of this round of the loop, so that all requests read in it share the commit.
            self._loop.call_soon(self._wait_for_more, 0)
        return deposit.later

    def refuse(self, source: str, reason: str) -> None:
        """Book one refused request; the next frame carries it."""
        self._tally.move(source, self._clock() // (HOUR * 1000), RECEIVED, refused(reason))

    def health(self) -> Health:
        """Say how things stand."""
        since = None if self._failed_at is None else time.monotonic() - self._failed_at
        return Health(
            uncommitted_bytes=self._uncommitted,
            free_bytes=self._free,
            free_bytes_floor=self.terms.free_disk_bytes,
            seconds_since_failure=since,
            failing=self._failing,
            draining=self._draining,
        )

    async def drain(self) -> None:
        """Take nothing more; write what waits, and the counts; end the writer. Once."""
        if self._draining:
            return
        self._draining = True
        self._caution = sys.maxsize
        if self._ticker is not None:
            self._ticker.cancel()
        self._idle.clear()
        self._kick(counts=True)
        if self._busy:
            await self._idle.wait()
        lost = self._tally.postings()
        if lost:
            _logger.error("the counts of %d refusals could not be written", sum(posting.count for posting in lost))
        await self._writer.stop()

    # One group after the other.

    def _wait_for_more(self, seen: int) -> None:
        """Let one more round of the loop go by while each brings more to share the commit, up to a bound."""
        waiting = len(self._waiting)
        if not self._busy and seen < waiting < _GROUP and self._uncommitted < _GROUP_BYTES:
            self._loop.call_soon(self._wait_for_more, waiting)
        else:
            self._kick()

    def _kick(self, *, counts: bool = False) -> None:
        """Start the next commit, if there is anything to write and none is under way."""
        self._kicked = False
        if self._busy:
            return
        group = self._gather()
        postings = self._tally.postings()
        if not group and not (counts and postings):
            return
        self._busy = True
        self._tally = Tally()
        sheets = self._lay_out(group, Sheet(0, self.config, postings) if postings else None)
        at = self._clock() // 1000
        log, fault, observe = self._writing, self._fault, self._observe

        def job() -> Callable[[], None]:
            began = time.perf_counter()
            write(sheets, log, at, fault)
            took = time.perf_counter() - began
            observe(took)
            return lambda: self._settle(group, sheets, took)

        if self._caution:
            self._caution -= 1
            self._writer.put(job)
        else:
            job()()

    def _gather(self) -> list[_Deposit]:
        if self._alone:
            return [self._alone.popleft()]
        waiting = self._waiting
        group: list[_Deposit] = []
        events = size = 0
        while waiting:
            deposit = waiting[0]
            events += deposit.count
            size += deposit.size
            if group and (events > _FRAME_EVENTS or size > _FRAME_BYTES):
                break
            group.append(waiting.popleft())
        return group

    def _lay_out(self, group: list[_Deposit], first: Sheet | None) -> list[Sheet]:
        sheets = {} if first is None else {first.partition: first}
        for deposit in group:
            for partition, envelope in deposit.parts:
                sheet = sheets.get(partition)
                if sheet is None:
                    sheet = sheets[partition] = Sheet(partition, self.config, [])
                count = len(envelope.letters)
                deposit.places.append((sheet, sheet.count, count))
                sheet.envelopes.append(envelope)
                sheet.count += count
        return list(sheets.values())

    def _settle(self, group: list[_Deposit], sheets: list[Sheet], took: float) -> None:
        """Answer a group, after the next one is on its way: the disk need not wait for us."""
        self._busy = False
        retry = self._review(group, sheets)
        if took > _QUICK:
            self._caution = _CAUTION
        if self._caution:
            self._kick()
        elif self._waiting or self._alone:
            self._loop.call_soon(self._kick)
        if not retry:
            reason = self._before_ack()
            for deposit in group:
                self._answer(deposit, reason)
        if self._draining and not self._busy:
            self._kick(counts=not self._failing)
            if not self._busy:
                self._idle.set()

    def _review(self, group: list[_Deposit], sheets: list[Sheet]) -> bool:
        """See what failed. Returns whether the group is to be written again, one request at a time."""
        failed = [sheet for sheet in sheets if sheet.error is not None]
        unwritable = any(isinstance(sheet.error, Unwritable) for sheet in failed)
        for sheet in failed:
            for p in sheet.postings:
                self._tally.move(p.source, p.hour, p.moved_from, p.moved_to, p.count)
        failing = bool(failed) and not unwritable
        if failing:
            self._failed_at = time.monotonic()
        if failing and not self._failing:
            _logger.error("the log takes no events; the door answers 503 until it does")
        self._failing = failing
        if not unwritable or len(group) <= 1:
            return False
        for deposit in group:
            deposit.places.clear()
        self._alone.extend(group)
        return True

    def _before_ack(self) -> str:
        try:
            self._fault("collector.before_ack")
        except Exception:
            _logger.exception("the group is durable, but is not told so")
            return "log_unavailable"
        return ""

    def _answer(self, deposit: _Deposit, reason: str) -> None:
        """Answer one request; whatever goes wrong with it is no reason for the others to wait."""
        self._uncommitted -= deposit.size
        try:
            deposit.settle(reason)
        except Exception:
            _logger.exception("a request could not be answered")
            deposit.later.set(None)

    def _tick(self) -> None:
        """Look at the disk on the writer's thread, and write the counts when nothing else carries them."""
        self._ticker = self._loop.call_later(self.terms.tick, self._tick)
        self._kick(counts=True)
        folder = self.terms.folder

        def look() -> Callable[[], None]:
            free = free_bytes(folder)
            return lambda: self._saw(free)

        self._writer.put(look)

    def _saw(self, free: int | None) -> None:
        self._free = free
