"""
Blocking work of a lane, one step after the other in a thread, with back-off: the event loop never waits for a disk.

One step at a time is what makes a lane the one writer of its tables.
"""

import asyncio
import logging
from collections.abc import Callable
from random import random
from typing import Any

from customhouse.delivery.retry.backoff import delay
from customhouse.model.errors import Unavailable

_BACKOFF_BASE = 0.5
_BACKOFF_CAP = 30.0

_logger = logging.getLogger("customhouse.delivery")


class Rounds:
    """Does one blocking step of work after the other in a thread, and waits as long as the step or a failure says."""

    def __init__(self, name: str, step: Callable[[], float], forget: Callable[[], None]) -> None:
        """`step` returns the seconds to wait before the next; `forget` drops what a failed step had in hand."""
        self.state = "running"
        self.failures = 0
        self.problem = ""
        self._name = name
        self._step = step
        self._forget = forget
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let the step under way end, and begin no other."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped. Only what is not `Unavailable` gets out: a bug, or damage on disk."""
        while not self._stopping.is_set():
            wait = await self._round()
            try:
                await asyncio.wait_for(self._stopping.wait(), wait)
            except TimeoutError:
                continue
        self.state = "stopped"

    def health(self) -> dict[str, Any]:
        """Return the state in a word, the last problem in words, and the failures in a row."""
        return {"state": self.state, "problem": self.problem, "failures": self.failures}

    async def _round(self) -> float:
        try:
            wait = await asyncio.to_thread(self._step)
        except (Unavailable, OSError) as error:
            self._forget()
            self.failures += 1
            self.state, self.problem = "backing off", str(error)
            wait = delay(self.failures, random(), base=_BACKOFF_BASE, cap=_BACKOFF_CAP)  # noqa: S311 - jitter, no secret
            _logger.warning("lane %s waits %.1f s: %s", self._name, wait, error)
            return wait
        self.state, self.failures, self.problem = "running", 0, ""
        return wait
