"""
HTTP/1.1 on llhttp: the connections of one door, and the one sweep that holds them to their deadlines.

An own protocol because a framework costs two to seven times the CPU of everything else the door does. What requests
mean is the host's business (see `host`), so that another server could take this one's place.
"""

import asyncio
import logging
from email.utils import formatdate

from customhouse.collector.config import ListenConfig
from customhouse.collector.http.connection import Connection
from customhouse.collector.http.host import Commons, Host

_logger = logging.getLogger(__name__)


class Server:
    """All connections of one door, and the one sweep that holds them to their deadlines."""

    def __init__(self, host: Host, listen: ListenConfig) -> None:
        """Serve a host under the given bounds. Raises Misconfigured when a trusted network is none."""
        self._commons = Commons(host, listen)
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        timeouts = (listen.header_timeout, listen.body_timeout, listen.idle_timeout, listen.write_timeout)
        self._tick = min(1.0, min(timeouts) / 4)
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> Connection:
        """Make the protocol of a new connection."""
        return Connection(self._commons, self)

    def joined(self, connection: Connection) -> bool:
        """Take note of a connection; False when there are too many, or the door is closing."""
        crowded = len(self._connections) >= self._commons.listen.max_connections
        self._connections.add(connection)
        return not (crowded or self._commons.draining)

    def lost(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def start(self) -> None:
        """Begin to keep time. Needs a running loop."""
        loop = asyncio.get_running_loop()
        self._commons.now = loop.time()
        self._commons.date = f"Date: {formatdate(usegmt=True)}\r\n"
        for connection in list(self._connections):
            connection.sweep(self._commons.now)
        self._timer = loop.call_later(self._tick, self.start)

    async def drain(self) -> None:
        """Let requests under way finish within the drain time-out, then cut what is left."""
        self._commons.draining = True
        self._empty.clear()
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            try:
                await asyncio.wait_for(self._empty.wait(), self._commons.listen.drain_timeout)
            except TimeoutError:
                _logger.warning("cut %d connections that did not finish in time", len(self._connections))
        for connection in list(self._connections):
            connection.cut()
        if self._timer:
            self._timer.cancel()
