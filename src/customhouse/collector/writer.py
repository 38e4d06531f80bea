"""
The thread that makes commit groups durable: it alone encodes frames and waits for the disk.

A thread, so that the door goes on accepting during a slow fsync; one, because a partition has one writer.
"""

import asyncio
import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

from customhouse.model.contracts import Fault, Log
from customhouse.model.envelope import Envelope
from customhouse.model.errors import Unavailable
from customhouse.model.frames import RECEIVED_TOPIC, DoorFrame, encode
from customhouse.model.posting import Posting

_logger = logging.getLogger(__name__)

Job = Callable[[], Callable[[], None]]
"""Runs on the thread and returns what is to run on the loop afterwards."""


class Unwritable(Exception):
    """An envelope that cannot be put into a frame: a bug of ours in what a protocol made of a request."""


class Sheet:
    """One frame on its way: what is to be written to a partition, and what became of it."""

    __slots__ = ("base", "config", "count", "envelopes", "error", "partition", "postings")

    def __init__(self, partition: int, config: int, postings: list[Posting]) -> None:
        """Start an empty sheet."""
        self.partition = partition
        self.config = config
        self.postings = postings
        self.envelopes: list[Envelope] = []
        self.count = 0
        self.base = -1
        self.error: Exception | None = None

    def encode(self) -> bytes:
        """Return the frame. Raises Unwritable when an envelope cannot be encoded."""
        try:
            return encode(DoorFrame(1, self.config, self.postings, self.envelopes))
        except (UnicodeEncodeError, TypeError, ValueError, OverflowError) as error:
            raise Unwritable(type(error).__name__) from None


def write(sheets: Sequence[Sheet], log: Log, at: int, fault: Fault) -> None:
    """
    Append every sheet; each keeps the position it got, or the error.

    When one cannot be encoded none is appended, so that the group can be tried again in smaller pieces.
    """
    try:
        bodies = [sheet.encode() for sheet in sheets]
    except Unwritable as error:
        for sheet in sheets:
            sheet.error = error
        return
    for sheet, body in zip(sheets, bodies, strict=True):
        try:
            fault("collector.before_append")
            sheet.base = log.append(RECEIVED_TOPIC, sheet.partition, body, sheet.count, at).base
            fault("collector.after_append")
        except Unavailable as error:
            sheet.error = error
        except Exception as error:
            # Nothing may be said to be durable, and nobody may wait for ever: refuse, and say it loudly.
            _logger.exception("the log failed in an unforeseen way")
            sheet.error = error


class Writer:
    """A thread that runs one job after the other and reports back to the loop."""

    def __init__(self) -> None:
        """Be ready to start."""
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run, reporting to this loop."""
        self._thread = threading.Thread(target=self._run, args=(loop,), name="log-writer", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Queue a job."""
        self._jobs.put(job)

    async def stop(self) -> None:
        """Finish what is queued and end the thread."""
        self._jobs.put(None)
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while (job := self._jobs.get()) is not None:
            after = job()
            try:
                loop.call_soon_threadsafe(after)
            except RuntimeError:  # the loop is closed: the process ends without having promised anything
                return


def free_bytes(folder: Path | None) -> int | None:
    """Return the free space of a folder's disk; None when there is no folder, or it does not say."""
    if folder is None:
        return None
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
