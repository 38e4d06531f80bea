"""
A reply that is still to come. Whoever waits for it is called at once when it is there.

A future would do, at the price of one more turn of the loop for every request; the door has tens of thousands a second.
It can be awaited all the same, for servers that would rather.
"""

import asyncio
from collections.abc import Callable, Generator

from customhouse.model.http import Reply

Taker = Callable[[Reply | None], None]
"""Is given the reply, or None when it will never come because of a fault of our own."""


class Later:
    """One reply, set once and taken once. Belongs to one event loop."""

    __slots__ = ("_taker", "done", "reply")

    def __init__(self) -> None:
        """Wait for the reply, and for somebody to take it."""
        self.done = False
        self.reply: Reply | None = None
        self._taker: Taker | None = None

    def set(self, reply: Reply | None) -> None:
        """Hand the reply over; only the first one counts."""
        if self.done:
            return
        self.done, self.reply = True, reply
        if self._taker is not None:
            self._taker(reply)

    def then(self, taker: Taker) -> None:
        """Call `taker` with the reply: now, if it is there, else as soon as it is."""
        self._taker = taker
        if self.done:
            taker(self.reply)

    def __await__(self) -> Generator[None, None, Reply]:
        """Wait for the reply. Raises RuntimeError when it will never come."""
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self.then(future.set_result)
        reply = yield from future.__await__()
        if reply is None:
            raise RuntimeError("the request failed after it was handed over")
        return reply
